"""Understand a question in words: which of the three questions it is, and the command that it stands for.

No learning and no guessing: words are looked up, numbers are read, and what has no meaning here is an error that
says what was understood, what was not, and how to ask. A name that may mean several things takes the usual one of
them, and the understanding says so.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sim.errors import UsageError
from sim.study.frame import Frame, Machine, fill
from sim.study.numerals import plain
from sim.study.pieces import cut
from sim.study.vocabulary import alike, either

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["howlong", "howmany", "howmuch"]

EXAMPLES: dict[str, str] = {
    "howlong": "how long would 1e26 FLOP take on 24,576 H100s",
    "howmany": "how many B200s to do 3e25 FLOP in 100 days",
    "howmuch": "how much can 16k H100s train in 54 days",
}
"""A question of each kind, which is understood."""


@dataclass(frozen=True, slots=True)
class Understood:
    """A question as it was understood."""

    kind: Kind
    budget: str | None
    """FLOP or tokens, with the unit; None for howmuch."""
    time: str | None
    """The time of howmany and howmuch, as a command takes it."""
    clusters: tuple[str, ...]
    """COUNTxACCELERATOR or a cluster of the catalogue; for howmany the accelerators alone."""
    model: str | None
    options: Mapping[str, str]
    """Options besides the model, by the names of ``question_scenario.OPTIONS`` and of the command (start, seeds)."""
    understood: tuple[tuple[str, str], ...]
    """Phrases of the question, each with what it was taken for."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Give the arguments of ``sim`` that this question stands for."""
        budget = None if self.budget is None else self.budget.removesuffix(" FLOP").replace(" ", "")
        before = {"howlong": (budget,), "howmany": (budget, self.time), "howmuch": (self.time,)}[self.kind]
        options = ({"model": self.model} if self.model else {}) | dict(self.options)
        flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value) if part]
        return (self.kind, *(part for part in before if part), *self.clusters, *flags)

    @property
    def command(self) -> str:
        """Give the command line that this question stands for."""
        return f"sim {shlex.join(self.arguments)}"


def understand(text: str) -> Understood:
    """Understand a question in words.

    Raises:
        UsageError: it cannot be read; says what was understood, what was not, and how to ask.

    >>> understand("how long would 10^26 FLOP take on 25,000 H100s?").command
    'sim howlong 1e26 25000xh100-sxm'
    >>> understand("how many B200s to do 3e25 FLOP in 100 days").command
    'sim howmany 3e25 100d b200-sxm'
    """
    frame = fill(*cut(text))
    problem = _problem(frame)
    if problem is not None:
        raise _error(frame, text, *problem)
    kind, asked = _kind(frame)
    return _understood(frame, kind, asked)


def _understood(frame: Frame, kind: Kind, asked: tuple[str, str]) -> Understood:
    options = dict(frame.options)
    model = options.pop("model", None)
    budget = None
    if frame.flop is not None:
        budget = f"{plain(frame.flop)} FLOP"
    elif frame.tokens is not None and kind != "howmuch":
        budget = f"{plain(frame.tokens)} tokens"
    if frame.tokens is not None and (budget is None or not budget.endswith("tokens")):
        options["tokens"] = plain(frame.tokens)
    return Understood(
        kind=kind,
        budget=budget,
        time=frame.time,
        clusters=tuple(dict.fromkeys(_written(machine, kind) for machine in frame.machines)),
        model=model,
        options=options,
        understood=_in_order(frame, [asked]),
    )


def _kind(frame: Frame) -> tuple[Kind, tuple[str, str]]:
    """Decide which question it is: by its verb, else by what is given."""
    for kind in _KINDS:
        if kind in frame.asks:
            return kind, (frame.asks[kind], f"{kind}: {_WANTED[kind]}")
    given = next((kind for kind in _KINDS if not _missing(frame, kind)), None)
    # How much it costs is no question how much.
    kind = given or ("howmuch" if "howmuch" in frame.hints and not frame.results else "howlong")
    phrase = frame.hints.get(kind, "(from what is given)")
    return kind, (phrase, f"{kind}: {_WANTED[kind]}")


