"""`sim new`: a commented file to start from, and the schema beside it by which editors check and complete it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sim.cli import output
from sim.errors import UsageError

KINDS = ("training", "cluster", "serving", "graph")
SCHEMA = Path(".flopclock") / "scenario.schema.json"
"""Where the schema is put, from the folder of the file; editors need no network for it, and it fits this version."""
MODELINE = f"# yaml-language-server: $schema={SCHEMA.as_posix()}"
_HEADERS = {
    "training": "A training run, from sim new training.",
    "cluster": "A training run on a cluster of your own, from sim new cluster: its chip, its node and its network.",
    "graph": "Tasks of several model calls and tools, from sim new graph; docs/graphs.md says what a node may be.",
    "serving": "A service and the requests to it, from sim new serving. Recorded requests instead: trace: FILE.",
}
_SOURCES = """\
# A number may say where it comes from: {value: 96 GiB, source: datasheet of May 2026, status: read, date: 2026-05}.
"""
_RULES = """\
# What begins with # and no space is a default, or an example where there is none: take the # away to change it.
"""


def new(
    kind: Annotated[
        str,
        typer.Argument(
            help="training: a training run. cluster: the same, on your own machine. serving: a service. graph: tasks. "
            "policy: a scheduling policy in Python, with its test."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File to write; - for stdout. KIND.yaml without it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Say what was written as one JSON object.")] = False,
) -> None:
    """Write a commented file to start from.

    Every key stands in it, with its meaning, its unit, its default and where the default comes from. Beside it, in
    .flopclock, the schema is put by which editors check and complete it.
    """
    if kind == "policy":
        _new_policy(out or Path("my_policy.py"), force=force, json=json)
        return
    _check(kind)
    path = out or Path(f"{kind}.yaml")
    text = template(kind)
    if str(path) == "-":
        output.write(text.rstrip("\n"))
        return
    from sim.cli.files import check_writable, write_whole

    check_writable(path, force=force)
    schema = path.parent / SCHEMA
    _write_schema(schema)
    write_whole(path, text, force=force)
    commands = [f"sim check {_quoted(path)}", f"sim run {_quoted(path)}"]
    if json:
        output.write_json({"kind": kind, "written": [str(path), str(schema)], "next": commands})
        return
    output.write(f"wrote {path}, and {schema} for editors")
    for command in commands:
        output.write(f"next: {output.styled(command, output.CYAN)}")


def _new_policy(path: Path, *, force: bool, json: bool) -> None:
    """Write a policy that works, with its test; the file is Python, so no schema stands beside it."""
    from importlib.resources import files

    from sim.cli.files import check_writable, write_whole

    text = (files("sim.cli") / "templates" / "policy.py.txt").read_text(encoding="utf-8")
    if str(path) == "-":
        output.write(text.rstrip("\n"))
        return
    if not path.stem.isidentifier():
        raise UsageError("Python imports the file by its name", str(path), "sim new policy", "-o my_policy.py")
    check_writable(path, force=force)
    write_whole(path, text.replace("my_policy", path.stem), force=force)
    chosen = f'"policy={{python: {path.stem}:MyPolicy}}"'
    commands = [
        "pip install pytest hypothesis",
        f"pytest {_quoted(path)}",
        f"sim run SCENARIO.yaml --set {chosen} --allow-code",
    ]
    if json:
        output.write_json({"kind": "policy", "written": [str(path)], "next": commands})
        return
    output.write(f"wrote {path}")
    for command in commands:
        output.write(f"next: {output.styled(command, output.CYAN)}")


def template(kind: str) -> str:
    """Give the file that a kind begins with."""
    from importlib.resources import files

    from sim.spec.annotate import annotate
    from sim.spec.scenario import Scenario
    from sim.spec.yaml import loads

    folder = files("sim.cli") / "templates"
    data, examples = (
        loads((folder / f"{name}.yaml").read_text(encoding="utf-8"), name).data for name in (kind, "examples")
    )
    assert isinstance(data, dict)
    assert isinstance(examples, dict)
    head = f"{MODELINE}\n# {_HEADERS[kind]}\n{_RULES}{_SOURCES if kind == 'cluster' else ''}\n"
    return head + annotate(Scenario, data, examples)


def _check(kind: str) -> None:
    """Refuse a kind that there is not."""
    if kind in KINDS:
        return
    from difflib import get_close_matches

    kinds = (*KINDS, "policy")
    near = get_close_matches(kind.lower(), kinds, n=1, cutoff=0.5)
    mend = f"did you mean {near[0]}?" if near else f"one of {output.either(kinds)}"
    raise UsageError("there is no such kind of file", value=kind, where="sim new", mend=mend)


def _write_schema(path: Path) -> None:
    """Put the schema of this version in its place; it is ours, so an older one is replaced."""
    from sim.cli.files import write_whole
    from sim.cli.schema import schema_text

    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make the folder for the schema: {error.strerror}",
            value=str(path.parent),
            mend="choose a place where you may write",
        ) from None
    write_whole(path, f"{schema_text('scenario')}\n", force=True)


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
