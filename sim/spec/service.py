"""A service: replicas of a model that answer requests, the engine that runs each, and what stands before them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from sim.spec.beside import beside_the_scenario
from sim.spec.hardware import Slug
from sim.spec.quantity import (
    Bytes,
    BytesPerSecond,
    Count,
    Fraction,
    FrozenModel,
    PerSecond,
    PositiveCount,
    Seconds,
    refusal,
    refuse_truth,
)
from sim.spec.short_forms import AlsoWritten
from sim.spec.workload import ModelReference

Weights = Literal["bf16", "fp16", "fp8", "fp8_block", "fp4", "mxfp4", "int8", "int4", "q4_k_m"]
"""How weights are kept; that decides what multiplies them (sim.plan.serving_machine)."""
Compute = Literal["bf16", "fp16", "fp8", "fp4"]
Cache = Literal["bf16", "fp16", "fp8", "int8"]
Router = Literal["round-robin", "least-outstanding", "power-of-two", "prefix-aware", "shared-queue"]
USUAL_ENGINE = "vllm-v1"
Degree = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(refuse_truth)]
Replicas = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(refuse_truth)]


class ServingPrecision(FrozenModel):
    """Precision of the three things that a served model keeps and computes in."""

    weights: Weights = "bf16"
    """Of the matrices of the layers; embedding and head stay in 16 bit."""
    compute: Compute | None = None
    """Of the matrix products of the layers; follows from the weights (those of int8 and int4 are in 16 bit)."""
    kv: Cache = "bf16"
    """Of the keys and values that are cached."""


class ServingLayout(FrozenModel):
    """How one replica is laid out; what is left out is one, or chosen where nothing is given."""

    tp: Degree | None = None
    """Tensor parallel: devices that share each matrix product."""
    pp: Degree | None = None
    """Pipeline parallel: stages that the layers are cut into."""
    ep: Degree | None = None
    """Expert parallel: devices that share the experts of a layer."""
    dp_attention: Degree | None = None
    """Copies of the attention layers inside a replica, each with its own sequences; experts are shared by all."""


class EngineSettings(FrozenModel):
    """An engine profile of the catalogue, and what is set otherwise than there."""

    profile: Slug = USUAL_ENGINE
    """Engine profile: scheduler rules and host costs of one release."""
    token_budget: PositiveCount | None = None
    """Most tokens of one iteration, prefill and decode together (max_num_batched_tokens)."""
    max_sequences: PositiveCount | None = None
    """Most sequences of one iteration (max_num_seqs)."""
    block_size: PositiveCount | None = None
    """Tokens of one block of the KV cache."""
    kv_blocks: PositiveCount | None = None
    """Blocks of the KV cache of a replica; what memory leaves where none is given."""
    memory_fraction: Annotated[Fraction, Field(gt=0)] | None = None
    """Share of a device's memory that the engine may fill (gpu_memory_utilization)."""
    prefix_caching: bool | None = None
    """Whether equal heads of prompts are computed once."""
    chunked_prefill: bool | None = None
    """Whether long prompts are cut to fit beside decodes."""
    batching: Literal["continuous", "static"] | None = None
    """Whether sequences join between iterations, or a batch begins and ends together."""
    preemption: Literal["recompute", "swap"] | None = None
    """What becomes of a sequence that has to give its blocks up."""
    host: Seconds | None = None
    """Host time of one iteration that the devices wait for."""
    layers: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Folder of your own measurements of this model's layers on this chip; it begins at the folder of the scenario."""

    @field_validator("layers", mode="after")
    @classmethod
    def _beside_the_scenario(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Let the path begin at the folder of the file that names it."""
        return None if value is None else beside_the_scenario(value, info)


class Scaling(FrozenModel):
    """Replicas that come and go with the load."""

    min: Replicas
    """Fewest replicas; so many are there at the beginning."""
    max: Replicas
    """Most replicas; beside jobs they are had as far as the queue gives devices."""
    target: Annotated[float, Field(gt=0, le=1e9), BeforeValidator(refuse_truth)] = 32.0
    """Outstanding requests of each replica that the autoscaler aims at."""
    every: Annotated[Seconds, Field(gt=0)] = 10.0
    """Time between two looks at the load."""
    keep: Seconds = 300.0
    """Time for which fewer replicas must suffice before one goes."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise refusal("max is at least min", self.max, f"max: {self.min}")
        return self


class Speculative(FrozenModel):
    """Speculative decoding: several tokens are drafted, and those accepted up to the first refusal are kept."""

    tokens: Degree
    """Drafted tokens of one iteration."""
    acceptance: Fraction
    """Chance that a drafted token is accepted, where those before it are."""
    model: ModelReference | None = None
    """Draft model; heads of the model itself (MTP, Medusa, EAGLE) where none is named."""


class Disaggregation(FrozenModel):
    """Replicas that only prefill, and replicas that only decode; the KV cache goes over the fabric between them."""

    prefill: Replicas
    """Replicas that compute prompts."""
    decode: Replicas
    """Replicas that compute answers."""
    prefill_plan: ServingLayout | None = None
    """Layout of a prefill replica; that of the service where none is given."""


def read_precision(value: object) -> object:
    """Read 'fp8' as weights and products in it and a 16-bit cache; leave mappings to the schema."""
    return {"weights": value} if isinstance(value, str) else value


def read_engine(value: object) -> object:
    """Read the name of a profile; leave mappings to the schema."""
    return {"profile": value} if isinstance(value, str) else value


def read_replicas(value: object) -> object:
    """Leave a count and a mapping to the schema; a range in words is refused with the form to write."""
    if isinstance(value, (list, str)) and not (isinstance(value, str) and value.strip().isdigit()):
        raise refusal("replicas are a whole number or a range", value, "{min: 8, max: 64}")
    return int(value) if isinstance(value, str) else value


_PRECISION: tuple[dict[str, Any], ...] = ({"enum": list(get_args(Weights))},)
_ENGINE: tuple[dict[str, Any], ...] = ({"type": "string", "examples": [USUAL_ENGINE]},)
PrecisionField = Annotated[ServingPrecision, BeforeValidator(read_precision), AlsoWritten(_PRECISION)]
EngineField = Annotated[EngineSettings, BeforeValidator(read_engine), AlsoWritten(_ENGINE)]
ReplicasField = Annotated[Replicas | Scaling, BeforeValidator(read_replicas)]


class ServiceSpec(FrozenModel):
    """Replicas of one model behind one router."""

    model: ModelReference
    """A model of the catalogue, 'hf: path/to/config.json', or a shape of your own."""
    replicas: ReplicasField = 1
    """Copies of the model that answer side by side, or {min, max}: as many as the load needs."""
    plan: Literal["auto"] | ServingLayout = "auto"
    """Layout of a replica: the smallest that fits, or given in whole or in part."""
    precision: PrecisionField = ServingPrecision()
    """One word for weights and products ('fp8'; the cache stays in 16 bit), or {weights, compute, kv}."""
    engine: EngineField = EngineSettings()
    """Engine profile of the catalogue, or {profile, ...} with what is set otherwise."""
    router: Router = "least-outstanding"
    """How a request finds its replica."""
    speculative: Speculative | None = None
    """Speculative decoding; none where nothing is given."""
    disaggregation: Disaggregation | None = None
    """Replicas that only prefill and replicas that only decode, instead of `replicas`."""
    kv_offload: Bytes | None = None
    """Host memory of a replica that keeps blocks which the devices had to give up."""
    time_out: Annotated[Seconds, Field(gt=0)] | None = None
    """Time after which a request that has not ended is given up."""
    max_queue: Count | None = None
    """Waiting requests of a replica beyond which new ones are rejected; no limit where none is given."""
    tenant_limits: dict[Slug, PositiveCount] = Field(default_factory=dict)
    """Most outstanding requests of a tenant; what comes beyond waits before the router."""
    failure_rate: PerSecond = 0.0
    """Failures per device and time; a replica that fails loses its cache, and its requests are sent again."""
    repair: Annotated[Seconds, Field(gt=0)] = 600.0
    """Time until a failed replica is given devices again; its start comes after that."""
    cold_start: Seconds | None = None
    """Time from devices to the first iteration; the weights over `storage` where none is given."""
    storage: BytesPerSecond = 2e9
    """Rate at which a device loads its weights."""
    tenant: Slug | None = None
    """Who pays for the service."""
    priority: Annotated[int, Field(ge=-1000, le=1000), BeforeValidator(refuse_truth)] = 0
    """Of its replicas among the jobs of the cluster; higher is more urgent; that of the tenant where none is given."""
    preemptible: bool = Field(default=False, exclude_if=lambda given: not given)
    """Whether a policy may take devices from its replicas for others; their requests are then sent again."""
    at: Seconds = Field(default=0.0, exclude_if=lambda given: not given)
    """When it asks for its devices; requests that come before wait."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.disaggregation is not None and "replicas" in self.model_fields_set:
            raise refusal(
                "a disaggregated service counts its replicas under disaggregation",
                f"replicas beside prefill {self.disaggregation.prefill} and decode {self.disaggregation.decode}",
                "leave out replicas",
            )
        if self.speculative is not None and self.disaggregation is not None:
            raise refusal("speculative decoding and disaggregation cannot be combined yet", "", "leave out one of them")
        return self

    @property
    def most_replicas(self) -> int:
        """Give the replicas that devices are kept for."""
        if self.disaggregation is not None:
            return self.disaggregation.prefill + self.disaggregation.decode
        return self.replicas.max if isinstance(self.replicas, Scaling) else self.replicas

    @property
    def layout(self) -> ServingLayout:
        """Give the degrees that are stated; none under 'auto'."""
        return ServingLayout() if self.plan == "auto" else self.plan
