"""State of models: plain values that outlive a version of River, or a clear error and a way on."""

from typing import Any

import msgspec
import pytest
import river

from operators.chain import OPERATORS, build_chain, build_operator, to_record
from operators.core.facts import DelayRisk, DemandOutlook, LaneOutlook
from state.errors import SnapshotError
from state.events import ShipmentDelivered, ShipmentScanned
from state.policy import Policy
from tests.builders import DAY, HOUR, Log, Run, dispatch, fold, order

_PLAIN = (str, int, float, bool, bytes, type(None))
_LEARNING = ("demand", "lanes", "delays")


def busy(days: int, last: int = 1) -> Log:
    """Orders and parcels of some days; on the last one everything is `last` times as slow."""
    log = Log().network_of({("N-NORTH", "BOOK"): 10**6})
    for number in range(days * 4):
        slow = last if number >= (days - 1) * 4 else 1
        log.add(order(f"O-{number}", {"BOOK": 1 + number % 3 * slow}, placed_ms=log.now_ms))
        promised_ms = log.now_ms + 2 * DAY * 1000
        log.add(dispatch(f"S-{number}", f"O-{number}", promised_ms=promised_ms), HOUR)
        log.add(ShipmentScanned(shipment=f"S-{number}", status="in_transit", code="x"), 2 * HOUR)
        log.add(ShipmentDelivered(shipment=f"S-{number}"), 3 * HOUR * slow)
    return log


def predictions(run: Run) -> list[Any]:
    kinds = (DelayRisk, DemandOutlook, LaneOutlook)
    return [r for r in run.records if isinstance(r.fact, kinds)]


def test_another_future_changes_no_earlier_prediction() -> None:
    one, other = busy(12), busy(12, last=9)
    same = 0
    while one.events[same].fact == other.events[same].fact:
        same += 1
    told = [
        [(r.seq, r.fact) for r in predictions(fold(log)) if r.seq <= same] for log in (one, other)
    ]
    assert told[0] == told[1]
    assert len(told[0]) > 100
    assert predictions(fold(one)) != predictions(fold(other))


@pytest.mark.parametrize("name", _LEARNING)
def test_a_snapshot_is_plain_values_that_another_river_can_restore(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fold(busy(6)).operator(name).snapshot()
    _, _, body = before.partition(b"\n")
    todo = [msgspec.msgpack.decode(body, strict=False)]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += [*value, *value.values()]
        elif isinstance(value, (list, tuple)):
            todo += value
        else:
            assert isinstance(value, _PLAIN)
    assert b"river" not in before
    monkeypatch.setattr(river, "__version__", "99.0.0")
    again = build_operator(name, "net", Policy())
    again.restore(before)
    assert again.snapshot() == before


@pytest.mark.parametrize("name", OPERATORS)
def test_a_snapshot_of_an_unknown_version_is_refused_with_the_way_on(name: str) -> None:
    operator = build_operator(name, "net", Policy())
    _, _, body = operator.snapshot().partition(b"\n")
    with pytest.raises(SnapshotError, match=r"expected a snapshot of .*run --rebuild"):
        operator.restore(f"{name}/99\n".encode() + body)


def test_a_restart_changes_no_snapshot_where_rates_were_asked_for_before_they_were_learned() -> (
    None
):
    log = Log().network_of({("N-NORTH", "BOOK"): 9})
    log.add(dispatch("S-0", "O-0", promised_ms=log.now_ms + 5 * DAY * 1000))
    log.add(dispatch("S-1", "O-1", promised_ms=log.now_ms + 2 * DAY * 1000), HOUR)
    at = len(log.events)
    log.tick(9 * DAY)
    lines = log.lines()
    restored = build_chain("net", Policy())
    restored.restore(fold(lines[:at]).chains["net"].snapshot())
    for one in lines[at:]:
        restored.step(to_record(one))
    assert restored.snapshot() == fold(lines).chains["net"].snapshot()
