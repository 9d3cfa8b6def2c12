"""Write a scenario as a YAML file that reads back as the same data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from sim.spec.yaml import loads

if TYPE_CHECKING:
    from collections.abc import Mapping


def dumps(data: Mapping[str, object], comment: str) -> str:
    """Give data as YAML below a comment line.

    >>> print(dumps({"schema_version": 1, "cluster": {"accelerator": "h100-sxm", "count": 8}}, "a node"), end="")
    # a node
    schema_version: 1
    cluster: {accelerator: h100-sxm, count: 8}
    """
    lines = [f"# {line}" for line in comment.splitlines()]
    text = "\n".join([*lines, _dump(dict(data), quoted=False)])
    # YAML 1.1, which the writer knows, leaves some texts bare that YAML 1.2 reads as numbers.
    return text if loads(text).data == data else "\n".join([*lines, _dump(dict(data), quoted=True)])


class _Quoted(yaml.SafeDumper):
    """Writes every text in quotes, and leaves numbers, true, false and null bare."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Quoted.add_representer(str, _quoted)


def _dump(data: dict[str, object], *, quoted: bool) -> str:
    dumper = _Quoted if quoted else yaml.SafeDumper
    return yaml.dump(data, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
