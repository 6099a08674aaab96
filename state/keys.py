"""Identities inside the process: services, lanes, shelves, pickups and the like.

Each is a value of a type of its own, with a field for each name in it. Names come from outside and
may hold any mark, also the one that people write between two of them, so an identity is never made
by joining names and never found by taking a text apart. `str` gives the words for people; what
people say is matched against what is registered (`state.spoken`).
"""

from typing import Literal

from msgspec import Struct

#: The mark that people write between a carrier and its service, and between a node and a region.
SLASH, ARROW = "/", ">"

RefKind = Literal[
    "order", "node", "sku", "category", "region", "carrier", "service", "lane", "shipment",
    "transfer",
]  # fmt: skip


class ServiceId(Struct, frozen=True, order=True, array_like=True, gc=False, cache_hash=True):
    """A carrier's service; in order by carrier, then service."""

    carrier: str
    service: str

    def __str__(self) -> str:
        return f"{self.carrier}{SLASH}{self.service}"

    def __bool__(self) -> bool:
        return bool(self.carrier)


#: Stands for any service; no carrier has an empty name.
ANY_SERVICE = ServiceId("", "")


class Lane(Struct, frozen=True, order=True, array_like=True, gc=False, cache_hash=True):
    """A service from a node to a region; an empty field means any, so `Lane(s)` is all of `s`."""

    service: ServiceId
    node: str = ""
    region: str = ""


class ShelfKey(Struct, frozen=True, order=True, array_like=True, gc=False):
    """The position of a SKU at a node."""

    node: str
    sku: str

    def __str__(self) -> str:
        return f"{self.node}{SLASH}{self.sku}"


class SeriesKey(Struct, frozen=True, order=True, array_like=True, gc=False):
    """A SKU in a region, or everywhere if that is empty."""

    region: str
    sku: str


class Goods(Struct, frozen=True, order=True, array_like=True, gc=False):
    """Goods that a signal is about: a SKU, a category, or all there is."""

    kind: Literal["sku", "category", "all"]
    name: str = ""


ALL_GOODS = Goods("all")
#: Stands for all regions; no region has an empty name.
EVERYWHERE = ""


class Pickup(Struct, frozen=True, order=True, array_like=True, gc=False):
    """A service's pickup at a node at an instant; parcels of many orders wait for it."""

    node: str
    service: ServiceId
    hand_over_ms: int


class TroubleKey(Struct, frozen=True, order=True, array_like=True, gc=False):
    """The scope of a carrier's trouble: a service or all of them, to a region or everywhere."""

    carrier: str
    service: str
    region: str

    @classmethod
    def of(cls, carrier: str, service: str | None, region: str | None) -> "TroubleKey":
        """Return the key of a report; None is any."""
        return cls(carrier, service or "", region or "")

    @classmethod
    def meeting(cls, service: ServiceId, region: str) -> "tuple[TroubleKey, ...]":
        """Return the keys of all trouble that a parcel of a service to a region meets."""
        carrier, name = service.carrier, service.service
        return (
            cls(carrier, "", ""),
            cls(carrier, "", region),
            cls(carrier, name, ""),
            cls(carrier, name, region),
        )

    def __str__(self) -> str:
        return SLASH.join(name for name in (self.carrier, self.service, self.region) if name)


class Ref(Struct, frozen=True, order=True, array_like=True, gc=False):
    """A named thing and its kind: names of two kinds may be the same.

    A service has its carrier's `name` and its own as `part`; a lane on hold its node's `name` and
    its region's as `part`.
    """

    kind: RefKind
    name: str
    part: str = ""

    @classmethod
    def service(cls, service: ServiceId) -> "Ref":
        """Return a carrier's service."""
        return cls("service", service.carrier, service.service)

    @property
    def words(self) -> str:
        """Return its name as people write it, without its kind."""
        if not self.part:
            return self.name
        return f"{self.name}{ARROW if self.kind == 'lane' else SLASH}{self.part}"

    def __str__(self) -> str:
        return f"{self.kind} {self.words}"


class ActionId(Struct, frozen=True, array_like=True, gc=False):
    """An action's id, ``{network}:{seq}-{n}``; no network has a colon in its name."""

    network: str
    seq: int
    n: int

    @classmethod
    def parse(cls, text: str) -> "ActionId | None":
        """Read an id; None if it is no action's."""
        network, _, entry = text.rpartition(":")
        seq, _, n = entry.partition("-")
        if not (network and _is_number(seq) and _is_number(n)):
            return None
        return cls(network, int(seq), int(n))

    def __str__(self) -> str:
        return f"{self.network}:{self.seq}-{self.n}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
