"""State of a shipment on its way, as the delay operator keeps it."""

from zlib import crc32

import msgspec
from msgspec import Struct, field

from operators.prediction.linear import Features
from operators.prediction.situation import FIRST_STAGE
from operators.prediction.transit import Remaining, UsualRemaining
from state.keys import ServiceId

#: Scans of one status that are distinguished: the third hub is nearer than the first.
_MOST_REPEATS = 3


class Guess(Struct, frozen=True, array_like=True, gc=False):
    """A prediction as it was made, to be learned from when the truth is known."""

    time_ms: int
    progress: str
    features: Features
    of_transit: Features
    usual: UsualRemaining
    remaining: Remaining


class Way(Struct, frozen=True, array_like=True, gc=False):
    """Way of a shipment: the service, from, to, and the hour of its handover (UTC)."""

    service: ServiceId
    node: str
    region: str
    hour: str


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Guess)


class OpenShipment(Struct, array_like=True):
    """A shipment that is neither delivered nor lost. Part of an operator's state.

    `due_ms` is its deadline: when it counts as late, then when it counts as lost; `overdue_ms` when
    it is believed to take longer than was predicted. `first` is the prediction at handover,
    `sampled` one at a scan; kept as bytes, since every snapshot writes all of them and each is read
    once or twice. Of the last scan that came with the carrier's estimate, both estimates are kept.
    """

    order: str
    way: Way
    promised_ms: int
    due_ms: int
    nominal_s: float
    handover_late_s: float | None
    scanned_ms: int
    overdue_ms: int = 0
    stage: str = FIRST_STAGE
    progress: str = FIRST_STAGE
    first: bytes = b""
    sampled: bytes = b""
    p_first: float = 0.0
    p_latest: float = 0.0
    p_published: float = 0.0
    expected_ms: int = 0
    predicted: int = 0
    labelled: bool = False
    learned_ms: int = 0
    carrier_eta_ms: int | None = None
    eta_beside_ms: int = 0
    # Scans by status.
    scans: dict[str, int] = field(default_factory=dict)

    def move_to(self, stage: str, time_ms: int) -> None:
        """Be scanned with status `stage`, no earlier than the last scan."""
        self.stage, self.scanned_ms = stage, time_ms
        repeats = self.scans[stage] = min(self.scans.get(stage, 0) + 1, _MOST_REPEATS)
        self.progress = stage if repeats == 1 else f"{stage} {repeats}"

    def sample(self, name: str, guess: Guess) -> None:
        """Keep one scan's prediction, each scan so far with the same probability.

        The last scan before the label would not do: a late shipment's is half way, others' is at
        the door. The luck is in the name, so that it is the same in every run.
        """
        self.predicted += 1
        if crc32(f"{name} {self.predicted}".encode()) % self.predicted == 0:
            self.sampled = _ENCODER.encode(guess)

    def book(self, guess: Guess) -> None:
        """Keep the prediction at handover."""
        self.first = _ENCODER.encode(guess)
        self.p_first = self.p_latest

    def at_handover(self) -> Guess:
        """Return the prediction at handover."""
        return _DECODER.decode(self.first)

    @property
    def kept(self) -> tuple[bytes, ...]:
        """Return the predictions to learn from, encoded: at handover, and at a scan if any."""
        return tuple(raw for raw in (self.first, self.sampled) if raw)


def guesses_of(kept: tuple[bytes, ...]) -> list[Guess]:
    """Return the predictions that were kept."""
    return [_DECODER.decode(raw) for raw in kept]
