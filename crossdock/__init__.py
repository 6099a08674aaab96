"""The engine, from Python: the names that programs may rely on.

    Engine          decides inside your program: events in, actions out
    Policy          what people set: weights, limits, autonomy
    Event, Action   what goes in, and what comes out
    ActionConsumer  reads the actions of a deployment from Redis, as a service
    replay          recorded logs in, actions and a summary out
    simulate        a network that does not exist, as the log of its events

Names imported from `flows`, `operators` and `state` may change with any version.
"""

from importlib.metadata import version as _version

from flows.embed.engine import Engine
from flows.embed.replay import replay
from flows.embed.simulate import simulate
from state.actions import Action
from state.events import Event
from state.policy import Policy
from state.stores.redis_consumer import ActionConsumer

__all__ = [
    "Action",
    "ActionConsumer",
    "Engine",
    "Event",
    "Policy",
    "__version__",
    "replay",
    "simulate",
]

__version__ = _version("crossdock")
