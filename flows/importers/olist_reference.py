"""Nodes, regions, SKUs and the one carrier of the Olist data; missing values are assumed."""

from collections.abc import Iterator, Sequence
from statistics import median, median_low

from flows.importers.olist_fit import Fit, fit_medians
from flows.importers.olist_sales import OlistReport, Parcel, Sale
from flows.importers.olist_tables import OlistTables, Point, mean_point
from state.events import CarrierRegistered, NodeRegistered, RegionRegistered, SkuRegistered
from state.events.reference import CarrierService
from state.geography import DETOUR, great_circle_km
from state.quantities import DAY_S

CARRIER = "correios"
SERVICE = "standard"

# The data has no costs but the freight the customer paid. Round numbers of the right size.
_HANDLING_FIXED_CENTS = 300
_HANDLING_UNIT_CENTS = 50
# The data has no capacity: it must not bind.
_NODE_PARCELS_PER_DAY = 100_000
_CARRIER_PARCELS_PER_DAY = 10_000_000
_MAX_WEIGHT_G = 1_000_000
#: 20:00 in Brasília; 79 % of all handovers are earlier in their day.
_CUTOFF_S = 23 * 3_600
_CLAIMED_ON_TIME = 0.92
_GCO2E_PER_TONNE_KM = 110.0

# Taken where too little was sold to measure them; they are those of the whole public set, rounded.
_HANDLING_TIME_S = 2 * DAY_S
_WEIGHT_G = 700
_FREIGHT = (980.0, 206.0, 66.0)  # cents per parcel, per kg, per 100 km
_TRANSIT = (4.0 * DAY_S, 0.48 * DAY_S)  # s, s per 100 km
_MINIMUM_ROWS = 100

Reference = RegionRegistered | NodeRegistered | SkuRegistered | CarrierRegistered


def region_of(state: str) -> str:
    """Return the ISO 3166-2 code of a Brazilian state, such as ``BR-SP``."""
    return f"BR-{state}"


