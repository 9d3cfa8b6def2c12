"""Libraries that only some need: imported when they are used, with the line that installs them where they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

MISSING_EXTRA = "pip install 'flopclock[report]'"


def load_extra(module: str, what: str) -> ModuleType:
    """Import a library of the extra `report`.

    Raises:
        UsageError: it is not installed; says what installs it.

    """
    from importlib import import_module  # noqa: PLC0415 - beside its only use

    try:
        return import_module(module)
    except ImportError:
        raise UsageError(f"{what} needs the library {module}", mend=MISSING_EXTRA) from None


def has_extra(module: str) -> bool:
    """Tell whether a library of an extra is installed, without loading it."""
    from importlib.util import find_spec  # noqa: PLC0415 - beside its only use

    return find_spec(module) is not None
