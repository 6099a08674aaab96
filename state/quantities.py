"""Units, identifiers and instants: the constrained types that every event field is built from.

Inside the process an instant is an ``int`` of milliseconds since the Unix epoch (suffix ``_ms``);
on the wire it is RFC 3339 with an offset. Bounds are generous for a real network and exist so that
a broken feed becomes a dead letter instead of an overflow.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HOUR_S = 3_600
DAY_S = 86_400

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Instants outside of [EARLIEST, LATEST] are absurd and are refused by the codec.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def doc(text: str) -> Meta:
    """Document a field; the text appears in ``crossdock schema``."""
    return Meta(description=text)


# Control characters are refused by the codec, for all strings at once: a pattern on every id costs
# more than the rest of the decoding.
Id = Annotated[str, Meta(min_length=1, max_length=128), doc("a name, no control characters")]
MOST_NETWORK_LETTERS = 64
NETWORK_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)"
NetworkId = Annotated[
    str,
    Meta(max_length=MOST_NETWORK_LETTERS, pattern=NETWORK_PATTERN),
    doc("the fulfilment network: everything that shares stock; also the partition key"),
]
Text = Annotated[str, Meta(max_length=1_000)]
#: Kinds of thing that may be put on hold; with the name of one, it is the scope of a hold.
HoldKind = Literal["order", "node", "sku", "service", "lane", "region"]
HoldScope = Annotated[
    str,
    Meta(min_length=1, max_length=257),
    doc(
        "an order, node, SKU or region; CARRIER/SERVICE; a lane as NODE>REGION. Where several that "
        "are registered would be written so, both names as a JSON list"
    ),
]
Instant = Annotated[datetime, Meta(tz=True)]

# Incoming numbers are bounded so that no product of it (200 lines × units × cents) leaves 64 bits.
Units = Annotated[int, Meta(ge=0, le=10**7), doc("pieces of one SKU")]
PositiveUnits = Annotated[int, Meta(ge=1, le=10**7), doc("pieces of one SKU")]
SignedUnits = Annotated[int, Meta(ge=-(10**7), le=10**7), doc("pieces, signed")]
Cents = Annotated[int, Meta(ge=0, le=10**9), doc("minor units of the network's currency")]
# Outgoing numbers may be a sum or a product of it.
TotalUnits = Annotated[int, Meta(ge=0, le=2**62), doc("pieces of one SKU")]
SignedTotalUnits = Annotated[int, Meta(ge=-(2**62), le=2**62), doc("pieces, signed")]
TotalCents = Annotated[int, Meta(ge=0, le=2**62), doc("minor units of the network's currency")]
SignedTotalCents = Annotated[int, Meta(ge=-(2**62), le=2**62), doc("minor units, signed")]
Grams = Annotated[int, Meta(ge=0, le=10**9), doc("g")]
Seconds = Annotated[int, Meta(ge=0, le=400 * DAY_S), doc("s")]
Ratio = Annotated[float, Meta(ge=0.0, le=1_000.0), doc("dimensionless, 1 = as usual")]
Share = Annotated[float, Meta(ge=0.0, le=1.0), doc("share or probability, 0 to 1")]
Latitude = Annotated[float, Meta(ge=-90.0, le=90.0), doc("degrees north, WGS 84")]
Longitude = Annotated[float, Meta(ge=-180.0, le=180.0), doc("degrees east, WGS 84")]


def weekday(time_ms: int) -> int:
    """Return the day of the week, UTC; 0 is Monday."""
    return (time_ms // DAY_MS + 3) % 7  # the epoch was a Thursday


def to_ms(instant: datetime) -> int:
    """Return ms since the epoch, rounded to the nearest; `instant` must carry an offset."""
    return round(instant.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """Return the UTC datetime `ms` milliseconds after the epoch, exactly."""
    return EPOCH + timedelta(milliseconds=ms)


def rfc3339(ms: int) -> str:
    """Format `ms` as ``2026-01-31T12:00:00.000Z``."""
    return from_ms(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