class OlistReference:
    """Everything registered before the first order, and parcels' weights."""

    def __init__(self, tables: OlistTables, sales: Sequence[Sale], report: OlistReport) -> None:
        self._tables = tables
        self._sales = sales
        self._report = report
        self._sellers = sorted({parcel.seller for sale in sales for parcel in sale.parcels})
        self._centres = self._find_centres()
        known = [product.weight_g for product in tables.products.values() if product.weight_g]
        self._usual_weight_g = median_low(known) if known else _WEIGHT_G

    def facts(self) -> Iterator[Reference]:
        """Yield regions, then nodes, SKUs and the carrier, each by key; count `report.assumed`."""
        for kind, facts in (
            ("region", self._regions()),
            ("node", self._nodes()),
            ("sku", self._skus()),
            ("carrier", self._carriers()),
        ):
            for fact in facts:
                self._report.assumed.update(f"{kind}.{name}" for name in fact.assumed)
                yield fact

    def weight_g(self, parcel: Parcel) -> int:
        """Return the weight of a parcel in g: its products without packaging."""
        return sum(self._product_weight_g(item.product) for item in parcel.items)

    def _product_weight_g(self, key: str) -> int:
        product = self._tables.products.get(key)
        return (product.weight_g if product else None) or self._usual_weight_g

    def _find_centres(self) -> dict[str, Point]:
        """Find where a state's customers are on average; its zip prefixes lie elsewhere."""
        found: dict[str, list[Point]] = {}
        for sale in self._sales:
            place = self._tables.places.get(sale.zip_prefix)
            points = found.setdefault(sale.state, [])
            if place is not None:
                points.append(place)
        for seller in self._sellers:
            found.setdefault(self._tables.sellers[seller].state, [])
        centres = {}
        for state, points in sorted(found.items()):
            if points:
                centres[state] = mean_point(points)
            elif state in self._tables.state_places:
                centres[state] = self._tables.state_places[state]
        self._placeless = sorted(found.keys() - centres.keys())
        middle = mean_point(list(self._tables.state_places.values()))
        return centres | dict.fromkeys(self._placeless, middle)

    def _node_place(self, seller: str) -> tuple[Point, bool]:
        """Return the position of a seller, and whether it is known from its own zip prefix."""
        row = self._tables.sellers[seller]
        place = self._tables.places.get(row.zip_prefix)
        return (self._centres[row.state], False) if place is None else (place, True)

    def _regions(self) -> Iterator[RegionRegistered]:
        for state, centre in sorted(self._centres.items()):
            yield RegionRegistered(
                region=region_of(state),
                latitude=centre.latitude,
                longitude=centre.longitude,
                name=state,
                assumed=("latitude", "longitude") if state in self._placeless else (),
            )

    def _nodes(self) -> Iterator[NodeRegistered]:
        handling_time_s = self._handling_time_s()
        for seller in self._sellers:
            place, known = self._node_place(seller)
            yield NodeRegistered(
                node=seller,
                kind="seller",
                region=region_of(self._tables.sellers[seller].state),
                latitude=place.latitude,
                longitude=place.longitude,
                handling_fixed_cents=_HANDLING_FIXED_CENTS,
                handling_unit_cents=_HANDLING_UNIT_CENTS,
                handling_time_s=handling_time_s,
                parcels_per_day=_NODE_PARCELS_PER_DAY,
                name=self._tables.sellers[seller].city,
                assumed=(
                    *(() if known else ("latitude", "longitude")),
                    "handling_fixed_cents",
                    "handling_unit_cents",
                    "handling_time_s",
                    "parcels_per_day",
                ),
            )

    def _handling_time_s(self) -> int:
        """Return the median over all orders from purchase to handover; one for all sellers."""
        times_ms = [
            sale.handed_over_ms - sale.purchased_ms
            for sale in self._sales
            if sale.handed_over_ms is not None and not sale.handed_over_assumed
        ]
        if len(times_ms) < _MINIMUM_ROWS:
            return _HANDLING_TIME_S
        return max(0, median_low(times_ms) // 1000)

    def _skus(self) -> Iterator[SkuRegistered]:
        prices: dict[str, list[int]] = {}
        for sale in self._sales:
            for parcel in sale.parcels:
                for item in parcel.items:
                    prices.setdefault(item.product, []).append(item.price_cents)
        for key in sorted(prices):
            product = self._tables.products.get(key)
            category = product.category if product else None
            missing = []
            if category is None:
                missing.append("category")
            if product is None or product.weight_g is None:
                missing.append("weight_g")
            yield SkuRegistered(
                sku=key,
                category=category or "unknown",
                weight_g=self._product_weight_g(key),
                value_cents=round(median(prices[key])),
                assumed=tuple(missing),
            )

    def _carriers(self) -> Iterator[CarrierRegistered]:
        freight, transit = self._fit_freight(), self._fit_transit()
        self._report.freight_fit, self._report.transit_fit = freight, transit
        base, per_kg, per_100km = _whole(freight, _FREIGHT)
        transit_base, transit_per_100km = _whole(transit, _TRANSIT)
        yield CarrierRegistered(
            carrier=CARRIER,
            services=(
                CarrierService(
                    service=SERVICE,
                    mode="road",
                    base_cents=base,
                    per_kg_cents=per_kg,
                    per_100km_cents=per_100km,
                    transit_base_s=transit_base,
                    transit_s_per_100km=transit_per_100km,
                    cutoff_s=_CUTOFF_S,
                    parcels_per_day=_CARRIER_PARCELS_PER_DAY,
                    max_weight_g=_MAX_WEIGHT_G,
                    gco2e_per_tonne_km=_GCO2E_PER_TONNE_KM,
                    factor_source="assumed: the size of a lorry's, from no published table",
                ),
            ),
            claimed_on_time=_CLAIMED_ON_TIME,
            name="Correios (assumed)",
            assumed=("carrier", "services", "claimed_on_time", "name"),
        )

    def _fit_freight(self) -> Fit | None:
        """Fit freight in cents by kg and 100 km, over parcels of one piece.

        A freight of 0 is the seller's gift; and the data sums the freight of several pieces as if
        each travelled alone.
        """
        kilograms, hundreds_km, cents = [], [], []
        for sale in self._sales:
            for parcel in sale.parcels:
                paid = parcel.items[0].freight_cents
                if len(parcel.items) == 1 and paid > 0:
                    kilograms.append(self.weight_g(parcel) / 1_000)
                    hundreds_km.append(self._distance_km(sale, parcel) / 100)
                    cents.append(float(paid))
        return fit_medians((kilograms, hundreds_km), cents, _MINIMUM_ROWS)

    def _fit_transit(self) -> Fit | None:
        """Fit seconds from handover to delivery by 100 km, over orders of one parcel."""
        hundreds_km, seconds = [], []
        for sale in self._sales:
            if (
                sale.delivered_ms is not None
                and sale.handed_over_ms is not None
                and not (sale.handed_over_assumed or sale.delivered_assumed)
                and len(sale.parcels) == 1
            ):
                hundreds_km.append(self._distance_km(sale, sale.parcels[0]) / 100)
                seconds.append((sale.delivered_ms - sale.handed_over_ms) / 1_000)
        return fit_medians((hundreds_km,), seconds, _MINIMUM_ROWS)

    def _distance_km(self, sale: Sale, parcel: Parcel) -> float:
        # By road to the region's centre, as `Geography` will apply the rate card.
        origin, _ = self._node_place(parcel.seller)
        return DETOUR * great_circle_km(*origin, *self._centres[sale.state])


def _whole(fit: Fit | None, default: tuple[float, ...]) -> tuple[int, ...]:
    """Return coefficients as whole numbers; a rate below 0 makes no sense and is 0."""
    coefficients = default if fit is None else (fit.intercept, *fit.slopes)
    return tuple(max(0, round(value)) for value in coefficients)
