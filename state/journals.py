"""Journals on disk, however they are kept: log files, or a recording of Kafka's."""

from collections.abc import Sequence
from pathlib import Path

from state.errors import JournalError
from state.journal import JournalReader, log_identity
from state.recording import is_recording
from state.recording_reader import RecordingReader


def open_journal(
    paths: Sequence[Path], at: bytes | None = None, *, follow: bool = False
) -> JournalReader | RecordingReader:
    """Return a reader of the journal in `paths`: log files, or segments or folders of a recording.

    `at` is a `position` of an earlier reader. Raises JournalError.
    """
    if not _are_recordings(paths):
        return JournalReader(paths, at, follow=follow)
    if follow:
        raise JournalError("expected a log file to follow, was a recording: follow Kafka instead")
    return RecordingReader(paths, at)


def journal_identity(paths: Sequence[Path]) -> str:
    """Name the journal in `paths`, in twelve hex digits; a recording has its topic's name.

    Raises JournalError if it cannot be read.
    """
    if not _are_recordings(paths):
        return log_identity(paths)
    with RecordingReader(paths) as reader:
        return reader.identity


def _are_recordings(paths: Sequence[Path]) -> bool:
    found = [is_recording(path) for path in paths]
    if any(found) and not all(found):
        raise JournalError("expected log files or a recording, was some of each")
    for path in paths:
        if path.is_dir() and not all(found):
            raise JournalError(f"expected a log file or a recording, was a folder: {path}")
    return bool(found) and all(found)
