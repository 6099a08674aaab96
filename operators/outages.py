"""Outages: a node or a carrier takes nothing, or is slow. What waits for it is weighed again.

Each parcel planned but not picked is priced twice, in the same money: left where it is, and sent
in the cheapest other way. It moves only if that saves more than the policy's least gain.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import astuple

from operators.derived import Derived, Inert
from operators.floor import Floor
from operators.legs import leave, lifted
from operators.movable import moves_alone, start_ms
from operators.order_desk import OrderDesk
from operators.pricing import lateness, lateness_cents
from operators.replan import decide
from operators.wording import money
from state.actions import Allocate, Release
from state.events import CarrierCapacityChanged, CarrierDisrupted, NodeCapacityChanged
from state.quantities import DAY_MS, to_ms
from state.twin import OpenOrder, PlannedLeg
from state.twin.holds import hold_key

#: Orders weighed per record: bounds the work of one event.
_MOST_WEIGHED = 25
#: P10 and P90 of what remains until a delivery, relative to its median.
_LOW, _HIGH = 0.75, 1.4


class _Trouble(Struct, frozen=True):
    """What is in trouble: a node, or a carrier's service(s), in a region or everywhere."""

    node: str
    carrier: str
    service: str
    region: str
    delay_ms: int
    until_ms: int

    @property
    def name(self) -> str:
        """What a case calls it."""
        return self.node or "/".join(p for p in (self.carrier, self.service, self.region) if p)

    def concerns(self, leg: PlannedLeg) -> bool:
        """Whether a planned parcel meets it, as far as the leg tells."""
        if self.node:
            return leg.node == self.node
        carrier, _, service = leg.service.partition("/")
        return carrier == self.carrier and self.service in ("", service)

    def late_ms(self, leg: PlannedLeg, start_ms: int) -> int:
        """By how much a parcel comes later that waits for the trouble to pass.

        `start_ms` is when its node has to begin it.
        """
        needed_ms = start_ms if self.node else leg.hand_over_ms
        if needed_ms >= self.until_ms:
            return 0
        if self.delay_ms:
            return self.delay_ms
        days = -((needed_ms - self.until_ms) // DAY_MS)
        return days * DAY_MS  # pickups come once a day


class Outages:
    """Opens and closes the cases of nodes and carriers, and moves the work that is better moved."""

    def __init__(self, floor: Floor, orders: OrderDesk) -> None:
        self._floor, self._orders = floor, orders

    def capacity(self, fact: NodeCapacityChanged | CarrierCapacityChanged) -> list[Derived]:
        """A node or service takes so many parcels a day from now on; 0 is an outage."""
        floor = self._floor
        until_ms = floor.now_ms + floor.policy.exceptions.outage_s * 1000
        if isinstance(fact, NodeCapacityChanged):
            trouble = _Trouble(fact.node, "", "", "", 0, until_ms)
        else:
            trouble = _Trouble("", fact.carrier, fact.service, "", 0, until_ms)
        if fact.parcels_per_day:
            floor.cases.close(_kind(trouble), trouble.name)
            return []
        return self._open(trouble)

    def disrupted(self, fact: CarrierDisrupted) -> list[Derived]:
        """A carrier reports trouble, or that it is over."""
        until_ms = to_ms(fact.until)
        service, region = fact.service or "", fact.region or ""
        trouble = _Trouble("", fact.carrier, service, region, fact.delay_s * 1000, until_ms)
        if not fact.delay_s or until_ms <= self._floor.now_ms:
            self._floor.cases.close("carrier_down", trouble.name)
            return []
        return self._open(trouble)

    def over(self, key: str) -> None:
        """Trouble that a carrier reported has passed; `key` as in `FloorState.disruptions`."""
        self._floor.cases.close("carrier_down", "/".join(part for part in key.split("\n") if part))

    def go_on(self, key: str) -> list[Derived]:
        """Weigh the orders that were left over at an earlier record."""
        node, carrier, service, region, delay_ms, until_ms, after = key.split("\n")
        trouble = _Trouble(node, carrier, service, region, int(delay_ms), int(until_ms))
        is_open = self._floor.cases.is_open(_kind(trouble), trouble.name)
        return self._weigh_all(trouble, after) if is_open else []

    def _open(self, trouble: _Trouble) -> list[Derived]:
        party = "retailer" if trouble.node else "carrier"
        self._floor.cases.open(_kind(trouble), party, trouble.name)  # type: ignore[arg-type]
        if not moves_alone(self._floor.policy):
            return []
        return self._weigh_all(trouble, "")

    def _weigh_all(self, trouble: _Trouble, after: str) -> list[Derived]:
        floor = self._floor
        governance = floor.policy.governance
        # A parcel whose release waits for a person could be sent from both nodes.
        if governance.is_off(Allocate.verb) or governance.autonomy_of(Release.verb) != "act":
            return []
        names = [
            name
            for name, order in floor.twin.orders.items()
            if order.reserved and any(trouble.concerns(leg) for leg in order.legs)
        ]
        names = names[names.index(after) + 1 if after in names else 0 :]
        out: list[Derived] = []
        for name in names[:_MOST_WEIGHED]:
            out += self._weigh(trouble, floor.twin.orders[name])
        if len(names) > _MOST_WEIGHED:
            rest = (*astuple(trouble), names[_MOST_WEIGHED - 1])
            floor.deadlines.set(floor.now_ms, "outage", "\n".join(map(str, rest)))
        return out

    def _weigh(self, trouble: _Trouble, order: OpenOrder) -> list[Derived]:
        if hold_key("order", order.name) in self._floor.twin.holds:
            return []  # what is reserved for it stays reserved
        if trouble.region and order.placed.region != trouble.region:
            return []
        out: list[Derived] = []
        for leg in list(order.legs):
            if not trouble.concerns(leg):
                continue
            late_ms = trouble.late_ms(leg, start_ms(self._floor, leg))
            if late_ms and leg.held and not leg.is_gone:
                out += self._leave(trouble, order, leg, late_ms)
        return out

    def _leave(
        self, trouble: _Trouble, order: OpenOrder, leg: PlannedLeg, late_ms: int
    ) -> list[Derived]:
        """Source what a leg holds in another way, if that is cheaper than to wait."""
        floor = self._floor
        waiting = leg.cents + self._late_cents(order, leg.expected_ms + late_ms)
        elsewhere = self._price_elsewhere(order, leg)
        gain = -1 if elsewhere is None else waiting - elsewhere
        if gain < floor.policy.exceptions.least_gain_cents:
            reason = "there is no other way" if elsewhere is None else "waiting is cheapest"
            reason = f"{reason} while {_kind(trouble).replace('_', ' ')}"
            return [Inert(kind="allocate", about=order.name, reason=reason)]
        floor.cases.act(_kind(trouble), trouble.name)
        order.follows(floor.seq)
        out = leave(floor, order, [leg], "reassigned")
        state = "is slow" if trouble.delay_ms else "takes nothing"
        cost = money(waiting, floor.policy.currency)
        why = f"{trouble.name} {state}, and waiting would cost {cost}"
        return out + self._orders.source(order, why=why)

    def _price_elsewhere(self, order: OpenOrder, leg: PlannedLeg) -> int | None:
        """Return cents of the cheapest way if the leg held nothing; changes nothing."""
        floor = self._floor
        with lifted(floor, [leg]):
            choice = decide(floor, order, order.placed, leg.held_lines)
        return None if choice.plan is None else choice.plan.score

    def _late_cents(self, order: OpenOrder, expected_ms: int) -> int:
        now_ms = self._floor.now_ms
        left_s = max((expected_ms - now_ms) / 1000, 1.0)
        slack_s = (order.promised_ms - now_ms) / 1000
        p_late, late_s = lateness(slack_s, left_s * _LOW, left_s, left_s * _HIGH)
        return lateness_cents(p_late, late_s, self._floor.policy.weights)


def _kind(trouble: _Trouble) -> Literal["node_down", "carrier_down"]:
    return "node_down" if trouble.node else "carrier_down"
