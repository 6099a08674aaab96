"""Recordings: whatever the journal held comes back, byte for byte, each under its own seq."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from state.errors import JournalError
from state.journals import journal_identity, open_journal
from state.recording import Header, Segment, SegmentWriter, unfinished
from state.recording_reader import RecordingReader

RECORDS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([b"", b"{}", b"a\nb", b"\r\n", b'{"crossdock.recording":1}', b"x\r"]),
        ),
    ),
    min_size=1,
    max_size=20,
)


def write(
    folder: Path, records: list[tuple[int, bytes]], after: int = 0, partition: int = 0
) -> Path:
    header = Header(journal="j" * 12, topic="journal", partition=partition, after=after)
    writer = SegmentWriter(folder, header, records[0][0])
    for seq, raw in records:
        writer.write(seq, raw)
    writer.close()
    return writer.path


def numbered(steps: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    seq, found = 0, []
    for step, raw in steps:
        seq += step
        found.append((seq, raw))
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=RECORDS, cut=st.integers(0, 20), count=st.integers(1, 7))
def test_any_records_come_back_under_their_seq(
    tmp_path: Path, steps: list[tuple[int, bytes]], cut: int, count: int
) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    records = numbered(steps)
    first, second = records[:cut], records[cut:]
    if first:
        write(tmp_path, first)
    if second:
        write(tmp_path, second, after=first[-1][0] if first else 0)
    reader = RecordingReader([tmp_path])
    lines = []
    while batch := reader.read(count):
        lines += batch
    assert [(line.seq, line.raw) for line in lines] == records
    assert {line.source for line in lines} == {"journal[0]"}
    reader.close()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=RECORDS, stop=st.integers(0, 20))
def test_a_reader_resumes_anywhere(
    tmp_path: Path, steps: list[tuple[int, bytes]], stop: int
) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    records = numbered(steps)
    middle = len(records) // 2
    write(tmp_path, records[: middle + 1])
    if records[middle + 1 :]:
        write(tmp_path, records[middle + 1 :], after=records[middle][0])
    write(tmp_path, [(9, b"other")], partition=1)
    reader = RecordingReader([tmp_path])
    read = reader.read(stop) if stop else []
    again = RecordingReader([tmp_path], reader.position())
    rest = list(again)
    everything = [*records, (9, b"other")]
    assert [(line.seq, line.raw) for line in (*read, *rest)] == everything
    assert again.lines == len(everything)
    reader.close()


def test_a_missing_segment_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, [(1, b"{}"), (2, b"{}")])
    middle = write(tmp_path, [(3, b"{}")], after=2)
    write(tmp_path, [(4, b"{}")], after=3)
    middle.unlink()
    with pytest.raises(JournalError, match=r"after record 2, was after 3.*missing"):
        list(RecordingReader([tmp_path]))


def test_a_recording_that_was_begun_late_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [(10, b"{}")], after=9)
    with pytest.raises(JournalError, match="begun late"):
        RecordingReader([tmp_path])


def test_a_damaged_segment_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, [(seq, bytes([seq]) * 900) for seq in range(1, 200)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(JournalError, match=str(path)):
        list(RecordingReader([tmp_path]))


def test_what_was_flushed_of_a_segment_whose_writer_died_is_read(tmp_path: Path) -> None:
    header = Header(journal="j" * 12, topic="journal", partition=0, after=0)
    writer = SegmentWriter(tmp_path, header, 1)
    writer.write(1, b"one")
    writer.write(2, b"t\nwo")
    writer.flush()
    writer.write(3, b"lost")
    (path,) = unfinished(tmp_path)
    with Segment(path, may_be_cut=True) as segment:
        assert [segment.next(), segment.next(), segment.next()] == [
            (1, b"one"),
            (2, b"t\nwo"),
            None,
        ]
    assert open_is_refused(tmp_path)
    writer.close()


def open_is_refused(folder: Path) -> bool:
    with pytest.raises(JournalError, match="was a folder"):
        open_journal([folder])
    return True


def test_a_recording_has_the_identity_of_its_topic(tmp_path: Path) -> None:
    path = write(tmp_path, [(1, b"{}")])
    assert journal_identity([tmp_path]) == journal_identity([path]) == "j" * 12


def test_logs_and_recordings_are_not_mixed(tmp_path: Path) -> None:
    path = write(tmp_path, [(1, b"{}")])
    log = tmp_path / "log.jsonl"
    log.write_text("{}\n")
    with pytest.raises(JournalError, match="some of each"):
        open_journal([path, log])
