"""The documentation is true: every command shown in it is run, and prints what stands there.

A ```console block holds `$ sim ...` lines, each followed by its output (stdout, then stderr). A block after the line
`<!-- not run -->` is shown only. `pytest --accept` writes the present output into the documents.
"""

import difflib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.command import call

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?P<head>^```console\n)(?P<body>.*?)(?P<tail>^```$)", re.MULTILINE | re.DOTALL)
NOT_RUN = "<!-- not run -->\n"
MAKE_DEMO = "make demo"


@dataclass(frozen=True)
class Command:
    """One `$` line and the lines that stand below it."""

    line: str
    output: str


def commands(body: str) -> list[Command]:
    """Split a block at its `$` lines."""
    assert body.startswith("$ "), f"a console block begins with a command:\n{body}"
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]
    return [Command(*part.split("\n", 1)) for part in parts]


def printed_by(line: str) -> str:
    """Run a command of a document in this process and give what it prints."""
    if line == MAKE_DEMO:
        line = demo_command()
    words = shlex.split(line)
    assert words[0] == "sim", (
        f"only `sim` and `make demo` are run here; mark the block with {NOT_RUN.strip()}: $ {line}"
    )
    outcome = call(*words[1:])
    lines = (outcome.stdout + outcome.stderr).rstrip().split("\n")
    return "".join(f"{text.rstrip()}\n" for text in lines if lines != [""])


def demo_command() -> str:
    """Give the command behind `make demo`, as the Makefile has it."""
    found = re.search(
        r"^demo:.*\n\t@\$\(BIN\)/(sim .*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found, "the Makefile's target `demo` runs one `sim` command"
    return found[1]


def refreshed(text: str) -> str:
    """Give the document with the present output below every command."""

    def block(match: re.Match[str]) -> str:
        if text[: match.start()].endswith(NOT_RUN):
            return match[0]
        body = "".join(f"$ {command.line}\n{printed_by(command.line)}" for command in commands(match["body"]))
        return match["head"] + body + match["tail"]

    return BLOCK.sub(block, text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_print_what_the_document_shows(
    document: Path, accept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("scenarios", "hardware_specs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)  # what a command of the document writes stays out of the repository
    shown = document.read_text(encoding="utf-8")
    now = refreshed(shown)
    if accept:
        document.write_text(now, encoding="utf-8")
        return
    strip = [[line.rstrip() for line in text.splitlines()] for text in (shown, now)]
    changed = list(difflib.unified_diff(*strip, "in the document", "printed now", lineterm="", n=2))
    assert not changed, "\n".join([*changed, "If this change is meant: `make accept`."])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if not re.match(r"[a-z]+:", target)]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


def test_a_changed_output_is_seen() -> None:
    """The machinery itself: what a document shows is replaced by what is printed, unless it is marked."""
    marked = f"{NOT_RUN}```console\n$ make test\n```\n"
    assert refreshed(marked) == marked
    with pytest.raises(AssertionError, match="only `sim`"):
        refreshed("```console\n$ make test\n```\n")
    shown = "```console\n$ sim --help\nnothing\n```\n"
    assert refreshed(shown) != shown
    assert refreshed(refreshed(shown)) == refreshed(shown)


def test_the_makefile_demo_asks_the_first_question() -> None:
    assert demo_command() == "sim howlong 1e26 24576xh100-sxm"
