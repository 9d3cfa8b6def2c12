"""Turn a document into a model; every wrong place is reported at once, with its line and what to write instead."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from sim.errors import CatalogError, ScenarioError, SimError, UnitError
from sim.spec.compose import MAX_KEY
from sim.spec.document import Document, FileError, Path, brief
from sim.spec.quantity import DOCUMENT, UNITS_REQUIRED
from sim.spec.schema import about, models_at

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

MAX_PROBLEMS = 20
"""Problems reported for one file; the first ones usually cause the rest."""
_KNOWN_SHOWN = 24
_ALIKE = 0.6
"""Likeness, as difflib counts it, from which one name may be a slip of another."""

_WRONG_KIND = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
    "dict_type": "must be a mapping (key: value)",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "none_required": "must be left empty",
}
"""What is said where the value is of another kind; in a union it yields to what another branch has to say."""
_BOUNDS = {
    "greater_than": ("must be more than {}", "gt"),
    "greater_than_equal": ("must be at least {}", "ge"),
    "less_than": ("must be less than {}", "lt"),
    "less_than_equal": ("must be at most {}", "le"),
    "string_pattern_mismatch": ("must have the form {}", "pattern"),
    "string_too_long": ("must have at most {} characters", "max_length"),
    "string_too_short": ("must have at least {} characters", "min_length"),
    "too_long": ("must have at most {} entries", "max_length"),
    "too_short": ("must have at least {} entries", "min_length"),
    "multiple_of": ("must be a multiple of {}", "multiple_of"),
}


def validate(model: type[Model], document: Document, at: Path = ()) -> Model:
    """Build the model from a document, or from the part of it at a path; numbers with a unit need one.

    Raises:
        ScenarioError: with one problem for each wrong place.
        SimError: what a validator of the model raised itself, with the place added.
    """
    data: Any = document.data
    for step in at:
        data = data[step]
    try:
        return model.model_validate(data, context={UNITS_REQUIRED: True, DOCUMENT: (document, at)})
    except ValidationError as error:
        raise _report(model, document, at, error) from None
    except SimError as error:
        raise _placed(error, document, at) from None


@dataclass(frozen=True, slots=True)
class _Finding:
    """One line of pydantic's report, with its place in the document."""

    path: Path
    """Where in the document."""
    union: Path | None
    """The value that may be of several kinds, if this is about one of the kinds."""
    field: str
    """The key that is missing or unknown, or the last step of the path."""
    details: ErrorDetails

    @property
    def kind(self) -> str:
        return self.details["type"]

    @property
    def is_key(self) -> bool:
        return self.kind == "extra_forbidden" or "[key]" in self.details["loc"]


def _report(model: type[BaseModel], document: Document, at: Path, error: ValidationError) -> ScenarioError:
    """Build the error that lists all problems, in the order of the file."""
    findings = [_find(document, at, details) for details in error.errors(include_url=False)[: 4 * MAX_PROBLEMS]]
    findings = [finding for finding in findings if not _yields(finding, findings)]
    findings.sort(key=lambda finding: _line_and_column(document, finding))
    grouped: dict[tuple[Path, str], list[_Finding]] = {}
    for finding in findings:
        own = finding.field if finding.kind in {"missing", "extra_forbidden"} else ""
        grouped.setdefault((finding.path, own), []).append(finding)
    problems = [_problem(model, document, at, group) for group in grouped.values()]
    left_out = len(problems) - MAX_PROBLEMS + max(0, error.error_count() - 4 * MAX_PROBLEMS)
    problems = problems[:MAX_PROBLEMS]
    if left_out > 0:
        problems.append(FileError(f"{left_out:,} more problems are not listed", where=document.name))
    first = problems[0]
    return ScenarioError(first.rule, first.value, first.where, first.mend, tuple(problems))


def _find(document: Document, at: Path, details: ErrorDetails) -> _Finding:
    """Follow pydantic's location through the document; a step that is not in it names a kind of a union."""
    node = document.root
    for step in at:
        node = node.child(step) or node
    path, union, location = at, None, details["loc"]
    last = location[-1] if location else ""
    for index, step in enumerate(location):
        inner = node.child(step)
        if inner is not None:
            node, path = inner, (*path, step)
        elif step != "[key]" and not (details["type"] == "missing" and index == len(location) - 1):
            union = path
    named = last if details["type"] in {"missing", "extra_forbidden"} else (path[-1] if path else "")
    return _Finding(path, union, str(named), details)


