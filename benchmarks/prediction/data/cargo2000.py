"""Air cargo processes (Cargo 2000, UCI) as shipments: one to three inbound legs, then an outbound.

The set has durations in minutes, planned and effective, and no dates: a process is taken to begin
an hour after the one before it. It is predicted when it is booked, when all inbound legs are in,
and when the outbound has departed; what is effective is known only once it has happened.
"""

from pathlib import Path

import pandas as pd

from benchmarks.prediction.data.cases import Case, Moment

_MINUTE_MS = 60_000
_APART_MS = 60 * _MINUTE_MS
_BEGIN_MS = 1_300_000_000_000
_STEPS = ("rcs", "dep_1", "rcf_1", "dep_2", "rcf_2", "dep_3", "rcf_3", "dlv")


def load_cargo2000(folder: Path) -> list[Case]:
    """Return all processes, in the order of the file; `folder` has ``c2k.csv.gz``."""
    table = pd.read_csv(folder / "c2k.csv.gz").apply(pd.to_numeric, errors="coerce").fillna(0)
    return [_case(number, row) for number, row in enumerate(table.to_dict("records"))]


def _case(number: int, row: dict[str, float]) -> Case:
    inbound = [leg for leg in ("i1", "i2", "i3") if row[f"{leg}_rcs_p"] > 0]
    in_plan = max(_minutes(row, leg, "p") for leg in inbound)
    in_real = max(_minutes(row, leg, "e") for leg in inbound)
    out_plan, out_real = _minutes(row, "o", "p"), _minutes(row, "o", "e")
    departed_plan, departed_real = (row[f"o_rcs_{k}"] + row[f"o_dep_1_{k}"] for k in ("p", "e"))
    begun_ms = _BEGIN_MS + number * _APART_MS
    legs, hops = float(len(inbound)), row["o_hops"]
    known = (in_plan + out_plan, out_plan, departed_plan, legs, hops, row["i1_dep_1_place"])
    # Minutes passed and planned until each moment.
    passed = (
        ("dispatched", 0.0, 0.0),
        ("in_transit", in_real, in_plan),
        ("departed", in_real + departed_real, in_plan + departed_plan),
    )
    plan = in_plan + out_plan
    return Case(
        service=f"{legs:.0f} legs, {hops:.0f} hops",
        node=f"{row['o_dep_1_place']:.0f}",
        region=f"{_last_place(row):.0f}",
        promised_ms=begun_ms + round(plan) * _MINUTE_MS,
        ended_ms=begun_ms + round(in_real + out_real) * _MINUTE_MS,
        moments=tuple(
            Moment(
                stage=stage,
                time_ms=begun_ms + round(real) * _MINUTE_MS,
                left_s=(plan - planned) * 60,
                late_by_s=None if stage == "dispatched" else (real - planned) * 60,
                further=known,
            )
            for stage, real, planned in passed
        ),
    )


def _minutes(row: dict[str, float], leg: str, kind: str) -> float:
    return sum(row[f"{leg}_{step}_{kind}"] for step in _STEPS)


def _last_place(row: dict[str, float]) -> float:
    places = [row[f"o_{step}_place"] for step in _STEPS if f"o_{step}_place" in row]
    return next((place for place in reversed(places) if place), 0.0)
