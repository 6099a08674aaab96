"""Partitions of a process: the i-th of n takes every n-th."""

import re

from msgspec import Struct

from state.errors import SettingsError


class Share(Struct, frozen=True):
    """Share `index` (from 0) of `count`."""

    index: int = 0
    count: int = 1

    def of(self, partitions: int) -> list[int]:
        """Return the partitions of this share, out of so many."""
        return list(range(self.index, partitions, self.count))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_share(text: str) -> Share:
    """Parse ``"0/4"`` as the first of four; a host's name that ends in ``-0`` gives the 0 as well.

    So ``"$(hostname)/4"`` does for the members of a StatefulSet. Raises SettingsError.
    """
    found = re.fullmatch(r"(?:.*-)?(\d{1,4})/(\d{1,4})", text)
    if found is None or not int(found[1]) < int(found[2]):
        raise SettingsError(f"expected a share such as 0/4, the first of four, was {text!r}")
    return Share(int(found[1]), int(found[2]))
