"""What can go wrong, as a tree; the command turns each leaf into its exit code.

SimError                   exit
├── UsageError               2   the command line or the question is wrong
├── ScenarioError            2   a scenario file is wrong (carries every problem found)
├── UnitError                2   a quantity cannot be read
├── CatalogError             2   a name is not in the catalogue
├── NotYetError              2   valid, but not built yet
├── InfeasibleError          4   no legal plan: names the nearest feasible one
└── LimitError               5   stopped by a limit: names the limit and how to raise it

Every message has four parts: the rule that was broken, the value that broke it, where it stands, and how to
mend it. All four are plain constructor arguments, so an error can be pickled and rebuilt from ``.args``.
"""

from __future__ import annotations

from typing import ClassVar


class SimError(Exception):
    """Something the user can mend: rule, given value, place and remedy.

    >>> print(SimError("count must be at least 1", value="0", where="a.yaml:3:10", mend="give a whole number"))
    a.yaml:3:10: count must be at least 1
      given: 0
      mend:  give a whole number
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, rule: str, value: str = "", where: str = "", mend: str = "") -> None:
        """Keep the four parts; each is plain text."""
        super().__init__(rule, value, where, mend)
        self.rule = rule
        self.value = value
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        """Give the message as people read it."""
        lines = [f"{self.where}: {self.rule}" if self.where else self.rule]
        if self.value:
            lines.append(f"  given: {self.value}")
        if self.mend:
            lines.append(f"  mend:  {self.mend}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """Give the error as the JSON object that ``--json`` prints."""
        return {
            "error": type(self).__name__,
            "rule": self.rule,
            "value": self.value,
            "where": self.where,
            "mend": self.mend,
            "exit_code": self.exit_code,
        }


class UsageError(SimError):
    """The command line or the question is wrong."""


class ScenarioError(SimError):
    """A scenario or catalogue file is wrong; ``problems`` holds each one found."""

    def __init__(
        self, rule: str, value: str = "", where: str = "", mend: str = "", problems: tuple[SimError, ...] = ()
    ) -> None:
        """Keep the first problem in the four parts and all of them in ``problems``."""
        super().__init__(rule, value, where, mend)
        self.args = (rule, value, where, mend, problems)
        self.problems = problems

    def __str__(self) -> str:
        """List every problem, one after the other."""
        return "\n".join(str(problem) for problem in self.problems) if self.problems else super().__str__()

    def to_dict(self) -> dict[str, object]:
        """Give the error with its list of problems."""
        return super().to_dict() | {"problems": [problem.to_dict() for problem in self.problems]}


class UnitError(SimError):
    """A quantity cannot be read, or has the wrong kind of unit."""


class CatalogError(SimError):
    """A name is not in the catalogue."""


class NotYetError(SimError):
    """The request is valid, but this version cannot do it."""


class InfeasibleError(SimError):
    """The work does not fit, or no legal plan exists."""

    exit_code: ClassVar[int] = 4


class LimitError(SimError):
    """A limit stopped the work."""

    exit_code: ClassVar[int] = 5
