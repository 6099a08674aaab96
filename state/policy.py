"""The policy that people set: one TOML file per network, typed, with a reason for every number.

Sections are frozen structs; unknown keys are refused with a message that names the key. A policy
has a fingerprint, and every action carries the fingerprint of the policy it was decided under.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import orjson
from msgspec import Meta, Struct, field

from state.actions import KINDS
from state.codec import fingerprint
from state.errors import PolicyError
from state.governance import IRREVERSIBLE, BlastRadius
from state.quantities import DAY_S, HOUR_S, Seconds, Share, TotalCents, doc

Autonomy = Literal["act", "propose", "off"]
Positive = Annotated[float, Meta(gt=0, le=1e9)]
NonNegative = Annotated[float, Meta(ge=0, le=1e9)]

#: A threshold that no probability reaches, not even certainty.
NEVER = 1.0


def is_reached(probability: float, threshold: float) -> bool:
    """Whether `probability` reaches a threshold of the policy; none reaches `NEVER`."""
    return threshold < NEVER and probability >= threshold


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the policy file."""


class Weights(_Section, frozen=True, kw_only=True):
    """What a unit of harm is worth in money; terms of every score."""

    late_fixed_cents: Annotated[
        NonNegative, doc("cents for being late at all: a contact and lost goodwill")
    ] = 400.0
    late_hour_cents: Annotated[NonNegative, doc("cents per hour of expected lateness")] = 12.0
    carbon_kg_cents: Annotated[
        NonNegative, doc("cents per kg CO2e; 10 = 100 per tonne, near the EU allowance price")
    ] = 10.0
    displacement_unit_cents: Annotated[
        NonNegative,
        doc("cents of extra freight when a later local customer is served from elsewhere"),
    ] = 120.0


class Sourcing(_Section, frozen=True, kw_only=True):
    """How orders are matched with nodes and carriers."""

    rule: Annotated[
        Literal["least_cost", "nearest", "cheapest"],
        doc(
            "least_cost weighs all that is known; nearest and cheapest go by nominal transit, "
            "freight and handling alone, as simple order management does, for comparison"
        ),
    ] = "least_cost"
    max_legs: Annotated[int, Meta(ge=1, le=5), doc("parcels an order may be split into")] = 3
    split_nodes: Annotated[
        int, Meta(ge=2, le=50), doc("nodes looked at when a split is searched; bounds the work")
    ] = 8
    split_fixed_cents: Annotated[
        NonNegative, doc("cents of annoyance per further parcel a customer has to receive")
    ] = 80.0
    reservation_s: Annotated[
        Seconds, doc("s after the planned handover at which unpicked stock is given back")
    ] = 3 * DAY_S
    safety_stock: Annotated[
        int, Meta(ge=0, le=10**9), doc("units per node and SKU never promised: shelves err")
    ] = 0
    inbound_slip_s: Annotated[
        Seconds, doc("s added to an inbound's ETA before units due are promised")
    ] = 6 * HOUR_S
    displacement_horizon_s: Annotated[
        Seconds, doc("s of local demand that stock is wanted for: a replenishment cycle")
    ] = 3 * DAY_S
    alternatives: Annotated[
        int, Meta(ge=0, le=20), doc("rejected options shown with each decision")
    ] = 3


class Delays(_Section, frozen=True, kw_only=True):
    """When a shipment is thought to be late, and what may be done about it."""

    act_above: Annotated[
        Share, doc("P(late) above which rerouting and reshipping are priced; 1 = never")
    ] = 0.60
    least_gain_cents: Annotated[
        TotalCents, doc("cents a remedy must save over waiting: intervening has a cost of its own")
    ] = 50
    reprice_s: Annotated[
        Seconds, doc("s by which the expected delivery must slip before remedies are priced again")
    ] = 6 * HOUR_S
    notify_above: Annotated[
        Share, doc("P(late) above which the customer is told of a delay; 1 = never")
    ] = 0.60
    give_up_s: Annotated[
        Seconds, doc("s after the promise at which an undelivered shipment is presumed lost")
    ] = 60 * DAY_S
    publish_step: Annotated[
        Share, doc("change of P(late) that is worth passing on; smaller ones are noise")
    ] = 0.05
    eta_step_s: Annotated[
        Seconds, doc("s by which the expected delivery must move to be passed on on its own")
    ] = 12 * HOUR_S
    learning_rate: Annotated[Positive, doc("AdaGrad step of the delay model")] = 0.02


