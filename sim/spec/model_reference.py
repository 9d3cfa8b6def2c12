"""What stands for a model in a scenario: a name of the catalogue, a shape, or the file `hf: path/to/config.json`."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from sim.errors import CatalogError
from sim.spec import catalog
from sim.spec.document import Document
from sim.spec.model import ModelShape
from sim.spec.quantity import DOCUMENT, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "hf:"
"""Begins the short form, hf:path/to/config.json."""
_EXAMPLE = "write it like 'hf: path/to/config.json'"
FORMS: tuple[dict[str, Any], ...] = (
    {"type": "string", "pattern": r"^hf:\s*\S", "examples": ["hf: path/to/config.json"]},
    {
        "type": "object",
        "description": "A model whose shape is read from the config.json of its weights.",
        "properties": {
            "hf": {
                "type": "string",
                "minLength": 1,
                "description": "The file, or the folder that holds it; its path begins at the folder of the scenario.",
            }
        },
        "required": ["hf"],
        "additionalProperties": False,
    },
)
"""What else may stand under `model:`, as JSON Schemas."""


def path_of(value: object) -> str | None:
    """Give the path of a file that stands for a model; None where a value is something else.

    >>> path_of("hf: models/tiny"), path_of({"hf": "models/tiny"}), path_of("llama-3.1-8b")
    ('models/tiny', 'models/tiny', None)
    """
    if isinstance(value, str) and value.startswith(PREFIX):
        path: object = value.removeprefix(PREFIX).strip()
    elif isinstance(value, dict) and "hf" in value:
        path = value["hf"]
        if len(value) > 1:
            others = ", ".join(str(key) for key in value if key != "hf")
            raise refusal("the file says the whole shape of the model, so nothing stands beside hf", others, _EXAMPLE)
    else:
        return None
    if not isinstance(path, str) or not path:
        raise refusal("hf is the path of a file", path, _EXAMPLE)
    return os.path.expanduser(path)  # noqa: PTH111 - pathlib raises where there is no such home


def load_model(name: str) -> ModelShape:
    """Give the model that a name of the catalogue or a file (hf:path) stands for.

    Raises:
        CatalogError: the catalogue has no such model, or there is no path.
        ScenarioError: the file cannot be read as a model.

    >>> load_model("llama-3.1-8b").layers
    32
    """
    if not name.startswith(PREFIX):
        return catalog.load("models", name)
    if not name.removeprefix(PREFIX).strip():
        raise CatalogError("hf is the path of a file", name, mend=_EXAMPLE)
    model = read_model(name)
    assert isinstance(model, ModelShape)
    return model


def read_model(value: object) -> object:
    """Read the file that a value stands for as a shape; leave names and shapes to the schema.

    Raises:
        ScenarioError: the file cannot be read as a model.

    """
    path = path_of(value)
    if path is None:
        return value
    # Few scenarios import a file, and all would wait for the table of architectures.
    return importlib.import_module("sim.spec.huggingface").from_config(path)


def beside_their_files(data: object, context: Mapping[str, Any] | None) -> object:
    """Let the paths of models in a scenario begin at its folder, where it was read from a file.

    What the command line says begins where the user stands.
    """
    workloads = data.get("workloads") if isinstance(data, dict) else None
    if context is None or DOCUMENT not in context or not isinstance(data, dict) or not isinstance(workloads, list):
        return data
    document, at = context[DOCUMENT]
    beside = [_beside(workload, document, (*at, "workloads", index)) for index, workload in enumerate(workloads)]
    return data | {"workloads": beside}


def _beside(workload: object, document: Document, at: tuple[str | int, ...]) -> object:
    training = workload.get("training") if isinstance(workload, dict) else None
    if not isinstance(workload, dict) or not isinstance(training, dict):
        return workload
    try:
        path = path_of(training.get("model"))
    except PydanticCustomError:
        path = None  # told by the field itself, which knows its place
    if path is None:
        return workload
    source = document.source((*at, "training", "model"))
    folder = Path(source.name).parent if source.has_lines else Path()
    return workload | {"training": training | {"model": {"hf": str(folder / path)}}}
