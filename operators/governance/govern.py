"""Govern: the last gate. It decides act, propose or leave out, and gives every action its id.

An action that may not be carried out on its own is proposed, not dropped: over a limit, with the
network halted, resting on a feed that is not healthy, or less sure than it has to be. When all
kinds together have gone as far as they may, everything is proposed and a person is called. Only a
kind that the policy switches off is left out, and that is counted.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from operators.core.contract import Operator, Record, pack, unpack
from operators.core.facts import (
    BlastRadiusTripped,
    Draft,
    FeedHealth,
    HeldBack,
    NoAction,
    OrderMoved,
    PolicyInForce,
    ProposalClosed,
    Refused,
)
from operators.governance.limits import Limits
from operators.governance.proposals import Proposals
from state.actions import Action, ActionData, Because, Decision, Escalate
from state.events import (
    ActionApproved,
    ActionFailed,
    ActionRejected,
    NetworkHalted,
    NetworkResumed,
)
from state.keys import ActionId
from state.policy import Policy, confidence_in
from state.quantities import from_ms
from state.sums import int_sum

_VERSION = "govern/3"
#: Version of the code, named on every action.
MODEL = "crossdock 0.1"
#: (The gate that keeps an action from acting, and why in words.)
_Doubt = tuple[str, str]
_Outcome = Literal["approved", "rejected", "expired", "withdrawn"]
#: States in which an order needs nothing sent any more; refunds and notices of it stand.
_ENDED = ("delivered", "lost", "abandoned")


#: Facts that concern the operators before the gate.
RETURNING = (ProposalClosed, Refused)


class _State(Struct):
    network: str
    policy: Policy
    fingerprint: str
    halted: str = ""
    # Why the blast radius tripped; and until when that holds, 0 = until a person resumes.
    tripped: str = ""
    tripped_until_ms: int = 0
    health: dict[str, float] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    seq: int = 0
    numbered: int = 0
    closed: int = 0
    cause: str | None = None
    proposals: Proposals = field(default_factory=Proposals)


class Govern(Operator):
    """Turns drafts into actions; everything else is passed on.

    The facts it derives of the classes `RETURNING` go back to the operator that decided, see
    `operators.core.loop`.
    """

    name = "govern"

    def __init__(self, network: str, policy: Policy) -> None:
        self._state = _State(network, policy, policy.fingerprint())

    @property
    def seq(self) -> int:
        """Return the place in the journal of the last record folded in."""
        return self._state.seq

    @property
    def proposals(self) -> list[Action]:
        """Return what waits for a person to decide, the oldest first."""
        return self._state.proposals.all()

    def step(self, record: Record) -> list[Record]:
        """Fold in drafts and decisions of people."""
        state = self._state
        if record.seq != state.seq:
            state.seq, state.numbered, state.closed, state.cause = record.seq, 0, 0, None
        if record.event is not None:
            state.cause = record.event.id
        out: list[Record] = []
        waiting = state.proposals.deadlines.heap
        if waiting and waiting[0][0] < record.now_ms:  # asked here: it is asked at every record
            out = self._expire(record)
        take_in = _TAKE_IN.get(type(record.fact))
        if take_in is None:
            out.append(record)
        else:
            out += take_in(self, record, record.fact)
        return out

    # What a fact gives, the record itself included where it goes on.

    def _drafted(self, record: Record, draft: Draft) -> list[Record]:
        out: list[Record] = []
        if self._state.proposals.open and draft.correlation:
            out += self._overtake(record, draft.correlation, draft.decision)
        return out + self._gate(record, draft)

    def _feed(self, record: Record, health: FeedHealth) -> list[Record]:
        self._state.health[health.family] = health.score
        return [record]

    def _halt(self, record: Record, halted: NetworkHalted) -> list[Record]:
        self._state.halted = halted.reason or f"halted by {halted.by}"
        return [record]

    def _resume(self, record: Record, resumed: NetworkResumed) -> list[Record]:
        state = self._state
        state.halted = state.tripped = ""
        state.limits.forget_window()
        return [record]

    def _moved(self, record: Record, moved: OrderMoved) -> list[Record]:
        """Withdraw what an order that ended does not need any more."""
        proposals = self._state.proposals
        ended: list[Action] = []
        if moved.after == "cancelled":
            ended = proposals.take_about(moved.order)
        elif moved.after in _ENDED:
            ended = proposals.take_sending(moved.order)
        return [*(self._close(record, each, "withdrawn") for each in ended), record]

    def _adopt(self, record: Record, changed: PolicyInForce) -> list[Record]:
        state, policy = self._state, changed.policy
        before = state.policy.governance.blast_radius.window_s
        state.policy, state.fingerprint = policy, policy.fingerprint()
        if policy.governance.blast_radius.window_s != before:
            state.limits.forget_window()
        return [record]

    def _gate(self, record: Record, draft: Draft) -> list[Record]:
        kind = draft.decision.verb
        if self._state.policy.governance.is_off(kind):
            reason = "switched off by the policy"
            return [record.derive(NoAction(kind=kind, about=draft.subject, reason=reason))]
        self._end_trip(record.now_ms)
        was_tripped = self._state.tripped
        doubt = self._doubt(kind, draft) or self._over_limit(kind, draft, record)
        if doubt is None:
            return [record.derive(self._action(record, draft, "act"))]
        gate, why = doubt
        action = self._action(record, draft, "propose", why)
        self._state.proposals.add(action)
        held = HeldBack(kind=kind, gate=gate)  # type: ignore[arg-type] # all gates are below
        out = [record.derive(action), record.derive(held)]
        if self._state.tripped and not was_tripped:
            out += self._call(record, draft)
        return out

    def _end_trip(self, now_ms: int) -> None:
        """Forget that the blast radius tripped once its window is over, if that ends it."""
        state = self._state
        if state.tripped and state.tripped_until_ms and now_ms >= state.tripped_until_ms:
            state.tripped = ""
            state.limits.forget_window()

    def _doubt(self, kind: str, draft: Draft) -> _Doubt | None:
        """Return why the draft may not be trusted to act; None if it may."""
        state = self._state
        rules = state.policy.governance
        if rules.autonomy_of(kind) == "propose":
            return "autonomy", "the policy asks for a person"
        if state.halted:
            return "halted", f"the network is halted: {state.halted}"
        if state.tripped:
            return "blast_radius", f"{state.tripped}, and nobody has resumed the network yet"
        bound = state.policy.hygiene.trusted_above
        if draft.decision.irreversible:
            bound = max(bound, rules.trusted_above_irreversible)
        for family in draft.rests_on:
            score = state.health.get(family, 1.0)
            if score < bound:
                return "feed_health", (
                    f"the {family} feed's health is {score:.2f}, below {bound:g}"
                )
        least = rules.limit_of(kind).least_confidence
        if draft.confidence is not None:
            sure = confidence_in(kind, draft.confidence.probability)
            if sure < least:
                return "confidence", f"it is {sure:.0%} sure, and has to be {least:.0%}"
        return None

    def _over_limit(self, kind: str, draft: Draft, record: Record) -> _Doubt | None:
        """Return why the draft is over a limit; if it is not, count it and return None."""
        state, now_ms = self._state, record.now_ms
        rules, limits = state.policy.governance, state.limits
        exceeded = limits.exceeded(kind, draft.value_cents, rules.limit_of(kind), now_ms)
        if exceeded is not None:
            return exceeded
        if draft.decision.calls_a_person:
            limits.count(kind, draft.value_cents, None, now_ms)
            return None
        radius, cents = rules.blast_radius, max(draft.value_cents, 0)
        overreach = limits.overreach(cents, radius, now_ms)
        if overreach:
            state.tripped = overreach
            ends = radius.resumed_by == "window"
            state.tripped_until_ms = now_ms + radius.window_s * 1000 if ends else 0
            return "blast_radius", overreach
        limits.count(kind, cents, radius, now_ms)
        return None

    def _call(self, record: Record, draft: Draft) -> list[Record]:
        """Tell people, once, that the blast radius tripped."""
        state = self._state
        until = "somebody resumes the network"
        if state.tripped_until_ms:
            until = f"{from_ms(state.tripped_until_ms):%Y-%m-%d %H:%M} UTC"
        reason = f"blast radius: {state.tripped}"
        call = Draft(
            decision=Escalate(about=state.network, reason=reason),
            subject=state.network,
            correlation=None,
            summary=f"Network {state.network} only proposes until {until}: {state.tripped}. "
            f"The next would have been {draft.decision.verb} {draft.subject}.",
            terms={},
            value_cents=0,
            causes=(record.seq,),
        )
        tripped = record.derive(BlastRadiusTripped(reason=state.tripped))
        if state.policy.governance.is_off(Escalate.verb):
            return [tripped]
        return [tripped, record.derive(self._action(record, call, "act"))]

    def _expire(self, record: Record) -> list[Record]:
        """Close each proposal that was not decided in time."""
        out = []
        for proposal in self._state.proposals.take_expired(record.now_ms):
            reason = "the proposal expired: nobody decided in time"
            out.append(
                record.derive(NoAction(kind=proposal.kind, about=proposal.subject, reason=reason))
            )
            out.append(self._close(record, proposal, "expired"))
        return out

    def _overtake(self, record: Record, order: str, decision: Decision) -> list[Record]:
        """Close what a decision about its order overtakes.

        Approved later, it would send units twice, or units that are not wanted any more.
        """
        overtaken = self._state.proposals.take_overtaken(order, decision)
        return [self._close(record, proposal, outcome) for proposal, outcome in overtaken]

    def _refuse(self, record: Record, refused: ActionFailed | ActionRejected) -> list[Record]:
        """Close a refused proposal; a refusal of other actions goes to the desk that decided."""
        proposal = self._state.proposals.take(refused.action)
        if proposal is None:
            of = ActionId.parse(refused.action)
            is_ours = of is not None and of.network == self._state.network
            proposed = self._state.proposals.of_record(of.seq) if of and is_ours else ()
            return [record.derive(Refused(refusal=refused, proposed=proposed)), record]
        by = refused.by if isinstance(refused, ActionRejected) else ""
        return [self._close(record, proposal, "rejected", by, refused.reason), record]

    def _close(
        self, record: Record, proposal: Action, outcome: _Outcome, by: str = "", why: str = ""
    ) -> Record:
        self._state.closed += 1
        return record.derive(
            ProposalClosed(
                action=proposal.id,
                decision=proposal.data.decision,
                about=proposal.subject,
                outcome=outcome,
                place=self._state.closed,
                by=by,
                why=why,
            )
        )

    def _approve(self, record: Record, approved: ActionApproved) -> list[Record]:
        """Return the approved proposal as an action to carry out, under an id of its own."""
        proposal = self._state.proposals.take(approved.action)
        if proposal is None:
            reason = "no such proposal is open"
            inert = NoAction(kind="approve", about=approved.action, reason=reason)
            return [record, record.derive(inert)]
        closed = self._close(record, proposal, "approved", approved.by, approved.reason)
        self._state.numbered += 1
        reason = f": {approved.reason}" if approved.reason else ""
        because = msgspec.structs.replace(
            proposal.data.because,
            summary=f"{proposal.data.because.summary} Approved by {approved.by}{reason}.",
            causes=tuple(sorted({*proposal.data.because.causes, proposal.seq, record.seq})),
        )
        data = msgspec.structs.replace(
            proposal.data, mode="act", because=because, approves=proposal.id
        )
        action = msgspec.structs.replace(
            proposal,
            id=str(ActionId(self._state.network, record.seq, self._state.numbered)),
            time=from_ms(record.now_ms),
            causationid=self._state.cause,
            data=data,
        )
        return [record, closed, record.derive(action)]

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
            score_cents=int_sum(draft.terms.values()),
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
            id=str(ActionId(state.network, record.seq, state.numbered)),
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
        """Return spending, proposals and the policy as versioned plain values."""
        return pack(_VERSION, self._state)

    def restore(self, data: bytes) -> None:
        """Restore the state of a snapshot."""
        self._state = unpack(_VERSION, data, _State)


#: Facts that the gate heeds. A table, not a match: it is read at every record.
_TAKE_IN: dict[type, Callable[[Govern, Record, Any], list[Record]]] = {
    Draft: Govern._drafted,
    FeedHealth: Govern._feed,
    PolicyInForce: Govern._adopt,
    NetworkHalted: Govern._halt,
    NetworkResumed: Govern._resume,
    ActionApproved: Govern._approve,
    ActionRejected: Govern._refuse,
    ActionFailed: Govern._refuse,
    OrderMoved: Govern._moved,
}
