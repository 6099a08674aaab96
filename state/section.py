"""The base of all sections of files that people write: policy and settings."""

from msgspec import Struct


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of a file that people write; unknown keys are refused."""
