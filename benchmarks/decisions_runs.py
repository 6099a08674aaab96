"""The runs of the decisions benchmark: what is run, and what is measured beside the usual KPIs."""

from dataclasses import asdict, dataclass
from typing import Any

from msgspec.structs import replace

from benchmarks.clairvoyant import clairvoyant_bound
from flows.simulation.config import find_world
from flows.simulation.controller import ChainController
from flows.simulation.kpis import KPIS, Kpi
from flows.simulation.scenario import NONE, find_scenario
from flows.simulation.simulation import Simulation
from flows.whatif.trial import finish
from operators.reporting.rollups import Rollups
from state.actions import Action, Transfer
from state.events import Event
from state.policies import find_policy
from state.policy import Policy
from state.quantities import to_ms

OURS, CHEAPEST = "ours", "cheapest"
POLICIES = ("nearest", CHEAPEST, OURS)
#: Ours without one of its parts.
ONCE, UNMOVED = "deciding once", "moving no stock"
VARIANTS = (ONCE, UNMOVED)
#: Lower bounds for any policy, and for one that does not foresee a parcel's own luck.
BOUND, BLIND = "bound", "blind"
#: Others' luck that a parcel's own is replaced by.
_OTHERS = 12

#: The usual KPIs, and what becomes of exceptions and of transfers.
MEASURED: tuple[Kpi, ...] = (
    *KPIS,
    Kpi("touchless", "exceptions closed without a person", "share", 1),
    Kpi("churn", "transfers of what a transfer brought within a fortnight", "share", -1),
)


@dataclass(frozen=True)
class Setting:
    """A world under a scenario, by their names, for some days of orders."""

    name: str
    world: str
    scenario: str = NONE
    days: int = 10
    has_bound: bool = True


@dataclass(frozen=True)
class Job:
    """One run of one policy, of ours without a part, or one bound."""

    setting: Setting
    policy: str
    seed: int


class Watched(ChainController):
    """The engine, with an eye on whether transfers soon move on what transfers brought."""

    def __init__(self, network: str, policy: Policy) -> None:
        super().__init__(network, policy)
        self.transfers = self.churned = 0
        self._soon_ms = policy.repositioning.settle_s * 1000
        # (node, SKU) -> when a transfer there was asked for last.
        self._came: dict[tuple[str, str], int] = {}

    def take(self, event: Event) -> list[Action]:
        """Fold the event in, and look at what is moved."""
        actions = super().take(event)
        for action in actions:
            moved = action.data.decision
            if isinstance(moved, Transfer) and not moved.order and action.data.mode == "act":
                now_ms, came_ms = to_ms(action.time), self._came.get((moved.origin, moved.sku))
                self.transfers += 1
                self.churned += came_ms is not None and now_ms < came_ms + self._soon_ms
                self._came[moved.destination, moved.sku] = now_ms
        return actions

    def extras(self) -> dict[str, float | None]:
        """Return the measures beside the KPIs; None where there was nothing."""
        rollups = next(each for each in self.chain.operators if isinstance(each, Rollups))
        closed = sum(rollups.totals.exceptions_closed.values())
        return {
            "touchless": rollups.totals.touchless / closed if closed else None,
            "churn": self.churned / self.transfers if self.transfers else None,
        }


def policy_of(name: str) -> Policy:
    """Return a built-in policy, or ours without a part."""
    if name not in VARIANTS:
        return find_policy(name)
    ours = find_policy(OURS)
    if name == ONCE:
        return replace(ours, reevaluation=replace(ours.reevaluation, enabled=False))
    return replace(ours, repositioning=replace(ours.repositioning, enabled=False))


def do(job: Job) -> dict[str, Any]:
    """Return the KPIs of the run by name, or the fields of the bound; for a process of its own."""
    setting = job.setting
    world, scenario = find_world(setting.world), find_scenario(setting.scenario)
    if job.policy in (BOUND, BLIND):
        others = _OTHERS if job.policy == BLIND else 0
        return asdict(clairvoyant_bound(world, job.seed, setting.days, scenario, others=others))
    engine = Watched(world.network, policy_of(job.policy))
    simulation = Simulation(job.seed, world, days=setting.days, scenario=scenario)
    return {**finish(simulation, engine, setting.days).kpis, **engine.extras()}
