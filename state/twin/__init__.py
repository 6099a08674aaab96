"""The digital twin: stock, reservations, orders, shipments and capacity of one network."""

from state.twin.capacity import Capacity
from state.twin.orders import OpenOrder, PlannedLeg
from state.twin.shipments import Shipment
from state.twin.stock import Position
from state.twin.twin import Twin

__all__ = ["Capacity", "OpenOrder", "PlannedLeg", "Position", "Shipment", "Twin"]
