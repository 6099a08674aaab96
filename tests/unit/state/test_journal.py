"""Journal files: order, position, compression, damage."""

import gzip
from pathlib import Path

import pytest

from state.codec import DeadLetter, decode
from state.errors import JournalError
from state.journal import JournalReader
from state.journal_writer import JournalWriter
from state.journals import journal_identity
from state.untrusted import MAX_KEPT_BYTES
from tests.builders import Log

SUFFIXES = [".jsonl", ".jsonl.gz", ".jsonl.zst"]


def written(path: Path, log: Log) -> Path:
    with JournalWriter(path) as writer:
        for event in log.events:
            writer.write(event)
    return path


def ticks(count: int, every_s: float = 60, offset_s: float = 0) -> Log:
    log = Log()
    log.now_ms += round(offset_s * 1000)
    for _ in range(count):
        log.tick(every_s)
    return log


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str) -> None:
    log = ticks(2_500)
    path = written(tmp_path / f"log{suffix}", log)
    lines = list(JournalReader([path]))
    assert [decode(line) for line in lines] == log.events
    assert [line.seq for line in lines] == list(range(1, 2_501))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_logs_are_equal_files(tmp_path: Path, suffix: str) -> None:
    first = written(tmp_path / f"a{suffix}", ticks(50))
    second = written(tmp_path / f"b{suffix}", ticks(50))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_several_files_merge_by_recorded_time_then_file_order(tmp_path: Path, suffix: str) -> None:
    first = written(tmp_path / f"a{suffix}", ticks(100))
    second = written(tmp_path / f"b{suffix}", ticks(100, offset_s=30))
    third = written(tmp_path / f"c{suffix}", ticks(100))
    lines = list(JournalReader([first, second, third]))
    sources = [Path(line.source).name[0] for line in lines[:6]]
    assert sources == ["a", "c", "b", "a", "c", "b"]
    assert [line.seq for line in lines] == list(range(1, 301))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [1, 7, 100, 199])
def test_reading_resumes_at_a_position(tmp_path: Path, suffix: str, count: int) -> None:
    paths = [
        written(tmp_path / f"a{suffix}", ticks(100)),
        written(tmp_path / f"b{suffix}", ticks(100, offset_s=10)),
    ]
    reader = JournalReader(paths)
    reader.read(count)
    resumed = JournalReader(paths, reader.position())
    assert list(resumed) == list(reader)


def test_an_unreadable_line_keeps_its_place_in_the_merge(tmp_path: Path) -> None:
    first = written(tmp_path / "a.jsonl", ticks(3))
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(lines[0] + b"rubbish\n" + b"".join(lines[1:]))
    second = written(tmp_path / "b.jsonl", ticks(3, offset_s=30))
    order = [(Path(line.source).name, line.line) for line in JournalReader([first, second])]
    assert order[:3] == [("a.jsonl", 1), ("a.jsonl", 2), ("b.jsonl", 1)]


def test_an_over_long_line_is_bounded_and_its_neighbours_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a":1}\n' + b"x" * 10_000_000 + b"\n" + b'{"b":2}\n')
    first, long, last = list(JournalReader([path]))
    assert (first.raw, last.raw) == (b'{"a":1}', b'{"b":2}')
    assert long.size == 10_000_001
    assert len(long.raw) == MAX_KEPT_BYTES
    assert long.sha256 is not None
    letter = decode(long)
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "too_long"


def test_blank_lines_and_a_missing_last_newline_count_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"{}\r\n\n{}")
    assert [line.raw for line in JournalReader([path])] == [b"{}", b"", b"{}"]


def test_a_cut_off_archive_gives_what_is_there_and_then_a_problem(tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl.gz", ticks(5_000))
    path.write_bytes(path.read_bytes()[:-2_000])
    lines = list(JournalReader([path]))
    assert len(lines) > 1_000
    assert lines[-1].problem is not None
    assert all(line.problem is None for line in lines[:-1])


def test_a_file_that_is_no_archive_gives_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(b"not gzip at all")
    (line,) = list(JournalReader([path]))
    assert line.problem is not None


def test_a_growing_log_is_followed_line_by_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a":1}\n{"b"')
    with JournalReader([path], follow=True) as reader:
        assert [line.raw for line in reader.read(10)] == [b'{"a":1}']
        assert reader.read(10) == []
        with path.open("ab") as file:
            file.write(b":2}\n")
        assert [line.raw for line in reader.read(10)] == [b'{"b":2}']


def test_only_one_uncompressed_file_can_be_followed(tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl.gz", ticks(1))
    with pytest.raises(JournalError, match="uncompressed"):
        JournalReader([path], follow=True)


def test_a_log_shorter_than_before_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl.gz", ticks(100))
    with JournalReader([path]) as reader:
        reader.read(90)
    path.write_bytes(gzip.compress(b"{}\n"))
    with pytest.raises(JournalError, match="shorter"):
        JournalReader([path], reader.position())


def test_a_journal_is_known_by_its_beginning(tmp_path: Path) -> None:
    log = ticks(100)
    plain = written(tmp_path / "a.jsonl", log)
    packed = written(tmp_path / "b.jsonl.zst", log)
    other = written(tmp_path / "c.jsonl", ticks(100, every_s=61))
    identity = journal_identity([plain])
    assert journal_identity([packed]) == identity
    assert journal_identity([other]) != identity
    log.tick(60)
    assert journal_identity([written(tmp_path / "a.jsonl", log)]) == identity


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"nowhere\.jsonl"):
        JournalReader([tmp_path / "nowhere.jsonl"])
