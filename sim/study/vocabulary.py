"""What the words of a question stand for: names of the catalogue, units, verbs, and words that say nothing.

The names come from the files of the catalogue (slug and title), so a new file is understood without a change here;
everything else comes from the tables of ``sim.study.phrasebook``.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from sim.spec import catalog
from sim.study import phrasebook
from sim.study.numerals import atoms, normalise, squash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CATALOGUE = {"fabric": "fabrics", "cluster": "clusters", "model": "models", "chip": "accelerators"}
"""Kinds of names in a question, and where the catalogue keeps them; of two equal names the later kind wins."""


class Entry(NamedTuple):
    """What a word or phrase stands for.

    A named tuple, not a dataclass: there are a thousand, built at first use.
    """

    kind: str
    """chip, model, cluster, fabric, precision, law, label, ask, hint, result, filler and so on."""
    value: str
    """The name in the catalogue, or the choice."""
    meaning: str = ""
    """What is said about it beside the value."""


class Unit(NamedTuple):
    """A unit of a question."""

    dimension: str
    """flop, token, parameter, second, percent or usd."""
    written: str
    """For a time, the unit that a command takes."""
    factor: Decimal
    """How many of the written unit (else of one) it is worth."""


@cache
def phrases() -> dict[str, Entry]:
    """Give every known word and phrase by its squashed form.

    >>> phrases()["h100sxm"].value, phrases()["llama3.1405b"].value
    ('h100-sxm', 'llama-3.1-405b')
    """
    known = {squash(word): Entry("filler", "") for word in phrasebook.FILLERS.split()}
    known |= {squash(word): Entry("filler", "") for word in phrasebook.VENDORS.split()}
    # A unit without a number, as in `how long in days`, asks for nothing that the answer does not choose itself.
    known |= {word: Entry("unit", unit.written) for word, unit in units().items() if word not in {"$", "%"}}
    for kind, table in _TABLES.items():
        known |= {squash(word): Entry(kind, value) for value, words in table.items() for word in words}
    known |= {squash(word): Entry(kind, "") for kind, words in _GROUPS.items() for word in words}
    for word, unit in units().items():
        asked = {"second": "howlong", "flop": "howmuch", "token": "howmuch", "parameter": "howmuch"}
        if unit.dimension in asked:
            known[f"howmany{word}"] = Entry("ask", asked[unit.dimension])
    for kind, folder in CATALOGUE.items():
        known |= _names(kind, folder)
    for kind, loose in phrasebook.LOOSE.items():
        for word, names in loose.items():
            name, *others = names.split()
            other = f"; not {either(others)}" if others else ""
            known[squash(word)] = Entry(kind, name, f"{_title(CATALOGUE[kind], name)}{other}")
    return known


@cache
def units() -> dict[str, Unit]:
    """Give every unit by its squashed form.

    >>> units()["weeks"].written, units()["zflop"].factor
    ('weeks', Decimal('1E+21'))
    """
    known = {
        word: Unit("second", unit, Decimal(1)) for unit, words in phrasebook.TIMES.items() for word in words.split()
    }
    known |= {word: Unit("second", unit, Decimal(worth)) for word, (unit, worth) in phrasebook.LONG_TIMES.items()}
    for dimension, words in phrasebook.COUNTED.items():
        known |= {squash(word): Unit(dimension, "", Decimal(1)) for word in words}
    for power, (letter, prefix) in enumerate(phrasebook.PREFIXES.items(), 1):
        flop = Unit("flop", "", Decimal(f"1e{3 * power}"))
        # A petaflop/s-day is the work of a day at that rate.
        day = flop._replace(factor=_DAY_S * flop.factor)
        for start in (letter, prefix):
            known |= {f"{start}{rest}": flop for rest in ("flop", "flops")}
            known |= {f"{start}{rate}{rest}": day for rate in ("flop/s", "flops", "flop") for rest in ("day", "days")}
        known |= {f"{letter}{rate}{rest}": day for rate in ("f", "fs", "f/s") for rest in ("day", "days")}
    return known


@cache
def longest() -> int:
    """Give how many atoms the longest phrase has."""
    return max(len(atoms(key)) for key in (*phrases(), *units())) + _LOOSER


def alike(text: str) -> list[str]:
    """Give the names that an unknown word may be a slip of, the likeliest first.

    >>> alike("h101s")[0]
    'h100-sxm'
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only an error needs it, and it is slow to import

    key = squash(text)[:_LONGEST_NAME]
    named = {each: entry.value for each, entry in phrases().items() if entry.kind in {"precision", *CATALOGUE}}
    near = [match for each in (key, key.removesuffix("s")) for match in get_close_matches(each, named, 5, _ALIKE)]
    return list(dict.fromkeys(named[each] for each in near))[:3]


def either(choices: Sequence[str]) -> str:
    """Give choices as words.

    >>> either(["bf16", "fp16", "fp8"])
    'bf16, fp16 or fp8'
    """
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last


def precisions() -> tuple[str, ...]:
    """Give the precisions that a training run can have."""
    return catalog.names("recipes")


_DAY_S = 86400
_LOOSER = 8
"""Atoms more than its key has, since `llama-3.1-405b` may be typed with a blank anywhere."""
_LONGEST_NAME = 40
_ALIKE = 0.74
_TABLES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "ask": phrasebook.ASKS,
    "hint": phrasebook.HINTS,
    "result": phrasebook.RESULTS,
    "precision": phrasebook.PRECISIONS,
    "law": phrasebook.LAWS,
    "label": phrasebook.LABELS,
    "elsewhere": phrasebook.ELSEWHERE,
}
_GROUPS = {
    "device": phrasebook.DEVICES,
    "site": phrasebook.SITES,
    "model noun": phrasebook.MODEL_NOUNS,
    "node": phrasebook.NODES,
    "rack": phrasebook.RACKS,
    "no failures": phrasebook.NO_FAILURES,
    "start": phrasebook.STARTS,
    "each": ("each", "of each", "apiece"),
    "times": ("x", "*", "times"),
    "article": ("a", "an", "my"),
    "per": ("per", "/", "every"),
}


def _names(kind: str, folder: str) -> dict[str, Entry]:
    """Give the entries of one folder by name and by title; a short title that two of them share names neither."""
    titles = {name: _title(folder, name) for name in catalog.names(folder)}
    owners: dict[str, list[str]] = {}
    for name, title in titles.items():
        for key in _short_titles(title):
            owners.setdefault(key, []).append(name)
    known = {key: Entry(kind, names[0], titles[names[0]]) for key, names in owners.items() if len(names) == 1}
    return known | {squash(name): Entry(kind, name, title) for name, title in titles.items()}


def _short_titles(title: str) -> set[str]:
    """Give the squashed forms of a title, the short ones as well."""
    # What stands behind a colon or in brackets explains: Alps, Lugano: 10,752 GH200 is Alps.
    short = re.sub(r"\(.*?\)", "", title).partition(":")[0].strip()
    written = {short, short.partition(",")[0]}
    first, _, rest = short.partition(" ")
    if rest and first.lower() in phrasebook.VENDORS.split():
        written.add(rest)
    return {squash(each) for each in written}


def _title(folder: str, name: str) -> str:
    """Read the title alone: validating two hundred files takes seconds."""
    with catalog.path(folder, name).open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("title:"):
                return normalise(line.removeprefix("title:")).strip().strip("'\"")
    return name
