"""Libraries that only some need: imported when they are used, with the line that installs them where they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

PACKAGES = {"vl_convert": "vl-convert-python"}
"""Where a library is installed by another name than it is imported by."""


def load_extra(module: str, what: str, instead: str = "") -> ModuleType:
    """Import a library of the extra `report`.

    Args:
        module: its name.
        what: needs it, for the message.
        instead: what does without it, for the message.

    Raises:
        UsageError: it is not installed; says what installs it.

    """
    from importlib import import_module  # noqa: PLC0415 - beside its only use

    try:
        return import_module(module)
    except ImportError:
        mend = f"pip install {PACKAGES.get(module, module)} (the extra report has it)"
        mend += f"; or {instead}" if instead else ""
        raise UsageError(f"{what} needs the library {module}", mend=mend) from None


def has_extra(module: str) -> bool:
    """Tell whether a library of an extra is installed, without loading it."""
    from importlib.util import find_spec  # noqa: PLC0415 - beside its only use

    return find_spec(module) is not None