def _yields(finding: _Finding, findings: list[_Finding]) -> bool:
    """Tell whether a finding only follows from another one that says more."""
    if finding.kind == "missing":
        unknown = (other for other in findings if other.kind == "extra_forbidden" and other.path[:-1] == finding.path)
        return any(get_close_matches(other.field[:MAX_KEY], [finding.field], cutoff=_ALIKE) for other in unknown)
    if finding.union is None or finding.path != finding.union:
        return False
    # The value may be of several kinds: what another kind has to say about its content matters more.
    rivals = [other for other in findings if other.union == finding.union and other is not finding]
    if any(other.path != other.union or other.kind in {"missing", "extra_forbidden"} for other in rivals):
        return True
    return finding.kind in _WRONG_KIND and any(other.kind not in _WRONG_KIND for other in rivals)


def _line_and_column(document: Document, finding: _Finding) -> tuple[int, int]:
    position = document.position(finding.path, key=finding.is_key)
    return position.line, position.column


def _problem(model: type[BaseModel], document: Document, at: Path, group: list[_Finding]) -> FileError:
    """Say what is wrong in one place."""
    first = group[0]
    said = list(dict.fromkeys(_rule(finding) for finding in group))
    rule, mends = " or ".join(said), list(dict.fromkeys(_mend(model, finding) for finding in group))
    inside = first.path[len(at) :]
    where, snippet = document.position(first.path, key=first.is_key), document.snippet(first.path, key=first.is_key)
    if first.kind == "missing":
        rule = f"'{first.field}' is missing{_within(inside)}"
    elif first.kind == "extra_forbidden":
        rule = f"unknown key '{brief(first.field)}'{_within(inside[:-1])}"
    elif inside and snippet:
        rule = f"{_dotted(inside)}: {rule}"
    value = first.field if first.is_key else first.details.get("ctx", {}).get("value") or first.details["input"]
    shown = "" if first.kind == "missing" else brief(value)
    return FileError(rule, shown, str(where), "; ".join(filter(None, mends)), snippet)


def _within(path: Path) -> str:
    return f" in {_dotted(path)}" if path else ""


def _dotted(path: Path) -> str:
    return ".".join(brief(str(step)) for step in path)


def _rule(finding: _Finding) -> str:
    """Say which rule was broken, in the words of a user."""
    kind, context = finding.kind, finding.details.get("ctx", {})
    if kind == "refusal":
        return str(context["rule"])
    if kind in _WRONG_KIND:
        return _WRONG_KIND[kind]
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return words.format(context[key])
    if kind in {"literal_error", "enum"}:
        return f"must be {context['expected']}"
    if kind == "union_tag_invalid":
        return f"must be one of {context['expected_tags']}"
    message = finding.details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message.replace("Input should", "must").replace("must be a valid", "must be a")


def _mend(model: type[BaseModel], finding: _Finding) -> str:
    """Say what to write instead."""
    kind, context = finding.kind, finding.details.get("ctx", {})
    location = tuple(step for step in finding.details["loc"] if step != "[key]")
    if kind == "refusal":
        return str(context["mend"])
    if kind == "missing":
        text = about(model, location)
        return f"add '{finding.field}'{': ' if text else ''}{text}"
    if kind == "extra_forbidden":
        known = [name for owner in models_at(model, location[:-1]) for name in owner.model_fields]
        return suggestion(finding.field, known)
    if kind in {"literal_error", "enum"}:
        choices = str(context["expected"]).replace(" or ", ", ").split(", ")
        return near(str(finding.details["input"]), [choice.strip("'") for choice in choices])
    if kind == "string_type":
        return f"put it in quotes: '{brief(finding.details['input'])}'" if _is_scalar(finding.details["input"]) else ""
    return about(model, location)


def _is_scalar(value: object) -> bool:
    return not isinstance(value, (dict, list))


def near(name: str, known: list[str]) -> str:
    """Ask whether a known name was meant; empty where none is like it."""
    close = get_close_matches(name[:MAX_KEY], known, n=3, cutoff=_ALIKE)
    return f"did you mean {' or '.join(repr(other) for other in close)}?" if close else ""


def suggestion(name: str, known: list[str]) -> str:
    """Say which key was meant, which letters only look Latin, and which keys there are."""
    known = list(dict.fromkeys(known))
    parts = [near(name, known)]
    if odd := sorted({character for character in name[:MAX_KEY] if not character.isascii()}):
        letters = ", ".join(f"U+{ord(letter):04X} {unicodedata.name(letter, 'unnamed')}" for letter in odd[:3])
        parts.append(f"it holds {letters}, which is not a letter of any key;")
    if known and not parts[0]:
        more = ", ..." if len(known) > _KNOWN_SHOWN else ""
        parts.append(f"keys here: {', '.join(known[:_KNOWN_SHOWN])}{more}")
    return " ".join(filter(None, parts)).rstrip(";")


def _placed(error: SimError, document: Document, at: Path) -> SimError:
    """Add the place to an error that a validator raised without one."""
    if error.where or type(error) not in {SimError, ScenarioError, UnitError, CatalogError}:
        return error
    return type(error)(error.rule, error.value, str(document.position(at)), error.mend)
