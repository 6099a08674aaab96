"""Hostile raw messages: all that a broken or malicious producer can get past a broker."""

import ctypes
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import confluent_kafka
import orjson
from confluent_kafka import Producer
from msgspec import Struct

from state.codec import encode
from state.events import FAMILY_OF, Event
from tests.builders import Log, order

_LARGEST = 16 * 1024 * 1024
#: Beginning of the ids of valid events.
VALID = "valid-"
_CODECS = ("none", "gzip", "lz4", "zstd")
_FAMILIES = ("inventory", "telemetry", "demand", "control")


class Hostile(Struct, frozen=True, kw_only=True):
    """A raw message: `headers` as their producer gives them, `codec` that it compresses with."""

    family: str
    value: bytes | None
    key: bytes | None = b"net"
    headers: tuple[tuple[str, bytes | None], ...] = ()
    codec: str = "lz4"


def valid(event: Event, luck: random.Random) -> Hostile:
    """Return an event where it belongs, with an id of its own."""
    document = {**orjson.loads(encode(event)), "id": f"{VALID}{luck.getrandbits(64):x}"}
    family = FAMILY_OF[type(event.fact)]
    family = family if family in _FAMILIES else "control"
    return Hostile(family=family, value=orjson.dumps(document), codec=luck.choice(_CODECS))


def hostile(luck: random.Random) -> Hostile:
    """Return a message that is no event, or one of a producer that may not bring it."""
    kind = luck.choice(_KINDS)
    if luck.random() < 0.004:
        kind = luck.choice(_LARGE_KINDS)
    made = kind(luck)
    family = luck.choice(_FAMILIES)
    return Hostile(
        family=family,
        value=made.value,
        key=made.key,
        headers=made.headers,
        codec=made.codec if made.codec != "lz4" else luck.choice(_CODECS),
    )


def _envelope(**changes: object) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": "hostile",
        "source": "fuzz",
        "type": "crossdock.stock.counted",
        "time": "2026-01-05T00:00:00Z",
        "partitionkey": "net",
        "data": {"node": "N", "sku": "S", "quantity": -1},
        **changes,
    }


def _of(value: bytes | None, **more: object) -> Hostile:
    return Hostile(family="", value=value, **more)  # type: ignore[arg-type]


def _noise(luck: random.Random) -> Hostile:
    return _of(luck.randbytes(luck.randrange(300)))


def _nested(luck: random.Random) -> Hostile:
    depth = luck.choice((60, 64, 65, 100, 253, 254, 255, 400, 990, 1_000, 1_023, 1_024, 5_000))
    opening, closing = luck.choice(((b"[", b"]"), (b'{"a":', b"}")))
    inner = opening * depth + b"1" + closing * depth
    if luck.random() < 0.3:
        return _of(inner)
    place = luck.choice(("data", "extra", "partitionkey", "time", "id", "type"))
    raw = orjson.dumps(_envelope(**{place: "HERE"})).replace(b'"HERE"', inner)
    return _of(raw)


def _number(luck: random.Random) -> Hostile:
    token = luck.choice(
        (
            b"NaN",
            b"-Infinity",
            b"1e999",
            b"1e308",
            b"9" * 30,
            b"9" * 5_000,
            b"-0",
            b"1e-999",
            b"2.5",
        )
    )
    place = luck.choice((b'"quantity":', b'"id":', b'"time":', b'"partitionkey":', b'"data":'))
    raw = orjson.dumps(_envelope())
    at = raw.index(place) + len(place)
    end = min(e for e in (raw.find(b",", at), raw.find(b"}", at)) if e >= 0)
    return _of(raw[:at] + token + raw[end:])


