"""Late rates: how often parcels of a network, node, service, lane or region were late of late."""

from math import log

from msgspec import Struct

from operators.prediction.level import Level, LevelState

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


class _Levels(dict[tuple[str, ...], Level]):
    """Levels of one kind, by what they are of; each begins when it is first asked for."""

    def __init__(self, fading: float) -> None:
        super().__init__()
        self._fading = fading

    def __missing__(self, key: tuple[str, ...]) -> Level:
        level = self[key] = Level(self._fading)
        return level


class RateBook:
    """Late rates by what they are of; as many as there are nodes × 24, services × regions."""

    def __init__(self, state: dict[str, LevelState] | None = None) -> None:
        self._kinds = {kind: _Levels(fading) for kind, fading in _KINDS.items()}
        for key, kept in (state or {}).items():
            kind, *of = key.split("\n")
            self._kinds[kind][tuple(of)] = Level(_KINDS[kind], kept)

    def rates(self, service: str, node: str, region: str, hour: str) -> LateRates:
        """What is known now; where little is known, what the network as a whole does."""
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

    def learn(self, service: str, node: str, region: str, hour: str, late: bool) -> None:
        """Fold in one label."""
        value = 1.0 if late else 0.0
        for level in self._of(service, node, region, hour):
            level.update(value)

    def hurry(self, service: str, node: str, region: str) -> None:
        """Learn faster for a while about what is given; empty strings name nothing."""
        for kind, name in (("service quick", service), ("node", node), ("region", region)):
            level = self._kinds[kind].get((name,))
            if level is not None:
                level.hurry()

    def state(self) -> dict[str, LevelState]:
        """Plain values that restore it.

        They are sorted: a level begins when it is asked for, one restored only when it learns.
        """
        return {
            "\n".join((kind, *of)): level.state()
            for kind, levels in self._kinds.items()
            for of, level in sorted(levels.items(), key=lambda each: each[0])
            if level.seen
        }

    def _of(self, service: str, node: str, region: str, hour: str) -> tuple[Level, ...]:
        """The levels of a situation, in the order of the fields of LateRates."""
        kinds = self._kinds
        return (
            kinds["network"][()],
            kinds["network quick"][()],
            kinds["service"][(service,)],
            kinds["service quick"][(service,)],
            kinds["node"][(node,)],
            kinds["hour"][hour, node],
            kinds["lane"][service, region],
            kinds["region"][(region,)],
        )


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 0.005), 0.995)
    return log(bounded / (1 - bounded))
