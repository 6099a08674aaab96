"""Late rates: how often parcels of a network, node, service, lane or region were late of late."""

from math import log

from msgspec import Struct

from operators.prediction.level import Level, LevelState
from state.keys import ANY_SERVICE, ServiceId

#: Weight of the newest label by kind of rate: slow ones remember thousands, quick ones a hundred.
_KINDS = {
    "network": 0.0005,
    "network quick": 0.01,
    "service": 0.002,
    "service quick": 0.02,
    "node": 0.02,
    "hour": 0.01,
    "lane": 0.01,
    "region": 0.02,
}
#: Late rate before anything is known.
_PRIOR = 0.1
_PRIOR_LOG_ODDS = log(_PRIOR / (1 - _PRIOR))


class LateRates(Struct, frozen=True, gc=False):
    """Recent late rates as log-odds: the network's over the prior, the others' over the network's.

    `quick` ones follow the last hundred labels or fewer.
    """

    network: float
    network_quick: float
    service: float
    service_quick: float
    node_quick: float
    node_hour: float
    lane: float
    region_quick: float


class RateOf(Struct, frozen=True, order=True, array_like=True, gc=False):
    """What a rate is of: a place, a service, a lane, an hour at a place; empty is any."""

    service: ServiceId = ANY_SERVICE
    place: str = ""
    hour: str = ""


#: Rates by kind and what they are of.
RatesState = dict[str, dict[RateOf, LevelState]]
_NETWORK = RateOf()


class _Levels(dict[RateOf, Level]):
    """Levels of one kind, by what they are of; each begins when it is first asked for."""

    def __init__(self, fading: float) -> None:
        super().__init__()
        self._fading = fading

    def __missing__(self, key: RateOf) -> Level:
        level = self[key] = Level(self._fading)
        return level


class LateRateBook:
    """Late rates by what they are of; as many as there are nodes × 24, services × regions."""

    def __init__(self, state: RatesState | None = None) -> None:
        self._kinds = {kind: _Levels(fading) for kind, fading in _KINDS.items()}
        for kind, kept in (state or {}).items():
            for of, level in kept.items():
                self._kinds[kind][of] = Level(_KINDS[kind], level)

    def rates(self, service: ServiceId, node: str, region: str, hour: str) -> LateRates:
        """Return the rates known now; where little is known, those of the whole network."""
        network, *others = self._of(service, node, region, hour)
        rate = _PRIOR + network.trust * (network.mean - _PRIOR)
        base = _log_odds(rate)
        return LateRates(
            base - _PRIOR_LOG_ODDS,
            *[
                _log_odds(rate + level.trust * (level.mean - rate)) - base if level.seen else 0.0
                for level in others
            ],
        )

    def learn(self, service: ServiceId, node: str, region: str, hour: str, late: bool) -> None:
        """Fold in one label."""
        value = 1.0 if late else 0.0
        for level in self._of(service, node, region, hour):
            level.update(value)

    def hurry(self, service: ServiceId, node: str, region: str) -> None:
        """Learn faster for a while about what is given; what is empty names nothing."""
        for kind, of in (
            ("service quick", RateOf(service)),
            ("node", RateOf(place=node)),
            ("region", RateOf(place=region)),
        ):
            level = self._kinds[kind].get(of)
            if level is not None:
                level.hurry()

    def state(self) -> RatesState:
        """Plain values that restore it.

        They are sorted: a level begins when it is asked for, one restored only when it learns.
        """
        return {
            kind: {
                of: level.state()
                for of, level in sorted(levels.items(), key=lambda each: each[0])
                if level.seen
            }
            for kind, levels in self._kinds.items()
        }

    def _of(self, service: ServiceId, node: str, region: str, hour: str) -> tuple[Level, ...]:
        """Return the levels of a situation, in the order of the fields of LateRates."""
        kinds, of_service = self._kinds, RateOf(service)
        return (
            kinds["network"][_NETWORK],
            kinds["network quick"][_NETWORK],
            kinds["service"][of_service],
            kinds["service quick"][of_service],
            kinds["node"][RateOf(ANY_SERVICE, node)],
            kinds["hour"][RateOf(ANY_SERVICE, node, hour)],
            kinds["lane"][RateOf(service, region)],
            kinds["region"][RateOf(ANY_SERVICE, region)],
        )


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 0.005), 0.995)
    return log(bounded / (1 - bounded))
