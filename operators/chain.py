"""The chain of DESIGN: decoded records in, actions out; the same everywhere it runs."""

from operators.contract import Chain, Operator, Record
from operators.delays import Delays
from operators.demand import Demand
from operators.govern import Govern
from operators.hygiene import Hygiene
from operators.lanes import Lanes
from operators.notices import Notices
from operators.orchestrate import Orchestrate
from operators.rollups import Rollups
from state.codec import DeadLetter, JournalLine, decode
from state.policy import Policy

#: Names of the operators in order. Frozen: they are part of the ids that recovery goes by.
OPERATORS = (
    "hygiene",
    "demand",
    "lanes",
    "delays",
    "orchestrate",
    "notices",
    "govern",
    "rollups",
)


def build_operator(name: str, network: str, policy: Policy) -> Operator:
    """A fresh operator of the chain for one network."""
    match name:
        case "hygiene":
            return Hygiene(policy)
        case "demand":
            return Demand(policy)
        case "lanes":
            return Lanes(policy)
        case "delays":
            return Delays(policy)
        case "orchestrate":
            return Orchestrate(policy)
        case "notices":
            return Notices(policy)
        case "govern":
            return Govern(network, policy)
        case "rollups":
            return Rollups(policy)
        case _:
            raise ValueError(f"expected one of {', '.join(OPERATORS)}, was {name}")


def build_chain(network: str, policy: Policy) -> Chain:
    """All operators for one network, in order."""
    return Chain([build_operator(name, network, policy) for name in OPERATORS])


def to_record(line: JournalLine) -> tuple[str, Record] | DeadLetter:
    """Decode a line: (network, record), or the dead letter it became."""
    event = decode(line)
    if isinstance(event, DeadLetter):
        return event
    return event.network, Record(line.seq, event.recorded_ms, event.fact, event, line)
