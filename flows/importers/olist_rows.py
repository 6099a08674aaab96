"""Rows of the public Olist tables, and errors with the place of a wrong row.

Accepted are the short names (``orders.csv``) and those of the original on Kaggle
(``olist_orders_dataset.csv``), each also as ``.gz``.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO

from state.errors import JournalError
from state.quantities import EARLIEST, LATEST, to_ms

#: Brasília time without summer time.
LOCAL_ZONE = timezone(timedelta(hours=-3))

# The longest id of an event, ``stock.received/{seller}/{product}``, stays within 128.
_LONGEST_ID = 56
_CORRUPT = (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error)

#: Columns that are read, by table; further columns are allowed.
COLUMNS = {
    "customers": (
        "customer_id",
        "customer_unique_id",
        "customer_zip_code_prefix",
        "customer_state",
    ),
    "geolocation": (
        "geolocation_zip_code_prefix",
        "geolocation_lat",
        "geolocation_lng",
        "geolocation_state",
    ),
    "order_items": (
        "order_id",
        "order_item_id",
        "product_id",
        "seller_id",
        "shipping_limit_date",
        "price",
        "freight_value",
    ),
    "orders": (
        "order_id",
        "customer_id",
        "order_status",
        "order_purchase_timestamp",
        "order_delivered_carrier_date",
        "order_delivered_customer_date",
        "order_estimated_delivery_date",
    ),
    "products": ("product_id", "product_category_name", "product_weight_g"),
    "sellers": ("seller_id", "seller_zip_code_prefix", "seller_city", "seller_state"),
}


class Row:
    """One row of a table, read by column; a wrong value raises JournalError naming its line."""

    __slots__ = ("_index", "_line", "_path", "_values")

    def __init__(self, values: list[str], index: dict[str, int], path: Path, line: int) -> None:
        self._values = values
        self._index = index
        self._path = path
        self._line = line

    def __getitem__(self, column: str) -> str:
        return self._values[self._index[column]].strip()

    def wrong(self, expected: str, was: object) -> JournalError:
        """Return the error to raise, with the place of this row."""
        return JournalError(f"expected {expected}, was {was!r}, at {self._path}:{self._line}")

    def id(self, column: str) -> str:
        """Return an identifier: not empty, no spaces, short enough."""
        text = self[column]
        if not text or len(text) > _LONGEST_ID or len(text.split()) != 1:
            raise self.wrong(f"1 to {_LONGEST_ID} characters without spaces in {column}", text)
        return text

    def maybe_id(self, column: str) -> str | None:
        """Return as `id`, with words joined by underscores; None where the cell is empty."""
        text = "_".join(self[column].split())
        if len(text) > _LONGEST_ID:
            raise self.wrong(f"at most {_LONGEST_ID} characters in {column}", text)
        return text or None

    def zip_prefix(self, column: str) -> str:
        """Return a zip prefix without leading zeros."""
        return self.id(column).lstrip("0")

    def number(self, column: str, low: float = 0.0) -> float:
        """Return a finite number from `low` to 1e9."""
        text = self[column]
        try:
            value = float(text)
        except ValueError:
            raise self.wrong(f"a number in {column}", text) from None
        if not low <= value <= 1e9:  # also refuses NaN
            raise self.wrong(f"a number from {low:g} to 1e9 in {column}", text)
        return value

    def instant(self, column: str) -> datetime:
        """Return a local timestamp or date, in UTC."""
        text = self[column]
        try:
            if "/" in text:
                # Month first: read day first, limits would lie a year before their orders.
                naive = datetime.strptime(text, "%m/%d/%Y %H:%M")
            else:
                naive = datetime.fromisoformat(text)
        except ValueError:
            raise self.wrong(f"a local timestamp in {column}", text) from None
        found = naive.replace(tzinfo=LOCAL_ZONE).astimezone(UTC)
        if not EARLIEST <= found < LATEST:
            raise self.wrong(f"a year from {EARLIEST:%Y} to before {LATEST:%Y} in {column}", text)
        return found

    def maybe_ms(self, column: str) -> int | None:
        """Return a local timestamp in ms since the epoch; None where the cell is empty."""
        return to_ms(self.instant(column)) if self[column] else None


def read_rows(folder: Path, table: str) -> Iterator[Row]:
    """Yield all rows of a table of `COLUMNS`, in the file's order.

    Raises JournalError for a missing file or column, and for a file that cannot be read.
    """
    path = _path(folder, table)
    line = 1
    try:
        with _opened(path) as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            index = {name: place for place, name in enumerate(header)}
            for column in COLUMNS[table]:
                if column not in index:
                    raise JournalError(
                        f"expected a column {column}, was {', '.join(header) or 'no header'}, "
                        f"at {path}:1"
                    )
            for values in reader:
                line = reader.line_num
                if not values:
                    continue
                if len(values) != len(header):
                    raise JournalError(
                        f"expected {len(header)} columns, was {len(values)}, at {path}:{line}"
                    )
                yield Row(values, index, path, line)
    except _CORRUPT as error:
        raise JournalError(
            f"expected a readable table, was {error}, at {path}, after line {line}"
        ) from error


def _path(folder: Path, table: str) -> Path:
    names = [
        name + suffix
        for name in (f"{table}.csv", f"olist_{table}_dataset.csv")
        for suffix in ("", ".gz")
    ]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise JournalError(f"expected one of {', '.join(names)}, was none of them, at {folder}")


def _opened(path: Path) -> IO[str]:
    # utf-8-sig: copies that went through a spreadsheet start with a byte order mark.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
