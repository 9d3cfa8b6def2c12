"""The data table of serving validation: what names in tables mean, and what stands for a blank field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sim.spec import yaml
from sim.spec.hardware import Slug  # noqa: TC001 - pydantic reads annotations at run time
from sim.spec.quantity import Fraction, FrozenModel, PositiveCount
from sim.spec.validate import validate
from sim.validate.names import Chip, ModelRule, RefusalRule, plain_name

SETTINGS = (
    "cache", "token_budget", "budget_prompts", "max_sequences", "memory_fraction", "receive_steps", "spread",
)  # fmt: skip
"""Fields of a rule that say what a server was started with."""
FILE = Path(__file__).with_name("serving_names.yaml")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server was started with, where a harness publishes it; none: the default of the engine."""

    cache: str | None = None
    token_budget: int | None = None
    budget_prompts: int | None = None
    max_sequences: int | None = None
    memory_fraction: float | None = None
    receive_steps: tuple[int, int] = (1, 1)
    spread: float | None = None


class PublishedRule(FrozenModel):
    """What the published weights of a model are kept in."""

    pattern: str
    blank: str
    fp8: str
    fp4: str
    int4: str = "int4"
    note: str = ""


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


class BlankRule(FrozenModel):
    """Weights of a source that leaves their format blank; a blank pattern fits all."""

    family: str
    gpu: str = ""
    weights: str
    source: str


class LayoutRule(FrozenModel):
    """A source whose models with experts have data-parallel attention."""

    family: str
    model: str = ""
    source: str


class SettingsRule(FrozenModel):
    """What the servers of a harness were started with, in place of an engine's defaults; a blank pattern fits all."""

    family: str = ""
    notes: str = ""
    engine: str = ""
    """Searched in "engine version", as in the list of engines."""
    model: str = ""
    gpu: str = ""
    weights: tuple[str, ...] = ()
    """Formats of sim.plan.serving_machine; none: any."""
    cache: str | None = None
    token_budget: PositiveCount | None = None
    budget_prompts: PositiveCount | None = None
    """The same in prompts of the test."""
    max_sequences: PositiveCount | None = None
    memory_fraction: Fraction | None = None
    receive_steps: tuple[PositiveCount, PositiveCount] | None = None
    """Decode iterations between two looks at new requests: below 16 concurrent ones, and from there on."""
    spread: Fraction | None = None
    """Shortest over longest length of prompts and answers."""
    source: str


class DataSetRule(FrozenModel):
    """Mean lengths of a data set."""

    pattern: str
    input: PositiveCount
    output: PositiveCount
    requests: PositiveCount
    """Samples of the set: each is asked once."""
    beams: PositiveCount = 1
    """Answers that beam search carries along for each request; one of them is given."""
    source: str


class ServingNames(FrozenModel):
    """All tables of ``serving_names.yaml``."""

    accelerators: dict[str, Chip]
    models: tuple[ModelRule, ...]
    published: tuple[PublishedRule, ...]
    blank_weights: tuple[BlankRule, ...]
    weights: dict[str, str]
    caches: tuple[CacheRule, ...]
    engines: tuple[EngineRule, ...]
    requests: dict[str, PositiveCount]
    other_requests: PositiveCount
    data_parallel_attention: tuple[LayoutRule, ...]
    data_sets: tuple[DataSetRule, ...]
    settings: tuple[SettingsRule, ...]
    unmodelled: tuple[RefusalRule, ...]

    def chip(self, name: str) -> Chip | None:
        """Give what a name in the `gpu` column stands for; none for an unknown one."""
        by_name = {known.lower(): chip for known, chip in self.accelerators.items()}
        return by_name.get(name.strip().lower())

    def model(self, name: str) -> str | None:
        """Give the catalogue's name of a model; none where no rule matches."""
        plain = plain_name(name)
        return next((rule.model for rule in self.models if re.search(rule.pattern, plain)), None)

    def weight_format(self, name: str, words: str, family: str = "", gpu: str = "") -> str | None:
        """Give the format of the weights of a model, from the words of a table; none for unknown words."""
        rule = next(rule for rule in self.published if re.search(rule.pattern, plain_name(name)))
        if not words:
            source = (each for each in self.blank_weights if re.search(each.family, family))
            return next((each.weights for each in source if re.search(each.gpu, gpu)), rule.blank)
        known = self.weights.get(words.lower())
        return {"fp8": rule.fp8, "fp4": rule.fp4, "int4": rule.int4}.get(known, known) if known is not None else None

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

    def has_data_parallel_attention(self, family: str, model: str) -> bool:
        """Tell whether the models with experts of a source have data-parallel attention."""
        return any(
            re.search(rule.family, family) and re.search(rule.model, model) for rule in self.data_parallel_attention
        )

    def settings_of(self, family: str, notes: str, engine: str, model: str, gpu: str, weights: str) -> Settings:
        """Give what a server was started with: of each field, what the first matching rule that has it says."""
        words = ((family, "family"), (notes, "notes"), (engine.lower(), "engine"), (model, "model"), (gpu, "gpu"))
        found: dict[str, object] = {}
        for rule in self.settings:
            fits = all(re.search(getattr(rule, field), text) for text, field in words)
            if fits and (not rule.weights or weights in rule.weights):
                stated = {name: getattr(rule, name) for name in SETTINGS if getattr(rule, name) is not None}
                found = stated | found
        return Settings(**found)  # type: ignore[arg-type]  # fields of the same names and types

    def data_set(self, words: str) -> DataSetRule | None:
        """Give the data set that a note names; none where it names none."""
        return next((rule for rule in self.data_sets if re.search(rule.pattern, words.lower())), None)

    def unmodelled_reason(self, words: str) -> str | None:
        """Say why a row cannot be predicted; none where it can."""
        lower = words.lower()
        return next((rule.reason for rule in self.unmodelled if re.search(rule.pattern, lower)), None)


@cache
def serving_names() -> ServingNames:
    """Read the tables that the package carries."""
    return validate(ServingNames, yaml.load(FILE))
