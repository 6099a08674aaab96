"""Holds in sourcing: stock, nodes and lanes on hold are out of reach, each with its reason."""

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
    """Remove supply on hold from `supplies`, for an order of `lines` bound for `region`.

    Its units are added to `closed`, by line: they exist, but are out of reach. Services on hold
    have no quotes (`RateBook`) and are only named. Options ruled out are added to `eliminated`.
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
