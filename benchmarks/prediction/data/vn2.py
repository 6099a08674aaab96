"""VN2: weekly sales of a grocery chain, 599 products in stores, with flags of what was in stock."""

from pathlib import Path

import pandas as pd

from benchmarks.prediction.data.panel import Panel

_KEYS = ["Store", "Product"]


def load(folder: Path) -> Panel:
    """Load the panel of `sales.csv.gz`, one bucket a week.

    Sales out of stock show the stock left and not the demand: those weeks count as unobserved.
    Flags of weeks beyond the sales are dropped.
    """
    sales = pd.read_csv(folder / "sales.csv.gz").set_index(_KEYS)
    in_stock = pd.read_csv(folder / "in_stock.csv.gz").set_index(_KEYS)
    in_stock = in_stock.reindex(index=sales.index, columns=sales.columns)
    units = sales.astype(float).where(in_stock.eq(True))
    return Panel(
        name="VN2",
        season=52,
        regions=tuple(f"store {store}" for store, _ in units.index),
        skus=tuple(f"product {product}" for _, product in units.index),
        units=units.to_numpy(float),
    )
