"""Descriptions of fields: the text under each field of a record, read from the source when somebody asks for it.

pydantic can do this when a class is made (``use_attribute_docstrings``), but for our records that takes 0.12 s of every
start, and only `sim schema`, `sim explain` and a few errors want the texts.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache


@cache
def field_docstrings(record: type) -> dict[str, str]:
    """Give the text below each annotated name of a class and of its bases.

    >>> from sim.spec.layout import LayoutSpec
    >>> field_docstrings(LayoutSpec)["dp"]
    'Data parallel: replicas that share a batch.'
    """
    found: dict[str, str] = {}
    for base in reversed(record.__mro__):
        if "__annotations__" in vars(base) and base.__module__.split(".")[0] != "pydantic":
            found |= _own(base)
    return found


def _own(record: type) -> dict[str, str]:
    try:
        source = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    except OSError:  # a class typed at a prompt has no source, and so no texts
        return {}
    assert isinstance(source, ast.ClassDef)
    texts = {}
    for field, below in zip(source.body, source.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = inspect.cleandoc(text)
    return texts
