"""The commands of `sim`: a name, where its function lives, and one line of help each.

A command is registered by adding its row here. The row is all that `sim --help` needs; the module is imported when
its command runs. The function is a typer command: typed parameters, a docstring for its help, and as its result
the exit code (None for 0). A test asserts that the row's line begins the docstring.
"""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """Say where one command lives.

    A named tuple, not a dataclass: importing `dataclasses` takes a third of the time of `sim --help`.
    """

    group: str
    """Heading under which `sim --help` lists it."""
    name: str
    """What people type after `sim`."""
    target: str
    """Module and function, as `sim.cli.list:list_`."""
    summary: str
    """One line of help, without the full stop."""


COMMANDS: tuple[Command, ...] = (
    Command("Questions", "howlong", "sim.cli.question:howlong", "How long would this much training take"),
    Command("Questions", "howmany", "sim.cli.question:howmany", "How many accelerators finish it in time"),
    Command("Questions", "howmuch", "sim.cli.question:howmuch", "How much training fits into this much time"),
    Command("Questions", "howfast", "sim.cli.howfast:howfast", "How fast is a model served: latency, throughput, cost"),
    Command("Questions", "ask", "sim.cli.ask:ask", "Ask in words: how long, how many, how much"),
    Command("Scenarios", "run", "sim.cli.run:run", "Play a scenario file event by event"),
    Command("Scenarios", "check", "sim.cli.check:check", "Validate a scenario file and show what it resolves to"),
    Command("Scenarios", "plan", "sim.cli.plan:plan", "List the legal parallel layouts of a training step, ranked"),
    Command("Scenarios", "fits", "sim.cli.fits:fits", "Tell whether a model fits, for training and for inference"),
    Command("Scenarios", "new", "sim.cli.new:new", "Write a commented file to start from"),
    Command("Results", "report", "sim.cli.report:report", "Make one page of a record"),
    Command("Results", "plot", "sim.cli.plot:plot", "Make one picture of a record, as SVG, PNG or PDF"),
    Command(
        "Results",
        "explain",
        "sim.cli.explain:explain",
        "Explain a figure of a result, a field of a scenario, or an error",
    ),
    Command("Results", "compare", "sim.cli.compare:compare", "Compare two results: inputs and outputs that changed"),
    Command("Results", "query", "sim.cli.query:query", "Ask the tables of a record in SQL"),
    Command(
        "Catalogue", "list", "sim.cli.list:list_", "List what the catalogue knows, with the numbers people compare"
    ),
    Command("Catalogue", "show", "sim.cli.show:show", "Show every number of one entry, with unit, source and date"),
    Command(
        "Catalogue",
        "schema",
        "sim.cli.schema:schema",
        "Print the JSON Schema of a scenario, the catalogue or an answer",
    ),
    Command("Catalogue", "calibrate", "sim.cli.calibrate:calibrate", "Fit efficiency curves to your own measurements"),
    Command("Catalogue", "validate", "sim.cli.validate:validate", "Put predictions beside measurements"),
)
"""Every command, in the order in which `sim --help` lists them."""
EXAMPLES: tuple[str, ...] = (
    "sim howlong 1e26 24576xh100-sxm",
    'sim ask "how many B200s do 3e25 FLOP in 100 days?"',
    "sim list accelerators",
    "sim show h100-sxm",
)
"""What `sim --help` offers to begin with."""


def find(name: str) -> Command | None:
    """Give the command of this name; none where there is none.

    >>> find("list").group
    'Catalogue'
    """
    return next((command for command in COMMANDS if command.name == name), None)
