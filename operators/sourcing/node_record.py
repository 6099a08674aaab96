"""Node record: how much later than planned a node's parcels are ready, learned from what it does.

Two things make a parcel late before it is under way: it misses the pickup that was planned, or a
line of it is not on the shelf. Both are means in which old parcels fade and no single one counts
for more than the policy allows; a node of few parcels is thought to be on time.
"""

from operators.prediction.level import Level, LevelState
from operators.sourcing.outlook import Outlook
from state.policy import Nodes
from state.twin import OpenOrder

_NEW: LevelState = (0, 0.0, 0.0)


class NodeRecords:
    """Learns into the outlook, where sourcing looks the delay up."""

    def __init__(self, outlook: Outlook) -> None:
        self._outlook = outlook

    def handed_over(self, order: OpenOrder, node: str, time_ms: int, rules: Nodes) -> None:
        """A parcel of `order` left `node`; nothing is learned if none was planned there."""
        planned_ms = order.handovers.pop(node, None)
        if planned_ms is None or not rules.learn:
            return
        missed_s = (time_ms - planned_ms) / 1000
        late_s = 0.0 if missed_s <= rules.grace_s else min(missed_s, float(rules.most_s))
        self._learn(self._outlook.handovers, node, late_s, rules)

    def picked(self, node: str, is_short: bool, rules: Nodes) -> None:
        """A picker was sent for a line, and found it or did not."""
        if rules.learn:
            self._learn(self._outlook.short_picks, node, float(is_short), rules)

    def forget(self) -> None:
        """Expect no delay of any node from here on."""
        for kept in (self._outlook.handovers, self._outlook.short_picks):
            kept.clear()
        self._outlook.node_delays_ms.clear()

    def _learn(self, kept: dict[str, LevelState], node: str, value: float, rules: Nodes) -> None:
        level = Level(rules.fading, kept.get(node, _NEW))
        level.update(value)
        kept[node] = level.state()
        late_s = _expected(self._outlook.handovers, node, rules)
        short = _expected(self._outlook.short_picks, node, rules)
        delay_ms = round((late_s + short * rules.short_pick_s) * 1000)
        self._outlook.node_delays_ms[node] = delay_ms


def _expected(kept: dict[str, LevelState], node: str, rules: Nodes) -> float:
    """The mean, drawn to none as long as little was seen."""
    level = Level(rules.fading, kept.get(node, _NEW))
    return level.trust * level.mean
