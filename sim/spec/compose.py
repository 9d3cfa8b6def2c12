"""Build plain data from YAML text, by the YAML 1.2 core rules and within limits.

PyYAML's own constructor follows YAML 1.1 (`1e26` is a string, `no` is False, `12:30:00` is 45000), keeps the last of
two equal keys without a word, and its C composer overflows the stack on 200,000 opening brackets. So only its event
parser is used, and each event passes the limits before anything is built from it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import yaml

from sim.errors import ScenarioError
from sim.spec.document import Document, Node, Source, problem_at

MAX_DEPTH = 64
"""Collections inside each other."""
MAX_NODES = 200_000
"""Values in one file, each alias counted as what it stands for."""
MAX_ALIASES = 1_000
"""References (`*name`) in one file."""
MAX_KEY = 256
"""Characters of a key."""
MAX_DIGITS = 64
"""Digits of a whole number; Python takes quadratic time to read more."""

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
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
        raise _syntax_error(source, error) from None
    except yaml.YAMLError as error:
        raise problem_at(source, 0, 0, "this is not YAML", value=str(error)) from None
    if builder.document is None:
        raise problem_at(source, 0, 0, "there is nothing in it", mend="`sim new training` writes a file to start from")
    return builder.document


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    node: Node
    data: dict[str, object] | list[object]
    anchor: str | None
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """Take events one by one; an explicit stack, so that depth costs no recursion."""

    source: Source
    document: Document | None = None
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[object, Node] | None] = field(default_factory=dict)
    nodes: int = 0
    aliases: int = 0

    def take(self, event: yaml.Event) -> None:
        """Add what one event says."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent) and self.document is not None:
            raise self._refusal(event, "a file holds one document", mend="remove what follows the line '---'")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._no_tag(event)
        if self._wants_key():
            self._key(event)
            return
        node = self._node(event)
        data = self._resolve(event) if event.implicit[0] else event.value
        self._anchor(event.anchor, data, node)
        self._add(data, node)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        self._no_tag(event)
        if self._wants_key():
            raise self._refusal(event, "a key is a single text", mend="quote it if it begins with [ or {")
        if len(self.open) >= MAX_DEPTH:
            raise self._refusal(event, f"collections stand at most {MAX_DEPTH} deep inside each other")
        node = self._node(event)
        data: dict[str, object] | list[object]
        if isinstance(event, yaml.MappingStartEvent):
            node.children, node.keys, data = {}, {}, {}
        else:
            node.children, data = [], []
        if event.anchor is not None:
            # Known, but not finished: a reference to it from inside has no end.
            self.anchors[event.anchor] = None
        self.open.append(_Open(node, data, event.anchor))

    def _end(self) -> None:
        done = self.open.pop()
        children = done.node.children or ()
        parts = children.values() if isinstance(children, dict) else children
        done.node.height = 1 + max((part.height for part in parts), default=0)
        done.node.size = 1 + sum(part.size for part in parts)
        self._anchor(done.anchor, done.data, done.node)
        self._add(done.data, done.node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = event.anchor or ""
        if self._wants_key():
            raise self._refusal(event, "a key is a single text, not a reference", value=f"*{name}")
        if name not in self.anchors:
            raise self._refusal(event, f"'*{name[:MAX_KEY]}' refers to nothing", mend="quote a text that begins with *")
        target = self.anchors[name]
        if target is None:
            raise self._refusal(event, f"'*{name[:MAX_KEY]}' refers to the collection that it stands in")
        data, node = target
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise self._refusal(event, f"a file holds at most {MAX_ALIASES:,} references")
        if len(self.open) + node.height > MAX_DEPTH:
            raise self._refusal(event, f"collections stand at most {MAX_DEPTH} deep inside each other")
        self._count(event, node.size)
        self._add(data, node)

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
            rule = f"the key '{key}' stands twice in one mapping; first in line {keys[key][0] + 1}"
            raise self._refusal(event, rule, value=key, mend="remove one of them")
        if keys is not None:
            keys[key] = _place(event)
        current.key = key

    def _resolve(self, event: yaml.ScalarEvent) -> object:
        """Give a plain scalar its type by the YAML 1.2 core schema."""
        text: str = event.value
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
        for pattern, value in ((_NULL, None), (_TRUE, True), (_FALSE, False)):
            if pattern.fullmatch(text):
                return value
        return text

    def _wants_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].data, dict) and self.open[-1].key is None

    def _no_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            raise self._refusal(
                event, "tags are not used here", value=event.tag, mend="quote a text that begins with !"
            )

    def _node(self, event: yaml.Event) -> Node:
        self._count(event, 1)
        return Node(self.source, *_place(event))

    def _count(self, event: yaml.Event, more: int) -> None:
        self.nodes += more
        if self.nodes > MAX_NODES:
            rule = f"a file holds at most {MAX_NODES:,} values, references counted as what they stand for"
            raise self._refusal(event, rule, mend="split the file, or generate fewer entries")

    def _anchor(self, name: str | None, data: object, node: Node) -> None:
        if name is not None:
            self.anchors[name] = (data, node)

    def _add(self, data: object, node: Node) -> None:
        """Put a finished value where it belongs."""
        if not self.open:
            self.document = Document(data, node)
            return
        current = self.open[-1]
        if isinstance(current.data, list) and isinstance(current.node.children, list):
            current.data.append(data)
            current.node.children.append(node)
        elif isinstance(current.data, dict) and isinstance(current.node.children, dict) and current.key is not None:
            current.data[current.key] = data
            current.node.children[current.key] = node
            current.key = None

    def _refusal(self, event: yaml.Event, rule: str, *, value: object = "", mend: str = "") -> ScenarioError:
        return problem_at(self.source, *_place(event), rule, value=value, mend=mend)


def _place(event: yaml.Event) -> tuple[int, int]:
    """Give line and column, counted from 0."""
    mark = event.start_mark
    return (mark.line, mark.column) if mark is not None else (0, 0)


def _syntax_error(source: Source, error: yaml.MarkedYAMLError) -> ScenarioError:
    """Say in plain words what the parser stumbled over."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    character = source.lines[line][column : column + 1] if line < len(source.lines) else ""
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
    elif any(phrase in problem for phrase in ("expected ',' or", "end of stream", "<stream end>")):
        # The place where it was opened helps; the end of the file does not.
        start = error.context_mark
        line, column = (start.line, start.column) if start else (line, column)
        problem, mend = "a bracket, brace or quote opens here and is not closed", "close it, or add the missing comma"
    elif "expected ':'" in problem or "expected key" in problem or "expected <block end>" in problem:
        problem, mend = "a 'key: value' is expected here", "check the indentation of this line and the one above"
    return problem_at(source, line, column, problem, mend=mend)
