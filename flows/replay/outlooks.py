"""Expectations at a log's end: demand by series, transit by lane, and incidents."""

from collections.abc import Sequence
from pathlib import Path

from flows.wiring.progress import Progress
from flows.wiring.records import records
from operators.chain import NO_NETWORK, Chains
from operators.core.contract import Record
from operators.core.facts import DemandOutlook, Incident, LaneOutlook
from state.policy import Policy

#: Region and SKU.
Series = tuple[str, str]
#: Carrier, service, node and region.
Lane = tuple[str, str, str, str]


class Outlooks:
    """The latest outlook of everything, by network; incidents as they stood last."""

    def __init__(self) -> None:
        self.demand: dict[Series, DemandOutlook] = {}
        self.lanes: dict[Lane, LaneOutlook] = {}
        self.incidents: dict[str, Incident] = {}

    def see(self, record: Record) -> None:
        """Keep a record, if it is an outlook."""
        match record.fact:
            case DemandOutlook() as demand:
                self.demand[demand.region, demand.sku] = demand
            case LaneOutlook() as lane:
                self.lanes[lane.carrier, lane.service, lane.node, lane.region] = lane
            case Incident() as incident:
                self.incidents[incident.name] = incident
            case _:
                pass


def outlooks(logs: Sequence[Path], policy: Policy, progress: Progress) -> dict[str, Outlooks]:
    """Fold logs and keep the last outlooks, by network; raises JournalError."""
    chains = Chains(policy)
    found: dict[str, Outlooks] = {}
    for record in records(logs, progress):
        for each in chains[record.network].step(record):
            found.setdefault(each.network, Outlooks()).see(each)
    found.pop(NO_NETWORK, None)
    return found
