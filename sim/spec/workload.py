"""What runs on a cluster: today a training run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sim import units
from sim.errors import UnitError
from sim.spec import defaults
from sim.spec.hardware import Slug
from sim.spec.layout import LayoutSpec
from sim.spec.model import ModelShape
from sim.spec.model_reference import FORMS, read_model
from sim.spec.quantity import Bytes, BytesPerSecond, Flop, Fraction, FrozenModel, Seconds, Tokens, refusal
from sim.spec.short_forms import AlsoWritten, quantity

ModelReference = Annotated[Slug | ModelShape, BeforeValidator(read_model), AlsoWritten(FORMS)]


class Budget(FrozenModel):
    """How much training: an amount of model FLOP, or of tokens."""

    flop: Flop | None = None
    """Model FLOP, in operations at any precision."""
    tokens: Tokens | None = None
    """Training tokens."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Budget:
        if (self.flop is None) == (self.tokens is None):
            raise ValueError("a budget is an amount of FLOP or of tokens: give one of both")
        amount = self.flop if self.flop is not None else self.tokens
        if amount is not None and amount <= 0:
            raise ValueError("a budget must be above 0")
        return self


def read_budget(value: object) -> object:
    """Read '1e26 FLOP' or '15e12 tokens'; leave mappings to the schema."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return value
    try:
        return {"flop": f"{units.parse(value, 'flop')!r} FLOP"}
    except UnitError as not_flop:
        if isinstance(value, str) and "token" in value:
            return {"tokens": value}
        raise refusal(not_flop.rule, not_flop.value, f"{not_flop.mend}, or '15.6e12 tokens'") from None


class CheckpointSpec(FrozenModel):
    """How the run saves its state."""

    interval: Literal["auto"] | Seconds = "auto"
    """Useful time between checkpoints, or the Young/Daly optimum."""
    bytes_per_parameter: Bytes = defaults.number("training.checkpoint.bytes_per_parameter")
    """State that is written for each parameter."""
    bandwidth: Annotated[BytesPerSecond, Field(gt=0)] = defaults.number("training.checkpoint.bandwidth")
    """Rate at which the whole run writes, while training stands still."""


def read_checkpoint(value: object) -> object:
    """Read 'auto' or a duration as the interval of a checkpoint specification."""
    return {"interval": value} if isinstance(value, (str, int, float)) and not isinstance(value, bool) else value


BudgetField = Annotated[Budget, BeforeValidator(read_budget), AlsoWritten((quantity("flop", "token"),))]
CheckpointField = Annotated[
    CheckpointSpec, BeforeValidator(read_checkpoint), AlsoWritten(({"const": "auto"}, quantity("second")))
]


class TrainingSpec(FrozenModel):
    """A training run of one model."""

    name: Slug = "training"
    """Name of the run in tables."""
    budget: BudgetField | None = None
    """How much to train: FLOP or tokens; may be left out where model and tokens say it."""
    model: ModelReference = defaults.name("training.model")
    """A model of the catalogue, 'hf: path/to/config.json', a shape of your own, or compute-optimal."""
    params: Annotated[float, Field(ge=1e3, le=1e18)] | None = None
    """Parameters of a dense model of the usual proportions, instead of a model."""
    tokens: Annotated[Tokens, Field(gt=0)] | None = None
    """Training tokens; with a model they decide the budget."""
    law: Literal["llama3", "chinchilla"] = "llama3"
    """Scaling law that sizes a compute-optimal model."""
    precision: Literal["bf16", "fp16", "fp8"] = "bf16"
    """Precision recipe."""
    sequence: Annotated[int, Field(ge=16, le=10_000_000)] = int(defaults.number("training.sequence"))
    """Tokens of one sequence."""
    batch: Annotated[Tokens, Field(gt=0)] = defaults.number("training.batch")
    """Tokens of one optimizer step."""
    plan: Literal["auto"] | LayoutSpec = "auto"
    """Parallel layout: searched, or given in whole or in part."""
    checkpoint: CheckpointField = CheckpointSpec()
    """How the run saves its state: auto, an interval, or a mapping."""
    profile: Slug = defaults.name("training.profile")
    """Software profile of the catalogue."""
    mfu: Annotated[Fraction, Field(gt=0)] | None = None
    """Overrides the predicted utilization of a step (model FLOP against the dense peak)."""
    step_time: Annotated[Seconds, Field(gt=0)] | None = None
    """Overrides the predicted time of a step."""

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSpec:
        if self.mfu is not None and self.step_time is not None:
            raise ValueError("mfu and step_time both override the step: give one of them")
        if self.params is not None and self.model != "compute-optimal":
            raise ValueError("params and model both name the size: give one of them")
        return self
