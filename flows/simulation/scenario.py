"""Scenarios: what happens to a world besides its usual days, as TOML files.

A scenario is a list of disturbances: what, where, from when to when, and how strong. Hours count
from the run's begin, or from the fork. ``busiest`` and ``largest`` let one file fit every world.
"""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from state.errors import SettingsError
from state.quantities import Share, Text, doc
from state.wrong_value import wrong_value

Hours = Annotated[float, Meta(ge=0, le=10_000)]
Factor = Annotated[float, Meta(ge=0, le=100)]

#: Scenarios that come with the package.
SCENARIOS: tuple[str, ...] = (
    "carrier_strike",
    "node_fire",
    "port_closure",
    "regional_spike",
    "storm_front",
    "silent_carrier",
    "stock_corruption",
    "holiday_crunch",
    "price_shock",
    "competitor_outage",
    "perfect_storm",
)
#: The undisturbed world.
NONE = "none"


class Disturbance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="what"):
    """Base of all kinds of disturbance; `what` names the kind."""

    start_h: Annotated[Hours, doc("hours after the begin")]
    end_h: Annotated[Hours, doc("hours after the begin at which it is over")]


class CarrierStrike(Disturbance, frozen=True, kw_only=True, tag="carrier_strike"):
    """A strike: a carrier takes fewer parcels or none, and those in its network stand still."""

    carrier: Annotated[str, doc("its id, or busiest")] = "busiest"
    strength: Annotated[Share, doc("part of its capacity that is lost")] = 1.0
    delay_h: Annotated[Hours, doc("hours that a parcel in its network loses")] = 24.0
    announced_h: Annotated[Hours, doc("hours after the start at which the carrier admits it")] = 2.0


class NodeFire(Disturbance, frozen=True, kw_only=True, tag="node_fire"):
    """A fire that closes a node, and destroys a part of its stock."""

    node: Annotated[str, doc("its id, or largest")] = "largest"
    strength: Annotated[Share, doc("part of its capacity that is lost")] = 1.0
    stock_lost: Annotated[Share, doc("part of each shelf that burns")] = 0.4


class Closure(Disturbance, frozen=True, kw_only=True, tag="closure"):
    """A closed port, tunnel or hub: what passes the region is late, what is due there waits."""

    region: Annotated[str, doc("its id, or busiest")] = "busiest"
    delay_h: Annotated[Hours, doc("hours that a parcel from or to the region loses")] = 18.0


class DemandSpike(Disturbance, frozen=True, kw_only=True, tag="demand_spike"):
    """A spike of orders, everywhere or in a region, of everything or of a category."""

    ratio: Annotated[Factor, doc("orders over usual orders")] = 3.0
    region: Annotated[str, doc("its id, busiest, or everywhere")] = "everywhere"
    category: Annotated[str | None, doc("a category; none = everything")] = None
    signal: Annotated[
        Literal["search", "promotion", "sentiment", "competitor"] | None, doc("what foretells it")
    ] = None
    foretold_h: Annotated[Hours, doc("hours ahead at which the signal is seen")] = 12.0


class Storm(Disturbance, frozen=True, kw_only=True, tag="storm"):
    """A weather front around a region."""

    region: Annotated[str, doc("its centre: a region's id, or busiest")] = "busiest"
    severity: Annotated[Share, doc("0 = fair, 1 = nothing moves, at the centre")] = 0.9
    radius_km: Annotated[float, Meta(gt=0, le=5_000), doc("km at which it has 60 % of that")] = (
        350.0
    )


class SilentFeed(Disturbance, frozen=True, kw_only=True, tag="silent_feed"):
    """Silence of a carrier's scans; at the end they all come at once."""

    carrier: Annotated[str, doc("its id, or busiest")] = "busiest"


class StockCorruption(Disturbance, frozen=True, kw_only=True, tag="stock_corruption"):
    """Wrong stock in a warehouse system, until it is counted at the end."""

    node: Annotated[str, doc("its id, or largest")] = "largest"
    strength: Annotated[Share, doc("part of its shelves that are wrong")] = 0.5
    factor: Annotated[Factor, doc("what it believes over what is there, at most")] = 3.0


class Crunch(Disturbance, frozen=True, kw_only=True, tag="capacity_crunch"):
    """A cut of the capacity of all carriers and nodes."""

    carriers: Annotated[Share, doc("part of the carriers' capacity that is lost")] = 0.5
    nodes: Annotated[Share, doc("part of the nodes' capacity that is lost")] = 0.3


class PriceShock(Disturbance, frozen=True, kw_only=True, tag="price_shock"):
    """A change of a carrier's rates."""

    carrier: Annotated[str, doc("its id, or busiest")] = "busiest"
    service: Annotated[str | None, doc("one of its services; none = all")] = None
    factor: Annotated[Factor, doc("new rates over the old ones")] = 1.8


Kinds = (
    CarrierStrike
    | NodeFire
    | Closure
    | DemandSpike
    | Storm
    | SilentFeed
    | StockCorruption
    | Crunch
    | PriceShock
)


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named list of disturbances."""

    name: Annotated[str, Meta(min_length=1, max_length=60), doc("short, as in carrier_strike")]
    title: Annotated[Text, doc("one line for people")]
    disturbances: Annotated[tuple[Kinds, ...], Meta(max_length=50)] = ()

    def spans(self) -> list[tuple[str, float, float]]:
        """Return each disturbance's kind, start and end, in hours."""
        return [(str(type(d).__struct_config__.tag), d.start_h, d.end_h) for d in self.disturbances]

    def end_h(self) -> float:
        """Return when the last of them is over; 0 without any."""
        return max((d.end_h for d in self.disturbances), default=0.0)


#: Nothing but the usual days.
UNDISTURBED = Scenario(name=NONE, title="the undisturbed world")


def find_scenario(name: str) -> Scenario:
    """Return a scenario by name: one of `SCENARIOS`, ``none``, or a TOML file; or SettingsError."""
    if name == NONE:
        return UNDISTURBED
    if name in SCENARIOS:
        text = (files("flows.simulation") / "scenarios" / f"{name}.toml").read_text("utf-8")
        return parse_scenario(tomllib.loads(text), name)
    try:
        return parse_scenario(tomllib.loads(Path(name).read_text("utf-8")), name)
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join((NONE, *SCENARIOS))
        raise SettingsError(f"expected a scenario ({known}) or its file, was {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"expected TOML, was {error}, in {name}") from error


def parse_scenario(document: dict[str, Any], origin: str) -> Scenario:
    """Check a parsed scenario; raises SettingsError that names the key and `origin`."""
    try:
        scenario = msgspec.convert(document, Scenario)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{wrong_value(error, document, Scenario)}, in {origin}") from error
    for number, disturbance in enumerate(scenario.disturbances, 1):
        if disturbance.end_h <= disturbance.start_h:
            raise SettingsError(
                f"expected an end_h after start_h {disturbance.start_h:g}, was "
                f"{disturbance.end_h:g}, in disturbance {number} of {origin}"
            )
    return scenario
