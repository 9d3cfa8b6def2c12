"""The data tables of validation: what names in tables of measurements mean, and what stands for a blank field."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

from sim.spec import yaml
from sim.spec.hardware import Generation, Slug  # noqa: TC001 - pydantic reads annotations at run time
from sim.spec.quantity import Bytes, BytesPerSecond, Fraction, FrozenModel, PositiveCount, Seconds
from sim.spec.validate import validate

FILE = Path(__file__).with_name("names.yaml")


class Chip(FrozenModel):
    """What one rank of a table drives."""

    accelerator: Slug
    """Accelerator of the catalogue."""
    memory: Bytes | None = None
    """Memory where it differs from the catalogue's chip."""
    bandwidth: BytesPerSecond | None = None
    """Memory bandwidth where it differs."""
    sustained: Fraction = 1.0
    """Clock under a lower power limit over the usual one."""
    note: str | None = None
    """What a reader has to know."""


class ModelRule(FrozenModel):
    """A catalogue entry by name."""

    pattern: str
    model: str
    """Name in the catalogue; may use the groups of the pattern."""


class ShapeRule(FrozenModel):
    """A shape that the catalogue does not have."""

    pattern: str
    layers: PositiveCount
    hidden: PositiveCount
    heads: PositiveCount
    ffn_hidden: PositiveCount
    vocab: PositiveCount
    source: str


class FamilyRule(FrozenModel):
    """What a family of models has in common."""

    pattern: str
    gated: bool
    tied: bool
    vocab: PositiveCount
    source: str


class RefusalRule(FrozenModel):
    """What is not modelled."""

    pattern: str
    reason: str


class ShardingRule(FrozenModel):
    """ZeRO stage by the words of a table; a reason where there is none."""

    pattern: str
    stage: Literal[0, 1, 2, 3] | None = None
    reason: str = ""


class ProfileRule(FrozenModel):
    """Software of a source group on some generations of chips (none means all)."""

    group: str
    generations: tuple[Generation, ...] = ()
    alone: bool = False
    """Whether it holds for rows without a pipeline only."""
    profile: Slug
    zero_stage: Literal[0, 1, 2, 3]
    sequence_parallel: bool
    recompute: Literal["", "selective"] = ""
    """What the software computes again unless it is told otherwise; empty: what fits tells."""
    micro_batches: Literal["", "stages"] = ""
    """How many micro-batches a pipeline has where the row names no micro-batch; empty: the fastest that fit."""


class PrecisionRule(FrozenModel):
    """Precision of rows that leave it blank."""

    group: str
    generations: tuple[Generation, ...] = ()
    precision: str
    source: str


class ConventionRule(FrozenModel):
    """What a source counts in its TFLOP/s."""

    group: str
    convention: Literal["full", "causal"]


class MemoryRule(FrozenModel):
    """A source whose peak memory is what the allocator has, without driver context and communication buffers."""

    group: str
    source: str


class FabricRule(FrozenModel):
    """A fabric of the catalogue by the words of a table."""

    pattern: str
    fabric: Slug


class CalibrationRule(FrozenModel):
    """Rows of collectives from which a number of the calibration was taken."""

    pattern: str
    source: str


class RunDefaults(FrozenModel):
    """What a table of whole runs leaves out."""

    devices: PositiveCount
    """Devices of a run of unknown size."""
    sequences: PositiveCount
    """Sequences of one step."""
    sequence: PositiveCount
    """Tokens of one sequence of a model that the catalogue lacks."""
    longest: PositiveCount
    """Tokens of one sequence, at most."""


class RunSoftwareRule(FrozenModel):
    """The software that made a model."""

    pattern: str
    profile: Slug
    precision: Literal["bf16", "fp16", "fp8"] | None = None
    """Where it is not the chip's 16-bit format."""
    source: str


class DoubtRule(FrozenModel):
    """A run whose row contradicts itself or another source."""

    pattern: str
    source: str


