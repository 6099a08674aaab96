"""The files of a replay: the action log and what stands beside it, and the summary."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import orjson

from flows.replay.fold import Counted
from flows.replay.summary import Summary, add_up, file_digest, summarise, to_builtins
from flows.wiring.outcomes import DEAD_LETTERS, Outcome
from flows.wiring.outlets import LogOutlet, Mark, Outlet
from operators.core.entry import NO_NETWORK
from state.dead_letters import reason_of
from state.journals import journal_identity
from state.policy import Policy


class Outputs:
    """The outlets that every replay of `logs` has; a context manager.

    The files go to the folder `out`, or to one that lasts as long as the context. With `resumed`
    they are not emptied first. Raises JournalError if the logs cannot be read, StoreError if the
    folder cannot be written or another replay is writing there.
    """

    def __init__(
        self, logs: Sequence[Path], policy: Policy, out: Path | None, *, resumed: bool = False
    ) -> None:
        self._logs, self._policy, self._out = logs, policy, out
        self.identity = journal_identity(logs)
        with ExitStack() as stack:
            if out is None:
                out = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossdock-")))
            self.folder = out
            self._log = LogOutlet(out)
            stack.callback(self._log.close)
            if not resumed:
                self._log.rewind({})
            self._stack = stack.pop_all()
        self._tally = _Tally()
        self.outlets: dict[str, Outlet] = {"log": self._log, "tally": self._tally}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes to all outlets; raises StoreError."""
        for outlet in self.outlets.values():
            outlet.write(outcomes)

    def finish(
        self,
        counted: Counted,
        *,
        lines: int,
        seconds: float,
        engine: str = "fold",
        keep_parts: bool = False,
    ) -> Summary:
        """Join the files, and sum up `counted`; a run that may go on keeps its parts."""
        self._log.finish(keep_parts=keep_parts)
        totals, waiting = add_up(counted)
        return summarise(
            totals,
            waiting,
            lines=lines,
            undecodable=self._tally.undecodable,
            reasons=self._tally.reasons,
            currency=self._policy.currency,
            seconds=seconds,
            networks=sorted(counted),
            digest=file_digest(self.folder / "actions.jsonl"),
            journal=self.identity,
            policy=self._policy.fingerprint(),
            engine=engine,
        )

    def describe(self, summary: Summary) -> None:
        """Leave the summary, and what `explain` needs to derive an action again, in `out`."""
        if self._out is None:
            return
        names = ("actions.jsonl", "decided.jsonl", "dead_letters.jsonl", "kpis.jsonl")
        summary.files = {name: str(self._out / name) for name in (*names, "summary.json")}
        (self._out / "policy.json").write_bytes(self._policy.to_json())
        document = {**to_builtins(summary), "logs": [str(path.resolve()) for path in self._logs]}
        (self._out / "summary.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


class _Tally:
    """Counts dead letters: by reason, and those of no network, which no operator's totals have."""

    def __init__(self) -> None:
        self.undecodable = 0
        self.reasons: dict[str, int] = {}

    def write(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.stream == DEAD_LETTERS:
                self.undecodable += outcome.network == NO_NETWORK
                reason = reason_of(outcome.body)
                self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def mark(self) -> Mark:
        return {"undecodable": self.undecodable, **self.reasons}

    def rewind(self, mark: Mark) -> None:
        self.reasons = {reason: int(count) for reason, count in mark.items()}
        self.undecodable = self.reasons.pop("undecodable", 0)
