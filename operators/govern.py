"""Govern: the last gate. It decides act, propose or leave out, and gives every action its id.

An action that may not be carried out on its own is proposed, not dropped: over a limit, with the
network halted, or resting on a feed that is not healthy. Only a kind that the policy switches off
is left out, and that is counted.
"""

from typing import Literal

import msgspec
from msgspec import Struct, field

from operators.contract import Operator, Record, pack, unpack
from operators.derived import Draft, FeedHealth, Inert, OrderMoved, PolicyInForce
from state.actions import Action, ActionData, Because
from state.codec import decode_action, encode_action
from state.events import ActionApproved, ActionRejected, NetworkHalted, NetworkResumed
from state.policy import Policy
from state.quantities import HOUR_MS, from_ms, to_ms

_VERSION = "govern/1"
#: Named on every action, so that a reader knows which code decided.
MODEL = "crossdock 0.1"


class _Spent(Struct):
    """What one kind has done in the current hour of journal time."""

    hour: int = 0
    actions: int = 0
    cents: int = 0


class _State(Struct):
    network: str
    policy: Policy
    fingerprint: str
    halted: str = ""
    health: dict[str, float] = field(default_factory=dict)
    spent: dict[str, _Spent] = field(default_factory=dict)
    seq: int = 0
    numbered: int = 0
    cause: str | None = None
    # Action id -> (the proposal's wire bytes, expiry in ms, what it is about); the oldest first.
    proposals: dict[str, tuple[bytes, int, str]] = field(default_factory=dict)


