"""Why not: the cost of an option that was not taken, or the constraint that ruled it out.

A witness takes the place of the sourcer and prices the option asked about at the moment of the
decision: on the stock, capacity and predictions that the decision saw.
"""

from collections.abc import Collection

import msgspec
from msgspec import Struct

from operators.core.wording import money
from operators.network.context import Context
from operators.sourcing.candidates import find_supplies
from operators.sourcing.eliminations import NOTHING_LEFT, Eliminations, Way, in_words
from operators.sourcing.holds_filter import rule_out_held
from operators.sourcing.plan import Choice, Plan
from operators.sourcing.pricer import Lines, Pricer, Supply
from operators.sourcing.rates import Option
from state.actions import Alternative
from state.events import OrderPlaced
from state.geography import Geography
from state.keys import ANY_SERVICE, SLASH, Ref, ServiceId
from state.policy import Policy
from state.spoken import readings

#: More options than any network offers from one node: no option is skipped for its price.
_ALL = 1_000_000
_SHOWN = 5
#: Mark between a node and a service.
_PLUS = "+"
_NAMES = msgspec.json.Decoder(list[str])


class Wanted(Struct, frozen=True):
    """Option asked about: a node, a carrier's service, or both; an empty part matches all."""

    node: str = ""
    service: ServiceId = ANY_SERVICE

    def describe(self) -> str:
        """Return it in the words of plans: ``N-1 with POST/express``."""
        return str(Way(self.node or "any node", self.service))

    def as_list(self) -> str:
        """Return the names as a JSON list, which has one reading only."""
        names = (self.node, self.service.carrier, self.service.service)
        return msgspec.json.encode([name for name in names if name]).decode()

    def is_known(self, geography: Geography) -> bool:
        """Return whether all of it is registered."""
        has_node = not self.node or self.node in geography.nodes
        return has_node and (not self.service or self.service in geography.services)


#: All readings of a question, the most exact last.
Asked = tuple[Wanted, ...]


def parse_wanted(text: str) -> Asked:
    """Parse ``NODE``, ``CARRIER/SERVICE`` or ``NODE+CARRIER/SERVICE``; raises ValueError.

    Names may contain these marks, so there may be several readings; a JSON list of one, two or
    three names has one.
    """
    listed = _listed(text)
    if listed is not None:
        return (listed,)
    services = [Wanted("", ServiceId(*names)) for names in readings(text, SLASH)]
    both = [
        Wanted(node, ServiceId(*names))
        for node, service in readings(text, _PLUS)
        for names in readings(service, SLASH)
    ]
    if not text or (_PLUS in text and not both and not services):
        raise ValueError(
            "expected NODE, CARRIER/SERVICE, NODE+CARRIER/SERVICE or the names as a JSON list, "
            f"was {text!r}"
        )
    return (Wanted(text), *services, *both)


def _listed(text: str) -> Wanted | None:
    """Parse a JSON list of a node, of a carrier and its service, or of all three."""
    try:
        names = _NAMES.decode(text)
    except msgspec.DecodeError:
        return None
    match names:
        case (node,):
            return Wanted(node)
        case (carrier, service):
            return Wanted("", ServiceId(carrier, service))
        case (node, carrier, service):
            return Wanted(node, ServiceId(carrier, service))
        case _:
            return None


def meant_by(asked: Asked, geography: Geography) -> Wanted:
    """Return the reading whose names are registered; raises Ambiguous if there are several.

    If there is none, return the most exact reading.
    """
    known = [wanted for wanted in asked if wanted.is_known(geography)]
    if len(known) > 1:
        raise Ambiguous(
            "expected one option, may be "
            + " or ".join(f"{each.describe()}, {each.as_list()}" for each in known)
        )
    return known[0] if known else asked[-1]


