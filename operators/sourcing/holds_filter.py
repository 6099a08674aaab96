"""Holds, where orders are sourced: what is on hold is out of reach, and named with its reason."""

from operators.sourcing.eliminations import Constraint, Eliminations, Way
from operators.sourcing.pricer import Lines, Supply
from state.keys import Ref, ServiceId
from state.twin import Twin
from state.twin.holds import Held


def rule_out_held(
    twin: Twin,
    region: str,
    lines: Lines,
    supplies: dict[str, Supply],
    closed: list[int],
    eliminated: Eliminations,
) -> None:
    """Take what is on hold out of `supplies`, for an order of `lines` bound for `region`.

    Its units are counted as `closed`, by line: they are there, only out of reach. Services on hold
    have no quotes (`RateBook`); here they are only named. What is ruled out is added to
    `eliminated`.
    """
    holds = twin.holds
    for index, (sku, _) in enumerate(lines):
        held = holds.get(Ref("sku", sku))
        if held is not None:
            for node, supply in supplies.items():
                if supply.units[index]:
                    _name(eliminated, held, Way(node, sku=sku))
                    closed[index] += supply.units[index]
                    supply.units[index], supply.ready_ms[index] = 0, None
    bound_for = holds.get(Ref("region", region))
    for node, supply in list(supplies.items()):
        held = bound_for or holds.get(Ref("node", node)) or holds.get(Ref("lane", node, region))
        if held is not None:
            _name(eliminated, held, Way(node))
            for index, units in enumerate(supply.units):
                closed[index] += units
        if held is not None or not any(supply.units):
            del supplies[node]
    for held in holds.values():
        if held.of.kind == "service":
            service = ServiceId(held.of.name, held.of.part)
            for node in supplies:
                _name(eliminated, held, Way(node, service))


def _name(eliminated: Eliminations, held: Held, option: Way) -> None:
    eliminated.setdefault(Constraint("held", held.reason), []).append(option)
