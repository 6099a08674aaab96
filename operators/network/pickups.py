"""Pickups: which orders wait for which carrier pickup, so that they can be looked at before it."""

from msgspec import Struct, field

from state.keys import ANY_SERVICE, Pickup, ServiceId
from state.twin.orders import PlannedLeg


class Pickups(Struct):
    """Orders that may still move, by the pickup they wait for; and split ones by their SKUs.

    Orders of a pickup come in the order in which they were allocated. Memory follows open work: a
    pickup is dropped once its picking begins.
    """

    orders: dict[Pickup, dict[str, None]] = field(default_factory=dict)
    split: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, order: str, leg: PlannedLeg) -> bool:
        """Let `order` wait for the pickup of `leg`; returns whether nobody waited for it so far."""
        pickup = leg.pickup
        is_first = pickup not in self.orders
        self.orders.setdefault(pickup, {})[order] = None
        return is_first

    def drop(self, order: str, pickup: Pickup) -> None:
        """Let `order` wait for a pickup no longer."""
        waiting = self.orders.get(pickup)
        if waiting is not None:
            waiting.pop(order, None)

    def add_split(self, order: str, skus: list[str]) -> None:
        """Note that `order` goes in several parcels with `skus` in them."""
        for sku in skus:
            self.split.setdefault(sku, {})[order] = None

    def drop_split(self, order: str, skus: list[str]) -> None:
        """Note that `order` does not go in several parcels that may move, or is closed."""
        for sku in skus:
            names = self.split.get(sku)
            if names is not None:
                names.pop(order, None)
                if not names:
                    del self.split[sku]

    def touched(self, service: ServiceId, node: str) -> list[Pickup]:
        """The pickups of a node or a service; what is empty may be any."""
        return [
            pickup
            for pickup in self.orders
            if node in ("", pickup.node) and service in (ANY_SERVICE, pickup.service)
        ]