class WhyNot(Struct, frozen=True, kw_only=True):
    """Answer to a question. `options` are the options asked about, priced, the cheapest first.

    `taken` is the plan chosen then, None if there was none. `ruled_out` names the constraints that
    ruled out the rest.
    """

    asked: str
    summary: str
    taken: Alternative | None
    options: tuple[Alternative, ...]
    ruled_out: tuple[str, ...]


class Ambiguous(ValueError):
    """A question with several readings; each is named with its unambiguous form."""


class Witness:
    """Stand-in for a context's sourcer: decides alike, and answers for one order.

    A record may decide on an order several times, also to try a swap. The answer is of the decision
    that chose the nodes and services `taken`, else of the first.
    """

    def __init__(self, context: Context, order: str, asked: Asked, taken: frozenset[Way]) -> None:
        self._sourcer, self._context = context.sourcing, context
        self._order, self._asked, self._taken = order, asked, taken
        self.answer: WhyNot | None = None
        self._excluded: frozenset[str] | None = None
        self._is_sure = False

    @property
    def policy(self) -> Policy:
        """Return the policy of the sourcer it replaces."""
        return self._sourcer.policy

    def decide(
        self, order: OrderPlaced, lines: Lines, now_ms: int, excluded: Collection[str] = ()
    ) -> Choice:
        """Choose as the replaced sourcer does."""
        choice = self._sourcer.decide(order, lines, now_ms, excluded)
        if order.order == self._order and not self._is_sure:
            # A decision with more nodes excluded belongs to a consolidation.
            out = frozenset(excluded)
            is_alike = self._excluded in (None, out)
            is_it = (
                is_alike and choice.plan is not None and frozenset(choice.plan.ways) == self._taken
            )
            self._excluded = out if self._excluded is None else self._excluded
            if is_it or self.answer is None:
                wanted = meant_by(self._asked, self._context.twin.geography)
                self.answer = _answer(self._context, order, lines, now_ms, excluded, wanted, choice)
            self._is_sure = is_it
        return choice

    def beats(
        self,
        order: OrderPlaced,
        lines: Lines,
        now_ms: int,
        cents: float,
        excluded: Collection[str] = (),
    ) -> bool:
        """Compare as the replaced sourcer does."""
        return self._sourcer.beats(order, lines, now_ms, cents, excluded)


def _answer(
    context: Context,
    order: OrderPlaced,
    lines: Lines,
    now_ms: int,
    excluded: Collection[str],
    wanted: Wanted,
    choice: Choice,
) -> WhyNot:
    """Answer for the option asked about: candidates → eliminate → price → compare."""
    eliminated: Eliminations = {}
    supplies, closed = find_supplies(
        context.twin,
        context.policy.sourcing,
        lines,
        now_ms,
        excluded,
        eliminated,
    )
    rule_out_held(context.twin, order.region, lines, supplies, closed, eliminated)
    pricer = Pricer(
        context.twin, context.outlook, context.rates, context.policy, order, lines, supplies, now_ms
    )
    nodes = [wanted.node] if wanted.node else sorted(context.twin.geography.nodes)
    found: list[Option] = []
    ruled_out: list[str] = []
    for node in nodes:
        obstacle = _obstacle(context, node, lines, supplies, {**choice.eliminated, **eliminated})
        if obstacle:
            ruled_out.append(obstacle)
            continue
        pricer.eliminated = {}
        offered: list[Option] = []
        pricer.collect(node, lines, offered, _ALL)
        found += (o for o in offered if wanted.service in (ANY_SERVICE, o.service))
        ruled_out += _services_out(context, node, wanted, offered, pricer.eliminated)
    found.sort()
    taken = choice.plan
    return WhyNot(
        asked=wanted.describe(),
        summary=_summary(context, wanted, found, ruled_out, taken),
        taken=None if taken is None else _shown(taken.describe(), taken.score, taken.terms()),
        options=tuple(_shown(str(o.way), o.score, o.terms()) for o in found[:_SHOWN]),
        ruled_out=tuple(ruled_out),
    )


