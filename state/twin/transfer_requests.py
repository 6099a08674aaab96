"""Transfers between nodes: asked for and not loaded yet, and what became of what arrived."""

from msgspec import Struct


class TransferRequest(Struct, array_like=True):
    """A transfer that was asked for: its units are reserved at the origin until they depart.

    `until_ms` is when loading them is given up. `seq` is the record that caused it. `order`,
    if any, is what it is for, and is promised the units at the destination already.
    """

    origin: str
    destination: str
    sku: str
    quantity: int
    until_ms: int
    seq: int
    order: str = ""


class Landed(Struct, array_like=True):
    """Units that a transfer brought to a node, and how many of them were picked since."""

    transfer: str
    units: int
    picked: int
    until_ms: int
