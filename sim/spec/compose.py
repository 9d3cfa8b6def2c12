"""Build plain data from YAML text, by the YAML 1.2 core rules and within limits.

PyYAML's own constructor follows YAML 1.1 (`1e26` is a string, `no` is False, `12:30:00` is 45000), keeps the last of
two equal keys without a word, and its C composer overflows the stack on 200,000 opening brackets. So only its event
parser is used, and each event passes the limits before anything is built from it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sim.errors import ScenarioError
from sim.spec.document import LINE, Document, Node, Source, problem_at

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 64
"""Collections inside each other."""
MAX_NODES = 200_000
"""Values and keys in one file, each alias counted as what it stands for."""
MAX_ALIASES = 1_000
"""References (`*name`) in one file."""
MAX_KEY = 256
"""Characters of a key."""
MAX_DIGITS = 64
"""Digits of a whole number; Python takes quadratic time to read more."""

_CONSTANTS = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"), None)
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
)
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

# The pure Python parser gives the same events where PyYAML was built without libyaml.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(source: Source) -> Document:
    """Build the one document of a text.

    Raises:
        ScenarioError: it is not YAML, is empty, holds what is refused here, or exceeds a limit.
    """
    builder = _Builder(source)
    try:
        for event in yaml.parse(source.text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(source, error, builder.open) from None
    except yaml.YAMLError as error:
        raise problem_at(source, 0, "this is not YAML", value=str(error)) from None
    if builder.document is None:
        raise problem_at(source, 0, "there is nothing in it", mend="`sim new training` writes a file to start from")
    return builder.document


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    node: Node
    data: dict[str, object] | list[object]
    anchor: str | None
    key: str | None = None


class _Builder:
    """Take events one by one; an explicit stack, so that depth costs no recursion."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.document: Document | None = None
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[object, Node | int] | None] = {}
        self.nodes = 0
        self.aliases = 0
        self.take_by_type: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceEndEvent: self._end,
            yaml.MappingEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }

    def take(self, event: yaml.Event) -> None:
        """Add what one event says."""
        take = self.take_by_type.get(type(event))
        if take is not None:
            take(event)

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        if self.document is not None:
            raise self._refusal(event, "a file holds one document", mend="remove what follows the line '---'")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._count(event, 1)
        if event.tag is not None:
            raise self._tag_refusal(event)
        if self._wants_key():
            self._key(event)
            return
        data = self._resolve(event) if event.implicit[0] else event.value
        place = _place(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (data, place)
        self._add(data, place)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        self._count(event, 1)
        if event.tag is not None:
            raise self._tag_refusal(event)
        if self._wants_key():
            raise self._refusal(event, "a key is a single text", mend="quote it if it begins with [ or {")
        if len(self.open) >= MAX_DEPTH:
            raise self._refusal(event, f"collections stand at most {MAX_DEPTH} deep inside each other")
        mapping = isinstance(event, yaml.MappingStartEvent)
        node = Node(self.source, _place(event), {} if mapping else [], {} if mapping else None, height=1)
        if event.anchor is not None:
            # Known, but not finished: a reference to it from inside has no end.
            self.anchors[event.anchor] = None
        self.open.append(_Open(node, {} if mapping else [], event.anchor))

    def _end(self, _: yaml.CollectionEndEvent) -> None:
        done = self.open.pop()
        if done.anchor is not None:
            self.anchors[done.anchor] = (done.data, done.node)
        self._add(done.data, done.node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = event.anchor or ""
        if self._wants_key():
            raise self._refusal(event, "a key is a single text, not a reference", value=f"*{name}")
        if name not in self.anchors:
            rule = f"'*{name[:MAX_KEY]}' refers to nothing"
            raise self._refusal(event, rule, mend="quote a text that begins with *")
        target = self.anchors[name]
        if target is None:
            raise self._refusal(event, f"'*{name[:MAX_KEY]}' refers to the collection that it stands in")
        data, part = target
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise self._refusal(event, f"a file holds at most {MAX_ALIASES:,} references")
        if isinstance(part, Node) and len(self.open) + part.height > MAX_DEPTH:
            raise self._refusal(event, f"collections stand at most {MAX_DEPTH} deep inside each other")
        self._count(event, part.size if isinstance(part, Node) else 1)
        self._add(data, part)

    def _key(self, event: yaml.ScalarEvent) -> None:
        """Take a key as the text that it is: no, 1 and 1.0 are names here."""
        current, key = self.open[-1], event.value
        keys = current.node.keys
        if event.anchor is not None:
            raise self._refusal(event, "a key cannot be marked with &", mend="mark the value")
        if len(key) > MAX_KEY:
            raise self._refusal(event, f"a key has at most {MAX_KEY} characters", value=key)
        if key == "" or (key == "<<" and event.implicit[0]):
            rule = "merging with '<<' is not part of YAML 1.2" if key else "a key is missing before ':'"
            raise self._refusal(event, rule, mend="write the keys out" if key else "")
        if keys is not None and key in keys:
            rule = f"the key '{key}' stands twice in one mapping; first in line {keys[key] // LINE + 1}"
            raise self._refusal(event, rule, value=key, mend="remove one of them")
        if keys is not None:
            keys[key] = _place(event)
        current.key = key

    def _resolve(self, event: yaml.ScalarEvent) -> object:
        """Give a plain scalar its type by the YAML 1.2 core schema."""
        text: str = event.value
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if text[0] not in _NUMBER_STARTS:
            return text
        if _INTEGER.fullmatch(text):
            if len(text) > MAX_DIGITS:
                raise self._refusal(event, f"a whole number has at most {MAX_DIGITS} digits", value=text)
            return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if math.isinf(number):
                raise self._refusal(event, "this number is larger than this program can hold", value=text)
            return number + 0.0  # makes -0.0 a plain zero
        if _NOT_FINITE.fullmatch(text):
            raise self._refusal(event, "a number is finite here", value=text, mend="leave the key out for 'no limit'")
        return text

    def _wants_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].data, dict) and self.open[-1].key is None

    def _count(self, event: yaml.Event, more: int) -> None:
        self.nodes += more
        if self.nodes > MAX_NODES:
            rule = f"a file holds at most {MAX_NODES:,} values and keys, references counted as what they stand for"
            raise self._refusal(event, rule, mend="split the file, or generate fewer entries")

    def _add(self, data: object, part: Node | int) -> None:
        """Put a finished value where it belongs."""
        if not self.open:
            self.document = Document(data, part if isinstance(part, Node) else Node(self.source, part))
            return
        current = self.open[-1]
        node = current.node
        if isinstance(part, Node):
            node.size += part.size
            node.height = max(node.height, 1 + part.height)
        else:
            node.size += 1
        if isinstance(current.data, list) and isinstance(node.children, list):
            current.data.append(data)
            node.children.append(part)
        elif isinstance(current.data, dict) and isinstance(node.children, dict) and current.key is not None:
            node.size += 1
            current.data[current.key] = data
            node.children[current.key] = part
            current.key = None

    def _tag_refusal(self, event: yaml.NodeEvent) -> ScenarioError:
        value = getattr(event, "tag", "")
        return self._refusal(event, "tags are not used here", value=value, mend="quote a text that begins with !")

    def _refusal(self, event: yaml.Event, rule: str, *, value: object = "", mend: str = "") -> ScenarioError:
        return problem_at(self.source, _place(event), rule, value=value, mend=mend)