class Names(FrozenModel):
    """All tables of ``names.yaml``."""

    accelerators: dict[str, Chip]
    models: tuple[ModelRule, ...]
    shapes: tuple[ShapeRule, ...]
    families: tuple[FamilyRule, ...]
    unmodelled: tuple[RefusalRule, ...]
    profiles: tuple[ProfileRule, ...]
    precisions: tuple[PrecisionRule, ...]
    sharding: tuple[ShardingRule, ...]
    attention_conventions: tuple[ConventionRule, ...]
    allocator_memory: tuple[MemoryRule, ...]
    fabrics: tuple[FabricRule, ...]
    calibrated_on: tuple[CalibrationRule, ...]
    collective_launch: Seconds
    """Time to launch a collective from the host, beyond that of one replayed from a graph."""
    runs: RunDefaults
    run_software: tuple[RunSoftwareRule, ...]
    contradictions: tuple[DoubtRule, ...]

    def chip(self, name: str) -> Chip | None:
        """Give what a name in the `gpu` column stands for; none for an unknown one."""
        by_name = {known.lower(): chip for known, chip in self.accelerators.items()}
        return by_name.get(name.strip().lower())

    def catalogue_model(self, name: str) -> str | None:
        """Give the catalogue's name of a model; none where no rule matches."""
        plain = plain_name(name)
        for rule in self.models:
            if found := re.search(rule.pattern, plain):
                return found.expand(rule.model)
        return None

    def shape(self, name: str) -> ShapeRule | None:
        """Give the shape of a model that the catalogue lacks; none where no rule matches."""
        plain = plain_name(name)
        return next((rule for rule in self.shapes if re.search(rule.pattern, plain)), None)

    def family(self, name: str) -> FamilyRule:
        """Give what the family of a model has in common; the last rule matches all."""
        plain = plain_name(name)
        return next(rule for rule in self.families if re.search(rule.pattern, plain))

    def unmodelled_reason(self, name: str) -> str | None:
        """Say why a model cannot be predicted; none where it can."""
        plain = plain_name(name)
        return next((rule.reason for rule in self.unmodelled if re.search(rule.pattern, plain)), None)

    def sharding_rule(self, words: str) -> ShardingRule | None:
        """Give the rule for what a table says of ZeRO or FSDP; none where it says nothing known."""
        lower = words.lower()
        return next((rule for rule in self.sharding if re.search(rule.pattern, lower)), None)

    def software(self, group: str, generation: str, *, alone: bool = False) -> ProfileRule:
        """Give the software of a source group on a generation of chips, ``alone`` without a pipeline.

        The last rule matches all.
        """
        fitting = (rule for rule in self.profiles if alone or not rule.alone)
        return next(rule for rule in fitting if _matches(rule, group, generation))

    def counts_all_memory(self, group: str) -> bool:
        """Tell whether a source measures all memory of a device, not that of PyTorch's allocator alone."""
        return not any(re.search(rule.group, group.lower()) for rule in self.allocator_memory)

    def precision(self, group: str, generation: str) -> PrecisionRule:
        """Give the precision of a row that leaves it blank; the last rule matches all."""
        return next(rule for rule in self.precisions if _matches(rule, group, generation))

    def attention_convention(self, group: str) -> str:
        """Give the attention that a source counts by its documentation; empty where that is unknown."""
        rules = (rule.convention for rule in self.attention_conventions if re.search(rule.group, group.lower()))
        return next(rules, "")

    def fabric(self, words: str) -> str | None:
        """Give the fabric that a table names; none where no rule matches."""
        lower = words.lower()
        return next((rule.fabric for rule in self.fabrics if re.search(rule.pattern, lower)), None)

    def used_in_calibration(self, row: str) -> bool:
        """Tell whether a row of collectives, as GPU/NODES, has gone into the calibration."""
        return any(re.search(rule.pattern, row.lower()) for rule in self.calibrated_on)

    def software_of_run(self, run: str) -> RunSoftwareRule | None:
        """Give the software that made a model; none where no rule matches."""
        plain = plain_name(run)
        return next((rule for rule in self.run_software if re.search(rule.pattern, plain)), None)

    def contradicts(self, run: str) -> bool:
        """Tell whether the row of a run is known to contradict itself or another source."""
        plain = plain_name(run)
        return any(re.search(rule.pattern, plain) for rule in self.contradictions)


@cache
def names() -> Names:
    """Read the tables that the package carries."""
    return validate(Names, yaml.load(FILE))


def plain_name(name: str) -> str:
    """Give a name in lower case, its blanks and underscores as hyphens.

    >>> plain_name("Qwen3_30B_a3B (tokendrop)")
    'qwen3-30b-a3b-(tokendrop)'
    """
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def _matches(rule: ProfileRule | PrecisionRule, group: str, generation: str) -> bool:
    fits = not rule.generations or generation in rule.generations
    return fits and re.search(rule.group, group.lower()) is not None
