"""Customers are notified once per change that matters, with the new date."""

from operators.core.contract import Record
from operators.core.facts import DelayRisk, Draft, NoAction, OrderMoved
from operators.notices.notices import Notices
from state.actions import Confidence, Notify
from state.events import OrderPlaced, StockReceived
from state.policy import Notices as Rules
from state.policy import Policy
from tests.builders import DAY, HOUR, START_MS, Log, fold, order

MINUTE = 60
PROMISED_MS = START_MS + 4 * DAY * 1000


class Desk:
    """The operator alone, fed with risks; each call says how much time passes before it."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.operator = Notices(Policy(notices=rules or Rules()))
        self.seq, self.now_ms = 0, START_MS
        self.feed(order("O-1"))

    def feed(self, fact: object, after_s: float = 1) -> list[Draft | NoAction]:
        """Return the notices that one more fact leads to."""
        self.seq += 1
        self.now_ms += round(after_s * 1000)
        out = self.operator.step(Record("net", self.seq, self.now_ms, fact))
        return [r.fact for r in out if isinstance(r.fact, Draft | NoAction)]

    def risk(self, p_late: float, late_s: float, after_s: float = 1) -> list[Draft | NoAction]:
        """A risk that the order comes `late_s` after its promise."""
        return self.feed(
            DelayRisk(
                shipment="S-1",
                order="O-1",
                stage="in_transit",
                p_late=p_late,
                expected_ms=PROMISED_MS + round(late_s * 1000),
                earliest_ms=PROMISED_MS,
                latest_ms=PROMISED_MS + round(2 * late_s * 1000),
                promised_ms=PROMISED_MS,
                confidence=Confidence(statement="it is late", probability=p_late),
            ),
            after_s,
        )

    def quiet(self, after_s: float) -> list[Draft | NoAction]:
        return self.feed(None, after_s)


def message(said: list[Draft | NoAction]) -> Notify:
    (draft,) = said
    assert isinstance(draft, Draft) and isinstance(draft.decision, Notify)
    return draft.decision


def test_a_delay_is_told_after_a_while_of_quiet() -> None:
    desk = Desk()
    assert desk.risk(0.9, DAY) == []
    assert desk.quiet(15 * MINUTE - 1) == []
    told = message(desk.quiet(1))
    assert (told.order, told.topic, told.customer) == ("O-1", "delayed", "customer-of-O-1")
    assert told.expected is not None and (told.expected - told.promised).days == 1
    assert "We now expect it on 10 Jan 08:00 UTC" in told.message
    assert desk.quiet(DAY) == []


def test_changes_close_together_make_one_message_with_the_last_date() -> None:
    desk = Desk()
    for late_s in (DAY, 3 * DAY, 2 * DAY):
        assert desk.risk(0.9, late_s, 10 * MINUTE) == []
    told = message(desk.quiet(15 * MINUTE))
    assert told.expected is not None and (told.expected - told.promised).days == 2


def test_a_message_waits_no_longer_than_the_policy_says() -> None:
    desk = Desk()
    said: list[Draft | NoAction] = []
    for _ in range(13):
        said += desk.risk(0.9, DAY, 10 * MINUTE)
    assert len(said) == 1
    assert message(said).topic == "delayed"


def test_a_risk_that_passes_is_never_told() -> None:
    desk = Desk()
    desk.risk(0.9, DAY)
    desk.risk(0.2, -DAY, MINUTE)
    assert desk.quiet(DAY) == []


def test_an_expected_date_within_the_promise_is_not_told() -> None:
    desk = Desk()
    desk.risk(0.9, -HOUR)
    (said,) = desk.quiet(HOUR)
    assert isinstance(said, NoAction) and said.reason == "it will be in time after all"


def test_a_customer_hears_again_only_if_the_date_slips_materially() -> None:
    desk = Desk()
    desk.risk(0.9, DAY)
    assert message(desk.quiet(HOUR))
    desk.risk(0.9, DAY + 20 * HOUR)
    (said,) = desk.quiet(HOUR)
    assert isinstance(said, NoAction) and said.reason == "the customer knows already"
    desk.risk(0.9, 2 * DAY + HOUR)
    assert message(desk.quiet(HOUR)).topic == "delayed"


def test_no_quiet_time_tells_at_once() -> None:
    desk = Desk(Rules(quiet_s=0))
    desk.risk(0.9, DAY)
    assert message(desk.quiet(0)).topic == "delayed"


def test_a_delivered_order_is_forgotten() -> None:
    desk = Desk()
    desk.risk(0.9, DAY)
    desk.feed(OrderMoved(order="O-1", before="shipped", after="delivered"))
    assert desk.quiet(DAY) == []
    assert desk.operator._state.orders == {}


def test_an_order_never_heard_of_tells_nobody() -> None:
    desk = Desk()
    desk.operator._state.orders.clear()
    desk.risk(0.9, DAY)
    assert desk.quiet(DAY) == []


def test_a_pending_message_survives_a_restart() -> None:
    desk = Desk()
    desk.risk(0.9, DAY)
    again = Notices(Policy())
    again.restore(desk.operator.snapshot())
    desk.operator = again
    assert message(desk.quiet(HOUR)).topic == "delayed"


def test_an_order_that_waits_for_stock_is_told_so() -> None:
    log = Log().network_of({})
    log.add(order("O-1"))
    log.tick(15 * MINUTE)
    (told,) = fold(log).of("notify")
    assert isinstance(told.data.decision, Notify)
    assert told.data.decision.topic == "backordered"
    assert told.data.decision.expected is None
    assert isinstance(log.events[-2].fact, OrderPlaced)
    assert told.data.because.causes == (len(log.events) - 1,)


def test_an_order_served_before_anybody_was_told_is_not_told() -> None:
    log = Log().network_of({("N-NORTH", "BOOK"): 0})
    log.add(order("O-1"))
    log.add(StockReceived(node="N-NORTH", sku="BOOK", quantity=1), 14 * MINUTE)
    log.tick(HOUR)
    assert fold(log).of("notify") == []


def test_the_policys_threshold_decides_who_is_told() -> None:
    desk = Desk()
    desk.risk(Policy().delays.notify_above - 0.01, DAY)
    assert desk.quiet(HOUR) == []
    desk.risk(Policy().delays.notify_above, DAY)
    assert message(desk.quiet(HOUR))
