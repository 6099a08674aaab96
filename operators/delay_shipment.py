"""What the delay operator keeps of a shipment on its way."""

from zlib import crc32

import msgspec
from msgspec import Struct, field

from operators.delay_features import Features

#: Scans of the same status told apart: the third hub is nearer than the first.
_MOST_REPEATS = 3
DISPATCHED = "dispatched"

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Features)


class OpenShipment(Struct, array_like=True):
    """A shipment that is neither delivered nor lost. Part of an operator's state.

    `due_ms` is its deadline: when it counts as late, then when it counts as lost. `first` are the
    features at handover, `sampled` those at one scan; kept as bytes, since every snapshot writes
    all of them and each is read once.
    """

    order: str
    service: str
    node: str
    region: str
    promised_ms: int
    due_ms: int
    nominal_s: float
    handover_late_s: float | None
    scanned_ms: int
    stage: str = DISPATCHED
    progress: str = DISPATCHED
    first: bytes = b""
    sampled: bytes = b""
    p_first: float = 0.0
    p_latest: float = 0.0
    p_published: float = 0.0
    predicted: int = 0
    labelled: bool = False
    # First time seen at each step of progress, ms, and scans by status.
    visits: dict[str, int] = field(default_factory=dict)
    scans: dict[str, int] = field(default_factory=dict)

    def move_to(self, stage: str, time_ms: int) -> None:
        """Be scanned with status `stage`, no earlier than the last scan."""
        self.stage, self.scanned_ms = stage, time_ms
        repeats = self.scans[stage] = min(self.scans.get(stage, 0) + 1, _MOST_REPEATS)
        self.progress = stage if repeats == 1 else f"{stage} {repeats}"
        self.visits.setdefault(self.progress, time_ms)

    def sample(self, name: str, features: Features) -> None:
        """Keep one scan's features, each scan so far with the same probability.

        The last scan before the label would not do: a late shipment's is half way, others' is at
        the door. The luck is in the name, so that it is the same in every run.
        """
        self.predicted += 1
        if crc32(f"{name} {self.predicted}".encode()) % self.predicted == 0:
            self.sampled = _ENCODER.encode(features)

    def book(self, features: Features) -> None:
        """Keep the features of the handover."""
        self.first = _ENCODER.encode(features)
        self.p_first = self.p_latest

    def examples(self) -> list[Features]:
        """The features to learn from: those at handover, and those of a scan if there was one."""
        return [_DECODER.decode(raw) for raw in (self.first, self.sampled) if raw]

    def took_s(self, delivered_ms: int) -> dict[str, float]:
        """Seconds from each step of progress to the delivery."""
        return {step: (delivered_ms - seen_ms) / 1000 for step, seen_ms in self.visits.items()}
