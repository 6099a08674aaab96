"""How large the simulated network is, and how rough its days are."""

from dataclasses import dataclass
from datetime import UTC, datetime

from flows.simulation.carriers import MOST
from state.quantities import to_ms


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Size and temper of a simulated network.

    Rates are means of Poisson processes over the whole network unless a field says otherwise;
    shares are probabilities from 0 to 1. The defaults put 100,000 events into about eight days.
    """

    network: str = "demo"
    """Name of the network, the partition key of every event."""
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    """Midnight (UTC) at which the log begins; the default is a Monday."""

    nodes: int = 36
    """Nodes of all four kinds, at least 4."""
    regions: int = 48
    """Demand regions, each around a city; beyond the table of cities they are suburbs."""
    skus: int = 1_200
    """Stock-keeping units."""
    carriers: int = 5
    """Carriers, from 1 to `flows.simulation.carriers.MOST`."""

    orders_per_day: float = 1_000.0
    """Orders per day in an average week without promotions."""
    cancelled_share: float = 0.015
    """Share of orders that the customer withdraws within half an hour."""
    returned_share: float = 0.06
    """Share of delivered parcels of which a line comes back one to six days later."""

    failed_attempt_share: float = 0.03
    """Share of delivery attempts that find nobody, for an average carrier."""
    lost_share: float = 0.003
    """Share of parcels that a carrier loses."""
    spoiled_share: float = 0.0015
    """Share of parcels that are damaged or refused at the door."""

    fronts_per_day: float = 2.2
    """Weather fronts that cross the network, per day."""
    disruptions_per_day: float = 0.8
    """Carrier disruptions, per day."""
    carrier_squeezes_per_day: float = 0.6
    """Days on which a service accepts fewer parcels than usual, begun per day."""
    node_squeezes_per_day: float = 1.5
    """Node capacity losses (staff, machines, rarely a closure) begun per day."""

    promotions_per_day: float = 2.5
    """Promotions begun per day."""
    search_waves_per_day: float = 3.0
    """Waves of searches that turn into orders, begun per day."""
    sentiment_shifts_per_day: float = 1.5
    """Shifts in what people say of a category, for better or worse, per day."""
    idle_signal_share: float = 0.15
    """Share of promotion, search and sentiment signals that move nothing."""

    shrinkages_per_day: float = 70.0
    """Silent losses from shelves, per day."""
    adjustments_per_day: float = 30.0
    """Corrections that the warehouse reports itself (damage, expiry, theft), per day."""
    counts_per_node_day: float = 8.0
    """Cycle counts per node and day."""
    transfers_per_day: float = 40.0
    """Attempts per day to move stock between nodes; not each finds a donor and a taker."""

    weather_every_h: int = 4
    """Hours between two weather observations of a region."""
    traffic_every_h: int = 4
    """Hours between two traffic observations of a region."""
    tick_s: int = 60
    """Seconds between two `clock.ticked` events."""

    duplicate_share: float = 0.003
    """Share of events that a feed delivers twice (neither clock nor reference data)."""
    missing_scan_share: float = 0.002
    """Share of scans that never arrive."""
    straggling_scan_share: float = 0.008
    """Share of scans that arrive hours late, often after the next one."""

    def __post_init__(self) -> None:
        for name, least in (
            ("nodes", 4),
            ("regions", 1),
            ("skus", 1),
            ("carriers", 1),
            ("tick_s", 1),
            ("weather_every_h", 1),
            ("traffic_every_h", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"expected {name} of at least {least}, was {getattr(self, name)}")
        if self.carriers > MOST:
            raise ValueError(f"expected at most {MOST} carriers, was {self.carriers}")
        if self.start.tzinfo is None:
            raise ValueError(f"expected a start with an offset, was {self.start.isoformat()}")
        if self.orders_per_day <= 0:
            raise ValueError(f"expected orders_per_day above 0, was {self.orders_per_day}")

    @property
    def start_ms(self) -> int:
        """`start` in ms since the epoch."""
        return to_ms(self.start)
