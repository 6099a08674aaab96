"""Places: European cities as demand regions, and the nodes placed around them."""

from dataclasses import dataclass

from flows.simulation.luck import stream
from state.events.reference import NodeKind

#: Code, name, degrees north, degrees east, people in millions that shop from there (rough).
_CITIES: tuple[tuple[str, str, float, float, float], ...] = (
    ("BER", "Berlin", 52.52, 13.40, 3.7),
    ("HAM", "Hamburg", 53.55, 9.99, 1.9),
    ("MUC", "Munich", 48.14, 11.58, 1.6),
    ("CGN", "Cologne", 50.94, 6.96, 1.5),
    ("FRA", "Frankfurt", 50.11, 8.68, 1.3),
    ("STR", "Stuttgart", 48.78, 9.18, 1.1),
    ("LEJ", "Leipzig", 51.34, 12.37, 0.8),
    ("DTM", "Dortmund", 51.51, 7.47, 1.4),
    ("HAJ", "Hanover", 52.37, 9.73, 0.8),
    ("NUE", "Nuremberg", 49.45, 11.08, 0.8),
    ("VIE", "Vienna", 48.21, 16.37, 1.9),
    ("GRZ", "Graz", 47.07, 15.44, 0.4),
    ("ZRH", "Zurich", 47.37, 8.54, 0.9),
    ("GVA", "Geneva", 46.20, 6.14, 0.5),
    ("PAR", "Paris", 48.86, 2.35, 4.6),
    ("LYS", "Lyon", 45.76, 4.84, 1.2),
    ("MRS", "Marseille", 43.30, 5.37, 1.0),
    ("LIL", "Lille", 50.63, 3.06, 0.9),
    ("BOD", "Bordeaux", 44.84, -0.58, 0.7),
    ("TLS", "Toulouse", 43.60, 1.44, 0.7),
    ("NTE", "Nantes", 47.22, -1.55, 0.6),
    ("SXB", "Strasbourg", 48.57, 7.75, 0.5),
    ("BRU", "Brussels", 50.85, 4.35, 1.3),
    ("ANR", "Antwerp", 51.22, 4.40, 0.8),
    ("AMS", "Amsterdam", 52.37, 4.90, 1.4),
    ("RTM", "Rotterdam", 51.92, 4.48, 1.1),
    ("EIN", "Eindhoven", 51.44, 5.48, 0.6),
    ("LUX", "Luxembourg", 49.61, 6.13, 0.3),
    ("MAD", "Madrid", 40.42, -3.70, 2.9),
    ("BCN", "Barcelona", 41.39, 2.17, 2.2),
    ("VLC", "Valencia", 39.47, -0.38, 0.8),
    ("MIL", "Milan", 45.46, 9.19, 2.2),
    ("ROM", "Rome", 41.90, 12.50, 2.1),
    ("TRN", "Turin", 45.07, 7.69, 0.9),
    ("BLQ", "Bologna", 44.49, 11.34, 0.6),
    ("NAP", "Naples", 40.85, 14.27, 1.0),
    ("WAW", "Warsaw", 52.23, 21.01, 1.8),
    ("KRK", "Krakow", 50.06, 19.94, 0.8),
    ("POZ", "Poznan", 52.41, 16.93, 0.6),
    ("WRO", "Wroclaw", 51.11, 17.04, 0.7),
    ("GDN", "Gdansk", 54.35, 18.65, 0.6),
    ("PRG", "Prague", 50.08, 14.44, 1.3),
    ("BRQ", "Brno", 49.20, 16.61, 0.4),
    ("BTS", "Bratislava", 48.15, 17.11, 0.5),
    ("BUD", "Budapest", 47.50, 19.04, 1.6),
    ("CPH", "Copenhagen", 55.68, 12.57, 1.2),
    ("STO", "Stockholm", 59.33, 18.07, 1.4),
    ("GOT", "Gothenburg", 57.71, 11.97, 0.6),
    ("LIS", "Lisbon", 38.72, -9.14, 1.3),
    ("LJU", "Ljubljana", 46.06, 14.51, 0.3),
    ("OPO", "Porto", 41.15, -8.61, 0.7),
    ("SVQ", "Seville", 37.39, -5.98, 0.7),
    ("BRE", "Bremen", 53.08, 8.80, 0.6),
    ("ZAG", "Zagreb", 45.81, 15.98, 0.7),
)

