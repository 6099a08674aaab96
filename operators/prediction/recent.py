"""Bounded dictionary that forgets the entries unused for longest."""

from typing import Generic, TypeVar

from msgspec import Struct, field

K = TypeVar("K")
V = TypeVar("V")


class Recent(Struct, Generic[K, V]):
    """Values by key, in two generations: when the newer is full, the older is dropped whole.

    At least the `most` keys used last are held, and at most twice as many.
    """

    most: int
    newer: dict[K, V] = field(default_factory=dict)
    older: dict[K, V] = field(default_factory=dict)

    def get(self, key: K) -> V | None:
        """Return the value of `key` and count it as used; None if it is not stored."""
        value = self.newer.get(key)
        if value is None and self.older:
            value = self.older.pop(key, None)
            if value is not None:
                self.set(key, value)
        return value

    def set(self, key: K, value: V) -> None:
        """Hold `value` under `key`."""
        if len(self.newer) >= self.most and key not in self.newer:
            self.newer, self.older = {}, self.newer
        self.newer[key] = value
