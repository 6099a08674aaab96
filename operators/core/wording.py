"""Amounts, lengths of time and instants, as people read them."""

from functools import lru_cache

from state.quantities import from_ms

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def money(cents: int | float, currency: str) -> str:
    """Return an amount with two decimals and the currency: ``7.31 EUR``."""
    return f"{cents / 100:.2f} {currency}"


def span(seconds: float) -> str:
    """Return a length of time in the unit people would use: minutes, hours or days."""
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.1f} days"


@lru_cache(maxsize=10_000)
def day(ms: int) -> str:
    """Return an instant as ``12 Jan 14:05`` UTC."""
    at = from_ms(ms)
    # Formatted by hand: strftime takes four times as long, and every action names a few instants.
    return f"{at.day:02} {_MONTHS[at.month - 1]} {at.hour:02}:{at.minute:02}"
