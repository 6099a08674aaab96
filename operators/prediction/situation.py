"""The situation of a shipment when a prediction is made: its features, and their words.

Every name ends in the stage or the phase it holds for: what matters before the first scan and what
matters after it are learned apart. Names are bounded by the registered services, nodes and regions.
Bins, crosses and late rates bring a linear model level with boosted trees.
"""

from bisect import bisect_right

from msgspec import Struct

from operators.prediction.late_rates import LateRates
from operators.prediction.linear import Name
from state.keys import ServiceId
from state.quantities import DAY_MS, HOUR_MS, weekday

#: Slack ÷ usual remaining time, at the edges of the bins: 1 = exactly enough time.
_RATIO_EDGES = (0.0, 0.4, 0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.8, 2.2, 3.0, 4.5)
#: Calendar days until the promise.
_DAY_EDGES = (1, 2, 3, 4, 5, 7, 11, 16, 22, 30)
#: Hours that a parcel was handed over after it was due at the carrier.
_HANDOVER_EDGES = (-96.0, -48.0, -24.0, -6.0, 0.0, 12.0, 48.0)
#: Hours from the carrier's own estimate to the promise.
_ETA_EDGES = (-48.0, -24.0, -12.0, -4.0, 0.0, 4.0, 12.0, 24.0, 48.0)
#: Hours of published transit.
_LENGTH_EDGES = (2.0, 3.5, 5.0, 7.0, 10.0, 15.0, 22.0, 30.0, 42.0, 60.0, 90.0, 130.0, 200.0, 300.0)
#: Log-odds of the network's quick late rate over its slow one.
_MOOD_EDGES = (-1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LEAST_REMAINING_S = 600.0
FIRST_STAGE = "dispatched"
#: Names are made of numbers very often; text of small numbers is kept.
_TEXT = tuple(str(number) for number in range(64))

Named = list[tuple[Name, float]]

#: Kinds of features, beside all conditions, that the median of what remains rests on. What all
#: shipments of a day have in common is left to P(late): they are learned together, and would all
#: push it.
OF_TRANSIT = frozenset(
    {
        "tours",
        "lane",
        "hour of node",
        "hour of service",
        "mood",
        "network quick rate",
        "node rate",
        "handover",
        "carrier's estimate",
    }
)


def hour_of(time_ms: int) -> str:
    """Return the hour of the day, UTC."""
    return _TEXT[time_ms % DAY_MS // HOUR_MS]


class Situation(Struct, frozen=True, gc=False):
    """Knowledge of a shipment when a prediction is made. Times in s or ms, rates as ratios.

    `nominal_s` is what the carrier publishes for all of the way, or for the rest of it;
    `remaining_s` is what usually remains from here, `forecast` the log-odds of being late by it.
    `handover_late_s` is how late it was given to the carrier, `eta_slack_s` how long before the
    promise the carrier expects to deliver; None where neither is known. `conditions` are those in
    force on its way, by name, each with its hindrance: a number above 0.
    """

    stage: str
    service: ServiceId
    node: str
    region: str
    time_ms: int
    promised_ms: int
    nominal_s: float
    remaining_s: float
    forecast: float
    handover_late_s: float | None = None
    eta_slack_s: float | None = None
    conditions: tuple[tuple[str, float], ...] = ()

    @property
    def hour(self) -> str:
        """Hour of the day, UTC."""
        return hour_of(self.time_ms)


def features_of(now: Situation, rates: LateRates) -> Named:
    """Return the active features with their values, which are finite."""
    stage, service, node, region = now.stage, now.service, now.node, now.region
    phase = stage if stage == FIRST_STAGE else "underway"
    slack_s = (now.promised_ms - now.time_ms) / 1000
    slack = bisect_right(_RATIO_EDGES, slack_s / max(now.remaining_s, _LEAST_REMAINING_S))
    days = _TEXT[bisect_right(_DAY_EDGES, now.promised_ms // DAY_MS - now.time_ms // DAY_MS)]
    day = _TEXT[weekday(now.time_ms)]
    hour = now.hour
    length = _TEXT[bisect_right(_LENGTH_EDGES, now.nominal_s / 3600)]
    part = _TEXT[now.time_ms % DAY_MS // (3 * HOUR_MS)]
    mood = _TEXT[bisect_right(_MOOD_EDGES, rates.network_quick)]
    features: Named = [
        (("usual", stage), 1.0),
        (("forecast", phase), now.forecast),
        (("slack", stage, _TEXT[slack]), 1.0),
        (("due", stage, days, day), 1.0),
        (("weekday", phase, day, part), 1.0),
        (("length", stage, length), 1.0),
        (("service", stage, service), 1.0),
        (("node", phase, node), 1.0),
        (("region", phase, region), 1.0),
        (("lane", phase, service, region), 1.0),
        (("hour of node", phase, node, hour), 1.0),
        (("hour of service", phase, service, hour), 1.0),
        (("tours", stage, service, day, length), 1.0),
        (("mood", phase, mood, part), 1.0),
        (("network rate", phase), rates.network),
        (("network quick rate", phase), rates.network_quick),
        (("service rate", phase), rates.service),
        (("service quick rate", phase), rates.service_quick),
        (("node rate", phase), rates.node_quick),
        (("hour rate", phase), rates.node_hour),
        (("lane rate", phase), rates.lane),
        (("region rate", phase), rates.region_quick),
    ]
    if now.handover_late_s is not None:
        edge = bisect_right(_HANDOVER_EDGES, now.handover_late_s / 3600)
        features.append((("handover", phase, _TEXT[edge]), 1.0))
    if now.eta_slack_s is not None:
        edge = bisect_right(_ETA_EDGES, now.eta_slack_s / 3600)
        features.append((("carrier's estimate", stage, _TEXT[edge]), 1.0))
    features += [((name, phase), value) for name, value in now.conditions]
    return features


#: Kinds whose own names do not read well.
_IN_WORDS = {
    "forecast": "transit forecast",
    "network rate": "late rate of the network",
    "network quick rate": "late rate of the network's last hundred parcels",
    "service rate": "late rate of the service",
    "service quick rate": "late rate of the service's last parcels",
    "node rate": "late rate of the node's last parcels",
    "hour rate": "late rate of the node at this hour",
    "lane rate": "late rate of the lane",
    "region rate": "late rate of the region's last parcels",
    "weather": "weather at the destination",
    "weather at origin": "weather at the origin",
    "traffic": "traffic at the destination",
    "disrupted": "trouble reported by the carrier",
}


def in_words(name: Name) -> str:
    """Return a feature's name for people: bins as ranges with units, the stage at the end."""
    kind, stage, *details = map(str, name)
    match kind, details:
        case "usual", _:
            text = "what is usual"
        case "slack", (edge,):
            text = f"time left is {_range(_RATIO_EDGES, int(edge))} × what is usually needed"
        case "length", (edge,):
            text = f"published transit {_range(_LENGTH_EDGES, int(edge))} h"
        case "due", (days, day):
            text = f"on a {_WEEKDAYS[int(day)]}, {_range(_DAY_EDGES, int(days))} days left"
        case "weekday", (day, part):
            text = f"{_WEEKDAYS[int(day)]} from {int(part) * 3:02}:00 UTC"
        case "service", (service,):
            text = f"with {service}"
        case "node", (node,):
            text = f"from {node}"
        case "region", (region,):
            text = f"bound for {region}"
        case "lane", (service, region):
            text = f"{service} to {region}"
        case (("hour of node" | "hour of service"), (place, hour)):
            text = f"{place} at {int(hour):02}:00 UTC"
        case "tours", (service, day, edge):
            hours = _range(_LENGTH_EDGES, int(edge))
            text = f"{service} over {hours} h on a {_WEEKDAYS[int(day)]}"
        case "mood", (edge, part):
            times = _range(tuple(round(2.718**e, 1) for e in _MOOD_EDGES), int(edge))
            text = f"odds of lateness {times} × the usual, from {int(part) * 3:02}:00 UTC"
        case "handover", (edge,):
            text = f"handed over {_range(_HANDOVER_EDGES, int(edge))} h after it was due"
        case "carrier's estimate", (edge,):
            text = f"the carrier expects it {_range(_ETA_EDGES, int(edge))} h before the promise"
        case _:
            text = _IN_WORDS.get(kind, kind)
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
