"""Change a document from the command line: --set cluster.count=4096."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from sim.errors import ScenarioError, UsageError
from sim.spec.compose import compose
from sim.spec.document import Document, Node, Source, brief

MAX_ASSIGNMENT = 10_000
"""Characters of one --set; longer values belong into a file."""


def apply_override(document: Document, assignment: str, name: str | None = None) -> Document:
    """Give a copy of a document with one value replaced or added; the value is read as YAML.

    ``name`` is what errors call the place; without one, ``--set PATH``.

    Steps of the path are keys, or indices of a list counted from 0. A key may hold dots itself: the longest key that
    exists is taken. A key that is not in the file is added, and `validate` tells whether the schema knows it.

    Raises:
        UsageError: the assignment is not path=value.
        ScenarioError: the path leads through a value that has no parts, or past the end of a list.

    >>> from sim.spec.yaml import loads
    >>> apply_override(loads("cluster: {count: 8}"), "cluster.count=4096").data
    {'cluster': {'count': 4096}}
    """
    path, mark, value = assignment.partition("=")
    path = path.strip()
    name = name or f"--set {brief(path)}"
    steps = path.split(".")
    if not mark or not all(steps) or len(assignment) > MAX_ASSIGNMENT:
        raise UsageError("--set takes path=value", brief(assignment), "--set", "write it like --set cluster.count=4096")
    new = compose(Source(name, value.strip(), has_lines=False))
    data, root = _replaced(document.data, document.root, steps, new, name)
    return Document(data, root)


def _replaced(data: object, node: Node, steps: list[str], new: Document, name: str) -> tuple[object, Node]:
    """Rebuild the branch that leads to the new value; everything beside it is shared."""
    if not steps:
        return new.data, new.root
    if isinstance(data, dict) and isinstance(node.children, dict):
        key, rest = _longest_key(data, steps)
        part = node.child(key)
        inner = _nested(rest, new) if part is None else _replaced(data[key], part, rest, new, name)
        return data | {key: inner[0]}, replace(node, children=node.children | {key: inner[1]})
    if isinstance(data, list) and isinstance(node.children, list):
        index = _index(steps[0], data, name)
        part = node.child(index) or node
        inner = _replaced(data[index], part, steps[1:], new, name)
        children = [*node.children[:index], inner[1], *node.children[index + 1 :]]
        return [*data[:index], inner[0], *data[index + 1 :]], replace(node, children=children)
    if data is None:
        return _nested(steps, new)
    rule = f"the value that should hold '{steps[0]}' has no parts"
    mend = "set the whole value, as in --set cluster='{accelerator: h100-sxm}' or --set policy='{python: mine:Mine}'"
    raise ScenarioError(rule, brief(data), name, mend)


def _longest_key(data: dict[str, object], steps: list[str]) -> tuple[str, list[str]]:
    """Take as many steps as make one existing key; a new key is one step."""
    for count in range(len(steps), 0, -1):
        key = ".".join(steps[:count])
        if key in data:
            return key, steps[count:]
    return steps[0], steps[1:]


def _nested(steps: list[str], new: Document) -> tuple[object, Node]:
    """Wrap the new value in the mappings that lead to it."""
    data, node = new.data, new.root
    for step in reversed(steps):
        data, node = {step: data}, Node(new.root.source, 0, {step: node}, {step: 0})
    return data, node


def _index(step: str, data: list[object], name: str) -> int:
    if step.isascii() and step.isdigit() and len(step) <= len(str(len(data))) and int(step) < len(data):
        return int(step)
    rule = f"the list here has {len(data)} entries" if data else "the list here is empty"
    names = [str(entry["name"]) for entry in data if isinstance(entry, dict) and "name" in entry]
    close = get_close_matches(step, names, n=1)
    mend = f"for '{close[0]}' write {names.index(close[0])}" if close else f"count from 0 to {len(data) - 1}"
    raise ScenarioError(rule, step, name, mend if data else "set the whole list")
