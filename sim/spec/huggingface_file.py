"""Open the `config.json` of a model: its values, their places, and what its architecture adds where it is silent."""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.errors import ScenarioError
from sim.spec import yaml
from sim.spec.architectures import ALIASES, ARCHITECTURES, Architecture
from sim.spec.document import brief

MAX_FILE_BYTES = yaml.MAX_FILE_BYTES
"""Largest file read; a configuration has a few kilobytes."""
MAX_SIZE = 10**9
"""Largest width, vocabulary or number of heads."""
NESTED = ("text_config", "llm_config", "language_config")
"""Keys under which a model of several kinds of input keeps its text part."""
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_RIGHT_FILE = "give the config.json that lies beside the weights"


def open_config(name: str) -> Config:
    """Open a file, or the one in a folder, and find its architecture.

    Raises:
        ScenarioError: it cannot be read, is not a configuration, or is of an architecture that is not known here.

    """
    if _is_folder(name):
        name = str(Path(name) / "config.json")
    file = File(name, _text(name))
    top = _parse(file)
    inside = next(((key,) for key in NESTED if isinstance(top.get(key), dict)), ())
    data = top[inside[0]] if inside else top
    model_type = data.get("model_type") or (top.get("model_type") if inside else None)
    if model_type is None:
        rule, mend = "'model_type' is missing", f"one of {', '.join(ARCHITECTURES)}"
        raise file.wrong(inside, rule, "", mend)
    known = ARCHITECTURES.get(ALIASES.get(model_type, model_type)) if isinstance(model_type, str) else None
    if known is None:
        raise _unknown(file, inside, model_type, data)
    outside = top.get("tie_word_embeddings") if inside else None
    return Config(file, data, inside, outside, model_type, known)


@dataclass(frozen=True, slots=True)
class File:
    """A file, and the errors about places in it."""

    name: str
    text: str

    def wrong(self, path: tuple[str, ...], rule: str, value: object = "", mend: str = "") -> ScenarioError:
        """Build the error for the value of a key; JSON is YAML, so its reader finds the place."""
        try:
            document = yaml.loads(self.text, self.name)
        except ScenarioError:
            return ScenarioError(rule, brief(value), self.name, mend)
        return document.problem(path, rule, value=value, mend=mend)


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration: the values of a file, and what its architecture says where the file is silent."""

    file: File
    data: dict[str, Any]
    inside: tuple[str, ...]
    """Where the data stand in the file."""
    tied_outside: object
    """What the configuration around this one says of tied embeddings."""
    model_type: str
    architecture: Architecture

    def wrong(self, key: str, rule: str, mend: str = "") -> ScenarioError:
        """Build the error for one key."""
        return self.file.wrong((*self.inside, key), f"{key} {rule}", self.data.get(key, ""), mend)

    @property
    def is_difference(self) -> bool:
        """Tell whether the file may leave out every size that its class has too: a part with a type of its own."""
        return bool(self.inside) and "model_type" in self.data

    def value(self, *keys: str) -> tuple[str, Any]:
        """Give the first of some keys that has a value, else the first with a default; null is no value."""
        for key in keys:
            if self.data.get(key) is not None:
                return key, self.data[key]
        for key in keys:
            if key not in self.data:
                default = self.architecture.defaults.get(key)
                if default is None and self.is_difference:
                    default = self.architecture.nested.get(key)
                if default is not None:
                    return key, default
        return keys[0], None

    def size(self, *keys: str, least: int = 1, most: int = MAX_SIZE) -> int | None:
        """Give a whole number; None where the file and the architecture leave it open."""
        key, value = self.value(*keys)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(
                key, "must be a whole number", f"write it without quotes and without a point, from {least}"
            )
        if not least <= value <= most:
            raise self.wrong(key, f"must be a whole number from {least:,} to {most:,}")
        return value

    def needed(self, *keys: str, least: int = 1, most: int = MAX_SIZE) -> int:
        """Give a whole number that the file has to have."""
        found = self.size(*keys, least=least, most=most)
        if found is None:
            raise self.missing(keys)
        return found

    def missing(self, keys: tuple[str, ...]) -> ScenarioError:
        """Build the error for a key that is not there, and name all that are not."""
        lacking = [key for key in self.architecture.needed() if self.value(key)[1] is None and key not in keys]
        also = f"; missing too: {', '.join(lacking)}" if lacking else ""
        other = f" (or {' or '.join(keys[1:])})" if len(keys) > 1 else ""
        rule = f"'{keys[0]}'{other} is missing, which {self.model_type} needs{also}"
        return self.file.wrong(self.inside, rule, "", _RIGHT_FILE)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Give a yes or no."""
        found = self.value(key)[1]
        if found is None:
            return default
        if not isinstance(found, bool):
            raise self.wrong(key, "must be true or false")
        return found