class Notices(_Section, frozen=True, kw_only=True):
    """What customers hear, and how often."""

    quiet_s: Annotated[
        Seconds, doc("s without a further change before a notice goes out, so that changes merge")
    ] = 900
    longest_wait_s: Annotated[Seconds, doc("s after which a notice goes out all the same")] = (
        2 * HOUR_S
    )
    material_s: Annotated[
        Seconds, doc("s by which a told date must slip before the customer hears again")
    ] = DAY_S


class Hygiene(_Section, frozen=True, kw_only=True):
    """What is done about imperfect feeds."""

    lateness_s: Annotated[
        Seconds, doc("s that a fact may arrive after it happened and still count in order")
    ] = 2 * HOUR_S
    clock_skew_s: Annotated[
        Seconds, doc("s that a producer's clock may run ahead of the journal's")
    ] = 600
    largest_jump_s: Annotated[
        Seconds, doc("s by which one record may move the journal's now; a wrong date must not")
    ] = 45 * DAY_S
    remembered_ids: Annotated[
        int,
        Meta(ge=1, le=10**7),
        doc("latest event ids known as duplicates; up to twice as many are held"),
    ] = 20_000
    parked_events: Annotated[
        int, Meta(ge=0, le=10**6), doc("events kept waiting for what they refer to")
    ] = 10_000
    silent_s: Annotated[Seconds, doc("s without a word after which a feed counts as silent")] = (
        6 * HOUR_S
    )
    trusted_above: Annotated[
        Share, doc("feed health below which what rests on the feed is proposed, not done")
    ] = 0.50


class Anomalies(_Section, frozen=True, kw_only=True):
    """What is not believed: it takes effect, but no model learns from it."""

    wild_above: Annotated[
        Positive,
        doc("robust spreads from the median beyond which a quantity, signal or detour is wild"),
    ] = 8.0
    jump_above: Annotated[
        Positive, doc("robust spreads beyond which a count or an adjustment is a jump")
    ] = 8.0
    fastest_km_h: Annotated[
        Positive, doc("km/h between two scans beyond which one is wrong; aeroplanes fly 900")
    ] = 1_000.0
    slack_km: Annotated[
        NonNegative, doc("km that scans may be off: a hub's place may be its region's centre")
    ] = 100.0
    early_s: Annotated[
        Seconds, doc("s by which a scan may precede the handover or follow the delivery")
    ] = HOUR_S


class Incidents(_Section, frozen=True, kw_only=True):
    """When alarms make an incident, and when people hear of it."""

    together_s: Annotated[Seconds, doc("s between alarms that may have one cause")] = DAY_S
    quiet_s: Annotated[Seconds, doc("s without an alarm after which an incident is over")] = (
        2 * DAY_S
    )
    least_observations: Annotated[
        int, Meta(ge=1, le=10**6), doc("observations behind an incident worth telling people")
    ] = 20
    least_factor: Annotated[
        Annotated[float, Meta(ge=1.0, le=1_000.0)],
        doc("multiple of the usual, up or down, from which an incident is worth telling"),
    ] = 1.2


class Limit(_Section, frozen=True, kw_only=True):
    """The most that one kind of action may do on its own; beyond it, actions are proposed."""

    per_hour: Annotated[int, Meta(ge=0), doc("actions per hour of journal time")] = 1_000_000
    value_cents: Annotated[TotalCents, doc("money at stake in one action")] = 10**12
    value_cents_per_hour: Annotated[TotalCents, doc("money at stake per hour of journal time")] = (
        10**12
    )
    least_confidence: Annotated[
        Share, doc("how sure it must be, where it rests on a probability; P(late) counts against")
    ] = 0.0