#: A cycle of 18, so that 36 nodes are 10 centres, 6 cross-docks, 12 stores and 8 dark stores.
_KINDS: tuple[NodeKind, ...] = (
    "fulfilment_centre", "store", "dark_store", "cross_dock", "store", "fulfilment_centre",
    "dark_store", "store", "fulfilment_centre", "cross_dock", "store", "dark_store",
    "fulfilment_centre", "store", "cross_dock", "fulfilment_centre", "dark_store", "store",
)  # fmt: skip
#: Cities where warehouses are built, best first; stores go where people are instead.
_WAREHOUSE_CITIES: dict[NodeKind, tuple[str, ...]] = {
    "fulfilment_centre": (
        "LEJ", "DTM", "LYS", "MAD", "POZ", "BLQ", "LIL", "BRQ", "EIN", "GOT", "NUE", "BOD",
    ),
    "cross_dock": ("FRA", "MIL", "PAR", "VIE", "BCN", "CPH", "STR", "WAW"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Region:
    """A demand region; `weight` is its share of demand, not normalised."""

    id: str
    code: str
    name: str
    latitude: float
    longitude: float
    weight: float


@dataclass(frozen=True, slots=True)
class Site:
    """A node's place; `region` is the index of its region."""

    id: str
    kind: NodeKind
    name: str
    region: int
    latitude: float
    longitude: float


def place_regions(seed: int, count: int) -> list[Region]:
    """Return `count` regions, large cities and suburbs of them where the table ends."""
    luck = stream(seed, "places", "regions")
    regions = []
    for index in range(count):
        lap, at = divmod(index, len(_CITIES))
        code, name, latitude, longitude, people = _CITIES[at]
        if lap:
            code, name, people = f"{code}{lap + 1}", f"{name} {lap + 1}", 0.5 * people
            latitude += luck.uniform(-0.9, 0.9)
            longitude += luck.uniform(-1.2, 1.2)
        weight = people**0.8 * luck.uniform(0.85, 1.15)
        regions.append(
            Region(f"R-{code}", code, name, round(latitude, 4), round(longitude, 4), weight)
        )
    return regions


def place_nodes(seed: int, count: int, regions: list[Region]) -> list[Site]:
    """Place `count` nodes: warehouses by motorway crossings, stores where people are."""
    luck = stream(seed, "places", "nodes")
    index_of = {region.code: index for index, region in enumerate(regions)}
    by_people = sorted(range(len(regions)), key=lambda index: -regions[index].weight)
    built: dict[NodeKind, int] = {}
    standing: dict[int, int] = {}
    sites = []
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        wanted = [index_of[code] for code in _WAREHOUSE_CITIES.get(kind, ()) if code in index_of]
        choice = wanted or by_people
        nth = built[kind] = built.get(kind, -1) + 1
        region = choice[nth % len(choice)]
        standing[region] = standing.get(region, 0) + 1
        centre = regions[region]
        spread = 0.16 if kind in _WAREHOUSE_CITIES else 0.05  # degrees; warehouses stand outside
        sites.append(
            Site(
                id=f"N-{centre.code}-{standing[region]}",
                kind=kind,
                name=f"{centre.name} {kind.replace('_', ' ')}",
                region=region,
                latitude=round(centre.latitude + luck.uniform(-spread, spread), 4),
                longitude=round(centre.longitude + luck.uniform(-spread, spread), 4),
            )
        )
    return sites
