"""Build the site: the pages here, and those that are made from the code: commands, fields, errors, catalogue, gallery.

Usage: python docs/build.py OUT; leaves OUT/source and OUT/html. Warnings are errors.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("accelerators", "nodes", "fabrics", "clusters", "models", "profiles", "recipes", "engines")
PICTURES = ("waterfall", "curve", "solved", "path", "jobs", "heat", "latency-ttft", "time-devices")
MOST_PICTURES = 3
"""Pictures of a scenario in the gallery: the first that it has of these."""
CONF = """
project = "flopclock"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = []
html_theme = "furo"
html_title = "flopclock"
html_static_path = []
html_extra_path = ["extra"]
myst_heading_anchors = 3
# Links to files of the repository lead nowhere on the site; tests/test_docs.py holds them against the repository.
suppress_warnings = ["myst.xref_missing"]
"""


def build(out: Path) -> int:
    """Assemble the sources, and let Sphinx make the site; give its exit code."""
    from sphinx.cmd.build import main

    source = out / "source"
    shutil.rmtree(out, ignore_errors=True)
    assemble(source)
    return main(["-W", "--keep-going", "-q", "-b", "html", str(source), str(out / "html")])


def assemble(source: Path) -> None:
    """Write every page of the site: copied, or made from the code."""
    os.environ.update({"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
    shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    # Every page beside the index is the description of a model, but for the one about results.
    models = sorted(path.stem for path in (ROOT / "docs").glob("*.md") if path.stem not in ("index", "results"))
    index = source / "index.md"
    index.write_text(index.read_text(encoding="utf-8").replace("(models)", "\n".join(models)), encoding="utf-8")
    (source / "conf.py").write_text(CONF, encoding="utf-8")
    (source / "extra").mkdir()
    _write(source / "reference" / "commands.md", commands())
    _write(source / "reference" / "scenario.md", fields())
    _write(source / "reference" / "errors.md", errors())
    catalogue(source / "reference" / "catalogue")
    gallery(source / "gallery", source / "extra")


def commands() -> str:
    """Give a page with the help of every command."""
    from sim.cli.commands import COMMANDS

    parts = [
        "# Commands",
        "",
        "What `sim COMMAND --help` prints; `--json` prints one object with SI units in its keys.",
    ]
    for command in COMMANDS:
        parts += [
            "",
            f"## sim {command.name}",
            "",
            command.summary + ".",
            "",
            *_block(_printed(command.name, "--help")),
        ]
    return "\n".join(parts) + "\n"


def fields() -> str:
    """Give a page with every field of the scenario language."""
    from sim.cli.explain_field import every_field, field_lines

    parts = ["# The scenario language", "", "Every field, as `sim explain FIELD` tells it; NAME is a name of your own."]
    order = list(dict.fromkeys(name.partition(".")[0] for name in every_field()))
    section = ""
    for name in sorted(every_field(), key=lambda name: (order.index(name.partition(".")[0]), name.count("."))):
        head = name.partition(".")[0]
        if head != section:
            section = head
            parts += ["", f"## {head}", "", "| field | means | written like | default |", "|---|---|---|---|"]
        facts = dict(field_lines(name))
        written = facts.get("one of") or facts.get("is", "").rpartition("like ")[2].partition(";")[0]
        default = facts.get("default", "").replace("none: it must be given", "must be given")
        source = f" ({facts['source']})" if "source" in facts else ""
        cells = (f"`{name}`", _escaped(facts["means"]), _escaped(written), _escaped(default + source))
        parts.append(f"| {' | '.join(cells)} |")
    return "\n".join(parts) + "\n"


def errors() -> str:
    """Give a page with the exit codes and the errors."""
    from sim.cli.explain_field import EXIT_CODES, error_kinds

    parts = ["# Exit codes and errors", "", "| code | means |", "|---|---|"]
    parts += [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    parts += ["", "Every message has four parts: the rule, the value that broke it, the place, and how to mend it.", ""]
    parts += ["| error | code | means |", "|---|---|---|"]
    parts += [f"| `{name}` | {kind.exit_code} | {_first(kind.__doc__)} |" for name, kind in error_kinds().items()]
    return "\n".join(parts) + "\n"


def catalogue(folder: Path) -> None:
    """Write a page for each kind of entry, with every number and its source."""
    from sim.cli.rows import names_of

    listed = []
    for kind in KINDS:
        names = names_of(kind)
        parts = [f"# {kind.capitalize()}", "", *_block(_printed("list", kind)), ""]
        for name in names:
            parts += [f"## {name}", "", *_block(_printed("show", f"{kind}/{name}")), ""]
        _write(folder / f"{kind}.md", "\n".join(parts) + "\n")
        listed.append(kind)
    _write(folder / "index.md", "\n".join(["# Catalogue", "", "```{toctree}", *listed, "```", ""]))


def gallery(folder: Path, extra: Path) -> None:
    """Play every scenario, and write its sentence, its pictures and its whole page."""
    from sim.results.charts.gallery import charts
    from sim.results.page import page
    from sim.spec.load import load_document, read_scenario
    from sim.study.curves import with_curve
    from sim.study.scenarios import run_scenario

    folder.mkdir(parents=True)
    parts = ["# Gallery", "", "Every scenario of the repository, as it plays today.", ""]
    for path in sorted((ROOT / "scenarios").rglob("*.yaml")):
        name = path.relative_to(ROOT / "scenarios").with_suffix("").as_posix()
        slug = name.replace("/", "-")
        document = load_document(path)
        scenario = read_scenario(document)
        record = with_curve(run_scenario(scenario, document=document), scenario).record
        about = re.match(r"(?:# (?!yaml-language).*\n)+", path.read_text(encoding="utf-8"))
        said = " ".join(line.removeprefix("# ") for line in about[0].splitlines()) if about else ""
        drawn = charts(record)
        chosen = [each for each in PICTURES if each in drawn]
        (extra / f"{slug}.html").write_text(page(record), encoding="utf-8")
        parts += [f"## {name}", "", _escaped(said), "", f"> {_escaped(record.result['sentence'])}", ""]
        for each in chosen[:MOST_PICTURES]:
            (folder / f"{slug}-{each}.svg").write_text(drawn[each].svg(), encoding="utf-8")
            parts += [f"![{drawn[each].title}]({slug}-{each}.svg)", ""]
        parts += [f"<a href='../{slug}.html'>The whole page</a>", ""]
    _write(folder / "index.md", "\n".join(parts) + "\n")


def _printed(*arguments: str) -> str:
    from sim.cli.main import main

    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        code = main(arguments)
    assert code == 0, f"sim {' '.join(arguments)} ended with {code}"
    return "\n".join(line.rstrip() for line in stdout.getvalue().strip("\n").splitlines())


def _block(text: str) -> list[str]:
    return ["```text", text, "```"]


def _escaped(text: str) -> str:
    return re.sub(r"([*_<>|`\[\]$])", r"\\\1", text)


def _first(text: str | None) -> str:
    return " ".join((text or "").split("\n\n", maxsplit=1)[0].split())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "docs").resolve()))
