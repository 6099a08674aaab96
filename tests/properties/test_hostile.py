"""Hostile input: mutated events and noise, many of them; nothing stops, nothing vanishes."""

import random
from pathlib import Path

import pytest

from flows.replay.replay import ReplayPlan, replay
from flows.simulation import WorldConfig, simulate
from state.codec import encode
from state.dead_letters import decode_dead_letter
from state.policy import Policy

_WORLD = WorldConfig(nodes=6, regions=5, skus=40)
_TOKENS = (
    b"NaN",
    b"Infinity",
    b"-1",
    b"1e308",
    b"1e999",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"99999999999999999999",
    b'"\\ud800"',
    b'"9999-12-31T23:59:59Z"',
    b'"0001-01-01T00:00:00Z"',
    b"\xff\xfe",
    b"\x00",
    b"[" * 2_000,
)


def mutated(raw: bytes, luck: random.Random) -> bytes:
    """Return a line damaged in one of the ways in which lines go wrong."""
    match luck.randrange(8):
        case 0:  # truncated
            return raw[: luck.randrange(len(raw))]
        case 1:  # a bit flipped
            at = luck.randrange(len(raw))
            return raw[:at] + bytes([raw[at] ^ 1 << luck.randrange(8)]) + raw[at + 1 :]
        case 2:  # a value replaced
            at = raw.rfind(b":", 0, luck.randrange(len(raw)) + 1) + 1
            end = min(e for e in (raw.find(b",", at), raw.find(b"}", at), len(raw)) if e >= 0)
            return raw[:at] + luck.choice(_TOKENS) + raw[end:]
        case 3:  # a piece cut out
            start = luck.randrange(len(raw))
            return raw[:start] + raw[start + luck.randrange(40) :]
        case 4:  # two lines run together
            return raw + raw
        case 5:  # a number changed
            digits = [i for i, byte in enumerate(raw) if 48 <= byte <= 57]
            at = luck.choice(digits)
            return raw[:at] + b"%d" % luck.randrange(10) + raw[at + 1 :]
        case 6:  # noise
            return luck.randbytes(luck.randrange(300))
        case _:  # left alone
            return raw


def hostile_log(path: Path, lines: int) -> None:
    luck = random.Random(17)
    valid = [encode(event) for event in simulate(seed=3, events=4_000, config=_WORLD)]
    with path.open("wb") as file:
        for number in range(lines):
            raw = valid[number] if number < 300 else mutated(luck.choice(valid), luck)
            if number == lines // 2:
                raw = b'{"long":"' + b"x" * 10_000_000 + b'"}'
            file.write(raw.replace(b"\n", b" ") + b"\n")


@pytest.mark.parametrize("lines", [10_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_every_hostile_line_is_an_event_or_a_dead_letter(tmp_path: Path, lines: int) -> None:
    log, out = tmp_path / "hostile.jsonl", tmp_path / "out"
    hostile_log(log, lines)
    summary = replay(ReplayPlan(logs=(log,), policy=Policy(), out=out))
    assert summary.lines == lines
    assert summary.events + summary.dead_letters == lines
    assert summary.events > lines // 10
    assert summary.dead_letters > lines // 10
    raw_lines = log.read_bytes().split(b"\n")
    letters = 0
    with (out / "dead_letters.jsonl").open("rb") as file:
        for line in file:
            letter = decode_dead_letter(line)
            letters += 1
            assert letter.expected
            if letter.reason != "too_long":
                assert letter.line.raw == raw_lines[letter.line.line - 1].rstrip(b"\r")
    assert letters == summary.dead_letters
