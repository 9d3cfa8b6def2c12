"""Which changed input has which effect: each of them swapped alone, from either end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.errors import SimError, UsageError
from sim.results.quantities import find, quantities
from sim.results.record import record_of
from sim.spec.emit import dumps
from sim.spec.load import read_scenario
from sim.spec.yaml import loads
from sim.study.predict import expected_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.results.record import Record
    from sim.spec.scenario import Scenario

Path = tuple[str | int, ...]
MOST_INPUTS = 24
"""Changed inputs that are swapped one by one."""
NO_INPUTS = ("name", "schema_version")
EXPECTED = "answer.wall_clock_s.expected"


@dataclass(frozen=True, slots=True)
class Effect:
    """What one changed input does alone."""

    path: str
    before: str
    after: str
    on_first: float | None
    """Change of the figure when the first scenario takes this value alone; None where that cannot be planned."""
    on_second: float | None
    """Change of the figure that remains when the second scenario keeps the old value, turned round."""

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "path": self.path, "from": self.before, "to": self.after, "on_first": self.on_first,
            "on_second": self.on_second,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attribution:
    """The difference of one figure by inputs."""

    figure: str
    first: float
    second: float
    effects: tuple[Effect, ...]
    """The largest first."""

    @property
    def together(self) -> float:
        """Give what the inputs do only together: the whole difference less their single effects on the first."""
        return self.second - self.first - sum(each.on_first or 0.0 for each in self.effects)

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "figure": self.figure, "first": self.first, "second": self.second, "together": self.together,
            "effects": [each.to_dict() for each in self.effects],
        }  # fmt: skip


def attribute(first: Record, second: Record, figure: str = "") -> Attribution:
    """Play the scenarios of two records again with one changed input at a time.

    Args:
        first: a record with its scenario.
        second: the other one.
        figure: what to attribute; the expected time of a training run, the first target or figure of others.

    Raises:
        UsageError: a record has no scenario, there is nothing to attribute, or too many inputs changed.

    """
    data = [_data(first), _data(second)]
    changed = list(_differences(data[0], data[1], ()))
    if len(changed) > MOST_INPUTS:
        raise UsageError(
            f"more than {MOST_INPUTS} inputs changed: two different scenarios rather than one that changed",
            value=str(len(changed)), mend="compare them without --attribute",
        )  # fmt: skip
    name = find(first, figure) if figure else _default_figure(first)
    values = [_value(first, name), _value(second, name)]
    effects = []
    for path in changed:
        on_first = _evaluate(_with(data[0], data[1], path), name)
        on_second = _evaluate(_with(data[1], data[0], path), name)
        effects.append(
            Effect(
                ".".join(str(step) for step in path),
                _text(_at(data[0], path)),
                _text(_at(data[1], path)),
                None if on_first is None else on_first - values[0],
                None if on_second is None else values[1] - on_second,
            )
        )
    effects.sort(key=lambda each: -abs(each.on_first or each.on_second or 0.0))
    return Attribution(name, values[0], values[1], tuple(effects))


def _default_figure(record: Record) -> str:
    if record.is_training:
        return EXPECTED
    targets = record.result.get("targets") or ()
    values = record.result.get("values") or {}
    if not targets and not values:
        raise UsageError("this record has no figure to attribute", value=record.name, mend="--of FIGURE names one")
    return str(targets[0]["name"]) if targets else next(iter(values))


def _value(record: Record, name: str) -> float:
    figures = quantities(record)
    if name not in figures:
        raise UsageError("one of the records has no such figure", value=name, mend="--of FIGURE names another")
    return figures[name]


def _data(record: Record) -> dict[str, Any]:
    if not record.scenario:
        raise UsageError("this record has no scenario", value=record.name, mend="give a folder of sim run --out")
    data = loads(record.scenario, "the scenario of the record").data
    assert isinstance(data, dict)
    return data


def _differences(one: object, two: object, at: Path) -> Iterator[Path]:
    """Give the places where two documents differ; where kinds differ, or lengths, the whole place."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in dict.fromkeys([*one, *two]):
            if not at and key in NO_INPUTS:
                continue
            if key not in one or key not in two:
                yield (*at, key)
            else:
                yield from _differences(one[key], two[key], (*at, key))
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for index, pair in enumerate(zip(one, two, strict=True)):
            yield from _differences(*pair, (*at, index))
    elif one != two:
        yield at


def _with(base: dict[str, Any], other: dict[str, Any], path: Path) -> dict[str, Any]:
    """Give a document with one place as it stands in another, or without it where it stands not."""

    def copied(here: Any, there: Any, rest: tuple[Any, ...]) -> Any:  # noqa: ANN401 - plain data of a document
        step, *more = rest
        # A key that the other document lacks is taken away.
        other_has = not isinstance(there, dict) or step in there
        inner = copied(here[step], there[step], tuple(more)) if more else there[step] if other_has else None
        if isinstance(here, list):
            return [inner if place == step else item for place, item in enumerate(here)]
        if not other_has:
            return {key: value for key, value in here.items() if key != step}
        return {**here, step: inner}

    found: dict[str, Any] = copied(base, other, path)
    return found


def _at(data: Any, path: Path) -> object:  # noqa: ANN401 - plain data of a document
    for step in path:
        if isinstance(data, dict) and step not in data:
            return None
        data = data[step]
    return data


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(each)}" for key, each in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _evaluate(data: dict[str, Any], name: str) -> float | None:
    """Give the figure of a changed scenario; None where it cannot be planned or makes no sense."""
    try:
        scenario = read_scenario(loads(dumps(data, "one input swapped"), "one input swapped"))
        if name == EXPECTED and scenario.is_one_training:
            return expected_s(scenario.one_cluster, scenario.training, scenario.seed)
        return _play(scenario, name)
    except SimError:
        return None


def _play(scenario: Scenario, name: str) -> float | None:
    from sim.study.scenarios import run_scenario  # noqa: PLC0415 - simulates; a closed form does not need it

    return quantities(record_of(run_scenario(scenario))).get(name)
