"""The result of a what-if: arms, their runs, and paired differences; printed by ``--json``."""

from typing import Annotated

from msgspec import Struct, field

from state.quantities import doc


class Series(Struct, kw_only=True):
    """Curves of one run, one value per `hours` entry (hours since the run's begin, ascending).

    A value is None where there was nothing to tell, such as a share of no orders.
    """

    hours: list[float]
    cost_per_order_cents: Annotated[
        list[float | None], doc("cost-to-serve of the orders placed in the window, per order")
    ]
    on_time: Annotated[
        list[float | None], doc("share of them delivered in full by the original promise")
    ]
    backlog: Annotated[list[float], doc("orders placed and not handed over yet, at the instant")]
    stock: Annotated[dict[str, list[float]], doc("node -> units on its shelves, at the instant")]


class Run(Struct, kw_only=True):
    """One world run to its end. `kpis` are named as in `flows.simulation.kpis`."""

    seed: int
    digest: Annotated[str, doc("SHA-256 of the run's journal")]
    events: int
    actions: dict[str, int]
    kpis: dict[str, float | None]
    series: Series


class Arm(Struct, kw_only=True):
    """One scenario under one policy, run once per seed; runs are in the order of the seeds."""

    scenario: Annotated[str, doc("name of the scenario; 'none' is the undisturbed world")]
    policy: Annotated[str, doc("name of the policy: ours, nearest, cheapest, or a file")]
    runs: list[Run]

    @property
    def label(self) -> str:
        """Return scenario and policy in words."""
        return f"{self.scenario}, {self.policy}"


class Difference(Struct, kw_only=True):
    """Paired difference of a KPI between two arms: mean over seeds of (arm - against).

    [low, high] is the 95 % interval of the mean (Student's t over pairs); None with one seed.
    """

    arm: int
    against: int
    kpi: str
    mean: float
    low: float | None
    high: float | None
    pairs: int


class Result(Struct, kw_only=True):
    """A whole what-if. `title` names the comparison; `notes` are for its reader.

    `arms[0]` is the baseline: the undisturbed world, or the world as it is, under the first policy.
    `shaded` are spans of the scenarios as (name, from hour, to hour).
    """

    title: str
    world: str
    days: int
    currency: str
    seeds: list[int]
    arms: list[Arm]
    differences: list[Difference]
    shaded: list[tuple[str, float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