def _text(name: str) -> str:
    """Read a file as text."""
    try:
        status = os.stat(name)  # noqa: PTH116 - a name, not a path
        if not stat.S_ISREG(status.st_mode):
            raise ScenarioError("this is not a plain file", where=name, mend="give a config.json")
        if status.st_size > MAX_FILE_BYTES:
            raise _too_large(name, status.st_size)
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ScenarioError("there is no such file", where=name[:256], mend=_where_to_find(name)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError(f"this file cannot be read: {reason.lower()}", where=name[:256]) from None
    if len(content) > MAX_FILE_BYTES:
        raise _too_large(name, len(content))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        rule, mend = "this is not text, so no configuration", _RIGHT_FILE
        raise ScenarioError(rule, where=name, mend=mend) from None


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _too_large(name: str, size_bytes: int) -> ScenarioError:
    rule = f"a configuration has at most {MAX_FILE_BYTES:,} bytes"
    return ScenarioError(rule, f"{size_bytes:,} bytes", name, "give the config.json, not the weights")


def _where_to_find(name: str) -> str:
    hub = name.removesuffix("config.json").strip("/")
    if _HUB_NAME.fullmatch(hub) and not Path(hub).parent.is_dir():
        return f"nothing is downloaded here: save huggingface.co/{hub}/raw/main/config.json and give the file"
    return "give the path of a config.json, or of the folder that holds it"


def _parse(file: File) -> dict[str, Any]:
    try:
        data = json.loads(file.text, object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as error:
        where = f"{file.name}:{error.lineno}:{error.colno}"
        line = error.doc.split("\n")[error.lineno - 1].strip()
        rule = f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise ScenarioError(rule, brief(line), where, _RIGHT_FILE) from None
    except (ValueError, RecursionError) as error:
        rule = "this JSON is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ScenarioError(rule, where=file.name, mend=_RIGHT_FILE) from None
    if not isinstance(data, dict):
        raise file.wrong((), 'a configuration is a JSON object: {"model_type": ...}', data)
    return data


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{brief(twice)}' stands twice in one object")
    return found


def _unknown(file: File, inside: tuple[str, ...], model_type: object, data: dict[str, Any]) -> ScenarioError:
    """Name the nearest known architecture, and what a file of it has that this one lacks."""
    nearest = _nearest(str(model_type), data)
    needed = ARCHITECTURES[nearest].needed()
    lacking = [key for key in needed if data.get(key) is None]
    missing = f"; missing here: {', '.join(lacking)}" if lacking else ", which are all here"
    mend = (
        f"the nearest known is {nearest}, which needs {', '.join(needed)}{missing}. If its layers are the same, "
        f"write {nearest} as model_type; else write the shape itself under model:. Known: {', '.join(ARCHITECTURES)}"
    )
    return file.wrong((*inside, "model_type"), "the layers of this model_type are not known here", model_type, mend)


def _nearest(model_type: str, data: dict[str, Any]) -> str:
    """Find the known architecture with the most alike name, else the one whose keys the file has most of."""
    close = difflib.get_close_matches(model_type.lower()[:64], ARCHITECTURES, n=1, cutoff=0.6)
    if close:
        return close[0]

    def likeness(name: str) -> tuple[float, int]:
        needed = ARCHITECTURES[name].needed()
        have = sum(data.get(key) is not None for key in needed)
        return have / len(needed), have

    return max(ARCHITECTURES, key=likeness)
