"""A network that does not exist: a seeded, open-loop generator of realistic fulfilment logs.

Nothing here looks at the operators. The network has a simple dispatcher of its own, so that the log
is what would have happened without Crossdock.
"""

from flows.simulation.config import WorldConfig
from flows.simulation.loop import DEFAULT_DAYS, count_by_type, simulate

__all__ = ["DEFAULT_DAYS", "WorldConfig", "count_by_type", "simulate"]
