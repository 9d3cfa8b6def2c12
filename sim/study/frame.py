"""What a question asks, filled in piece by piece: each rule takes the pieces that belong together."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from sim.spec import catalog
from sim.study.numerals import plain
from sim.study.pieces import NOTHING, Piece
from sim.study.vocabulary import either, precisions

if TYPE_CHECKING:
    from collections.abc import Callable

SMALLEST_BARE_FLOP = Decimal("1e15")
"""A number without a unit is an amount of FLOP from here on: no cluster and no model is counted so high."""
SMALLEST_BARE_MODEL = Decimal("1e6")
"""The `405B` of `a 405B model` is its parameters from here on."""


@dataclass(slots=True)
class Machine:
    """An accelerator, or a cluster of the catalogue, with how many of it."""

    name: str
    phrase: str
    meaning: str
    count: int | None = None
    """None where no number stands beside it."""
    is_cluster: bool = False


@dataclass(slots=True)
class Frame:
    """What was found in a question so far."""

    text: str
    """The question with one way of writing for what has several; phrases are cut from it."""
    understood: list[tuple[str, str]] = field(default_factory=list)
    """Phrases with what they are taken for, machines apart."""
    unread: list[str] = field(default_factory=list)
    """Words without a meaning."""
    misplaced: list[tuple[str, str]] = field(default_factory=list)
    """Phrases with a meaning and without a place, and the reason."""
    asks: dict[str, str] = field(default_factory=dict)
    """Kinds of question that were asked, with their phrase."""
    hints: dict[str, str] = field(default_factory=dict)
    results: list[tuple[str, str]] = field(default_factory=list)
    flop: Decimal | None = None
    tokens: Decimal | None = None
    time: str | None = None
    machines: list[Machine] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    """Options of the question by their Python names, the model as well."""

    def phrase(self, first: Piece, last: Piece) -> str:
        """Give the words of the question from one piece to another."""
        return self.text[first.start : last.end]


def fill(text: str, pieces: list[Piece]) -> Frame:
    """Fill a frame from the pieces of a question."""
    frame = Frame(text)
    index = 0
    while index < len(pieces):
        kind = pieces[index].kind
        index += next((taken for rule in _RULES.get(kind, ()) if (taken := rule(frame, pieces, index))), 0) or _single(
            frame, pieces[index]
        )
    return frame


def _kinds(pieces: list[Piece], index: int, *patterns: str) -> int:
    """Give how many pieces from here on follow a pattern of kinds, each a choice; 0 where they do not.

    A pattern that ends in ? may be missing.
    """
    at = index
    for pattern in patterns:
        choices = pattern.removesuffix("?").split("|")
        if at < len(pieces) and pieces[at].kind in choices:
            at += 1
        elif not pattern.endswith("?"):
            return 0
    return at - index


def _labelled(frame: Frame, pieces: list[Piece], index: int) -> int:
    """Take a number with the label before or behind it: batch size 4M tokens, 40% MFU, 8.4 s per step."""
    taken = _kinds(pieces, index, "label", "number") or _kinds(pieces, index, "number", "label")
    if not taken:
        return 0
    label = next(piece for piece in pieces[index : index + 2] if piece.kind == "label")
    number = next(piece for piece in pieces[index : index + 2] if piece.kind == "number")
    name = label.value
    if number.dimension not in _LABELLED[name]:
        return 0
    value = number.number / 100 if number.dimension == "percent" else number.number
    if name == "sequence" and "k" in frame.phrase(number, number).lower() and value % 1000 == 0:
        value = value / 1000 * 1024  # a context of 8k is 8192 tokens
    written = _timed(value, number.value) if number.dimension == "second" else plain(value)
    phrase = frame.phrase(pieces[index], pieces[index + 1])
    _option(frame, name, written, phrase, f"{name.replace('_', ' ')} {written}")
    return taken


def _price(frame: Frame, pieces: list[Piece], index: int) -> int:
    """Take $2.50 per GPU hour."""
    if pieces[index].dimension != "usd":
        return 0
    taken = _kinds(pieces, index, "number", "per|article|device|chip", *("per|article|device|chip?",) * 3, "unit")
    unit = pieces[index + taken - 1].value if taken else ""
    if unit not in {"h", "d", "years"}:
        return 0
    written = f"{plain(pieces[index].number)} USD/{unit.removesuffix('s')}"
    _option(
        frame, "price", written, frame.phrase(pieces[index], pieces[index + taken - 1]), f"price {written} a device"
    )
    return taken


def _start(frame: Frame, pieces: list[Piece], index: int) -> int:
    """Take the first day of the run."""
    taken = _kinds(pieces, index, "start?", "date")
    if taken:
        date = pieces[index + taken - 1].value
        _option(frame, "start", date, frame.phrase(pieces[index], pieces[index + taken - 1]), f"first day {date}")
    return taken


def _machines(frame: Frame, pieces: list[Piece], index: int) -> int:
    """Take a number of accelerators in any of the ways people write it."""
    first = pieces[index]
    for pattern in _MACHINES:
        taken = _kinds(pieces, index, *pattern)
        group = pieces[index : index + taken]
        numbers = [piece for piece in group if piece.kind == "number"]
        if taken and not any(piece.dimension or piece.number >= SMALLEST_BARE_FLOP for piece in numbers):
            break
    else:
        return 0
    chip = next(piece for piece in group if piece.kind == "chip")
    phrase = frame.phrase(first, group[-1])
    holders = [piece for piece in group if piece.kind in {"node", "rack"}]
    if group[-1].kind == "device":
        holders = []  # 1024 HGX H100 GPUs are counted in GPUs
    meaning, count = chip.meaning, NOTHING
    if numbers:
        count = numbers[0].number * (numbers[1].number if len(numbers) > 1 else 1)
    elif first.kind == "article" and group[-1].kind != "site":
        count = Decimal(1)
    if holders and len(numbers) < 2 and count:  # noqa: PLR2004 - 128 nodes of 8 H100s need no look at the node
        held = _held(chip.value, holders[-1].kind)
        if held is None:
            frame.misplaced.append((phrase, f"the catalogue has no {holders[-1].kind} of {chip.value}"))
            return taken
        meaning += f"; {plain(count)} x {held} in a {holders[-1].kind}"
        count *= held
    if numbers and (count != count.to_integral_value() or count < 1):
        frame.misplaced.append((phrase, "accelerators come in whole numbers"))
        return taken
    frame.machines.append(Machine(chip.value, phrase, meaning, int(count) or None))
    return taken


def _each(frame: Frame, pieces: list[Piece], index: int) -> int:
    """Take '10,000 each': the number of every accelerator that has none yet."""
    taken = _kinds(pieces, index, "number", "device?", "each")
    number = pieces[index].number
    waiting = [machine for machine in frame.machines if machine.count is None and not machine.is_cluster]
    if not taken or pieces[index].dimension or not waiting or number < 1 or number != number.to_integral_value():
        return 0
    for machine in waiting:
        machine.count = int(number)
        machine.phrase += f" ... {frame.phrase(pieces[index], pieces[index + taken - 1])}"
    return taken


def _model_size(frame: Frame, pieces: list[Piece], index: int) -> int:
    """Take 405B parameters, or a 405B model."""
    number = pieces[index]
    taken = 0
    if number.dimension == "parameter":
        taken = _kinds(pieces, index, "number", "model noun?")
    elif not number.dimension and SMALLEST_BARE_MODEL <= number.number < SMALLEST_BARE_FLOP:
        taken = _kinds(pieces, index, "number", "model noun")
    if taken:
        written = plain(number.number)
        phrase = frame.phrase(number, pieces[index + taken - 1])
        _option(frame, "params", written, phrase, f"a dense model of {written} parameters")
    return taken


def _article_size(frame: Frame, pieces: list[Piece], index: int) -> int:
    """Take 'a 70B' where no accelerator stands behind it."""
    taken = _kinds(pieces, index, "article", "number")
    behind = pieces[index + 2].kind if index + 2 < len(pieces) else ""
    if not taken or behind in {"chip", "device", "node", "rack", "times", "unknown", "label"}:
        return 0
    number = pieces[index + 1]
    if number.dimension or not SMALLEST_BARE_MODEL <= number.number < SMALLEST_BARE_FLOP:
        return 0
    size = number._replace(start=pieces[index].start, dimension="parameter")
    return 1 + _model_size(frame, [*pieces[: index + 1], size, *pieces[index + 2 :]], index + 1)


def _amount(frame: Frame, pieces: list[Piece], index: int) -> int:
    """Take an amount of FLOP, of tokens, or a time."""
    piece = pieces[index]
    if not piece.number:
        return 0
    phrase, written = frame.phrase(piece, piece), plain(piece.number)
    bare = not piece.dimension and piece.number >= SMALLEST_BARE_FLOP
    if piece.dimension == "flop" or bare:
        return _once(frame, "flop", piece.number, phrase, f"{written} FLOP of training")
    if piece.dimension == "token":
        return _once(frame, "tokens", piece.number, phrase, f"{written} training tokens")
    if piece.dimension == "second":
        return _once(frame, "time", _timed(piece.number, piece.value), phrase, f"a time of {written} {_spelled(piece)}")
    return 0


def _of_unknown(frame: Frame, pieces: list[Piece], index: int) -> int:
    """Take '25,000 H300s': what is strange is the accelerator, not its number."""
    if pieces[index].dimension or not _kinds(pieces, index, "number", "unknown|elsewhere"):
        return 0
    return 1 + _single(frame, pieces[index + 1])


def _once(frame: Frame, name: str, value: object, phrase: str, meaning: str) -> int:
    """Keep what a question has one of; a second one that differs has no place."""
    if getattr(frame, name) not in {None, value}:
        frame.misplaced.append((phrase, f"there is one {'budget' if name != 'time' else 'time'} to a question"))
    else:
        setattr(frame, name, value)
        frame.understood.append((phrase, meaning))
    return 1


def _option(frame: Frame, name: str, value: str, phrase: str, meaning: str) -> None:
    if frame.options.setdefault(name, value) != value:
        frame.misplaced.append((phrase, f"there is one {name.replace('_', ' ')} to a question"))
    else:
        frame.understood.append((phrase, meaning))


def _single(frame: Frame, piece: Piece) -> int:
    """Take a piece that no rule has taken with its neighbours."""
    phrase = frame.phrase(piece, piece)
    kind, value = piece.kind, piece.value
    if kind == "ask":
        frame.asks.setdefault(value, phrase)
    elif kind == "hint":
        frame.hints.setdefault(value, phrase)
    elif kind == "result":
        frame.results.append((phrase, f"{value} stands in the answer"))
    elif kind == "cluster":
        frame.machines.append(Machine(value, phrase, piece.meaning, is_cluster=True))
    elif kind == "precision" and value not in precisions():
        frame.misplaced.append((phrase, f"training runs in {either(precisions())}"))
    elif kind in {"model", "precision", "law", "fabric"}:
        _option(frame, kind, value, phrase, f"{kind} {value}" + (f": {piece.meaning}" if piece.meaning else ""))
    elif kind == "no failures":
        _option(frame, "no_failures", "", phrase, "nothing interrupts the run")
    elif kind == "elsewhere":
        frame.misplaced.append((phrase, value))
    elif kind == "number":
        frame.misplaced.append((phrase, _STRAY.get(piece.dimension, _STRAY[""])))
    elif kind not in _HARMLESS:
        frame.unread.append(phrase)
    return 1


def _held(chip: str, holder: str) -> int | None:
    """Give how many accelerators a node or a rack of them holds; None where the catalogue knows no such node."""
    node = catalog.load("accelerators", chip).node
    if node is None:
        return None
    entry = catalog.load("nodes", node)
    devices, domain = int(entry.devices), int(entry.scale_up_domain_devices)
    if holder == "node":
        return devices
    # A scale-up domain larger than the node is the rack of NVL72; that of a TPU is a pod of many racks.
    return domain if devices < domain <= _LARGEST_RACK else None


def _timed(number: Decimal, unit: str) -> str:
    """Write a time as a command takes it: 54d, 1week, 2weeks."""
    return f"{plain(number)}{unit.removesuffix('s') if number == 1 and len(unit) > 1 else unit}"


def _spelled(piece: Piece) -> str:
    words = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}.get(piece.value, piece.value)
    return words.removesuffix("s") if piece.number == 1 else words


_LARGEST_RACK = 144
_HARMLESS = {"hint", "device", "site", "model noun", "unit", "article", "node", "rack", "start", "each"}
_STRAY = {
    "": "a number of what? FLOP, tokens, parameters, days, or an accelerator behind it",
    "percent": "a share of what? 40% MFU",
    "usd": "money has a place as a price only: $2.50 per hour",
    "flop": "an amount above zero",
    "flop_per_s": "a rate has no place here: give an amount of FLOP, or accelerators",
    "token": "an amount above zero",
    "second": "a time above zero",
    "parameter": "a model has more than one parameter",
}
_LABELLED = {
    "mfu": {"", "percent"},
    "batch": {"token"},
    "sequence": {"", "token"},
    "step_time": {"second"},
    "spares": {""},
    "seeds": {""},
    "checkpoint": {"second"},
}
_MACHINES = (
    ("number", "node|rack", "number", "chip", "device?"),
    ("number", "times?", "node|rack", "chip", "device|site?"),
    ("number", "times?", "device?", "chip", "node|rack|device|site?"),
    ("chip", "device?", "times", "number"),
    ("article", "node|rack", "chip", "device?"),
    ("article", "chip", "node|rack|device|site?"),
    ("node|rack?", "chip", "node|rack|device|site?"),
)
_RULES: dict[str, tuple[Callable[[Frame, list[Piece], int], int], ...]] = {
    "label": (_labelled,),
    "number": (_labelled, _price, _each, _machines, _model_size, _amount, _of_unknown),
    "start": (_start,),
    "date": (_start,),
    "chip": (_machines,),
    "article": (_machines, _article_size),
    "node": (_machines,),
    "rack": (_machines,),
}