def _missing(frame: Frame, kind: Kind) -> list[str]:
    """Say what a question of this kind lacks, and what it has no place for."""
    missing = []
    sized = bool({"model", "params"} & frame.options.keys())
    has_budget = frame.flop is not None or frame.tokens is not None
    if kind != "howmuch" and not has_budget:
        missing.append(
            "how many tokens? a model alone is no amount of training ('on 15e12 tokens')"
            if sized
            else "how much training? an amount of FLOP ('1e26 FLOP'), or tokens with a model"
        )
    if kind != "howmuch" and frame.flop is None and frame.tokens is not None and not sized:
        missing.append("tokens of which model? a name ('llama-3.1-405b') or a size ('a 405B model')")
    if kind == "howmuch" and frame.flop is not None:
        missing.append("howmuch has no place for an amount of FLOP, since that is its answer")
    if kind == "howlong" and frame.time is not None:
        missing.append(_TIME_TOO_MANY)
    if kind != "howlong" and frame.time is None:
        missing.append("in what time? ('in 90 days')")
    return missing + _missing_machines(frame, kind)


def _missing_machines(frame: Frame, kind: Kind) -> list[str]:
    if not frame.machines:
        return ["on which accelerator? ('H100')" if kind == "howmany" else "on what? ('24,576 H100s')"]
    if kind == "howmany":
        # `on an H100` does not count them in a question how many.
        counted = [each for each in frame.machines if each.is_cluster or (each.count or 1) > 1]
        return [f'howmany has no place for a count: "{each.phrase}"' for each in counted]
    return [
        f'how many of them? "{each.phrase}"' for each in frame.machines if each.count is None and not each.is_cluster
    ]


def _written(machine: Machine, kind: Kind) -> str:
    return machine.name if machine.is_cluster or kind == "howmany" else f"{machine.count}x{machine.name}"


def _said(machine: Machine) -> tuple[str, str]:
    count = f"{machine.count:,} x " if machine.count else ""
    return machine.phrase, f"{count}{machine.name}: {machine.meaning}"


def _in_order(frame: Frame, asked: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Give everything understood, in the order of the question."""
    said = [*asked, *frame.results, *frame.understood, *map(_said, frame.machines)]
    return tuple(sorted(said, key=lambda pair: frame.text.find(pair[0].partition(" ... ")[0])))


def _problem(frame: Frame) -> tuple[str, str] | None:
    """Say what is wrong with a question and how to mend it; None where nothing is."""
    kind, _ = _kind(frame)
    if frame.unread or frame.misplaced:
        return _not_understood(frame, kind)
    if len(frame.asks) > 1:
        both = " and ".join(f'"{phrase}"' for phrase in frame.asks.values())
        return f"there is one question at a time; here are {both}", _example(kind)
    missing = _missing(frame, kind)
    if not missing:
        return None
    if missing == [_TIME_TOO_MANY] and not any(machine.is_cluster for machine in frame.machines):
        without_time, without_count = (_understood(frame, each, ("", "")).command for each in ("howlong", "howmany"))
        return missing[0], f"leave out the time: {without_time}; or the count: {without_count}"
    return "; ".join(missing), _example(kind)


def _not_understood(frame: Frame, kind: Kind) -> tuple[str, str]:
    """Say which words have no meaning or no place here, and what the question would be without them."""
    dropped = [*frame.unread, *(phrase for phrase, _ in frame.misplaced)]
    wrong = [f'"{phrase}" is not understood' for phrase in frame.unread]
    wrong += [f'"{phrase}": {reason}' for phrase, reason in frame.misplaced]
    near = list(dict.fromkeys(name for phrase in frame.unread[:_NEAR] for name in alike(phrase)))
    hint = f"did you mean {either(near[:_NEAR])}? " if near else ""
    # What holds a number changes the answer: it is not offered to leave it out.
    is_whole = len(frame.asks) <= 1 and not _missing(frame, kind) and not any(map(_has_digit, dropped))
    rest = f"without it: {_understood(frame, kind, ('', '')).command}" if is_whole else _example(kind)
    return "; ".join(wrong), f"{hint}{rest}"


def _has_digit(text: str) -> bool:
    return any(c.isdigit() for c in text)


def _error(frame: Frame, question: str, rule: str, mend: str) -> UsageError:
    """Build the error with all that was understood."""
    asked = [(phrase, f"{kind}: {_WANTED[kind]}") for kind, phrase in frame.asks.items()]
    lines = [f'\n  understood: "{phrase}" as {meaning}' for phrase, meaning in _in_order(frame, asked)]
    return UsageError(rule + "".join(lines or ["\n  understood: nothing"]), question, "the question", mend)


def _example(kind: str) -> str:
    return f'ask like this: sim ask "{EXAMPLES[kind]}"'


_NEAR = 3
"""Names offered in place of unknown ones."""
_TIME_TOO_MANY = "howlong has no place for a time, since that is its answer"
_KINDS: tuple[Kind, ...] = ("howlong", "howmany", "howmuch")
_WANTED = {
    "howlong": "the time is asked for",
    "howmany": "the number of accelerators is asked for",
    "howmuch": "the amount of training is asked for",
}