class Govern(Operator):
    """Turns drafts into actions; everything else is passed on."""

    name = "govern"

    def __init__(self, network: str, policy: Policy) -> None:
        self._state = _State(network, policy, policy.fingerprint())

    @property
    def seq(self) -> int:
        """Place in the journal of the last record folded in."""
        return self._state.seq

    def step(self, record: Record) -> list[Record]:
        """Fold in drafts and what people say."""
        state = self._state
        if record.seq != state.seq:
            state.seq, state.numbered, state.cause = record.seq, 0, None
        if record.event is not None:
            state.cause = record.event.id
        match record.fact:
            case Draft() as draft:
                return [self._gate(record, draft)]
            case FeedHealth() as health:
                state.health[health.family] = health.score
            case PolicyInForce() as changed:
                state.policy = changed.policy
                state.fingerprint = changed.policy.fingerprint()
            case NetworkHalted() as halted:
                state.halted = halted.reason or f"halted by {halted.by}"
            case NetworkResumed():
                state.halted = ""
            case ActionApproved() as approved:
                return [record, *self._approve(record, approved)]
            case OrderMoved(after="cancelled") as moved:
                for name in [n for n, p in state.proposals.items() if p[2] == moved.order]:
                    del state.proposals[name]
            case ActionRejected() as rejected:
                state.proposals.pop(rejected.action, None)
            case _:
                pass
        return [record]

    def _gate(self, record: Record, draft: Draft) -> Record:
        kind = draft.decision.verb
        autonomy = self._state.policy.governance.autonomy_of(kind)
        if autonomy == "off":
            reason = "switched off by the policy"
            return record.derive(Inert(kind=kind, about=draft.subject, reason=reason))
        held_back = "the policy asks for a person" if autonomy == "propose" else ""
        held_back = held_back or self._doubt(draft) or self._over_limit(kind, draft, record)
        if not held_back:
            return record.derive(self._action(record, draft, "act"))
        action = self._action(record, draft, "propose", held_back)
        self._remember(action, record.now_ms)
        return record.derive(action)

    def _remember(self, action: Action, now_ms: int) -> None:
        """Keep a proposal for its approval; drop those that have expired."""
        proposals = self._state.proposals
        assert action.expirytime is not None
        # Money that a customer is owed stays owed when the order ends.
        about = "" if action.kind == "refund" else action.correlationid or ""
        proposals[action.id] = (encode_action(action), to_ms(action.expirytime), about)
        while proposals and proposals[next(iter(proposals))][1] < now_ms:
            del proposals[next(iter(proposals))]

    def _approve(self, record: Record, approved: ActionApproved) -> list[Record]:
        """The approved proposal as an action to carry out, under an id of its own."""
        raw, expires_ms, _ = self._state.proposals.pop(approved.action, (b"", 0, ""))
        kind = "approve"
        if not raw or expires_ms < record.now_ms:
            reason = "no such proposal is open" if not raw else "the proposal has expired"
            return [record.derive(Inert(kind=kind, about=approved.action, reason=reason))]
        proposal = decode_action(raw)
        self._state.numbered += 1
        summary = f"{proposal.data.because.summary} Approved by {approved.by}."
        because = msgspec.structs.replace(
            proposal.data.because,
            summary=summary,
            causes=tuple(sorted({*proposal.data.because.causes, proposal.seq, record.seq})),
        )
        data = msgspec.structs.replace(
            proposal.data, mode="act", because=because, approves=proposal.id
        )
        action = msgspec.structs.replace(
            proposal,
            id=f"{self._state.network}:{record.seq}-{self._state.numbered}",
            time=from_ms(record.now_ms),
            causationid=self._state.cause,
            data=data,
        )
        return [record.derive(action)]

    def _doubt(self, draft: Draft) -> str:
        """Why the draft may not be trusted to act; empty if it may."""
        state = self._state
        if state.halted:
            return f"the network is halted: {state.halted}"
        bound = state.policy.hygiene.trusted_above
        for family in draft.rests_on:
            score = state.health.get(family, 1.0)
            if score < bound:
                return f"the {family} feed's health is {score:.2f}, below {bound:g}"
        return ""

    def _over_limit(self, kind: str, draft: Draft, record: Record) -> str:
        """Why the draft is over a limit; empty, and counted, if it is not."""
        limit = self._state.policy.governance.limit_of(kind)
        spent = self._state.spent.setdefault(kind, _Spent())
        hour = record.now_ms // HOUR_MS
        if spent.hour != hour:
            spent.hour, spent.actions, spent.cents = hour, 0, 0
        if draft.value_cents > limit.value_cents:
            return f"{draft.value_cents} cents at stake, more than {limit.value_cents} alone"
        if spent.actions + 1 > limit.per_hour:
            return f"{limit.per_hour} of its kind acted this hour already"
        if spent.cents + draft.value_cents > limit.value_cents_per_hour:
            return f"over {limit.value_cents_per_hour} cents at stake this hour"
        spent.actions += 1
        spent.cents += draft.value_cents
        return ""

    def _action(
        self,
        record: Record,
        draft: Draft,
        mode: Literal["act", "propose"],
        held_back: str = "",
    ) -> Action:
        state = self._state
        state.numbered += 1
        summary = f"{draft.summary} Proposed, since {held_back}." if held_back else draft.summary
        expires_ms = draft.expires_ms
        if mode == "propose":
            waits_ms = record.now_ms + state.policy.governance.proposal_s * 1000
            expires_ms = waits_ms if expires_ms is None else min(expires_ms, waits_ms)
        because = Because(
            summary=summary,
            score_cents=sum(draft.terms.values()),
            terms=draft.terms,
            alternatives=draft.alternatives,
            eliminated=draft.eliminated,
            confidence=draft.confidence,
            flips_if=draft.flips_if,
            draw=draft.draw,
            causes=draft.causes,
            policy=state.fingerprint,
            model=MODEL,
        )
        return Action(
            id=f"{state.network}:{record.seq}-{state.numbered}",
            source=f"crossdock/{state.network}",
            type=f"crossdock.action.{draft.decision.verb}",
            time=from_ms(record.now_ms),
            subject=draft.subject,
            partitionkey=state.network,
            correlationid=draft.correlation,
            causationid=state.cause,
            expirytime=None if expires_ms is None else from_ms(expires_ms),
            data=ActionData(
                mode=mode,
                value_cents=max(draft.value_cents, 0),
                decision=draft.decision,
                because=because,
                deadline=None if draft.deadline_ms is None else from_ms(draft.deadline_ms),
                benefit=draft.benefit,
            ),
        )

    def snapshot(self) -> bytes:
        """What was spent, what is proposed, and the policy, as versioned plain values."""
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Inverse of `snapshot`."""
        self._state = unpack(_VERSION, data, _State)
