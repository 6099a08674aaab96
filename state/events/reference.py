"""Reference data: the network's nodes, regions, SKUs, carriers and policy.

A later registration of the same key replaces the earlier one.
"""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from state.events.base import Fact
from state.quantities import (
    Cents,
    Grams,
    Id,
    Latitude,
    Longitude,
    Seconds,
    Share,
    Text,
    doc,
)

NodeKind = Literal["fulfilment_centre", "cross_dock", "store", "dark_store", "seller", "supplier"]
Mode = Literal["parcel_van", "bike", "road", "rail", "air", "sea"]


class NodeRegistered(Fact, frozen=True, kw_only=True):
    """A place that holds stock and hands parcels to carriers."""

    suffix: ClassVar[str] = "node.registered"

    node: Id
    kind: NodeKind
    region: Annotated[Id, doc("the demand region that the node lies in")]
    latitude: Latitude
    longitude: Longitude
    handling_fixed_cents: Annotated[Cents, doc("cost to pick and pack a parcel, whatever is in it")]
    handling_unit_cents: Annotated[Cents, doc("further cost per unit picked")]
    handling_time_s: Annotated[Seconds, doc("s from allocation to handed to the carrier")]
    parcels_per_day: Annotated[int, Meta(ge=0, le=10**9), doc("parcels it can pack per day, UTC")]
    name: Text = ""
    assumed: Annotated[tuple[str, ...], doc("fields that an importer filled in, not observed")] = ()


class RegionRegistered(Fact, frozen=True, kw_only=True):
    """A demand region; distances are taken from its centre."""

    suffix: ClassVar[str] = "region.registered"

    region: Id
    latitude: Latitude
    longitude: Longitude
    name: Text = ""
    assumed: Annotated[tuple[str, ...], doc("fields that an importer filled in, not observed")] = ()


class SkuRegistered(Fact, frozen=True, kw_only=True):
    """A stock-keeping unit."""

    suffix: ClassVar[str] = "sku.registered"

    sku: Id
    category: Id
    weight_g: Annotated[Grams, doc("g per unit, packed")]
    value_cents: Annotated[Cents, doc("selling price per unit, minor units")]
    name: Text = ""
    assumed: Annotated[tuple[str, ...], doc("fields that an importer filled in, not observed")] = ()


class CarrierService(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One service of a carrier: rate card, speed, cut-off, capacity and emission factor.

    Freight of a parcel = ``base_cents + per_kg_cents × kg + per_100km_cents × distance / 100 km``.
    Nominal transit time = ``transit_base_s + transit_s_per_100km × distance / 100 km``.
    """

    service: Id
    mode: Mode
    base_cents: Cents
    per_kg_cents: Cents
    per_100km_cents: Cents
    transit_base_s: Seconds
    transit_s_per_100km: Seconds
    cutoff_s: Annotated[int, Meta(ge=0, le=86_400), doc("s after midnight UTC of the daily pickup")]
    parcels_per_day: Annotated[int, Meta(ge=0, le=10**9), doc("parcels accepted per day, UTC")]
    max_weight_g: Grams
    max_distance_km: Annotated[int, Meta(ge=0, le=30_000), doc("km it reaches; 0 = no limit")] = 0
    gco2e_per_tonne_km: Annotated[
        float, Meta(ge=0, le=100_000), doc("g CO2e per tonne-km, well-to-wheel (ISO 14083)")
    ]
    factor_source: Annotated[Text, doc("where the emission factor comes from")] = ""


class CarrierRegistered(Fact, frozen=True, kw_only=True):
    """A carrier and all of its services."""

    suffix: ClassVar[str] = "carrier.registered"

    carrier: Id
    services: Annotated[tuple[CarrierService, ...], Meta(min_length=1, max_length=50)]
    claimed_on_time: Annotated[Share, doc("on-time share the carrier claims; a prior")] = 0.92
    name: Text = ""
    assumed: Annotated[tuple[str, ...], doc("fields that an importer filled in, not observed")] = ()


class PolicyChanged(Fact, frozen=True, kw_only=True):
    """The policy from here on; the same keys as the TOML file (`state.policy.Policy`)."""

    suffix: ClassVar[str] = "policy.changed"

    policy: Annotated[dict[str, Any], doc("the whole policy, as in the TOML file")]
    by: Annotated[Text, doc("who changed it")] = ""
