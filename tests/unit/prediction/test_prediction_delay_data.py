"""The loaders of the delay benchmark, on small data of our own."""

import gzip
from pathlib import Path

from benchmarks.prediction.data.cargo2000 import load_cargo2000
from benchmarks.prediction.data.flights import load_flights

_FLIGHTS = """\
year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour
2013,1,1,1802,1800,2,2031,2030,11,UA,1,N1,EWR,ORD,120,719,18,0,2013-01-01T23:00:00Z
2013,1,1,530,530,0,,830,,AA,2,N2,JFK,MIA,,1089,5,30,2013-01-01T10:00:00Z
2013,1,1,605,600,5,916,900,16,AA,3,N3,JFK,MIA,150,1089,6,0,2013-01-01T11:00:00Z
"""
_AIRPORTS = "faa,name,lat,lon,alt,tz,dst\nORD,x,0,0,0,-6,A\nMIA,x,0,0,0,-5,A\n"


def test_flights_become_shipments_in_the_order_of_their_plan(tmp_path: Path) -> None:
    (tmp_path / "flights.csv").write_text(_FLIGHTS)
    (tmp_path / "airports.csv").write_text(_AIRPORTS)
    first, second = load_flights(tmp_path)  # the one that never arrived is left out
    assert (first.service, first.node, first.region, first.late) == ("AA", "JFK", "MIA", True)
    assert (second.service, second.late) == ("UA", False)
    # Two and a half hours by the clock, and one by the zone: 3.5 h, from two hours before.
    assert second.moments[0].left_s == 5.5 * 3600
    assert second.ended_ms - second.promised_ms == (11 - 15) * 60_000
    assert first.known_ms == first.promised_ms + 1


def test_cargo_is_known_only_as_its_milestones_complete(tmp_path: Path) -> None:
    legs = ("i1", "i2", "i3", "o")
    steps = ("rcs", "dep_1", "rcf_1", "dep_2", "rcf_2", "dep_3", "rcf_3", "dlv")
    row: dict[str, int] = {"nr": 1}
    for leg in legs:
        row |= {f"{leg}_legid": 1, f"{leg}_hops": 1}
        for step in steps:
            row |= {f"{leg}_{step}_p": 0, f"{leg}_{step}_e": 0}
            if "_" in step:
                row[f"{leg}_{step}_place"] = 0
    planned = {"i1_rcs": (100, 150), "i2_rcs": (80, 40), "o_rcs": (10, 20), "o_dlv": (200, 300)}
    for name, (plan, real) in planned.items():
        row |= {f"{name}_p": plan, f"{name}_e": real}
    row |= {"o_dep_1_p": 30, "o_dep_1_e": 30, "o_dep_1_place": 7, "o_rcf_1_place": 9}
    text = ",".join(row) + "\n" + ",".join(str(value) for value in row.values()) + "\n"
    with gzip.open(tmp_path / "c2k.csv.gz", "wt") as file:
        file.write(text)
    (case,) = load_cargo2000(tmp_path)
    booked, inbound, departed = case.moments
    begun_ms = booked.time_ms
    assert (case.service, case.node, case.region) == ("2 legs, 1 hops", "7", "9")
    assert (case.promised_ms - begun_ms) // 60_000 == 100 + 10 + 30 + 200
    assert (case.ended_ms - begun_ms) // 60_000 == 150 + 20 + 30 + 300
    assert booked.late_by_s is None
    assert (inbound.time_ms - begun_ms) // 60_000 == 150
    assert inbound.late_by_s == 50 * 60
    assert departed.late_by_s == 60 * 60
    assert departed.left_s == 200 * 60
