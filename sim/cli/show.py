"""`sim show`: every number of one entry of the catalogue, with its unit, source, status and date."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import output
from sim.cli.columns import Columns
from sim.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.cli.entries import Line
    from sim.spec.quantity import FrozenModel

NEAR = 4
"""Names that are offered in place of an unknown one."""


def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A name of the catalogue, such as h100-sxm, KIND/NAME where several kinds have it, or hf:config.json."
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object, in SI units.")] = False,
) -> None:
    """Show every number of one entry, with unit, source and date.

    Clusters show their peak operations a second, power and TPP as well; models their parameters by part, beside the
    published total. A scenario is printed as it stands, to copy and change; scaling shows the scaling laws. A model may
    also be the config.json of its weights: hf:path/to/config.json.
    """
    if name == "scaling":
        from sim.cli.scaling import show_scaling

        show_scaling(json=json)
        return
    kind, chosen, others = ("models", name, ()) if name.startswith("hf:") else find(name)
    if kind == "scenarios":
        _show_scenario(chosen, json=json)
        return
    from sim.cli.derived import derive

    entry = _entry(kind, chosen)
    derived = derive(entry)
    if json:
        numbers = {line.key: line.value for line in derived}
        output.write_json({"kind": kind, "name": chosen, "entry": entry.model_dump(mode="json"), "derived": numbers})
        return
    from sim.cli.entries import lines_of

    _print(kind, entry, [*lines_of(entry), *(line.shown() for line in derived)])
    _print_next(kind, entry, chosen, others)


def find(name: str) -> tuple[str, str, tuple[str, ...]]:
    """Give kind and name of what was asked for, and the other kinds that have an entry of the same name.

    Raises CatalogError for an unknown name, with those that look alike in any kind.

    >>> find("calibration/h100-sxm")
    ('calibration', 'h100-sxm', ())
    >>> find("h100-sxm")
    ('accelerators', 'h100-sxm', ('scans', 'kernels', 'calibration'))
    """
    from sim.cli.rows import KINDS, names_of

    prefix, slash, rest = name.partition("/")
    kind = next((kind for kind in KINDS if slash and prefix in {kind, kind.removesuffix("s")}), None)
    if kind is not None and rest in names_of(kind):
        return kind, rest, ()
    having = tuple(kind for kind in KINDS if name in names_of(kind))
    if not having:
        near = _near(name, (each for kind in KINDS for each in names_of(kind)))
        mend = f"did you mean {output.either(near)}?" if near else "sim list shows what there is"
        raise CatalogError("the catalogue has no such name", value=name, where="sim show", mend=mend)
    return having[0], name, having[1:]


def _entry(kind: str, name: str) -> FrozenModel:
    """Load an entry of the catalogue, or read the model of a file."""
    from sim.spec import catalog
    from sim.spec.model_reference import load_model

    return load_model(name) if kind == "models" else catalog.load(kind, name)


def _near(name: str, names: Iterable[str]) -> list[str]:
    """Find the names that were probably meant: those that hold what was typed, then those that look like it."""
    import difflib
    import re

    slug = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")
    known = list(dict.fromkeys(names))
    holding = [each for each in known if slug and slug in each]
    alike = difflib.get_close_matches(slug, known, n=NEAR, cutoff=0.6)
    return list(dict.fromkeys([*holding, *alike]))[:NEAR]


def _show_scenario(name: str, *, json: bool) -> None:
    from sim.cli.rows import scenario_files

    text = scenario_files()[name].read_text(encoding="utf-8")
    if json:
        output.write_json({"kind": "scenarios", "name": name, "text": text})
    else:
        output.write(text.rstrip("\n"))


def _print(kind: str, entry: FrozenModel, lines: list[Line]) -> None:
    """Print title, facts, numbers by section, and the sources that the numbers refer to."""
    name = getattr(entry, "name", "")
    output.write(f"{output.styled(name, output.CYAN)} ({kind.removesuffix('s')})")
    if title := getattr(entry, "title", None):
        output.write(output.wrapped(title, ""))
    output.write("")
    remarks = [line for line in lines if not line.number and line.label in {"notes", "note", "calibration note"}]
    _print_facts([line for line in lines if not line.number and line not in remarks])
    # The numbers of the entry itself stand before those of its parts.
    numbers = sorted((line for line in lines if line.number), key=lambda line: line.section != "")
    sources = list(dict.fromkeys(line.source for line in numbers if line.source))
    _print_numbers(numbers, sources)
    if sources:
        output.write(f"\n{output.styled('Sources', output.BOLD)}")
    for index, source in enumerate(sources, start=1):
        output.write(output.wrapped(source, f"[{index}] "))
    notes = list(dict.fromkeys((f"{line.section or line.label}: ", line.note) for line in numbers if line.note))
    notes += [("" if line.label.startswith("note") else f"{line.label}: ", line.text) for line in remarks]
    if notes:
        output.write(f"\n{output.styled('Notes', output.BOLD)}")
    for head, note in notes:
        output.write(output.wrapped(f"{head}{note}", "- "))


def _print_facts(facts: list[Line]) -> None:
    if not facts:
        return
    labels = [f"{line.section} {line.label}".strip() for line in facts]
    width = max(map(len, labels))
    for label, line in zip(labels, facts, strict=True):
        output.write(output.wrapped(line.text, f"{label:<{width}}  "))
    output.write("")


def _print_numbers(numbers: list[Line], sources: list[str]) -> None:
    """Print the table of numbers; sources are named by their place in the list below it."""
    table = Columns()
    for heading in ("", "value", "status", "date", "source"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    section = ""
    for line in numbers:
        if line.section != section:
            section = line.section
            if not table.empty:
                table.add_row()
            table.add_row(output.printable(section), bold=True)
        mark = f"[{sources.index(line.source) + 1}]" if line.source else ""
        cells = (line.label, line.text, line.status, line.date, mark)
        table.add_row(*(output.printable(cell) for cell in cells))
    table.draw()


def _print_next(kind: str, entry: FrozenModel, name: str, others: tuple[str, ...]) -> None:
    """Offer the next command."""
    question = {
        "accelerators": f"sim howlong 1e24 1024x{name}",
        "clusters": f"sim howlong 1e25 {getattr(entry, 'count', 0)}x{getattr(entry, 'accelerator', '')}",
        "models": f"sim howlong 1e24 1024xh100-sxm --model {shlex.quote(name)}",
    }.get(kind)
    commands = [question] if question else []
    commands += [f"sim show {other}/{name}" for other in others]
    if commands:
        output.write("")
    for command in commands:
        output.write(f"next: {output.styled(command, output.CYAN)}")
