"""Node record: the delay of a node's parcels against plan, learned from handovers and picks.

A parcel is late before it is under way for two reasons: it misses its planned pickup, or one of its
lines is not on the shelf. Both are means in which old parcels fade and one parcel counts no more
than the policy allows. A node with few parcels is assumed to be on time.
"""

from operators.prediction.levels import Level, Levels
from operators.sourcing.outlook import Outlook
from state.policy import Nodes
from state.twin import OpenOrder


class NodeRecords:
    """Delays of nodes, learned into the outlook, where sourcing looks them up."""

    def __init__(self, outlook: Outlook) -> None:
        self._outlook = outlook

    def handed_over(self, order: OpenOrder, node: str, time_ms: int, rules: Nodes) -> None:
        """Learn from a parcel of `order` that left `node`, if one was planned there."""
        planned_ms = order.handovers.pop(node, None)
        if planned_ms is None or not rules.learn:
            return
        missed_s = (time_ms - planned_ms) / 1000
        late_s = 0.0 if missed_s <= rules.grace_s else min(missed_s, float(rules.most_s))
        self._learn(self._outlook.handovers, node, late_s, rules)

    def picked(self, node: str, is_short: bool, rules: Nodes) -> None:
        """Learn from a pick of a line, which was short or complete."""
        if rules.learn:
            self._learn(self._outlook.short_picks, node, float(is_short), rules)

    def forget(self) -> None:
        """Forget all delays: every node is on time again."""
        for kept in (self._outlook.handovers, self._outlook.short_picks):
            kept.clear()
        self._outlook.node_delays_ms.clear()

    def _learn(self, by_node: dict[str, Level], node: str, value: float, rules: Nodes) -> None:
        Levels(rules.fading, by_node).update(node, value)
        late_s = _expected(self._outlook.handovers, node, rules)
        short = _expected(self._outlook.short_picks, node, rules)
        delay_ms = round((late_s + short * rules.short_pick_s) * 1000)
        self._outlook.node_delays_ms[node] = delay_ms


def _expected(by_node: dict[str, Level], node: str, rules: Nodes) -> float:
    """Return the mean, shrunk to 0 while there are few observations."""
    level = Levels(rules.fading, by_node).get(node)
    return level.trust * level.mean
