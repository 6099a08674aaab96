"""Pickups: which orders wait for which carrier pickup, so that they can be looked at before it."""

from msgspec import Struct, field

from state.twin.orders import PlannedLeg


class Pickups(Struct):
    """Orders that may still move, by the pickup they wait for; and split ones by their SKUs.

    A pickup is ``node, service, hand-over in ms``, joined by newlines; its orders come in the order
    in which they were allocated. Memory follows open work: a pickup is dropped once its picking
    begins.
    """

    orders: dict[str, dict[str, None]] = field(default_factory=dict)
    split: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, order: str, leg: PlannedLeg) -> bool:
        """Let `order` wait for the pickup of `leg`; returns whether nobody waited for it so far."""
        is_first = leg.pickup not in self.orders
        self.orders.setdefault(leg.pickup, {})[order] = None
        return is_first

    def drop(self, order: str, pickup: str) -> None:
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

    def touched(self, carrier: str, service: str, node: str) -> list[str]:
        """The pickups of a node or a service; what is empty may be any."""
        found = []
        for pickup in self.orders:
            at, _, rest = pickup.partition("\n")
            of, _, code = rest.partition("\n")[0].partition("/")
            if node in ("", at) and carrier in ("", of) and service in ("", code):
                found.append(pickup)
        return found
