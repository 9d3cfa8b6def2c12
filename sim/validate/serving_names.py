"""The data table of serving validation: what names in tables mean, and what stands for a blank field."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sim.spec import yaml
from sim.spec.hardware import Slug  # noqa: TC001 - pydantic reads annotations at run time
from sim.spec.quantity import FrozenModel, PositiveCount
from sim.spec.validate import validate
from sim.validate.names import Chip, ModelRule, RefusalRule, plain_name

FILE = Path(__file__).with_name("serving_names.yaml")


class PublishedRule(FrozenModel):
    """What the published weights of a model are kept in."""

    pattern: str
    blank: str
    fp8: str
    fp4: str


class CacheRule(FrozenModel):
    """Format of a cache that a row leaves blank."""

    family: str
    weights: tuple[str, ...]
    cache: str
    source: str


class EngineRule(FrozenModel):
    """Profile of an engine."""

    pattern: str
    profile: Slug


class LayoutRule(FrozenModel):
    """A source whose models with experts have data-parallel attention."""

    family: str
    source: str


class DataSetRule(FrozenModel):
    """Mean lengths of a data set."""

    pattern: str
    input: PositiveCount
    output: PositiveCount
    source: str


class ServingNames(FrozenModel):
    """All tables of ``serving_names.yaml``."""

    accelerators: dict[str, Chip]
    models: tuple[ModelRule, ...]
    published: tuple[PublishedRule, ...]
    weights: dict[str, str]
    caches: tuple[CacheRule, ...]
    engines: tuple[EngineRule, ...]
    requests: dict[str, PositiveCount]
    other_requests: PositiveCount
    data_parallel_attention: tuple[LayoutRule, ...]
    data_sets: tuple[DataSetRule, ...]
    unmodelled: tuple[RefusalRule, ...]

    def chip(self, name: str) -> Chip | None:
        """Give what a name in the `gpu` column stands for; none for an unknown one."""
        by_name = {known.lower(): chip for known, chip in self.accelerators.items()}
        return by_name.get(name.strip().lower())

    def model(self, name: str) -> str | None:
        """Give the catalogue's name of a model; none where no rule matches."""
        plain = plain_name(name)
        return next((rule.model for rule in self.models if re.search(rule.pattern, plain)), None)

    def weight_format(self, name: str, words: str) -> str | None:
        """Give the format of the weights of a model, from the words of a table; none for unknown words."""
        rule = next(rule for rule in self.published if re.search(rule.pattern, plain_name(name)))
        if not words:
            return rule.blank
        known = self.weights.get(words.lower())
        return {"fp8": rule.fp8, "fp4": rule.fp4}.get(known, known) if known is not None else None

    def cache_format(self, family: str, weights: str, words: str) -> str:
        """Give the format of the cache, from the words of a table."""
        if words:
            return "fp8" if words.lower() in ("fp8", "int8") else "bf16"
        matching = (rule for rule in self.caches if re.search(rule.family, family))
        return next(rule.cache for rule in matching if not rule.weights or weights in rule.weights)

    def profile(self, engine: str, version: str) -> str | None:
        """Give the profile of an engine; none for an unknown one."""
        words = f"{engine} {version}".lower()
        return next((rule.profile for rule in self.engines if re.search(rule.pattern, words)), None)

    def has_data_parallel_attention(self, family: str) -> bool:
        """Tell whether the models with experts of a source have data-parallel attention."""
        return any(re.search(rule.family, family) for rule in self.data_parallel_attention)

    def lengths(self, words: str) -> tuple[int, int] | None:
        """Give the mean prompt and answer of a data set that a note names; none where it names none."""
        rule = next((rule for rule in self.data_sets if re.search(rule.pattern, words.lower())), None)
        return None if rule is None else (rule.input, rule.output)

    def unmodelled_reason(self, words: str) -> str | None:
        """Say why a row cannot be predicted; none where it can."""
        lower = words.lower()
        return next((rule.reason for rule in self.unmodelled if re.search(rule.pattern, lower)), None)


@cache
def serving_names() -> ServingNames:
    """Read the tables that the package carries."""
    return validate(ServingNames, yaml.load(FILE))
