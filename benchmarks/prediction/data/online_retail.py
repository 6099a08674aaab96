"""Online Retail: invoice lines of a British shop for gifts, over a year; units per product and day.

The shop is closed on Saturdays: those days stay, as days without demand, for a model to learn.
"""

from pathlib import Path

import pandas as pd

from benchmarks.prediction.data.panel import Panel

_MOST_SERIES = 500


def load(folder: Path, most: int = _MOST_SERIES) -> Panel:
    """Load `online_retail.csv.gz`: the `most` products sold most in its first half.

    Cancellations (C invoices), adjustments (no price, or negative) and the lines that a customer
    cancelled in full on the same day are left out. A series begins on its first day with demand.
    """
    lines = pd.read_csv(
        folder / "online_retail.csv.gz",
        usecols=["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"],
        dtype={"InvoiceNo": str, "StockCode": str},
        parse_dates=["InvoiceDate"],
    )
    lines["day"] = lines["InvoiceDate"].dt.normalize()
    cancelled = lines["InvoiceNo"].str.startswith("C")
    same = ["CustomerID", "StockCode", "Quantity", "day"]
    undone = lines.loc[cancelled, same].dropna().assign(Quantity=lambda part: -part["Quantity"])
    sold = lines[~cancelled & (lines["Quantity"] > 0) & (lines["UnitPrice"] > 0)]
    sold = sold.merge(undone.drop_duplicates(), how="left", on=same, indicator=True)
    sold = sold[sold["_merge"] == "left_only"]
    daily = sold.pivot_table(
        index="StockCode", columns="day", values="Quantity", aggfunc="sum", observed=True
    )
    daily = daily.reindex(columns=pd.date_range(daily.columns[0], daily.columns[-1]))
    first_half = daily.iloc[:, : daily.shape[1] // 2].sum(axis=1)
    kept = daily.loc[first_half.nlargest(most).index].sort_index()
    begun = kept.notna().cumsum(axis=1) > 0
    units = kept.fillna(0.0).where(begun)
    return Panel(
        name="Online Retail",
        season=7,
        regions=("shop",) * len(units),
        skus=tuple(units.index),
        units=units.to_numpy(float),
    )
