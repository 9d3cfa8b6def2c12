"""The catalogue: data files by kind and name, loaded one at a time.

A file is read only when its name is asked for; listing the names reads none.
"""

from __future__ import annotations

import difflib
import importlib
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from sim.errors import CatalogError
from sim.spec import validate, yaml

if TYPE_CHECKING:
    from sim.spec.calibration import Calibration
    from sim.spec.engine_profile import EngineProfile
    from sim.spec.hardware import Accelerator, ClusterEntry, Fabric, Node
    from sim.spec.kernels import Kernels
    from sim.spec.model import ModelShape
    from sim.spec.profile import Profile
    from sim.spec.quantity import FrozenModel
    from sim.spec.recipe import PrecisionRecipe
    from sim.spec.scans import Scans

_SCHEMAS = {
    "accelerators": ("sim.spec.hardware", "Accelerator"),
    "nodes": ("sim.spec.hardware", "Node"),
    "fabrics": ("sim.spec.hardware", "Fabric"),
    "clusters": ("sim.spec.hardware", "ClusterEntry"),
    "models": ("sim.spec.model", "ModelShape"),
    "calibration": ("sim.spec.calibration", "Calibration"),
    "profiles": ("sim.spec.profile", "Profile"),
    "kernels": ("sim.spec.kernels", "Kernels"),
    "scans": ("sim.spec.scans", "Scans"),
    "engines": ("sim.spec.engine_profile", "EngineProfile"),
    "recipes": ("sim.spec.recipe", "PrecisionRecipe"),
}
KINDS: tuple[str, ...] = tuple(_SCHEMAS)
"""Kinds of entries, each a folder of the catalogue."""
_LONGEST_NAME = 64


@overload
def load(kind: Literal["accelerators"], name: str) -> Accelerator: ...
@overload
def load(kind: Literal["nodes"], name: str) -> Node: ...
@overload
def load(kind: Literal["fabrics"], name: str) -> Fabric: ...
@overload
def load(kind: Literal["clusters"], name: str) -> ClusterEntry: ...
@overload
def load(kind: Literal["models"], name: str) -> ModelShape: ...
@overload
def load(kind: Literal["calibration"], name: str) -> Calibration: ...
@overload
def load(kind: Literal["profiles"], name: str) -> Profile: ...
@overload
def load(kind: Literal["kernels"], name: str) -> Kernels: ...
@overload
def load(kind: Literal["scans"], name: str) -> Scans: ...
@overload
def load(kind: Literal["engines"], name: str) -> EngineProfile: ...
@overload
def load(kind: Literal["recipes"], name: str) -> PrecisionRecipe: ...
@overload
def load(kind: str, name: str) -> FrozenModel: ...


@lru_cache(maxsize=512)
def load(kind: str, name: str) -> FrozenModel:
    """Read one entry of the catalogue; the same name gives the same object again.

    Raises CatalogError for an unknown kind or name, ScenarioError where the file itself is wrong.

    >>> load("accelerators", "h100-sxm").memory_bytes.value == 80 * 2**30
    True
    """
    file = path(kind, name)
    entry = validate.validate(_schema(kind), yaml.load(file))
    if getattr(entry, "name", name) != name:
        raise CatalogError(
            "an entry has the name of its file",
            value=str(getattr(entry, "name", "")),
            where=str(file),
            mend=f"write name: {name}, or rename the file",
        )
    return entry


@cache
def names(kind: str) -> tuple[str, ...]:
    """List the entries of one kind in order, without reading any.

    Raises CatalogError for an unknown kind.

    >>> "h100-sxm" in names("accelerators")
    True
    """
    folder = root() / _known(kind)
    return tuple(sorted(file.stem for file in folder.glob("*.yaml")))


def path(kind: str, name: str) -> Path:
    """Give the file of one entry.

    Raises CatalogError for an unknown kind or name, with the names that look alike.

    >>> path("nodes", "hgx-h100").name
    'hgx-h100.yaml'
    """
    known = names(kind)
    if name not in known:
        name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
        near = [other for other in known if name and name.lower() in other][:4]
        near = near or difflib.get_close_matches(name.lower(), known, n=4, cutoff=0.5)
        mend = f"did you mean {' or '.join(near)}?" if near else f"sim list {kind} shows all {len(known)}"
        raise CatalogError(f"no such name among the {kind} of the catalogue", value=name, where=kind, mend=mend)
    return root() / kind / f"{name}.yaml"


@cache
def root() -> Path:
    """Give the folder of the catalogue: inside the installed package, else beside it in the repository."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_data" / "hardware_specs"
    return installed if installed.is_dir() else package.parent / "hardware_specs"


def _known(kind: str) -> str:
    if kind not in _SCHEMAS:
        raise CatalogError(
            "the catalogue has no such kind", value=kind, where="catalogue", mend=f"one of {', '.join(KINDS)}"
        )
    return kind


@cache
def _schema(kind: str) -> type[FrozenModel]:
    module, name = _SCHEMAS[_known(kind)]
    schema: type[FrozenModel] = getattr(importlib.import_module(module), name)
    return schema