def _place(event: yaml.Event) -> int:
    mark = event.start_mark
    return 0 if mark is None else mark.line * LINE + mark.column


def _syntax_error(source: Source, error: yaml.MarkedYAMLError, inside: list[_Open]) -> ScenarioError:
    """Say in plain words what the parser stumbled over."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    character = source.lines[line][column : column + 1] if line < len(source.lines) else ""
    at_end = line + 1 >= len(source.lines) and not character
    problem, mend = error.problem or "this is not YAML", ""
    if character == "\t":
        problem, mend = "a tab cannot indent YAML", "use spaces"
    elif character in {"@", "`", "%"}:
        problem, mend = f"a plain text cannot begin with {character}", "put it in quotes"
    elif "mapping values are not allowed" in problem:
        problem, mend = (
            "a second ':' in one line, or a line indented too far",
            "quote the text, or mend the indentation",
        )
    elif any(phrase in problem for phrase in ("expected ',' or", "end of stream", "<stream end>")) or at_end:
        # The place where it was opened helps; the end of the file does not.
        start = error.context_mark
        if start is not None and (start.line, start.column) < (line, column):
            line, column = start.line, start.column
        elif inside:
            line, column = divmod(inside[-1].node.place, LINE)
        problem, mend = "a bracket, brace or quote opens here and is not closed", "close it, or add the missing comma"
    elif "expected node content" in problem:
        problem, mend = "a value is expected here", "put a text that begins with a special character in quotes"
    elif "expected ':'" in problem or "expected key" in problem or "expected <block end>" in problem:
        problem, mend = "a 'key: value' is expected here", "check the indentation of this line and the one above"
    return problem_at(source, line * LINE + column, problem, mend=mend)
