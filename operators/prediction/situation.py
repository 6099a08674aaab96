"""The situation of a shipment when a prediction is made: its features, and their words.

Every name ends in the stage or the phase it holds for: what matters before the first scan and what
matters after it are learned apart. Names are bounded by the registered services, nodes and regions.
Bins, crosses and late rates bring a linear model level with boosted trees.
"""

from bisect import bisect_right

from msgspec import Struct

from operators.prediction.late_rates import LateRates
from operators.prediction.linear import Feature, Name
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

#: Kinds of late rates, in the order of the fields of LateRates.
_RATES = (
    *("network rate", "network quick rate", "service rate", "service quick rate"),
    *("node rate", "hour rate", "lane rate", "region rate"),
)
#: Features with their values.
Valued = list[tuple[Feature, float]]


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


class Stage:
    """The features of a stage, or of its phase, by what else their names depend on."""

    def __init__(self, named: Feature, stage: str) -> None:
        phase = stage if stage == FIRST_STAGE else "underway"
        self.usual = named["usual"][stage]
        self.slack = named["slack"][stage]
        self.due = named["due"][stage]
        self.length = named["length"][stage]
        self.service = named["service"][stage]
        self.tours = named["tours"][stage]
        self.estimate = named["carrier's estimate"][stage]
        self.forecast = named["forecast"][phase]
        self.weekday = named["weekday"][phase]
        self.node = named["node"][phase]
        self.region = named["region"][phase]
        self.lane = named["lane"][phase]
        self.node_hour = named["hour of node"][phase]
        self.service_hour = named["hour of service"][phase]
        self.mood = named["mood"][phase]
        self.handover = named["handover"][phase]
        self.rates = [named[kind][phase] for kind in _RATES]
        self._named, self._phase = named, phase

    def condition(self, name: str) -> Feature:
        """Return the feature of a condition in force."""
        return self._named[name][self._phase]


def features_of(now: Situation, rates: LateRates, of: Stage) -> tuple[Valued, Valued]:
    """Return the active features with their values, which are finite; and those of transit.

    All of them are for P(late), and `of` are those of its stage. On those of transit the median of
    what remains rests: what all shipments of a day have in common is not among them, since they are
    learned together, and would all push it.
    """
    time_ms, service, node, region = now.time_ms, now.service, now.node, now.region
    slack_s = (now.promised_ms - time_ms) / 1000
    slack = _TEXT[bisect_right(_RATIO_EDGES, slack_s / max(now.remaining_s, _LEAST_REMAINING_S))]
    days = _TEXT[bisect_right(_DAY_EDGES, now.promised_ms // DAY_MS - time_ms // DAY_MS)]
    day = _TEXT[weekday(time_ms)]
    hour = hour_of(time_ms)
    length = _TEXT[bisect_right(_LENGTH_EDGES, now.nominal_s / 3600)]
    part = _TEXT[time_ms % DAY_MS // (3 * HOUR_MS)]
    mood = _TEXT[bisect_right(_MOOD_EDGES, rates.network_quick)]
    of_way: Valued = [
        (of.lane[service][region], 1.0),
        (of.node_hour[node][hour], 1.0),
        (of.service_hour[service][hour], 1.0),
        (of.tours[service][day][length], 1.0),
        (of.mood[mood][part], 1.0),
    ]
    of_rates = [*zip(of.rates, rates, strict=True)]
    network_quick, node_quick = of_rates[1], of_rates[4]
    reported: Valued = []
    if now.handover_late_s is not None:
        edge = bisect_right(_HANDOVER_EDGES, now.handover_late_s / 3600)
        reported.append((of.handover[_TEXT[edge]], 1.0))
    if now.eta_slack_s is not None:
        edge = bisect_right(_ETA_EDGES, now.eta_slack_s / 3600)
        reported.append((of.estimate[_TEXT[edge]], 1.0))
    for name, value in now.conditions:
        reported.append((of.condition(name), value))
    features: Valued = [
        (of.usual, 1.0),
        (of.forecast, now.forecast),
        (of.slack[slack], 1.0),
        (of.due[days][day], 1.0),
        (of.weekday[day][part], 1.0),
        (of.length[length], 1.0),
        (of.service[service], 1.0),
        (of.node[node], 1.0),
        (of.region[region], 1.0),
        *of_way,
        *of_rates,
        *reported,
    ]
    return features, [*of_way, network_quick, node_quick, *reported]


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