def _obstacle(
    context: Context, node: str, lines: Lines, supplies: dict[str, Supply], eliminated: Eliminations
) -> str:
    """Return why the node cannot send all lines in one parcel; empty if it can."""
    if node not in context.twin.geography.nodes:
        return f"{node} is not registered"
    out = {
        constraint: [each for each in options if isinstance(each, Way) and each.node == node]
        for constraint, options in eliminated.items()
    }
    for constraint, ways in out.items():
        # Without one service, or one missing SKU, the node may still have another option.
        if any(not way.service and (not way.sku or constraint.kind == "held") for way in ways):
            return f"{node}: {constraint}"
    supply = supplies.get(node)
    if supply is None:
        if out.get(NOTHING_LEFT):
            return f"{node}: nothing left to promise of {', '.join(sku for sku, _ in lines)}"
        held = any(node in context.twin.stock.get(sku, {}) for sku, _ in lines)
        if held:
            return f"{node}: excluded, since an earlier attempt from there failed"
        return f"{node} has never had any of {', '.join(sku for sku, _ in lines)}"
    short = [
        f"{supply.units[index]} of {quantity} of {sku}"
        for index, (sku, quantity) in enumerate(lines)
        if supply.ready_ms[index] is None
    ]
    return f"{node} can promise only {', '.join(short)}: no whole parcel" if short else ""


def _services_out(
    context: Context, node: str, wanted: Wanted, offered: list[Option], eliminated: Eliminations
) -> list[str]:
    """Return why services of the node were not offered: the one asked about, or all."""
    asked = Way(node, wanted.service)
    out = [
        f"{in_words(constraint, option)}: {constraint}"
        for constraint, options in eliminated.items()
        for option in options
        if not wanted.service or option == asked
    ]
    if wanted.service and not out and all(o.service != wanted.service for o in offered):
        geography = context.twin.geography
        if wanted.service not in geography.services:
            return [f"{wanted.service} is not registered"]
        if Ref.service(wanted.service) in context.twin.holds:
            return [f"{wanted.service} is on hold"]
        if wanted.service in geography.withdrawn:
            return [f"{wanted.service} was withdrawn by its carrier"]
        return [f"{asked} is not offered on this lane"]
    return out


def _summary(
    context: Context, wanted: Wanted, found: list[Option], ruled_out: list[str], taken: Plan | None
) -> str:
    if not found:
        why = "; ".join(ruled_out[:_SHOWN]) or "it is not offered"
        return f"{wanted.describe()} was no option: {why}."
    best, currency = found[0], context.policy.currency
    name = str(best.way)
    costs = f"{name} would have cost {money(best.score, currency)}"
    if taken is None:
        return f"{costs}, but the order could not be served as a whole."
    if (best.way,) == taken.ways:
        return f"{name} is what was taken, for {money(best.score, currency)}."
    gap = best.score - taken.score
    if gap < 0:
        rule = context.policy.sourcing.rule
        why = "it was not taken for its price alone"
        if rule != "least_cost":
            why = f"the rule {rule} does not go by cost alone"
        return f"{costs}, {money(-gap, currency)} less than {taken.describe()}: {why}."
    ours, theirs = taken.terms(), best.terms()
    parts = sorted(
        ((theirs.get(term, 0) - ours.get(term, 0), term) for term in {**ours, **theirs}),
        key=lambda part: (-part[0], part[1]),
    )
    more = ", ".join(
        f"{money(abs(cents), currency)} {'more' if cents > 0 else 'less'} {term}"
        for cents, term in parts
        if cents
    )
    return f"{costs}, {money(gap, currency)} more than {taken.describe()} ({more or 'a tie'})."


def _shown(option: str, score: int, terms: dict[str, int]) -> Alternative:
    return Alternative(option=option, score_cents=score, terms=terms)
