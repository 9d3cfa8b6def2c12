"""flopclock: how long compute takes on which hardware, and where every device-second goes.

>>> import sim
>>> answer = sim.howlong(flop=1e26, on="24576xh100-sxm")
>>> 50 < answer.wall_clock_s.expected / 86400 < 250
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.errors import SimError
    from sim.results.answer import Answer
    from sim.results.report import Report
    from sim.spec.load import load_scenario as load
    from sim.spec.scenario import Scenario
    from sim.study.questions import howlong, howmany, howmuch
    from sim.study.scenarios import run_scenario as run

_HOME = {
    "Answer": ("sim.results.answer", "Answer"),
    "Report": ("sim.results.report", "Report"),
    "Scenario": ("sim.spec.scenario", "Scenario"),
    "SimError": ("sim.errors", "SimError"),
    "howlong": ("sim.study.questions", "howlong"),
    "howmany": ("sim.study.questions", "howmany"),
    "howmuch": ("sim.study.questions", "howmuch"),
    "load": ("sim.spec.load", "load_scenario"),
    "run": ("sim.study.scenarios", "run_scenario"),
}
"""Where each public name lives; it is imported when it is asked for, so that ``import sim`` costs nothing."""

__all__ = ["Answer", "Report", "Scenario", "SimError", "howlong", "howmany", "howmuch", "load", "run"]


def __getattr__(name: str) -> object:
    """Import a public name at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'sim' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    module, attribute = _HOME[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
