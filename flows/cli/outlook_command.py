"""`crossdock outlook`: expectations of the engine at a log's end, in words with units."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import note, print_json, progress_bar, say, show

if TYPE_CHECKING:
    from flows.replay.outlooks import Outlooks

_SHOWN = 15


def outlook(
    logs: Annotated[
        list[Path], typer.Argument(help="Log files, or a recording's folder.", exists=True)
    ],
    policy: Annotated[
        Path | None, typer.Option(help="Policy file (TOML).", exists=True, dir_okay=False)
    ] = None,
    region: Annotated[str | None, typer.Option(help="Only this region.")] = None,
    sku: Annotated[str | None, typer.Option(help="Only this SKU.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows of each table.")] = _SHOWN,
    json: Annotated[bool, typer.Option("--json", help="Print JSON: everything.")] = False,
) -> None:
    """Show demand by region and SKU, transit by lane, and incidents, as expected at the log's end.

    The largest first. Demand is as of each series' last order.
    """
    from msgspec import to_builtins

    from flows.replay.outlooks import outlooks
    from state.policy import Policy, load_policy

    with progress_bar("looking") as progress:
        found = outlooks(tuple(logs), load_policy(policy) if policy else Policy(), progress)
    for each in found.values():
        _narrow(each, region, sku)
    if json:
        print_json(
            {
                network: {
                    "demand": [to_builtins(made) for made in each.demand.values()],
                    "lanes": [to_builtins(made) for made in each.lanes.values()],
                    "incidents": [to_builtins(made) for made in each.incidents.values()],
                }
                for network, each in found.items()
            }
        )
        return
    for network, each in found.items():
        say(network, "bold")
        _show(each, limit)


def _narrow(found: "Outlooks", region: str | None, sku: str | None) -> None:
    found.demand = {
        key: made
        for key, made in found.demand.items()
        if region in (None, key[0]) and sku in (None, key[1])
    }
    found.lanes = {key: made for key, made in found.lanes.items() if region in (None, key[3])}


def _show(found: "Outlooks", limit: int) -> None:
    from flows.display.screen import Column, Table
    from operators.forecasts.demand import explain

    series = sorted(found.demand.values(), key=lambda each: -each.units_per_day)
    table = Table(
        *map(Column, ("region", "SKU", "outlook")),
        title=f"Demand: {min(limit, len(series))} of {len(series):,} series",
    )
    for each in series[:limit]:
        table.row(each.region, each.sku, explain(each))
    show(table)
    lanes = sorted(found.lanes.values(), key=lambda each: (bool(each.node), -each.seen))
    table = Table(
        *map(Column, ("service", "from", "to", "transit ÷ published, P10 P50 P90", "on time")),
        Column("deliveries"),
        title=f"Transit: {min(limit, len(lanes))} of {len(lanes):,} services and lanes",
    )
    for lane in lanes[:limit]:
        table.row(
            f"{lane.carrier}/{lane.service}",
            lane.node or "anywhere",
            lane.region or "anywhere",
            f"{lane.p10:.2f}  {lane.p50:.2f}  {lane.p90:.2f}",
            f"{lane.on_time:.0%}",
            f"{lane.seen:,}",
        )
    show(table)
    for incident in found.incidents.values():
        say(f"[{incident.state}] {incident.summary}")
    if not found.incidents:
        note("no incidents")
