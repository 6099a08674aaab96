"""Give back what a proposal held that nobody wants: stock, and the right to try something else.

Nothing of it was carried out, so that no system has to be told; what waits for stock is served.
"""

from operators.derived import Derived, OrderMoved, ProposalClosed
from operators.floor import Floor
from state.actions import Allocate, Leg, Reroute, Reship
from state.twin import OpenOrder


def give_back(floor: Floor, closed: ProposalClosed) -> list[Derived]:
    """Undo on the twin what the closed proposal had reserved; returns what moved."""
    decision = closed.decision
    match decision:
        case Allocate():
            order = floor.twin.orders.get(decision.order)
            if order is None:
                return []  # a cancelled order has given everything back already
            for leg in decision.legs:
                _free(floor, order, leg)
            if order.reserved or order.status != "allocated":
                return []  # another allocation has taken over since
            order.status = "released"
            return [OrderMoved(order=order.name, before="allocated", after="released")]
        case Reship():
            order = floor.twin.orders.get(decision.order)
            if order is not None:
                for sku, units in _free(floor, order, decision.leg).items():
                    order.lines[sku].ordered -= units
            _reopen(floor, decision.shipment)
        case Reroute():
            _reopen(floor, decision.shipment)
        case _:
            pass
    return []


def _free(floor: Floor, order: OpenOrder, leg: Leg) -> dict[str, int]:
    """Units by SKU of the leg that were still held, and are not any more."""
    freed: dict[str, int] = {}
    for line in leg.lines:
        units = floor.twin.release(order, leg.node, line.sku, line.quantity)
        if units:
            freed[line.sku] = freed.get(line.sku, 0) + units
            floor.freed[line.sku] = None
    return freed


def _reopen(floor: Floor, name: str) -> None:
    """Let the remedies of a parcel be priced again when its outlook changes."""
    shipment = floor.twin.shipments.get(name)
    if shipment is not None:
        shipment.remedy = ""
