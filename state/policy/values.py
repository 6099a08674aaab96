"""Types of values in the sections of the policy file."""

from typing import Annotated

from msgspec import Meta

Positive = Annotated[float, Meta(gt=0, le=1e9)]
NonNegative = Annotated[float, Meta(ge=0, le=1e9)]

#: A threshold that no probability reaches, not even certainty.
NEVER = 1.0


def is_reached(probability: float, threshold: float) -> bool:
    """Return whether `probability` reaches a threshold of the policy; none reaches `NEVER`."""
    return threshold < NEVER and probability >= threshold
