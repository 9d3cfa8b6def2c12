"""A reader of protocol buffers without a schema: fields by number, as the wire has them; and of Perfetto's traces.

It shares nothing with what writes them. Source: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

Message = dict[int, list[int | bytes]]


def message(content: bytes) -> Message:
    """Read the fields of one message: whole numbers (also of 64 bits) or bytes."""
    found: Message = defaultdict(list)
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, kind = key >> 3, key & 7
        value: int | bytes
        if kind == 0:
            value, place = _varint(content, place)
        elif kind == 1:
            value, place = content[place : place + 8], place + 8
        else:
            assert kind == 2, f"wire type {kind}"
            length, place = _varint(content, place)
            value, place = content[place : place + length], place + length
        found[number].append(value)
    assert place == len(content), "the last field is whole"
    return found


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


@dataclass
class Slice:
    """One stretch on a track."""

    track: str
    """Names from the root, with " / " between them."""
    name: str
    start_ns: int
    end_ns: int = -1
    notes: dict[str, str | float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Give its length."""
        return (self.end_ns - self.start_ns) / 1e9


def slices(content: bytes) -> list[Slice]:
    """Read every slice of a trace, with the track that it lies on."""
    names: dict[int, str] = {}
    found: list[Slice] = []
    begun: dict[int, list[Slice]] = defaultdict(list)
    for packet in _packets(content):
        if 60 in packet:
            track = message(_bytes(packet[60][0]))
            above = f"{names[_whole(track[5][0])]} / " if 5 in track else ""
            names[_whole(track[1][0])] = above + _bytes(track[2][0]).decode()
        elif 11 in packet:
            event = message(_bytes(packet[11][0]))
            kind, on, at = _whole(event[9][0]), _whole(event[11][0]), _whole(packet[8][0])
            if kind == 1:
                begun[on].append(Slice(names[on], _bytes(event[23][0]).decode(), at, notes=dict(_notes(event))))
            elif kind == 2:
                found.append(begun[on].pop())
                found[-1].end_ns = at
    assert not any(begun.values()), "every slice ends"
    return found


def _notes(event: Message) -> Iterator[tuple[str, str | float]]:
    for each in event.get(4, ()):
        note = message(_bytes(each))
        name = _bytes(note[10][0]).decode()
        yield name, _bytes(note[6][0]).decode() if 6 in note else struct.unpack("<d", _bytes(note[5][0]))[0]


def _packets(content: bytes) -> Iterator[Message]:
    whole = message(content)
    assert set(whole) == {1}, "a trace is packets alone"
    return (message(_bytes(packet)) for packet in whole[1])


def _bytes(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def _whole(value: int | bytes) -> int:
    assert isinstance(value, int)
    return value
