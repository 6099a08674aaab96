"""Splits: the cheapest plans of several parcels, and a bound of those not searched.

Branch and bound assigns whole lines to nodes, each node at most once. The search is exact over the
nodes it covers, unless it reaches the limit of parcels priced (an order of five lines over eight
nodes prices 248 at most). Plans left out are bounded from below, so that a choice states how far
it may miss the optimum. If no assignment of whole lines exists, lines are divided greedily.
"""

from bisect import insort
from collections.abc import Sequence

from msgspec import Struct

from operators.sourcing.candidates import Shares, cover_greedily
from operators.sourcing.eliminations import Way
from operators.sourcing.pricer import Lines, Pricer, Supply
from operators.sourcing.rates import Option
from state.policy import Sourcing
from state.sums import float_sum, int_sum

_INFINITY = float("inf")
#: Parcels priced and assignments tried in one search: bounds the work of an event.
_MOST_PARCELS, _MOST_LOOKS = 256, 5_000


class Split(Struct, frozen=True, gc=False, order=True):
    """An order in several parcels; the score includes the cost of each further parcel."""

    score: int
    parcels: int
    ways: tuple[Way, ...]
    options: tuple[Option, ...]
    shares: tuple[Lines, ...]


class Splits:
    """One search. Afterwards, no split that costs less than `proven` cents was left out."""

    def __init__(
        self,
        lines: Lines,
        supplies: dict[str, Supply],
        pricer: Pricer,
        rules: Sourcing,
        least: dict[str, float],
        wanted: int,
    ) -> None:
        self._lines, self._supplies, self._pricer, self._rules = lines, supplies, pricer, rules
        self._least, self._wanted = least, wanted
        self._found: list[Split] = []
        self._seen: dict[tuple[str, int], Option | None] = {}
        self._looks = 0
        self.proven = _INFINITY

    def search(self, to_beat: float) -> list[Split]:
        """Return the cheapest splits below `to_beat` cents, the best first, as many as wanted."""
        least, rules = self._least, self._rules
        lanes = [self._pricer.lane(node) for node in self._supplies]
        self._per_kg = min((lane.least_per_kg_cents for lane in lanes), default=0.0)
        units = (lane.node.handling_unit_cents for lane in lanes if lane.node)
        self._per_unit = min(units, default=0)
        two = sorted(least.values())[:2]
        self._bound = self.proven = to_beat
        if len(two) < 2 or float_sum(two) + rules.split_fixed_cents >= to_beat:
            return []
        every = (1 << len(self._lines)) - 1
        self._content: dict[int, float] = {}
        more = rules.split_fixed_cents + self._by_content(every)
        at_least = float_sum(two) + more
        if at_least >= to_beat:
            return []
        ranked = self._ranked()
        near, far = ranked[: rules.split_nodes], ranked[rules.split_nodes :]
        self._nodes = sorted(near, key=lambda node: (least[node], node))
        self._has = {node: self._whole_lines(node) for node in near}
        self._cheapest_least = least[self._nodes[0]]
        self._unions = _unions(set(self._has.values()), rules.max_legs)
        if self._can_cover(every, rules.max_legs):
            self._branch(every, (), 0)
        if not self._found and to_beat == _INFINITY:
            self._cover(ranked)
            self.proven = at_least
        elif self._looks > _MOST_LOOKS or len(self._seen) > _MOST_PARCELS:
            self.proven = at_least
        else:
            self.proven = self._bound
            if far:  # a lower bound of splits with a node outside the search
                other = min(least[node] for node in far)
                self.proven = min(self.proven, two[0] + max(other, two[1]) + more)
        return self._found

    def can_send(self) -> bool:
        """Return whether lines can surely go whole, in several parcels, at some price.

        Tries only the largest shares of each node; False says nothing.
        """
        open_lines = (1 << len(self._lines)) - 1
        legs = 0
        for node in self._ranked()[: self._rules.split_nodes]:
            share = self._whole_lines(node) & open_lines
            if share and self._pricer.takes(node, self._share(share)):
                open_lines ^= share
                legs += 1
            if not open_lines:
                return legs <= self._rules.max_legs
        return False

    def _ranked(self) -> list[str]:
        """Return the nodes, those that have most units first."""
        covered = {node: int_sum(supply.units) for node, supply in self._supplies.items()}
        return sorted(self._supplies, key=lambda node: (-covered[node], self._least[node], node))

    def _branch(self, open_lines: int, legs: tuple[tuple[str, int], ...], cents: float) -> None:
        """Assign the first open line to each node in turn, with every subset of its other lines."""
        first = open_lines & -open_lines
        split = self._rules.split_fixed_cents
        more_legs = self._rules.max_legs - len(legs) - 1
        content = self._by_content(open_lines)
        for node in self._nodes:
            has = self._has[node] & open_lines
            if not has & first or any(node == used for used, _ in legs):
                continue
            here = cents + self._least[node] + content
            if here + (0 if legs else split + self._cheapest_least) >= self._bound:
                continue
            optional = has ^ first
            more = optional
            while True:
                share = first | more
                rest = open_lines ^ share
                if (rest or legs) and self._can_cover(rest, more_legs):
                    self._look(node, share, rest, legs, cents)
                if not more:
                    break
                more = (more - 1) & optional

    def _look(
        self, node: str, share: int, rest: int, legs: tuple[tuple[str, int], ...], cents: float
    ) -> None:
        ahead = self._rules.split_fixed_cents + self._cheapest_least if rest else 0.0
        content = self._by_content(share | rest)
        if cents + self._least[node] + content + ahead >= self._bound:
            return
        self._looks += 1
        if self._looks > _MOST_LOOKS or len(self._seen) > _MOST_PARCELS:
            return
        key = (node, share)
        if key not in self._seen:
            self._seen[key] = self._pricer.cheapest(node, self._share(share))
        option = self._seen[key]
        if rest:
            ahead += self._by_content(rest)
        if option is None or cents + option.score + ahead >= self._bound:
            return
        legs = (*legs, key)
        if rest:
            self._branch(rest, legs, cents + option.score + self._rules.split_fixed_cents)
        else:
            self._keep([(at, self._share(lines)) for at, lines in legs])

    def _keep(self, shares: Shares) -> None:
        options: list[Option] = []
        for node, share in shares:
            option = self._pricer.cheapest(node, share)
            if option is None:
                return
            options.append(option)
        score = int_sum(option.score for option in options)
        score += round(self._rules.split_fixed_cents * (len(options) - 1))
        ways = tuple(option.way for option in options)
        found = Split(score, len(options), ways, tuple(options), tuple(s for _, s in shares))
        if score >= self._bound or found in self._found:
            return
        insort(self._found, found)
        if len(self._found) > self._wanted:
            self._found.pop()
        if len(self._found) == self._wanted:
            self._bound = min(self._bound, self._found[-1].score)

    def _cover(self, ranked: list[str]) -> None:
        """Divide lines over nodes, if so few together can have units of all lines."""
        nodes = ranked[: self._rules.split_nodes]
        some = {self._lines_of(self._supplies[node].units) for node in nodes}
        every = (1 << len(self._lines)) - 1
        if every not in _unions(some, self._rules.max_legs)[-1]:
            return
        for shares in cover_greedily(self._lines, nodes, self._supplies, self._rules.max_legs):
            self._keep(shares)

    def _by_content(self, lines: int) -> float:
        """Return a lower bound of the cents that weight and units of `lines` cost in any plan."""
        known = self._content.get(lines)
        if known is None:
            grams, units = self._pricer.weigh(self._share(lines))
            known = self._per_kg * grams / 1000 + self._per_unit * units
            self._content[lines] = known
        return known

    def _whole_lines(self, node: str) -> int:
        return self._lines_of([ms is not None for ms in self._supplies[node].ready_ms])

    def _lines_of(self, has: Sequence[int]) -> int:
        return int_sum(1 << index for index, units in enumerate(has) if units)

    def _can_cover(self, lines: int, legs: int) -> bool:
        """Return whether `legs` nodes together have all of `lines`."""
        return any(not lines & ~union for union in self._unions[legs])

    def _share(self, lines: int) -> Lines:
        return tuple(line for index, line in enumerate(self._lines) if lines >> index & 1)


def _unions(sets: set[int], most: int) -> list[set[int]]:
    """Return, for 0 to `most` nodes, the lines that so many of them have together."""
    unions = [{0}]
    for _ in range(most):
        unions.append({union | more for union in unions[-1] for more in sets} | unions[-1])
    return unions
