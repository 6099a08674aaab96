"""Candidates: nodes that could serve lines of an order, and ways to spread lines over nodes.

Every sourcer starts here, by cost or by rule.
"""

from collections.abc import Collection, Iterator
from itertools import combinations, product

from operators.sourcing.eliminations import (
    CLOSED,
    NOTHING_LEFT,
    TOO_MANY_PARCELS,
    Eliminations,
    Way,
)
from operators.sourcing.pricer import Lines, Supply
from state.policy import Sourcing
from state.sums import int_sum
from state.twin import Twin

#: (node, its lines) of each parcel.
Shares = list[tuple[str, Lines]]

#: Most lines common to both nodes of a pair for which every distribution is tried.
_DISTRIBUTED = 4
#: Orders with more lines are split greedily only.
_PAIRED_LINES = 12


def find_supplies(
    twin: Twin,
    rules: Sourcing,
    lines: Lines,
    now_ms: int,
    excluded: Collection[str],
    eliminated: Eliminations,
) -> tuple[dict[str, Supply], list[int]]:
    """Return the supply of nodes that can promise any line, and units by line at closed nodes.

    Skips the nodes `excluded`; adds the options ruled out to `eliminated`.
    """
    safety, slip_ms = rules.safety_stock, rules.inbound_slip_s * 1000
    limits = twin.capacity.nodes.limits
    supplies: dict[str, Supply] = {}
    count = len(lines)
    closed = [0] * count
    for index, (sku, quantity) in enumerate(lines):
        for node, position in twin.stock.get(sku, {}).items():
            if node in excluded:
                continue
            ready_ms: int | None
            if position.on_hand - position.reserved - safety >= quantity:
                ready_ms, units = now_ms, quantity
            else:
                ready_ms = position.promisable_ms(quantity, now_ms, safety, slip_ms)
                units = quantity if ready_ms is not None else position.promisable(safety)
                if not units:
                    eliminated.setdefault(NOTHING_LEFT, []).append(Way(node, sku=sku))
                    continue
            if limits.get(node) == 0:
                ways = eliminated.setdefault(CLOSED, [])
                if Way(node) not in ways:
                    ways.append(Way(node))
                closed[index] += units
                continue
            supply = supplies.get(node)
            if supply is None:
                supply = supplies[node] = Supply([0] * count, [None] * count, [None] * count)
            supply.units[index] = units
            supply.ready_ms[index] = ready_ms
            supply.positions[index] = position
    return supplies, closed


def units_missing(lines: Lines, supplies: dict[str, Supply], closed: list[int]) -> dict[str, int]:
    """Return units by SKU that no node has; units at closed nodes are not missing."""
    missing: dict[str, int] = {}
    for index, (sku, quantity) in enumerate(lines):
        short = quantity - closed[index] - int_sum(s.units[index] for s in supplies.values())
        if short > 0:
            missing[sku] = short
    return missing


def units_covered(supply: Supply, lines: Lines) -> int:
    """Return the units of the order that the node has."""
    return int_sum(min(u, quantity) for u, (_, quantity) in zip(supply.units, lines, strict=True))


def spread_over_pairs(
    lines: Lines, nodes: list[str], supplies: dict[str, Supply]
) -> Iterator[Shares]:
    """Yield every distribution of whole lines over two nodes; none for orders of many lines."""
    if len(lines) > _PAIRED_LINES:
        return
    for a, b in combinations(nodes, 2):
        in_a, in_b = supplies[a].ready_ms, supplies[b].ready_ms
        if any(x is None and y is None for x, y in zip(in_a, in_b, strict=True)):
            continue
        both = [i for i in range(len(lines)) if in_a[i] is not None and in_b[i] is not None]
        only_a = [i for i in range(len(lines)) if in_b[i] is None]
        tried = (
            product((True, False), repeat=len(both))
            if len(both) <= _DISTRIBUTED
            else iter([(True,) * len(both), (False,) * len(both)])
        )
        for sides in tried:
            at_a = {*only_a, *(i for i, side in zip(both, sides, strict=True) if side)}
            share_a = tuple(line for i, line in enumerate(lines) if i in at_a)
            share_b = tuple(line for i, line in enumerate(lines) if i not in at_a)
            if share_a and share_b:
                yield [(a, share_a), (b, share_b)]


def rule_out_spread(
    lines: Lines, supplies: dict[str, Supply], max_legs: int, eliminated: Eliminations
) -> None:
    """Add a plan over more nodes than there may be parcels, if stock is spread over so many."""
    nodes = sorted(supplies, key=lambda node: (-int_sum(supplies[node].units), node))
    shares = _cover(lines, nodes, supplies) or []
    if len(shares) > max_legs:
        eliminated[TOO_MANY_PARCELS] = [tuple(Way(node) for node, _ in shares)]


def cover_greedily(
    lines: Lines, nodes: list[str], supplies: dict[str, Supply], max_legs: int
) -> Iterator[Shares]:
    """Yield coverings of at most `max_legs` parcels, each beginning with another node."""
    for first in nodes:
        others = [node for node in nodes if node != first]
        covering = _cover(lines, [first, *others], supplies)
        if covering is not None and len(covering) <= max_legs:
            yield covering


def _cover(lines: Lines, nodes: list[str], supplies: dict[str, Supply]) -> Shares | None:
    """Return each node's share, in the order given, until all is covered; None if it is not."""
    open_units = [quantity for _, quantity in lines]
    shares: Shares = []
    for node in nodes:
        share = []
        for index, (sku, _) in enumerate(lines):
            taken = min(open_units[index], supplies[node].units[index])
            if taken:
                open_units[index] -= taken
                share.append((sku, taken))
        if share:
            shares.append((node, tuple(share)))
        if not any(open_units):
            return shares
    return None
