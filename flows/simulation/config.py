"""Worlds as TOML files have them: size of a simulated network, and roughness of its days."""

import tomllib
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from flows.simulation.carriers import MOST
from state.errors import SettingsError
from state.quantities import NetworkId, Share, doc, to_ms
from state.wrong_value import wrong_value

PerDay = Annotated[float, Meta(ge=0, le=1e7)]
Hours = Annotated[int, Meta(ge=1, le=1_000)]

#: Worlds that come with the package, the first one being what `simulate` makes.
WORLDS: tuple[str, ...] = ("demo", "small", "medium", "rough")


class WorldConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Size and temper of a simulated network.

    Rates are means of Poisson processes over the whole network unless a field says otherwise;
    shares are probabilities from 0 to 1.
    """

    network: Annotated[NetworkId, doc("the partition key of every event")] = "demo"
    start: Annotated[date, doc("day at whose midnight (UTC) it begins; the usual is a Monday")] = (
        date(2026, 1, 5)
    )
    origin: Annotated[str, doc("first part of the sources of its events")] = "sim"

    layout: Annotated[
        int, Meta(ge=0, le=2**31), doc("seed of the network itself: places, nodes, SKUs")
    ] = 1
    nodes: Annotated[int, Meta(ge=4, le=2_000), doc("nodes of all four kinds")] = 36
    regions: Annotated[int, Meta(ge=1, le=5_000), doc("demand regions, each around a city")] = 48
    skus: Annotated[int, Meta(ge=1, le=10**6), doc("stock-keeping units")] = 1_200
    carriers: Annotated[int, Meta(ge=1, le=MOST), doc("carriers")] = 5

    orders_per_day: Annotated[float, Meta(gt=0, le=1e7), doc("orders of an average day")] = 1_000.0
    cancelled_share: Annotated[Share, doc("orders withdrawn within half an hour")] = 0.015
    returned_share: Annotated[Share, doc("orders of which a line is sent back")] = 0.06
    patience_days: Annotated[
        float, Meta(gt=0, le=400), doc("days after the promise at which half would have cancelled")
    ] = 6.0

    failed_attempt_share: Annotated[Share, doc("delivery attempts that find no one")] = 0.03
    lost_share: Annotated[Share, doc("parcels that a carrier loses")] = 0.003
    spoiled_share: Annotated[Share, doc("parcels damaged, or refused at the door")] = 0.0015

    fronts_per_day: Annotated[PerDay, doc("weather fronts that cross the network")] = 2.2
    disruptions_per_day: Annotated[PerDay, doc("carrier disruptions")] = 0.8
    carrier_squeezes_per_day: Annotated[PerDay, doc("days of less capacity of a service")] = 0.6
    node_squeezes_per_day: Annotated[PerDay, doc("losses of a node's capacity")] = 1.5

    promotions_per_day: Annotated[PerDay, doc("promotions begun")] = 2.5
    search_waves_per_day: Annotated[PerDay, doc("waves of searches that turn into orders")] = 3.0
    sentiment_shifts_per_day: Annotated[PerDay, doc("turns in what people say of a category")] = 1.5
    idle_signal_share: Annotated[Share, doc("signals that move nothing")] = 0.15

    supply_share: Annotated[
        float, Meta(gt=0, le=3), doc("units bought per unit ordered by customers")
    ] = 1.02
    cover_days: Annotated[
        float, Meta(gt=0, le=100), doc("days of local demand that a shelf holds before it reorders")
    ] = 3.5
    shrinkages_per_day: Annotated[PerDay, doc("silent losses from shelves")] = 40.0
    adjustments_per_day: Annotated[PerDay, doc("corrections the warehouse reports itself")] = 15.0
    counts_per_node_day: Annotated[PerDay, doc("cycle counts per node and day")] = 8.0

    weather_every_h: Annotated[Hours, doc("hours between observations of a region")] = 4
    traffic_every_h: Annotated[Hours, doc("hours between observations of a region")] = 4
    tick_s: Annotated[int, Meta(ge=1, le=86_400), doc("s between two clock.ticked")] = 60

    duplicate_share: Annotated[Share, doc("events that a feed delivers twice")] = 0.003
    missing_scan_share: Annotated[Share, doc("scans that never arrive")] = 0.002
    straggling_scan_share: Annotated[Share, doc("scans that arrive hours late")] = 0.008

    @property
    def start_ms(self) -> int:
        """Return `start` in ms since the epoch."""
        day = self.start
        return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))


def find_world(name: str) -> WorldConfig:
    """Return the world `name`: one of `WORLDS`, or a TOML file; raises SettingsError."""
    if name in WORLDS:
        text = (files("flows.simulation") / "worlds" / f"{name}.toml").read_text("utf-8")
        return parse_world(tomllib.loads(text), name)
    path = Path(name)
    try:
        return parse_world(tomllib.loads(path.read_text("utf-8")), name)
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(WORLDS)
        raise SettingsError(f"expected a world ({known}) or its file, was {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"expected TOML, was {error}, in {name}") from error


def parse_world(document: dict[str, Any], origin: str) -> WorldConfig:
    """Check a parsed world; raises SettingsError that names the key and `origin`."""
    try:
        return msgspec.convert(document, WorldConfig)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{wrong_value(error, document, WorldConfig)}, in {origin}") from error
