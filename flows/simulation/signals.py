"""Signals that lead demand: searches, promotions, sentiment, weather; and the pull that follows."""

from typing import Literal

from flows.simulation.agenda import Agenda
from flows.simulation.conditions import Conditions, Front, WeatherKind
from flows.simulation.config import WorldConfig
from flows.simulation.demand import Demand, Pull
from flows.simulation.feeds import SIGNALS, Outbox
from flows.simulation.luck import gap_ms, stream
from flows.simulation.world import World
from state.events import SignalObserved
from state.quantities import DAY_MS, HOUR_MS

Kind = Literal["search", "promotion", "sentiment", "weather", "competitor"]

#: Purchases that such coming weather causes.
_WEATHER_WANTS: dict[WeatherKind, str] = {
    "rain": "rain_gear",
    "storm": "household",
    "flood": "household",
    "snow": "winter_gear",
    "fog": "heating",
    "heat": "cooling",
}
#: Weather of less than this peak moves no demand.
_MOVING_SEVERITY = 0.35
#: Orders over usual = 1 + this x peak severity.
_WEATHER_PULL = 2.5
_NOISE_SIGMA = 0.15
_USUAL_SIGMA = 0.06
_USUAL_EVERY_MS = 6 * HOUR_MS
_SEARCH_STEPS = 4


class Signals:
    """Signals, and demand that follows those that are not idle."""

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        world: World,
        agenda: Agenda,
        outbox: Outbox,
        conditions: Conditions,
        demand: Demand,
    ) -> None:
        self._config = config
        self._world = world
        self._agenda = agenda
        self._outbox = outbox
        self._demand = demand
        self._luck = stream(seed, "signals")
        self._emitted = 0
        conditions.on_front = self._forecast

    def start(self, now_ms: int) -> None:
        """Enter the first signal of each kind; call it before the conditions start."""
        for happening, per_day in (
            (self._promote, self._config.promotions_per_day),
            (self._search, self._config.search_waves_per_day),
            (self._feel, self._config.sentiment_shifts_per_day),
        ):
            if per_day > 0:
                self._agenda.at(now_ms + gap_ms(self._luck, per_day), happening, per_day)
        for category in self._demand.categories():
            self._agenda.at(now_ms + self._luck.randrange(_USUAL_EVERY_MS), self._usual, category)

    def _usual(self, now_ms: int, category: str) -> None:
        """Observe that nothing is going on: what a learner compares the rest with."""
        self._agenda.at(now_ms + _USUAL_EVERY_MS, self._usual, category)
        ratio = self._luck.lognormvariate(0, _USUAL_SIGMA)
        self._emit(now_ms, SignalObserved(kind="search", category=category, ratio=round(ratio, 3)))

    def _promote(self, now_ms: int, per_day: float) -> None:
        """Announce a promotion of a SKU, a day or so ahead, everywhere or in a region."""
        luck = self._luck
        self._agenda.at(now_ms + gap_ms(luck, per_day), self._promote, per_day)
        start_ms = now_ms + round(luck.uniform(6, 36) * HOUR_MS)
        local = luck.random() < 0.3
        region = luck.randrange(len(self._world.regions)) if local else None
        pull = Pull(
            start_ms=start_ms,
            end_ms=start_ms + round(luck.uniform(1, 3) * DAY_MS),
            ratio=luck.uniform(3, 9) if local else luck.uniform(2, 5),
            region=region,
            sku=self._demand.draw_sku(),
        )
        self._follow(pull)
        self._observe(now_ms, "promotion", pull, 1.0)

    def _search(self, now_ms: int, per_day: float) -> None:
        """Let searches for a category in a region, or for a SKU, swell before the orders do."""
        luck = self._luck
        self._agenda.at(now_ms + gap_ms(luck, per_day), self._search, per_day)
        lead_ms = round(luck.uniform(3, 24) * HOUR_MS)
        start_ms = now_ms + lead_ms
        of_sku = luck.random() < 0.5
        pull = Pull(
            start_ms=start_ms,
            end_ms=start_ms + round(luck.uniform(0.5, 2.5) * DAY_MS),
            ratio=luck.uniform(2, 5),
            region=None if of_sku else luck.randrange(len(self._world.regions)),
            category=None if of_sku else luck.choice(self._demand.categories()),
            sku=self._demand.draw_sku() if of_sku else None,
        )
        self._follow(pull)
        for step in range(_SEARCH_STEPS):
            at_ms = now_ms + lead_ms * step // _SEARCH_STEPS
            swollen = (step + 1) / _SEARCH_STEPS
            self._agenda.at(at_ms, self._observe, "search", pull, swollen)

    def _feel(self, now_ms: int, per_day: float) -> None:
        """Let what people say of a category turn, for better or worse."""
        luck = self._luck
        self._agenda.at(now_ms + gap_ms(luck, per_day), self._feel, per_day)
        start_ms = now_ms + round(luck.uniform(12, 48) * HOUR_MS)
        pull = Pull(
            start_ms=start_ms,
            end_ms=start_ms + round(luck.uniform(1, 4) * DAY_MS),
            ratio=luck.uniform(0.5, 0.8) if luck.random() < 0.5 else luck.uniform(1.2, 1.7),
            category=luck.choice(self._demand.categories()),
        )
        self._follow(pull)
        self._observe(now_ms, "sentiment", pull, 1.0)

    def _forecast(self, now_ms: int, front: Front) -> None:
        """Forecast what a front makes people buy, region by region, hours before it is there."""
        luck = self._luck
        category = _WEATHER_WANTS[front.kind]
        if category not in self._demand.categories():
            return
        for region, peak in enumerate(front.peaks):
            onset_ms = front.onset_ms[region]
            if peak < _MOVING_SEVERITY or onset_ms <= now_ms:
                continue
            pull = Pull(
                start_ms=onset_ms,
                end_ms=onset_ms + front.lasts_ms,
                ratio=1 + _WEATHER_PULL * peak * luck.uniform(0.6, 1.4),
                region=region,
                category=category,
            )
            self._demand.pull(pull)
            lead_ms = round(luck.uniform(4, 16) * HOUR_MS)
            self._agenda.at(max(now_ms, onset_ms - lead_ms), self._observe, "weather", pull, 1.0)

    def foretell(self, now_ms: int, kind: Kind, pull: Pull) -> None:
        """Have demand follow `pull`, and a signal of `kind` announce it now."""
        self._demand.pull(pull)
        self._observe(now_ms, kind, pull, 1.0)

    def _follow(self, pull: Pull) -> None:
        if self._luck.random() >= self._config.idle_signal_share:
            self._demand.pull(pull)

    def _observe(self, now_ms: int, kind: Kind, pull: Pull, swollen: float) -> None:
        """Observe a share of the coming pull, with noise."""
        ratio = 1 + (pull.ratio - 1) * swollen * self._luck.lognormvariate(0, _NOISE_SIGMA)
        regions, skus = self._world.regions, self._world.skus
        signal = SignalObserved(
            kind=kind,
            region=None if pull.region is None else regions[pull.region].id,
            category=pull.category,
            sku=None if pull.sku is None else skus[pull.sku].id,
            ratio=round(max(0.05, ratio), 3),
        )
        self._emit(now_ms, signal)

    def _emit(self, now_ms: int, signal: SignalObserved) -> None:
        self._emitted += 1
        about = signal.sku or signal.category
        self._outbox.emit(SIGNALS, f"signal-{self._emitted}", signal, now_ms, subject=about)
