"""Find the part of a model that a place in a file belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from sim.spec.docstrings import field_docstrings


def models_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """Give the models that may stand at a location; a step that leads nowhere names a kind of a union."""
    annotations: list[object] = [model]
    for step in location:
        inner = [found for annotation in annotations for found in _inside(annotation, step)]
        if inner:
            annotations = [part for annotation in inner for part in _unfold(annotation)]
        else:
            named = [part for part in annotations if getattr(part, "__name__", None) == step]
            annotations = named or annotations
    return [part for part in annotations if isinstance(part, type) and issubclass(part, BaseModel)]


def about(model: type[BaseModel], location: tuple[str | int, ...]) -> str:
    """Give the description of the field that a location ends in; nothing for an entry of a list or of a union."""
    if not location or not isinstance(location[-1], str):
        return ""
    owners = (owner for owner in models_at(model, location[:-1]) if location[-1] in owner.model_fields)
    return next((field_docstrings(owner).get(location[-1], "") for owner in owners), "")


def _inside(annotation: object, step: str | int) -> list[object]:
    """Give the types of the parts under a key or index."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(step) if isinstance(step, str) else None
        if field is None and annotation.model_config.get("extra") == "allow":
            return [get_args(get_type_hints(annotation, include_extras=True)["__pydantic_extra__"])[1]]
        return [field.annotation] if field is not None else []
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not isinstance(origin, type) or not arguments:
        return []
    if issubclass(origin, Mapping):
        return [arguments[1]] if isinstance(step, str) else []
    if issubclass(origin, Sequence) and isinstance(step, int):
        return [argument for argument in arguments if argument is not Ellipsis]
    return []


def _unfold(annotation: object) -> list[object]:
    """Take unions and Annotated apart."""
    if get_origin(annotation) is Annotated:
        return _unfold(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [part for argument in get_args(annotation) for part in _unfold(argument)]
    return [annotation]