def _instant(luck: random.Random) -> Hostile:
    instant = luck.choice(
        (
            *(
                "9999-12-31T23:59:59.999999999Z",
                "9999-12-31T23:59:59-23:59",
                "0001-01-01T00:00:00Z",
            ),
            *("0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z", "2026-01-05T24:00:00Z"),
            *("2026-01-05T00:00:60Z", "2026-01-05", "12345-01-01T00:00:00Z", "", "now"),
            *("-001-01-01T00:00:00Z", "2026-01-05T00:00:00", "2026-01-05T00:00:00+99:99"),
        )
    )
    place = luck.choice(("time", "recordedtime"))
    return _of(orjson.dumps(_envelope(**{place: instant})))


def _text(luck: random.Random) -> Hostile:
    text = luck.choice(
        (
            *("\x00", "a\x1b[31mb", "\x7f", "\u202e", "\ufeff", "é" * 300, "[/b]", "\u0085"),
            *("x" * 5_000, "", " ", "a/b", "a:b", "*", "{}", "\U0010ffff", "../../etc"),
        )
    )
    place = luck.choice(("id", "source", "type", "partitionkey", "subject", "specversion"))
    return _of(orjson.dumps(_envelope(**{place: text})))


def _encoding(luck: random.Random) -> Hostile:
    text = orjson.dumps(_envelope()).decode()
    return _of(
        luck.choice(
            (
                *(text.encode("utf-16"), text.encode("utf-32"), b"\xef\xbb\xbf" + text.encode()),
                text.replace("net", "n\xe9t").encode("latin-1"),
                text.encode().replace(b"net", b"\xed\xa0\x80"),
                text.encode().replace(b"net", b"\\ud800"),
                text.encode().replace(b"net", b"\xc0\xaf"),
                text.encode().replace(b"net", b"\xff"),
                text.encode() * 2,
                text.encode()[: luck.randrange(len(text))],
            )
        )
    )


def _partition_key(luck: random.Random) -> Hostile:
    strange: object = luck.choice(
        (None, 1, 1.5, True, [], ["net"], {"net": 1}, "Demo\n", "a" * 65, "-demo", "de mo", "démo")
    )
    return _of(orjson.dumps(_envelope(partitionkey=strange)))


def _binary(luck: random.Random) -> Hostile:
    headers: dict[str, bytes | None] = {
        f"ce_{name}": str(value).encode() for name, value in _envelope().items() if name != "data"
    }
    at = luck.choice(tuple(headers))
    headers[at] = luck.choice((None, b"", b"\xff\xfe", b"x" * 3_000, b"\x00", b"1e999", b"[" * 300))
    headers[luck.choice(("ce_", "ce_data", "ce_\x01", "ce_" + "n" * 2_000))] = b"x"
    nested = b"[" * 300 + b"]" * 300
    value = luck.choice((b'{"node":"N"}', b"", b"null", nested, luck.randbytes(20), None))
    return _of(value, headers=tuple(headers.items()))


def _headers(luck: random.Random) -> Hostile:
    many = tuple((f"h{n}", luck.randbytes(luck.randrange(40))) for n in range(luck.randrange(200)))
    strange: tuple[tuple[str, bytes | None], ...] = luck.choice(
        (
            (("", b"x"), ("none", None)),
            (("size", b"-1"), ("reason", b"none"), ("sha256", b"\xff"), ("cut", b"no")),
            (("raw-raw-size", b"1"), ("crossdock-origin", b"\xff" * 300)),
            (("n" * 3_000, b"v" * 3_000),),
            (("same", b"1"), ("same", b"2"), ("\u202e", b"3")),
        )
    )
    return _of(luck.randbytes(20), headers=many + strange)


def _claimed(luck: random.Random) -> Hostile:
    """Return a message that claims to have first stood elsewhere."""
    place = luck.choice(
        (b"control/0/0", b"crossdock.journal/0/1", b"a/b/c", b"x/0/-1", b"9" * 6_000, b"/0/0", b"")
    )
    halt = _envelope(type="crossdock.network.halted", data={"by": 1})
    return _of(orjson.dumps(halt), headers=(("crossdock-origin", place),))


def _nothing(luck: random.Random) -> Hostile:
    return _of(luck.choice((None, b"", b"null", b"{}", b"[]", b'""', b"0", b"true")), key=None)


