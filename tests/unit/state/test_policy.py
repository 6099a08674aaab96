"""The policy file: typed, named in errors, and taken over while running."""

from pathlib import Path

import msgspec
import pytest

from operators.core.facts import PolicyInForce
from state.errors import PolicyError
from state.events import PolicyChanged
from state.policy import Governance, Limit, Policy, Sourcing, Weights, load_policy, parse_policy
from tests.builders import Log, fold, order

TOML = """
currency = "BRL"

[weights]
late_hour_cents = 30

[sourcing]
max_legs = 2

[governance.autonomy]
reroute = "propose"

[governance.limits.reship]
per_hour = 7
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_sets_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    assert load_policy(written(tmp_path, TOML)) == Policy(
        currency="BRL",
        weights=Weights(late_hour_cents=30),
        sourcing=Sourcing(max_legs=2),
        governance=Governance(
            autonomy={"reroute": "propose"}, limits={"reship": Limit(per_hour=7)}
        ),
    )
    assert load_policy(written(tmp_path, "")) == Policy()


def test_a_policy_comes_back_from_what_it_is_written_as(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, TOML))
    again = parse_policy(msgspec.json.decode(policy.to_json()), "policy.json")
    assert again == policy
    assert again.fingerprint() == policy.fingerprint()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[sourcing]\nmax_leggs = 2", "max_leggs"),
        ("[sourzing]\nmax_legs = 2", "sourzing"),
        ("[sourcing]\nmax_legs = 0", "<= 5, was 0, at sourcing.max_legs"),
        ('[weights]\nlate_hour_cents = "much"', "at weights.late_hour_cents"),
        ('[governance.autonomy]\nallocat = "act"', "'allocat'"),
        ('[governance.autonomy]\nallocate = "maybe"', "act, off, propose, was 'maybe'"),
        ("[governance.limits.reshipp]\nper_hour = 1", "'reshipp'"),
        ('currency = "euro"', "at currency"),
        ("[sourcing\nmax_legs = 2", "line 1"),
    ],
)
def test_an_error_names_the_key_and_the_file(tmp_path: Path, text: str, named: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PolicyError) as raised:
        load_policy(path)
    assert named in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"nowhere\.toml"):
        load_policy(tmp_path / "nowhere.toml")


def test_the_fingerprint_names_the_content() -> None:
    assert Policy().fingerprint() == Policy().fingerprint()
    assert len(Policy().fingerprint()) == 12
    changed = Policy(sourcing=Sourcing(max_legs=2))
    assert changed.fingerprint() != Policy().fingerprint()
    assert Policy(sourcing=Sourcing(max_legs=3)).fingerprint() == Policy().fingerprint()


def test_the_order_of_keys_does_not_change_the_fingerprint() -> None:
    one = Policy(governance=Governance(autonomy={"allocate": "act", "notify": "off"}))
    other = Policy(governance=Governance(autonomy={"notify": "off", "allocate": "act"}))
    assert one.fingerprint() == other.fingerprint()


def test_usual_limits_hold_where_the_policy_is_silent() -> None:
    usual = Policy().governance
    assert usual.autonomy_of("reprice") == "propose"
    assert usual.autonomy_of("allocate") == "act"
    assert usual.limit_of("reship").per_hour == 50
    assert Governance(limits={"reship": Limit()}).limit_of("reship") == Limit()


def test_a_changed_policy_holds_from_its_record_on() -> None:
    changed = {"weights": {"late_hour_cents": 5}, "governance": {"autonomy": {"allocate": "off"}}}
    log = Log().network_of({("N-NORTH", "BOOK"): 9})
    log.add(order("O-1"))
    log.add(PolicyChanged(policy=changed, by="ann"))
    log.add(order("O-2"))
    log.add(PolicyChanged(policy={"weights": {"late_hour_cents": 5}}))
    log.add(order("O-3"))
    run = fold(log)
    policy = Policy(weights=Weights(late_hour_cents=5.0))
    assert [a.subject for a in run.of("allocate")] == ["O-1", "O-3"]
    assert [a.data.because.policy for a in run.of("allocate")] == [
        Policy().fingerprint(),
        policy.fingerprint(),
    ]
    assert [p.policy for p in run.facts(PolicyInForce)][-1] == policy


def test_a_changed_policy_changes_decisions() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 2, ("N-SOUTH", "BOOK"): 2})
    log.add(order("O-1", {"BOOK": 3}))
    log.add(PolicyChanged(policy={"sourcing": {"max_legs": 1}}))
    log.add(order("O-2", {"BOOK": 1}))
    run = fold(log)
    assert [a.kind for a in run.actions] == ["allocate", "allocate"]
    log.events[-2], log.events[-3] = log.events[-3], log.events[-2]
    assert [a.kind for a in fold(log).actions] == ["backorder", "allocate"]
