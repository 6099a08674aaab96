"""Pickups: orders by the carrier pickup they wait for, so that they are looked at before it."""

from msgspec import Struct, field

from state.keys import ANY_SERVICE, Pickup, ServiceId
from state.twin.orders import PlannedLeg


class Pickups(Struct):
    """Orders that may still move, by the pickup they wait for; split orders also by SKU.

    Orders of a pickup keep the sequence of their allocation. A pickup is dropped once its picking
    begins, so that memory follows open work.
    """

    orders: dict[Pickup, dict[str, None]] = field(default_factory=dict)
    split: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, order: str, leg: PlannedLeg) -> bool:
        """Let `order` wait for the pickup of `leg`; return whether it is the first to wait."""
        pickup = leg.pickup
        is_first = pickup not in self.orders
        self.orders.setdefault(pickup, {})[order] = None
        return is_first

    def drop(self, order: str, pickup: Pickup) -> None:
        """Stop `order` from waiting for a pickup."""
        waiting = self.orders.get(pickup)
        if waiting is not None:
            waiting.pop(order, None)

    def add_split(self, order: str, skus: list[str]) -> None:
        """Note that `order` goes in several parcels with `skus` in them."""
        for sku in skus:
            self.split.setdefault(sku, {})[order] = None

    def drop_split(self, order: str, skus: list[str]) -> None:
        """Note that `order` no longer has several parcels that may move."""
        for sku in skus:
            names = self.split.get(sku)
            if names is not None:
                names.pop(order, None)
                if not names:
                    del self.split[sku]

    def touched(self, service: ServiceId, node: str) -> list[Pickup]:
        """Return the pickups of a node and a service; an empty value matches all."""
        return [
            pickup
            for pickup in self.orders
            if node in ("", pickup.node) and service in (ANY_SERVICE, pickup.service)
        ]
