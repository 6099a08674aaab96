"""The loaders of public demand data, and the scores, on small data made here."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.prediction.data import online_retail, vn2, walmart
from benchmarks.prediction.data.panel import Panel
from benchmarks.prediction.demand_run import doubled, joining, run
from benchmarks.prediction.demand_scores import by_step, inside, pinball, recovery, wape


def write(folder: Path, name: str, text: str) -> None:
    with gzip.open(folder / name, "wt") as file:
        file.write(text)


def test_weeks_out_of_stock_are_unobserved(tmp_path: Path) -> None:
    write(tmp_path, "sales.csv.gz", "Store,Product,2021-04-12,2021-04-19\n0,126,3.0,0.0\n1,9,2,4\n")
    write(
        tmp_path,
        "in_stock.csv.gz",
        "Store,Product,2021-04-12,2021-04-19,2021-04-26\n1,9,True,True,True\n0,126,True,False,True\n",
    )
    panel = vn2.load(tmp_path)
    assert panel.units.shape == (2, 2)
    assert panel.units[1].tolist() == [2.0, 4.0]
    assert panel.units[0, 0] == 3.0 and np.isnan(panel.units[0, 1])
    assert panel.key(1) == "store 1\nproduct 9"


def test_cancelled_lines_and_adjustments_are_no_demand(tmp_path: Path) -> None:
    head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    rows = [
        "1,A,x,6,2010-12-01 08:26:00,2.5,1.0,UK",
        "2,A,x,900,2010-12-01 09:00:00,2.5,2.0,UK",
        "C3,A,x,-900,2010-12-01 09:10:00,2.5,2.0,UK",
        "4,A,x,-20,2010-12-02 09:10:00,0.0,,UK",
        "5,A,x,2,2010-12-03 09:10:00,2.5,,UK",
        "6,B,x,1,2010-12-02 09:10:00,2.5,3.0,UK",
        "7,B,x,1,2010-12-04 09:10:00,2.5,3.0,UK",
    ]
    write(tmp_path, "online_retail.csv.gz", head + "\n".join(rows) + "\n")
    panel = online_retail.load(tmp_path)
    assert panel.skus == ("A", "B")
    assert panel.units[0].tolist() == [6.0, 0.0, 2.0, 0.0]
    assert np.isnan(panel.units[1, 0]) and panel.units[1, 1:].tolist() == [1.0, 0.0, 1.0]
    assert online_retail.load(tmp_path, most=1).skus == ("A",)


def test_signals_of_a_store_come_with_each_of_its_departments(tmp_path: Path) -> None:
    write(
        tmp_path,
        "train.csv.gz",
        "Store,Dept,Date,Weekly_Sales,IsHoliday\n"
        "1,1,2010-02-05,24.5,FALSE\n1,1,2010-02-12,-3,TRUE\n1,2,2010-02-12,7,TRUE\n",
    )
    write(
        tmp_path,
        "features.csv.gz",
        "Store,Date,Temperature,Fuel_Price,MarkDown1,MarkDown2,MarkDown3,MarkDown4,MarkDown5,"
        "CPI,Unemployment,IsHoliday\n"
        "1,2010-02-05,60,3.3,,,,,,211,8.1,FALSE\n1,2010-02-12,110,3.3,1000,,,,,211,8.1,TRUE\n",
    )
    panel = walmart.load(tmp_path)
    assert panel.units[0].tolist() == [24.5, 0.0]
    assert np.isnan(panel.units[1, 0])
    assert panel.signals["holiday"].tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert panel.signals["temperature"][1].tolist() == [0.0, 1.0]
    assert panel.signals["markdown"][0].tolist() == pytest.approx([0.0, np.log(2)])


def small(units: list[list[float]]) -> Panel:
    names = tuple(f"SKU-{row}" for row in range(len(units)))
    return Panel(
        name="small", season=7, regions=("NORTH",) * len(units), skus=names, units=np.array(units)
    )


def test_a_run_predicts_each_bucket_before_it_knows_it() -> None:
    calm = [[5.0] * 20, [3.0] * 20]
    wild = [[*row[:15], 80.0, *row[16:]] for row in calm]
    before, after = run(small(calm)), run(small(wild))
    assert np.array_equal(before.mean[:, :15], after.mean[:, :15], equal_nan=True)
    # The first series of a bucket is predicted before anything of that bucket is known.
    assert before.mean[0, 15] == after.mean[0, 15]
    assert before.mean[0, 16] != after.mean[0, 16]


def test_some_series_join_late_and_some_double() -> None:
    panel = small([[4.0] * 20 for _ in range(40)])
    later, chosen = joining(panel)
    assert 0 < chosen.sum() < 40
    assert np.isnan(later.units[chosen, :10]).all() and np.isfinite(later.units[~chosen]).all()
    shifted, some, at = doubled(panel)
    assert (shifted.units[some, at:] == 8.0).all() and (shifted.units[some, :at] == 4.0).all()
    assert (shifted.units[~some] == 4.0).all()


def test_scores_are_what_they_say() -> None:
    units = np.array([[10.0, 20.0, np.nan]])
    assert wape(units, np.array([[12.0, 16.0, 5.0]])) == pytest.approx(6 / 30)
    assert pinball(units, np.array([[8.0, 24.0, 0.0]]), 0.9) == pytest.approx((1.8 + 0.4) / 30)
    bands = np.array([[[9.0, 11.0], [21.0, 22.0], [0.0, 9.0]]])
    hits = inside(units, bands, (0, 1))
    assert hits[0, :2].tolist() == [1.0, 0.0] and np.isnan(hits[0, 2])
    assert by_step(hits, np.array([True]), 0).tolist() == [1.0, 0.0]
    usual = np.full(10, 0.8)
    back = np.array([0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8])
    assert recovery(back, usual) == 4
    assert recovery(usual - 0.3, usual) == 10
