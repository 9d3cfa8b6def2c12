"""What runs on a cluster: today a training run."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from sim import units
from sim.errors import UnitError
from sim.spec import defaults
from sim.spec.distribution import Distribution, Varying
from sim.spec.hardware import Slug
from sim.spec.layout import LayoutSpec
from sim.spec.model import ModelShape
from sim.spec.model_reference import FORMS, read_model
from sim.spec.quantity import Bytes, BytesPerSecond, Fraction, FrozenModel, Quantity, Seconds, refusal, refuse_truth
from sim.spec.recipe import RecipeField
from sim.spec.short_forms import AlsoWritten, quantity

MOST_FLOP, MOST_TOKENS = 1e36, 1e30
"""Largest budgets: far beyond any machine, and small enough that no count of anything overflows."""
MOST_BATCH = 1e12
"""Tokens of the largest batch; the search lists the divisors of its sequences."""
MOST_DOCUMENT = 1e9
"""Tokens of the longest document."""
ModelReference = Annotated[Slug | ModelShape, BeforeValidator(read_model), AlsoWritten(FORMS)]


class Budget(FrozenModel):
    """How much training: an amount of model FLOP, or of tokens."""

    flop: Annotated[float, Quantity("flop", positive=True, at_most=MOST_FLOP)] | None = None
    """Model FLOP, in operations at any precision."""
    tokens: Annotated[float, Quantity("token", positive=True, at_most=MOST_TOKENS)] | None = None
    """Training tokens."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.flop is None) == (self.tokens is None):
            given = "" if self.flop is None else f"{self.flop:g} FLOP and {self.tokens:g} tokens"
            raise refusal("a budget is an amount of FLOP or of tokens: one of both", given, "write it like '1e26 FLOP'")
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


class CapacitySpec(FrozenModel):
    """A limit on the tokens of an expert; what comes beyond it is dropped."""

    factor: Annotated[float, Field(gt=0, le=1000), BeforeValidator(refuse_truth)]
    """Tokens that an expert takes at most, over the mean."""
    pads: bool = True
    """Whether every expert computes exactly so many, with empty rows where fewer come."""
    imbalance: Annotated[float, Field(ge=1, le=1000), BeforeValidator(refuse_truth)] | None = None
    """Tokens that come to the fullest expert, over the mean; that of the software profile where none is given."""


def read_capacity(value: object) -> object:
    """Read a number as the factor of a capacity."""
    return {"factor": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


CapacityField = Annotated[
    CapacitySpec, BeforeValidator(read_capacity), AlsoWritten(({"type": "number", "exclusiveMinimum": 0},))
]
BudgetField = Annotated[Budget, BeforeValidator(read_budget), AlsoWritten((quantity("flop", "token"),))]
CheckpointField = Annotated[
    CheckpointSpec, BeforeValidator(read_checkpoint), AlsoWritten(({"const": "auto"}, quantity("second")))
]


def read_kinds(value: object) -> object:
    """Read one kind of device as a list of it."""
    return (value,) if isinstance(value, str) else value


def _is_unsaid(value: object) -> bool:
    """Leave how a run stands beside others out of the record of one that stands alone."""
    return not value


def _is_none(value: object) -> bool:
    return value is None


class TrainingSpec(FrozenModel):
    """A training run of one model."""

    name: Slug = "training"
    """Name of the run in tables."""
    devices: Annotated[int, Field(ge=1, le=100_000_000_000), BeforeValidator(refuse_truth)] | None = Field(
        default=None, exclude_if=_is_unsaid
    )
    """Devices that it asks for, where it shares the cluster; all of them where none are given."""
    kinds: Annotated[tuple[Slug, ...], BeforeValidator(read_kinds), AlsoWritten(({"type": "string"},))] = Field(
        default=(), exclude_if=_is_unsaid
    )
    """Kinds of device on which it may run, of those under `clusters`; all where none are given."""
    at: Seconds = Field(default=0.0, exclude_if=_is_unsaid)
    """When it is submitted, where it shares the cluster."""
    tenant: Slug | None = Field(default=None, exclude_if=_is_unsaid)
    """Who submits it."""
    priority: Annotated[int, Field(ge=-1000, le=1000), BeforeValidator(refuse_truth)] | None = Field(
        default=None, exclude_if=_is_none
    )
    """Higher is more urgent; that of the tenant where none is given."""
    budget: BudgetField | None = None
    """How much to train: FLOP or tokens; may be left out where model and tokens say it."""
    model: ModelReference = defaults.name("training.model")
    """A model of the catalogue, 'hf: path/to/config.json', a shape of your own, or compute-optimal."""
    params: Annotated[float, Field(ge=1e3, le=1e18), BeforeValidator(refuse_truth)] | None = None
    """Parameters of a dense model of the usual proportions, instead of a model."""
    tokens: Annotated[float, Quantity("token", positive=True, at_most=MOST_TOKENS)] | None = None
    """Training tokens; with a model they decide the budget."""
    law: Literal["llama3", "chinchilla"] = "llama3"
    """Scaling law that sizes a compute-optimal model."""
    precision: RecipeField = defaults.name("training.precision")
    """Precision recipe of the catalogue, or one of your own."""
    # Left out of records where nobody gives it: those of other runs stay as they were.
    adapters: Annotated[int, Field(ge=1, le=65536), BeforeValidator(refuse_truth)] | None = Field(
        default=None, exclude_if=lambda rank: rank is None
    )
    """Rank of the adapters that alone are trained (LoRA); none trains every weight."""
    sequence: Annotated[int, Field(ge=16, le=10_000_000), BeforeValidator(refuse_truth)] = int(
        defaults.number("training.sequence")
    )
    """Tokens of one sequence."""
    documents: Annotated[Distribution, Varying("token", positive=True, whole=True, at_most=MOST_DOCUMENT)] | None = (
        Field(default=None, exclude_if=_is_none)
    )
    """Tokens of the documents that sequences are packed from; attention ends at each; none: a sequence is one."""
    capacity: CapacityField | None = Field(default=None, exclude_if=_is_none)
    """Limit on the tokens of an expert: a factor over the mean, or a mapping; none: no token is dropped."""
    batch: Annotated[float, Quantity("token", positive=True, at_most=MOST_BATCH)] = defaults.number("training.batch")
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

    @property
    def recipe_name(self) -> str:
        """Name of the precision recipe."""
        return self.precision if isinstance(self.precision, str) else self.precision.name

    @property
    def shares_the_cluster(self) -> bool:
        """Tell whether it says how it stands beside other jobs."""
        return bool(self.devices or self.kinds or self.at or self.tenant or self.priority is not None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mfu is not None and self.step_time is not None:
            both = f"mfu {self.mfu:g} and step_time {self.step_time:g} s"
            raise refusal("mfu and step_time both override the step", both, "give one of them")
        if self.params is not None and self.model != "compute-optimal":
            named = self.model if isinstance(self.model, str) else self.model.name
            both = f"params {self.params:g} and model {named}"
            raise refusal("params and model both name the size", both, "give one of them")
        return self
