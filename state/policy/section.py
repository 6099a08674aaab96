"""What all sections of the policy file are made of."""

from typing import Annotated

from msgspec import Meta, Struct

Positive = Annotated[float, Meta(gt=0, le=1e9)]
NonNegative = Annotated[float, Meta(ge=0, le=1e9)]

#: A threshold that no probability reaches, not even certainty.
NEVER = 1.0


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the policy file."""


def is_reached(probability: float, threshold: float) -> bool:
    """Whether `probability` reaches a threshold of the policy; none reaches `NEVER`."""
    return threshold < NEVER and probability >= threshold
