"""Walmart: weekly sales of 45 stores by department; holidays, weather, fuel and markdowns."""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.prediction.data.panel import Floats, Panel

_MARKDOWNS = [f"MarkDown{number}" for number in range(1, 6)]


def load(folder: Path) -> Panel:
    """Load the panel of `train.csv.gz` with the signals of `features.csv.gz`, one bucket a week.

    Net returns (negative sales) count as 0; weeks without a record as unobserved. All signals are
    what is known of a week before it begins (the weather by its forecast), as deviations from
    usual: `holiday` 0 or 1, `temperature` per 50 °F of 60, `fuel` log of the price over 3.3 dollars
    a gallon, `markdown` log of 1 + dollars ÷ 1,000 (unknown before November 2011: 0).
    """
    train = pd.read_csv(folder / "train.csv.gz", parse_dates=["Date"])
    units = train.pivot_table(index=["Store", "Dept"], columns="Date", values="Weekly_Sales")
    features = pd.read_csv(folder / "features.csv.gz", parse_dates=["Date"])
    features = features.drop_duplicates(["Store", "Date"])
    markdowns = features[_MARKDOWNS].clip(lower=0).sum(axis=1)
    features["holiday"] = features["IsHoliday"].astype(float)
    features["temperature"] = (features["Temperature"] - 60.0) / 50.0
    features["fuel"] = np.log(features["Fuel_Price"] / 3.3)
    features["markdown"] = np.log1p(markdowns / 1_000.0)
    stores = units.index.get_level_values("Store")

    def signal(name: str) -> Floats:
        by_store = features.pivot_table(index="Store", columns="Date", values=name)
        known = by_store.reindex(index=stores, columns=units.columns).fillna(0.0)
        return known.to_numpy(float)

    return Panel(
        name="Walmart",
        season=52,
        regions=tuple(f"store {store}" for store in stores),
        skus=tuple(f"department {dept}" for dept in units.index.get_level_values("Dept")),
        units=units.clip(lower=0.0).to_numpy(float),
        signals={name: signal(name) for name in ("holiday", "temperature", "fuel", "markdown")},
    )