#: What holds for kinds that the policy does not name.
_USUAL_AUTONOMY: dict[str, Autonomy] = {"refund": "propose", "reprice": "propose"}
# A model gone wrong must not empty the warehouses or flood the customers.
_USUAL_LIMITS = {
    "reroute": Limit(per_hour=200),
    "reship": Limit(per_hour=50, value_cents=50_000, value_cents_per_hour=1_000_000),
    "notify": Limit(per_hour=2_000),
    "reconcile": Limit(value_cents=200_000),
}
_NO_LIMIT = Limit()


class Governance(_Section, frozen=True, kw_only=True):
    """What the engine may do without a person."""

    autonomy: Annotated[
        dict[str, Autonomy],
        doc("act, propose or off by kind; refund and reprice propose, others act"),
    ] = field(default_factory=dict)
    limits: Annotated[
        dict[str, Limit], doc("limits by kind; reroute, reship, notify, reconcile have usual ones")
    ] = field(default_factory=dict)
    proposal_s: Annotated[Seconds, doc("s that a proposal waits for a person")] = DAY_S
    trusted_above_irreversible: Annotated[
        Share,
        doc(f"feed health below which {', '.join(IRREVERSIBLE)} are proposed: no way back"),
    ] = 0.60
    blast_radius: BlastRadius = field(default_factory=BlastRadius)

    def is_off(self, kind: str) -> bool:
        """Whether nothing of `kind` is to be decided at all."""
        return self.autonomy_of(kind) == "off"

    def autonomy_of(self, kind: str) -> Autonomy:
        """What `kind` may do: as the policy says, else the usual."""
        return self.autonomy.get(kind) or _USUAL_AUTONOMY.get(kind, "act")

    def limit_of(self, kind: str) -> Limit:
        """The limit on `kind`: as the policy says, else the usual."""
        return self.limits.get(kind) or _USUAL_LIMITS.get(kind, _NO_LIMIT)


class Demand(_Section, frozen=True, kw_only=True):
    """How demand is followed."""

    bucket_s: Annotated[
        int, Meta(ge=60, le=30 * DAY_S), doc("s per observation of a demand series")
    ] = DAY_S
    fading: Annotated[
        Annotated[float, Meta(gt=0.0, lt=1.0)],
        doc("weight of the newest bucket in a series' level; 0.05 remembers about 20"),
    ] = 0.05
    signal_memory_s: Annotated[Seconds, doc("s after which a signal no longer counts")] = 2 * DAY_S


class Reporting(_Section, frozen=True, kw_only=True):
    """Windows of the KPIs."""

    window_s: Annotated[
        int, Meta(ge=60, le=30 * DAY_S), doc("s per KPI window, aligned to the epoch")
    ] = HOUR_S


class Policy(_Section, frozen=True, kw_only=True):
    """Everything tunable, with defaults that work."""

    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)"), doc("ISO 4217 code")] = "EUR"
    weights: Weights = field(default_factory=Weights)
    sourcing: Sourcing = field(default_factory=Sourcing)
    demand: Demand = field(default_factory=Demand)
    delays: Delays = field(default_factory=Delays)
    notices: Notices = field(default_factory=Notices)
    hygiene: Hygiene = field(default_factory=Hygiene)
    anomalies: Anomalies = field(default_factory=Anomalies)
    incidents: Incidents = field(default_factory=Incidents)
    governance: Governance = field(default_factory=Governance)
    reporting: Reporting = field(default_factory=Reporting)

    def to_json(self) -> bytes:
        """Canonical JSON: equal policies are equal bytes."""
        return orjson.dumps(msgspec.to_builtins(self), option=orjson.OPT_SORT_KEYS)

    def fingerprint(self) -> str:
        """Twelve hex digits that name this policy."""
        return fingerprint(self.to_json())


def parse_policy(document: dict[str, Any], origin: str) -> Policy:
    """Check a parsed policy; raises PolicyError that names the key and `origin`."""
    try:
        policy = msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{error}, in {origin}") from error
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
