"""Replay logs from Python: their actions as they are decided, and the summary at the end."""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flows.wiring.records import batches
from state.actions import Action
from state.errors import JournalError
from state.journals import open_journal
from state.policy import Policy

if TYPE_CHECKING:
    from flows.replay.fold import Fold
    from flows.replay.summary import Summary
    from operators.chain import Build


class Replay(Iterator[Action]):
    """The actions of a replay, in the order of the journal, decided as they are asked for.

    Ask for `summary`, or `write` a folder, to run to the end. Going on raises JournalError where a
    log cannot be read any more, InvariantBroken where the engine contradicts itself.
    """

    def __init__(
        self, logs: tuple[Path, ...], policy: Policy, after: Mapping[str, "Build"] | None
    ) -> None:
        # The chain's models take seconds to import.
        from flows.replay.fold import Fold
        from operators.chain import Chains

        open_journal(logs).close()  # so that a log that cannot be read is refused at once
        self._logs, self._policy = logs, policy
        self._fold = Fold(Chains(policy, after))
        self._actions: Iterator[Action] | None = None
        self._summaries: list[Summary] = []

    def __next__(self) -> Action:
        if self._actions is None:
            self._actions = self._begun(None)
        return next(self._actions)

    @property
    def summary(self) -> "Summary":
        """Return the summary, as `crossdock replay --json` prints it; run to the end first.

        Its `digest` is the SHA-256 of all actions' bytes, `seconds` the time that the engine took.
        """
        for _ in self:
            pass
        if not self._summaries:
            raise JournalError("expected a replay that came to its end, was one that failed")
        return self._summaries[0]

    def write(self, out: str | Path) -> "Summary":
        """Run from the beginning to the end and leave a folder, as `crossdock replay --out` does.

        Raises ValueError if actions were asked for already, StoreError if the folder cannot be
        written.
        """
        if self._actions is not None:
            raise ValueError("expected a replay that has not begun, was one under way")
        self._actions = self._begun(Path(out))
        return self.summary

    def _begun(self, out: Path | None) -> Iterator[Action]:
        # It does not know this object, so that a replay that is dropped midway cleans up at once.
        return _run(self._fold, self._logs, self._policy, out, self._summaries)


def _run(
    fold: "Fold",
    logs: tuple[Path, ...],
    policy: Policy,
    out: Path | None,
    summaries: list["Summary"],
) -> Iterator[Action]:
    """Fold, and yield actions; the summary is added to `summaries` at the end."""
    from flows.replay.outputs import Outputs
    from flows.wiring.outcomes import outcomes

    spent_s = 0.0
    with Outputs(logs, policy, out) as outputs:
        begun = time.perf_counter()
        for batch in batches(logs):
            records = fold.step(batch)
            outputs.write(outcomes(records))
            spent_s += time.perf_counter() - begun
            yield from (each.fact for each in records if type(each.fact) is Action)
            begun = time.perf_counter()
        summary = outputs.finish(fold.counted(), lines=fold.lines, seconds=spent_s)
        outputs.describe(summary)
    summaries.append(summary)


def replay(
    logs: str | Path | Iterable[str | Path],
    policy: Policy | None = None,
    *,
    after: Mapping[str, "Build"] | None = None,
) -> Replay:
    """Replay recorded logs under `policy`, with the same actions as `crossdock replay`.

    `logs` is a log (``.jsonl``, ``.jsonl.gz``, ``.jsonl.zst``), or several, which are merged by
    recorded time, or the folder of a recording. Nothing is decided before the first action, the
    summary or a folder is asked for. `after` puts operators of your own into the chain, see
    `Engine`. Lines that cannot be used become dead letters, which the summary counts and the folder
    keeps. Raises JournalError if a log cannot be read, ValueError if `after` has an unknown place.
    """
    paths = (logs,) if isinstance(logs, str | Path) else tuple(logs)
    return Replay(tuple(Path(path) for path in paths), policy or Policy(), after)
