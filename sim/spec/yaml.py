"""Read YAML files of scenarios and the catalogue: `load`, then `apply_override` for each --set, then `validate`."""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path

from sim.errors import ScenarioError
from sim.spec.compose import compose
from sim.spec.document import LINE, Document, Position, Source, problem_at
from sim.spec.override import apply_override
from sim.spec.validate import validate

__all__ = ["MAX_FILE_BYTES", "Document", "Position", "apply_override", "load", "loads", "validate"]

MAX_FILE_BYTES = 4_000_000
"""Largest file read: what people write is a thousandth of it."""
_MAX_FOLDER = 2_000
_FILES_SHOWN = 8
_MOST_NAME = 200
"""Longest name of a scenario that is looked up among those that come with the program."""
_YAML_ENDINGS = (".yaml", ".yml")
_BYTE_ORDER_MARK = "\ufeff"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# What YAML does not allow in a file, since it would reach a terminal sooner or later. Named one by one: the same set as
# a negated class takes 0.02 s to compile, at every start. Surrogates cannot come out of UTF-8.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|\ufffe|\uffff")


def load(path: str | os.PathLike[str]) -> Document:
    """Read a YAML file.

    Raises:
        ScenarioError: it cannot be read, is larger than MAX_FILE_BYTES, is not UTF-8, or is not YAML as used here.
    """
    name = os.fspath(path)
    return _compose_bytes(_read(name), name)


def loads(text: str, name: str = "text") -> Document:
    """Read YAML from a text; `name` stands for the file in messages.

    Raises:
        ScenarioError: as `load`.

    >>> loads("cluster: {accelerator: h100-sxm, count: 1e3}").data
    {'cluster': {'accelerator': 'h100-sxm', 'count': 1000.0}}
    """
    return _compose_bytes(text.encode("utf-8", errors="surrogatepass"), name)


def _compose_bytes(content: bytes, name: str) -> Document:
    """Check what any text must be before the parser sees it."""
    if len(content) > MAX_FILE_BYTES:
        raise _too_large(name, len(content))
    if content.startswith(_UTF16_MARKS):
        raise ScenarioError("a file is UTF-8; this one is UTF-16", where=name, mend="save it as UTF-8")
    if b"\0" in content:
        raise ScenarioError("this is a binary file, not YAML", where=name, mend="give a .yaml file")
    try:
        text = content.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        wrong = f"byte 0x{content[error.start]:02x}"
        raise ScenarioError("a file is UTF-8", wrong, f"{name}:{line}:{column}", "save it as UTF-8") from None
    source = Source(name, text)
    if odd := _FORBIDDEN.search(text):
        before_text = text[: odd.start()]
        line, column = before_text.count("\n"), odd.start() - (before_text.rfind("\n") + 1)
        value = f"U+{ord(odd[0]):04X}"
        raise problem_at(
            source, line * LINE + column, "control characters are not allowed", value=value, mend="remove it"
        )
    return compose(source)


def _read(name: str) -> bytes:
    """Read a plain file of bounded size; devices and pipes could go on for ever."""
    try:
        status = os.stat(name)  # noqa: PTH116 - a path with a NUL byte must not reach pathlib's own messages
        if stat.S_ISDIR(status.st_mode):
            raise ScenarioError("this is a folder, not a file", where=name, mend=_files_in(name))
        if not stat.S_ISREG(status.st_mode):
            raise ScenarioError("this is not a plain file", where=name, mend="give a .yaml file")
        if status.st_size > MAX_FILE_BYTES:
            raise _too_large(name, status.st_size)
        with Path(name).open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ScenarioError("there is no such file", where=name, mend=_near_files(name)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError(f"this file cannot be read: {reason.lower()}", where=name[:256]) from None


def _too_large(name: str, size_bytes: int) -> ScenarioError:
    rule = f"a file has at most {MAX_FILE_BYTES:,} bytes"
    return ScenarioError(rule, f"{size_bytes:,} bytes", name, "split it, or generate fewer entries")


def _listing(folder: str) -> list[str]:
    """Name the YAML files of a folder; none where it cannot be read."""
    found: list[str] = []
    try:
        with os.scandir(folder or ".") as entries:
            for _, entry in zip(range(_MAX_FOLDER), entries, strict=False):
                if entry.name.endswith(_YAML_ENDINGS):
                    found.append(entry.name)
    except OSError:
        pass
    return sorted(found)


def _near_files(name: str) -> str:
    folder, last = os.path.split(name)
    shipped = name.removesuffix(".yaml")
    from sim.spec import catalog  # noqa: PLC0415 - the catalogue reads its files by this module

    if len(name) <= _MOST_NAME and (catalog.root().parent / "scenarios" / f"{shipped}.yaml").is_file():
        return f"it comes with the program: sim show {shipped} > {last.removesuffix('.yaml')}.yaml"
    files = _listing(folder)
    by_stem = {Path(file).stem.lower(): file for file in files}
    close = difflib.get_close_matches(Path(last).stem.lower()[:256], by_stem, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(str(Path(folder) / by_stem[stem]) for stem in close)}?"
    if folder and not Path(folder).is_dir():
        return f"there is no folder {folder}"
    return _files_in(folder)


def _files_in(folder: str) -> str:
    files = _listing(folder)
    shown = ", ".join(files[:_FILES_SHOWN]) + (", ..." if len(files) > _FILES_SHOWN else "")
    return f"YAML files in it: {shown}" if files else "give a .yaml file"
