"""The policy that people set: one TOML file per network, typed, with a reason for every number.

Sections are frozen structs; unknown keys are refused with a message that names the key. A policy
has a fingerprint, and every action carries the fingerprint of the policy it was decided under.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta, field

from state.actions import KINDS
from state.codec import fingerprint
from state.errors import PolicyError
from state.policy.feeds import Anomalies, Hygiene, Incidents, Reporting
from state.policy.governance import (
    IRREVERSIBLE,
    Autonomy,
    BlastRadius,
    Governance,
    Holds,
    Limit,
    confidence_in,
)
from state.policy.service import Delays, Exceptions, Notices
from state.policy.sourcing import Exploration, Nodes, Reevaluation, Sourcing, Weights
from state.policy.stock import Demand, Pricing, Repositioning
from state.policy.values import NEVER, is_reached
from state.quantities import Share, doc
from state.section import Section
from state.wrong_value import wrong_value

__all__ = [
    "IRREVERSIBLE",
    "NEVER",
    "Anomalies",
    "Autonomy",
    "BlastRadius",
    "Delays",
    "Demand",
    "Exceptions",
    "Exploration",
    "Governance",
    "Holds",
    "Hygiene",
    "Incidents",
    "Limit",
    "Nodes",
    "Notices",
    "Policy",
    "Pricing",
    "Reevaluation",
    "Reporting",
    "Repositioning",
    "Section",
    "Sourcing",
    "Weights",
    "confidence_in",
    "is_reached",
    "load_policy",
    "parse_policy",
]


class Policy(Section, frozen=True, kw_only=True):
    """Everything tunable, with defaults that work."""

    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)"), doc("ISO 4217 code")] = "EUR"
    margin_share: Annotated[
        Share, doc("share of a price that is margin; what a unit costs is not in the feeds")
    ] = 0.3
    weights: Weights = field(default_factory=Weights)
    sourcing: Sourcing = field(default_factory=Sourcing)
    demand: Demand = field(default_factory=Demand)
    delays: Delays = field(default_factory=Delays)
    reevaluation: Reevaluation = field(default_factory=Reevaluation)
    notices: Notices = field(default_factory=Notices)
    exceptions: Exceptions = field(default_factory=Exceptions)
    hygiene: Hygiene = field(default_factory=Hygiene)
    anomalies: Anomalies = field(default_factory=Anomalies)
    incidents: Incidents = field(default_factory=Incidents)
    holds: Holds = field(default_factory=Holds)
    exploration: Exploration = field(default_factory=Exploration)
    nodes: Nodes = field(default_factory=Nodes)
    pricing: Pricing = field(default_factory=Pricing)
    governance: Governance = field(default_factory=Governance)
    repositioning: Repositioning = field(default_factory=Repositioning)
    reporting: Reporting = field(default_factory=Reporting)

    def to_json(self) -> bytes:
        """Return canonical JSON: equal policies are equal bytes."""
        return orjson.dumps(msgspec.to_builtins(self), option=orjson.OPT_SORT_KEYS)

    def fingerprint(self) -> str:
        """Return twelve hex digits that name this policy."""
        return fingerprint(self.to_json())


def parse_policy(document: dict[str, Any], origin: str) -> Policy:
    """Check a parsed policy; raises PolicyError that names the key and `origin`."""
    try:
        policy = msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{wrong_value(error, document, Policy)}, in {origin}") from error
    for section, keys in (
        ("autonomy", policy.governance.autonomy),
        ("limits", policy.governance.limits),
    ):
        for kind in keys:
            if kind not in KINDS:
                raise PolicyError(
                    f"expected one of {', '.join(KINDS)}, was {kind!r}, "
                    f"at governance.{section} in {origin}"
                )
    return policy


def load_policy(path: Path) -> Policy:
    """Read a TOML policy file; raises PolicyError with the file, and the line or the key."""
    try:
        return parse_policy(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"expected a readable policy file, was {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"expected TOML, was {error}, in {path}") from error
