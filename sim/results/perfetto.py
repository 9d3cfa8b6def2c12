"""Write Perfetto's format: a few messages of protocol buffers, field numbers as in perfetto/trace/trace.proto.

Source: https://perfetto.dev/docs/reference/trace-packet-proto; the tests read what is written with Perfetto's own
schema. Only what a timeline needs: tracks, slices, instants, counters, flows and notes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Fields of TracePacket, TrackEvent, TrackDescriptor, CounterDescriptor and DebugAnnotation.
PACKET = 1
TIMESTAMP, SEQUENCE, EVENT, FLAGS, DESCRIPTOR = 8, 10, 11, 13, 60
EVENT_TYPE, EVENT_TRACK, EVENT_NAME, EVENT_COUNTER, EVENT_NOTE, EVENT_FLOW = 9, 11, 23, 44, 4, 47
TRACK_ID, TRACK_NAME, TRACK_PARENT, TRACK_COUNTER, TRACK_ORDER, TRACK_RANK = 1, 2, 5, 8, 11, 12
COUNTER_UNIT = 6
NOTE_NAME, NOTE_TEXT, NOTE_DOUBLE = 10, 6, 5
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_IN_RANK_ORDER = 3
_RESET = 1
"""SEQ_INCREMENTAL_STATE_CLEARED: the sequence begins here."""


class TraceWriter:
    """Collects packets; times are simulated seconds, written as nanoseconds."""

    def __init__(self) -> None:
        """Begin a trace."""
        self._packets: list[bytes] = []
        self._tracks = 0

    def track(self, name: str, parent: int = 0, *, unit: str | None = None) -> int:
        """Open a track below another one, in the order in which they are opened; with a unit it is a counter."""
        self._tracks += 1
        body = _number(TRACK_ID, self._tracks) + _text(TRACK_NAME, name)
        if parent:
            body += _number(TRACK_PARENT, parent)
        body += _number(TRACK_ORDER, _IN_RANK_ORDER) + _number(TRACK_RANK, self._tracks)
        if unit is not None:
            body += _message(TRACK_COUNTER, _text(COUNTER_UNIT, unit) if unit else b"")
        self._packet(_message(DESCRIPTOR, body))
        return self._tracks

    def slice(
        self, track: int, name: str, start_s: float, end_s: float, notes: Mapping[str, str | float] | None = None,
        *, flows: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        """Draw one stretch; arrows lead through the stretches that name the same flow, in the order of time."""
        body = _number(EVENT_TYPE, BEGIN) + _number(EVENT_TRACK, track) + _text(EVENT_NAME, name)
        body += b"".join(_note(key, value) for key, value in (notes or {}).items())
        body += b"".join(_fixed(EVENT_FLOW, flow) for flow in flows)
        self._event(start_s, body)
        self._event(end_s, _number(EVENT_TYPE, END) + _number(EVENT_TRACK, track))

    def instant(self, track: int, name: str, time_s: float, notes: Mapping[str, str | float] | None = None) -> None:
        """Mark one moment."""
        body = _number(EVENT_TYPE, INSTANT) + _number(EVENT_TRACK, track) + _text(EVENT_NAME, name)
        self._event(time_s, body + b"".join(_note(key, value) for key, value in (notes or {}).items()))

    def counter(self, track: int, time_s: float, value: float) -> None:
        """Set the value of a counter from a moment on."""
        body = _number(EVENT_TYPE, COUNTER) + _number(EVENT_TRACK, track)
        self._event(time_s, body + _key(EVENT_COUNTER, _FIXED64) + struct.pack("<d", value))

    def content(self) -> bytes:
        """Give the file."""
        return b"".join(self._packets)

    def _event(self, time_s: float, body: bytes) -> None:
        self._packet(_number(TIMESTAMP, max(round(time_s * 1e9), 0)) + _message(EVENT, body))

    def _packet(self, body: bytes) -> None:
        flags = b"" if self._packets else _number(FLAGS, _RESET)
        self._packets.append(_message(PACKET, body + _number(SEQUENCE, 1) + flags))


def varint(value: int) -> bytes:
    r"""Write a whole number in groups of seven bits.

    >>> varint(300)
    b'\xac\x02'
    """
    found = bytearray()
    while value > 127:  # noqa: PLR2004 - what seven bits hold
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _key(field: int, kind: int) -> bytes:
    return varint(field << 3 | kind)


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + varint(value)


def _fixed(field: int, value: int) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<Q", value)


def _message(field: int, body: bytes) -> bytes:
    return _key(field, _BYTES) + varint(len(body)) + body


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode("utf-8", errors="replace"))


def _note(name: str, value: str | float) -> bytes:
    written = (
        _text(NOTE_TEXT, value) if isinstance(value, str) else _key(NOTE_DOUBLE, _FIXED64) + struct.pack("<d", value)
    )
    return _message(EVENT_NOTE, _text(NOTE_NAME, name) + written)
