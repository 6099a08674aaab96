"""Cost by operator and by desk, as multiples of decoding, per event of the log.

``python -m benchmarks.desks LOG`` measures in a process of its own and prints JSON. The engine has
no timers: operators, public methods of desks and their handlers are wrapped here before a chain is
built. A desk is charged with its own time; what it has another desk do is charged to that one.
"""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from time import thread_time_ns
from typing import Any

import orjson

from benchmarks.fold import BATCH
from benchmarks.meter import NO_OCCASION, Meter
from benchmarks.processes import run_module
from benchmarks.workload import Workload
from flows.cli.collector import spare_the_collector
from operators.chain import Chains, build_chain, to_record
from operators.network.registry import Registry
from operators.orchestrate import Orchestrate
from operators.orders.hold_desk import HoldDesk
from operators.orders.order_desk import OrderDesk
from operators.reallocation.reevaluation import ReevaluationDesk
from operators.recovery.cancellations import Cancellations
from operators.recovery.compensation import Compensation
from operators.recovery.outages import Outages
from operators.recovery.rejections import Rejections
from operators.recovery.shipment_desk import ShipmentDesk
from operators.sourcing.by_rule import ByRule
from operators.sourcing.least_cost import LeastCost
from operators.stock.price_desk import PriceDesk
from operators.stock.repositioning import Repositioning
from operators.stock.stock_desk import StockDesk
from operators.stock.transfer_desk import TransferDesk
from state.journal import JournalReader
from state.policy import Policy

_TIMEOUT_S = 1_800.0
_DECODE = "decode"
_FACTS, _DEADLINES = "facts", "deadlines"
#: What desks post for one another is handled outside of any handler of theirs.
_OCCASIONS = {_FACTS: _FACTS, _DEADLINES: _DEADLINES, NO_OCCASION: "messages"}
#: Handing facts to desks, closed proposals, sweeps.
_ITSELF = "orchestrator itself"
#: Names of the desks, and of what they all call to source an order.
DESKS: dict[type, str] = {
    OrderDesk: "order desk",
    LeastCost: "sourcing",
    ByRule: "sourcing",
    ReevaluationDesk: "re-evaluation",
    Repositioning: "repositioning",
    TransferDesk: "transfers",
    StockDesk: "stock",
    ShipmentDesk: "shipments",
    Cancellations: "cancellations",
    Compensation: "compensation",
    Rejections: "rejections",
    Outages: "outages",
    HoldDesk: "holds",
    PriceDesk: "prices",
    Registry: "registry",
    Orchestrate: _ITSELF,
}


def meter_engine(meter: Meter) -> tuple[str, ...]:
    """Wrap the engine of this process for good; returns the names of its operators."""
    for kind, desk in DESKS.items():
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if name in (_FACTS, _DEADLINES):
                setattr(kind, name, _metered_table(meter, desk, name, method))
            elif kind is not Orchestrate and name in vars(kind) and not name.startswith("_"):
                setattr(kind, name, meter.charge(desk, method))
    operators = build_chain("metered", Policy()).operators
    for operator in operators:
        operator_kind: Any = type(operator)
        part = DESKS.get(operator_kind, operator.name)
        operator_kind.step = meter.charge(part, operator_kind.step)
    return tuple(operator.name for operator in operators)


def _metered_table(
    meter: Meter, desk: str, occasion: str, table: Callable[..., Any]
) -> Callable[..., Any]:
    def metered(of: Any) -> dict[type, Any]:
        handlers = table(of).items()
        return {kind: meter.charge(desk, handler, occasion) for kind, handler in handlers}

    return metered


def _desks_document(log: Path) -> dict[str, Any]:
    """Return the cost of each operator, and of each desk by occasion."""
    meter = Meter(thread_time_ns)
    operators = meter_engine(meter)
    decoded = meter.charge(_DECODE, to_record)
    chains = Chains(Policy())
    with JournalReader([log]) as reader:
        while lines := reader.read(BATCH):
            for line in lines:
                record = decoded(line)
                chains[record.network].step(record)
    yardstick = meter.of_part(_DECODE)
    desks = {}
    for desk in dict.fromkeys(DESKS.values()):
        spent = {title: meter.spent[desk, name] / yardstick for name, title in _OCCASIONS.items()}
        desks[desk] = {**spent, "all": sum(spent.values())}
    by_operator = {name: meter.of_part(name) / yardstick for name in operators}
    by_operator[Orchestrate.name] = sum(found["all"] for found in desks.values())
    return {"operators": by_operator, "desks": desks}


def measure_desks(workload: Workload) -> dict[str, Any]:
    """Meter the log's fold in a fresh process; returns multiples of decoding."""
    found: dict[str, Any] = run_module("benchmarks.desks", [workload.log], _TIMEOUT_S)
    return found


def main() -> None:
    """Measure the log that the argument names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    spare_the_collector()  # as the commands that fold do
    sys.stdout.write(orjson.dumps(_desks_document(parser.parse_args().log)).decode())


if __name__ == "__main__":
    main()
