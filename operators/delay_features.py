"""Features of a shipment for the delay model, by name, and what the names say in words.

Every name ends in the stage or the phase it holds for (`` @ dispatched``): what matters before the
first scan and what matters after it are learned apart. The names are bounded by the registered
services and regions.
"""

from bisect import bisect_right

from msgspec import Struct

from state.quantities import DAY_MS

#: Slack ÷ expected remaining time, at the edges of the bins: 1 = exactly enough time.
_RATIO_EDGES = (0.0, 0.4, 0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.8, 2.2, 3.0, 4.5)
#: Calendar days until the promise.
_DAY_EDGES = (1, 2, 3, 4, 5, 7, 11, 16, 22, 30)
#: Hours that a parcel was handed over after it was due at the carrier.
_HANDOVER_EDGES = (-96.0, -48.0, -24.0, -6.0, 0.0, 12.0, 48.0)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LEAST_REMAINING_S = 600.0
_MOST_CONGESTION = 3.0
FORECAST = "transit forecast"
PHASES = ("dispatched", "underway")

Features = dict[str, float]


class Situation(Struct, frozen=True):
    """What is known of a shipment when a prediction is made. Times in s or ms, rates as ratios."""

    stage: str
    service: str
    node: str
    region: str
    time_ms: int
    promised_ms: int
    remaining_s: float
    forecast: float
    handover_late_s: float | None
    weather: float
    origin_weather: float
    congestion: float
    disrupted: bool


class LateRates(Struct, frozen=True):
    """Recent late rates: the network's over the prior, and others' over the network's; log-odds."""

    network: float
    lane: float
    node: float
    region: float


def features_of(now: Situation, rates: LateRates) -> Features:
    """The active features, by name; values are finite."""
    phase = PHASES[0] if now.stage == PHASES[0] else PHASES[1]
    slack_s = (now.promised_ms - now.time_ms) / 1000
    slack = bisect_right(_RATIO_EDGES, slack_s / max(now.remaining_s, _LEAST_REMAINING_S))
    today = now.time_ms // DAY_MS
    days = bisect_right(_DAY_EDGES, now.promised_ms // DAY_MS - today)
    weekday = (today + 3) % 7  # the epoch was a Thursday
    features = {
        f"slack {slack} @ {now.stage}": 1.0,
        f"due {days} {weekday} @ {now.stage}": 1.0,
        f"service {now.service} @ {now.stage}": 1.0,
        f"region {now.region} @ {phase}": 1.0,
        f"{FORECAST} @ {phase}": now.forecast,
        f"recent lateness @ {phase}": rates.network,
        f"lane's late rate @ {phase}": rates.lane,
        f"node's late rate @ {phase}": rates.node,
        f"region's late rate @ {phase}": rates.region,
    }
    if now.handover_late_s is not None:
        edge = bisect_right(_HANDOVER_EDGES, now.handover_late_s / 3600)
        features[f"handover {edge} @ {phase}"] = 1.0
    if now.weather:
        features[f"weather at destination @ {phase}"] = now.weather
    if now.origin_weather:
        features[f"weather at origin @ {phase}"] = now.origin_weather
    if now.congestion > 1.0:
        features[f"traffic at destination @ {phase}"] = min(now.congestion - 1, _MOST_CONGESTION)
    if now.disrupted:
        features[f"carrier disrupted @ {phase}"] = 1.0
    return features


def in_words(name: str) -> str:
    """A feature's name as people read it: bins as ranges with units, the stage at the end."""
    what, _, stage = name.rpartition(" @ ")
    kind, _, rest = what.partition(" ")
    match kind:
        case "slack":
            text = f"time left is {_range(_RATIO_EDGES, int(rest))} × what is usually needed"
        case "due":
            days, _, weekday = rest.partition(" ")
            text = f"on a {_WEEKDAYS[int(weekday)]}, {_range(_DAY_EDGES, int(days))} days left"
        case "handover":
            text = f"handed over {_range(_HANDOVER_EDGES, int(rest))} h after it was due"
        case "region":
            text = f"bound for {rest}"
        case _:
            text = what
    match stage:
        case "dispatched":
            return f"{text}, at handover"
        case "underway":
            return f"{text}, under way"
        case _:
            return f"{text}, {stage.replace('_', ' ')}"


def _range(edges: tuple[float, ...], position: int) -> str:
    if position == 0:
        return f"under {edges[0]:g}"
    if position == len(edges):
        return f"over {edges[-1]:g}"
    return f"{edges[position - 1]:g} to {edges[position]:g}"
