"""Chain of operators: decoded records in, actions out; the same everywhere it runs."""

from collections.abc import Callable, Mapping

from operators.core.contract import Chain, Operator
from operators.core.entry import NO_NETWORK as NO_NETWORK
from operators.core.entry import to_record as to_record
from operators.core.loop import Loop
from operators.forecasts.delays import Delays
from operators.forecasts.demand import Demand
from operators.forecasts.lanes import Lanes
from operators.governance.govern import RETURNING, Govern
from operators.hygiene.hygiene import Hygiene
from operators.incidents.incidents import Incidents
from operators.notices.notices import Notices
from operators.orchestrate import Orchestrate
from operators.reporting.rollups import Rollups
from state.policy import Policy

#: Names of the operators in order. Frozen: recovery uses them in its ids.
OPERATORS = (
    "hygiene",
    "demand",
    "lanes",
    "delays",
    "incidents",
    "orchestrate",
    "notices",
    "govern",
    "rollups",
)

#: Stages of the staged dataflow: operators, and the loop of those to which a closed proposal
#: returns.
STAGES = (*OPERATORS[:5], "loop", *OPERATORS[8:])

#: Builds an operator for a network, under the policy that its journal begins with.
Build = Callable[[str, Policy], Operator]

#: Operators after which one from outside may stand; nothing stands inside the loop.
PLACES = (*OPERATORS[:5], *OPERATORS[7:])


def build_operator(name: str, network: str, policy: Policy) -> Operator:
    """Return a fresh operator for one network; for `NO_NETWORK`, one that passes all on."""
    if network == NO_NETWORK:
        return Chain([])
    match name:
        case "hygiene":
            return Hygiene(policy)
        case "demand":
            return Demand(policy)
        case "lanes":
            return Lanes(policy)
        case "delays":
            return Delays(policy)
        case "incidents":
            return Incidents(policy)
        case "orchestrate":
            return Orchestrate(policy)
        case "notices":
            return Notices(policy)
        case "govern":
            return Govern(network, policy)
        case "rollups":
            return Rollups(policy)
        case "loop":
            operators = [Orchestrate(policy), Notices(policy), Govern(network, policy)]
            return Loop(operators, returning=RETURNING)
        case _:
            raise ValueError(f"expected one of {', '.join((*OPERATORS, 'loop'))}, was {name}")


def build_chain(network: str, policy: Policy, after: Mapping[str, Build] | None = None) -> Chain:
    """Return all operators for one network, in order; none for `NO_NETWORK`.

    `after` has, by one of `PLACES`, what builds an operator that stands behind that one. Raises
    ValueError if two operators have the same name.
    """
    if network == NO_NETWORK:
        return Chain([])
    parts: list[Operator] = []
    for stage in STAGES:
        parts.append(build_operator(stage, network, policy))
        build = (after or {}).get("govern" if stage == "loop" else stage)
        if build is not None:
            parts.append(build(network, policy))
    chain = Chain(parts)
    names = [operator.name for operator in chain.operators]
    if len(set(names)) < len(names):
        raise ValueError(f"expected operators with a name each, was {', '.join(names)}")
    return chain


class Chains(dict[str, Chain]):
    """Chains by network; each is built when it is first asked for, see `build_chain`.

    Raises ValueError if `after` has a place that is none of `PLACES`.
    """

    def __init__(self, policy: Policy, after: Mapping[str, Build] | None = None) -> None:
        self._policy, self._after = policy, dict(after or {})
        for place in self._after:
            if place not in PLACES:
                raise ValueError(f"expected a place among {', '.join(PLACES)}, was {place!r}")

    def __missing__(self, network: str) -> Chain:
        chain = self[network] = build_chain(network, self._policy, self._after)
        return chain