def _large_value(luck: random.Random) -> Hostile:
    size = luck.choice((256 * 1024, 1024 * 1024, 1024 * 1024 + 1, 10 * 1024 * 1024))
    filler = luck.choice((b"x", b" ", b"[", b"\x00", b'{"a":'))
    return _of((filler * size)[:size], codec=luck.choice(("gzip", "lz4", "zstd")))


def _large_key(luck: random.Random) -> Hostile:
    return _of(orjson.dumps(_envelope()), key=b"k" * 1_000_000, codec="zstd")


def _large_headers(luck: random.Random) -> Hostile:
    headers = luck.choice(
        (
            (("big", b"v" * 5_000_000),),
            tuple((f"n{n}", b"v" * 100) for n in range(20_000)),
            (("n" * 30_000, b"v"), ("ce_type", b"t" * 2_000_000)),
        )
    )
    return _of(b"{}", headers=headers, codec="zstd")


_KINDS: tuple[Callable[[random.Random], Hostile], ...] = (
    *(_noise, _nested, _nested, _number, _instant, _text, _encoding, _partition_key, _binary),
    *(_headers, _claimed, _nothing),
)
_LARGE_KINDS = (_large_value, _large_value, _large_key, _large_headers)


def good_events() -> Sequence[Event]:
    """Return events that are to arrive among them."""
    log = Log().network_of({("N-NORTH", "BOOK"): 5})
    log.add(order("O-1"))
    return log.events


class HostileProducer:
    """Sender of hostile messages to the topics ``{name}.{family}``, a client for each codec."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self._name = name
        self._producers = {
            codec: Producer(
                {
                    "bootstrap.servers": bootstrap,
                    "compression.type": codec,
                    "message.max.bytes": _LARGEST,
                    "linger.ms": 5,
                    "log_level": 0,
                }
            )
            for codec in _CODECS
        }

    def send(self, message: Hostile) -> None:
        """Hand over one message; it counts as sent only if the broker takes it."""
        producer = self._producers[message.codec]
        while True:
            try:
                producer.produce(
                    f"{self._name}.{message.family}",
                    message.value,
                    message.key,
                    headers=list(message.headers),
                )
                return
            except BufferError:
                producer.poll(0.05)

    def flush(self) -> None:
        """Wait until the broker has taken or refused all of them."""
        for producer in self._producers.values():
            producer.flush()


def send_with_raw_header_name(bootstrap: str, topic: str, name: bytes) -> bool:
    """Send a message whose header's name is `name`, in UTF-8 or not; False where that cannot be.

    Our client refuses to write such a name, those of other languages do not; librdkafka is asked
    itself.
    """
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    found = sorted(folder.glob("librdkafka*"))
    if not found:
        return False
    kafka = ctypes.CDLL(str(found[0]))
    for maker in (kafka.rd_kafka_conf_new, kafka.rd_kafka_new):
        maker.restype = ctypes.c_void_p
    error = ctypes.create_string_buffer(512)
    config = ctypes.c_void_p(kafka.rd_kafka_conf_new())
    kafka.rd_kafka_conf_set(config, b"bootstrap.servers", bootstrap.encode(), error, 512)
    kafka.rd_kafka_conf_set(config, b"log_level", b"0", error, 512)
    client = ctypes.c_void_p(kafka.rd_kafka_new(0, config, error, 512))
    end, to_topic, value, flags, header = (ctypes.c_int(n) for n in (0, 1, 4, 7, 9))
    code = kafka.rd_kafka_producev(
        client,
        *(to_topic, ctypes.c_char_p(topic.encode())),
        *(flags, ctypes.c_int(2)),  # a copy
        *(value, ctypes.c_char_p(b"raw"), ctypes.c_size_t(3)),
        *(header, ctypes.c_char_p(name), ctypes.c_char_p(b"x"), ctypes.c_ssize_t(1)),
        end,
    )
    kafka.rd_kafka_flush(client, 10_000)
    kafka.rd_kafka_destroy(client)
    return bool(code == 0)
