"""`sim schema`: the JSON Schema of what users write and of what they get."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sim.cli import output
from sim.errors import UsageError

DRAFT = "https://json-schema.org/draft/2020-12/schema"
WHAT = ("scenario", "hardware", "result")


def schema(
    what: Annotated[
        str,
        typer.Argument(
            help="scenario: a scenario file. hardware: the catalogue, by kind and name. result: an answer with --json."
        ),
    ],
) -> None:
    """Print the JSON Schema of a scenario, the catalogue or an answer.

    Editors check and complete YAML by it: sim schema scenario > scenario.schema.json, then put
    "# yaml-language-server: $schema=scenario.schema.json" at the head of a file.
    """
    output.write(schema_text(what))


def schema_text(what: str) -> str:
    """Give one of the schemas as JSON.

    Raises UsageError for a name that is none of them.
    """
    makers = {"scenario": _scenario, "hardware": _hardware, "result": _result}
    if what not in makers:
        from difflib import get_close_matches

        near = get_close_matches(what.lower(), WHAT, n=1, cutoff=0.5)
        mend = f"did you mean {near[0]}?" if near else f"one of {output.either(WHAT)}"
        raise UsageError("there is no such schema", value=what, where="sim schema", mend=mend)
    return output.to_json({"$schema": DRAFT} | makers[what]())


def _scenario() -> dict[str, Any]:
    """Give the schema of a scenario; keys that are reserved may stand in a file, so that files keep their shape."""
    from sim.spec.reserved import NOT_YET, WORKLOADS_NOT_YET
    from sim.spec.scenario import Scenario

    found = Scenario.model_json_schema()
    found["properties"] |= {key: {"description": "Reserved: not built yet."} for key in NOT_YET}
    found["oneOf"] = [{"required": ["cluster"]}, {"required": ["clusters"]}]
    workload = found["$defs"]["Workload"]["properties"]
    workload |= {key: {"description": "Reserved: not built yet."} for key in WORKLOADS_NOT_YET}
    return found


def _hardware() -> dict[str, Any]:
    """Give an object of objects: kind, then name, then entry. One file is checked by its entry under $defs."""
    from sim.spec.calibration import Calibration
    from sim.spec.engine_profile import EngineProfile
    from sim.spec.hardware import Accelerator, ClusterEntry, Fabric, Node
    from sim.spec.kernels import Kernels
    from sim.spec.model import ModelShape
    from sim.spec.profile import Profile
    from sim.spec.quantity import FrozenModel
    from sim.spec.recipe import PrecisionRecipe
    from sim.spec.scans import Scans

    kinds: dict[str, type[FrozenModel]] = {
        "accelerators": Accelerator,
        "nodes": Node,
        "fabrics": Fabric,
        "clusters": ClusterEntry,
        "models": ModelShape,
        "profiles": Profile,
        "calibration": Calibration,
        "kernels": Kernels,
        "scans": Scans,
        "engines": EngineProfile,
        "recipes": PrecisionRecipe,
    }
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for kind, record in kinds.items():
        entry = record.model_json_schema()
        definitions |= entry.pop("$defs", {})
        definitions[record.__name__] = entry
        reference = {"$ref": f"#/$defs/{record.__name__}"}
        properties[kind] = {
            "type": "object",
            "description": f"hardware_specs/{kind}",
            "additionalProperties": reference,
        }
    return {"title": "Catalogue", "type": "object", "properties": properties, "$defs": definitions}


def _result() -> dict[str, Any]:
    from sim.results.answer_schema import ANSWER

    return ANSWER
