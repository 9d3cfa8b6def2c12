"""The parts of an iteration from operator curves: products, attention, experts, collectives, vector operators."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log2
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.attention_shape import score_width
from sim.cost.collectives import Fabric, RankedCurve, collective_s, hierarchical_s, place_group
from sim.cost.decode_attention import DecodeCurve, LatentCurve, decode_attention_s, latent_decode_s
from sim.cost.experts import expert_share
from sim.cost.grouped import GroupedCurve, routed_feed_forward_s
from sim.cost.roofline import RooflineCurve, gemm_s, memory_bound_s
from sim.cost.transformer import FlopPerToken, flop_per_token, layer_gemms

if TYPE_CHECKING:
    from sim.cost.attention import AttentionCurve
    from sim.cost.collectives import Collective
    from sim.cost.roofline import Numbers
    from sim.cost.serving import Floats
    from sim.spec.model import ModelShape

WIDE_BYTES = 2.0
"""Activations between operators stay in 16 bit."""
SAMPLING_S, SAMPLING_BYTES = 10e-6, 8.0
"""A sampler with nothing to do, and the bytes that it moves for each logit: of vLLM 0.19 on an RTX PRO 6000, 12 us for
one sequence and 0.65 us for each more of 152k logits (LLMServingSim layer profile, per_sequence.csv)."""


@dataclass(frozen=True, slots=True)
class ServingLayout:
    """How one replica is laid out: tensor x attention-data-parallel devices in each of the pipeline's stages.

    Routed experts are spread over all devices of a stage: ``expert_parallel`` groups, each expert split over the rest.
    """

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    expert_parallel: int = 1
    attention_data_parallel: int = 1

    @property
    def stage_devices(self) -> int:
        """Devices of one stage."""
        return self.tensor_parallel * self.attention_data_parallel

    @property
    def devices(self) -> int:
        """Devices of the replica."""
        return self.stage_devices * self.pipeline_parallel


@dataclass(frozen=True, slots=True)
class ServingMachine:
    """One device and its links as an engine uses them, for one choice of precisions."""

    name: str
    gemm_peak_flop_per_s: float
    wide_peak_flop_per_s: float
    expert_peak_flop_per_s: float
    attention_peak_flop_per_s: float
    bandwidth_bytes_per_s: float
    gemm: RooflineCurve
    wide_gemm: RooflineCurve
    attention: AttentionCurve
    decode: DecodeCurve
    latent: LatentCurve
    grouped: GroupedCurve
    all_reduce: RankedCurve
    fabric: Fabric
    domain_devices: float
    pod_devices: float
    vector_efficiency: float
    weight_bytes: float
    """Of one weight in the products of the layers."""
    expert_bytes: float
    """Of one weight of a routed expert."""
    cache_bytes: float
    """Of one cached number."""
    attention_bytes: float
    """Of one element of the operands of prefill attention."""


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """What an engine's kernels do, from its profile; times in s."""

    vector_kernel_s: float
    vector_kernels: float
    key_head_sharing: float
    grouped_kernels: tuple[int, ...]
    expert_imbalance: float
    kernel_slowdown: float
    windows: bool = True
    beside_prompt: float = 1.0


@dataclass(frozen=True)
class CurveParts:
    """The parts of an iteration of one replica; see sim.cost.serving.IterationParts."""

    model: ModelShape
    layout: ServingLayout
    machine: ServingMachine
    engine: EngineTraits

    @property
    def beside_prompt(self) -> float:
        """Give attention of decoding sequences beside a prompt over the same alone, from the engine's profile."""
        return self.engine.beside_prompt

    def token_s(self, tokens: Floats) -> Floats:
        """Give the time of all that hangs on the number of tokens alone, all layers, collectives included, in s.

        Source: rooflines of the products (sim.cost.roofline), grouped products, collectives, bytes of vector operators.
        Valid for: tokens of one micro-batch.
        """
        own = np.ceil(tokens / self.layout.attention_data_parallel)
        layer_s = self._products_s(own) + self._vector_s(own) + self._experts_s(tokens)
        kernels_s = self.model.layers * self.engine.kernel_slowdown * layer_s
        return np.asarray(kernels_s + self.communication_s(tokens))

    def communication_s(self, tokens: Floats) -> Floats:
        """Give the time of the collectives of all layers, in s: none is hidden.

        Two all-reduces a layer over the tensor-parallel group; with data-parallel attention the experts' tokens are
        gathered and scattered, or sent to each expert's device, whichever is faster; one transfer between stages.

        Source: Shoeybi et al. 2019 (arXiv:1909.08053), section 3; Lepikhin et al. 2020 (arXiv:2006.16668).
        Valid for: tokens of one micro-batch.
        """
        layout, model = self.layout, self.model
        own = np.ceil(tokens / layout.attention_data_parallel)
        one = model.hidden * WIDE_BYTES
        reduce_s = self._all_reduce_s(own * one)
        experts = expert_share(model)
        if layout.attention_data_parallel > 1:
            # The dense feed-forward is data-parallel too where attention is; only its own output is reduced.
            layer_s = (2.0 - experts) * reduce_s + experts * self._exchange_s(tokens, own, one)
        else:
            layer_s = 2.0 * reduce_s
        transfer_s: Numbers = 0.0
        if layout.pipeline_parallel > 1:
            stride = layout.stage_devices
            group = place_group(2, stride, self.machine.domain_devices, self.machine.pod_devices)
            transfer_s = (layout.pipeline_parallel - 1) * hierarchical_s(
                "point_to_point", own * one / layout.tensor_parallel, group, self.machine.fabric
            )
        return np.asarray(model.layers * layer_s + transfer_s + 0.0 * tokens)

    def output_s(self, outputs: Floats) -> Floats:
        """Give the time of the LM head and of sampling, in s.

        Source: roofline of a product of hidden x vocabulary in 16 bit; sampler of vLLM 0.19 (see SAMPLING_S).
        Valid for: greedy and plain sampling.
        """
        machine, model, layout = self.machine, self.model, self.layout
        own = np.ceil(outputs / layout.attention_data_parallel)
        columns = model.vocab / layout.tensor_parallel
        head_s = gemm_s(
            own, columns, model.hidden, WIDE_BYTES, machine.wide_peak_flop_per_s, machine.bandwidth_bytes_per_s,
            machine.wide_gemm,
        )  # fmt: skip
        gather_s = self._domain_s("all_gather", own * model.vocab * WIDE_BYTES)
        sample_s = SAMPLING_S + own * model.vocab * SAMPLING_BYTES / machine.bandwidth_bytes_per_s
        return np.asarray(head_s * self.engine.kernel_slowdown + gather_s + sample_s)

    def decode_attention_s(self, sequences: int, contexts: Floats) -> Floats:
        """Give the time of attention of one new token of each sequence, all layers, in s.

        Source: sim.cost.decode_attention; a sliding layer reads its window.
        Valid for: sequences of like length.
        """
        layout = self.layout
        batches = min(layout.pipeline_parallel, sequences)
        groups = batches * min(layout.attention_data_parallel, -(-sequences // batches))
        own = float(-(-sequences // groups))
        each = contexts / sequences
        total = np.zeros_like(each)
        for layers, window in self._kinds:
            span = each if window is None else np.minimum(each, window)
            total = total + layers * self._decode_layer_s(own, own * span)
        return np.asarray(total * self.engine.kernel_slowdown)

    def prompt_attention_s(self, decoding: int, context: float, tokens: float, pairs: float, sequences: int) -> float:  # noqa: ARG002 - contexts of others
        """Give the time that chunks of prompts add, all layers, in s: kernels of their own.

        The fullest device of data-parallel attention has its share of the prompts, or one prompt.

        Source: the curve of prefill attention (sim.cost.attention) by its (query, key) pairs.
        Valid for: prompts in chunks of like length.
        """
        divided, full, sliding, per_token_s, per_pair_s, half_rows, half_sequence, kernels_s = self._prompt
        if divided:
            stages = min(self.layout.pipeline_parallel, decoding + sequences)
            shared = stages * min(self.layout.attention_data_parallel, sequences)
            tokens, pairs = tokens / shared, pairs / shared
        spread = 2.0 * pairs / tokens
        filled_s = full * pairs * (1.0 + half_sequence / spread)
        for layers, window in sliding:
            within, span = pairs, spread
            if spread > window:
                within, span = tokens * (window - window**2 / (2.0 * spread)), window
            filled_s += layers * within * (1.0 + half_sequence / span)
        return filled_s * per_pair_s * (1.0 + half_rows / tokens) + tokens * per_token_s + kernels_s

    def flop(self, tokens: float, pairs: float, outputs: float) -> float:
        """Count the operations: layers of ``tokens``, attention of ``pairs``, LM head of ``outputs``, in FLOP.

        Source: sim.cost.transformer; 4 x heads x width a pair and layer. A sliding layer counts at most its window
        of each query, taken at the mean of all.
        Valid for: full attention exactly, windows as said.
        """
        each = self._flop_per_token
        width = 4.0 * self.model.heads * score_width(self.model)
        attention = 0.0
        for layers, window in self._kinds:
            within = pairs if window is None else min(pairs, tokens * window)
            attention += layers * width * within
        return tokens * each.layers + attention + outputs * each.head

    @cached_property
    def _flop_per_token(self) -> FlopPerToken:
        return flop_per_token(self.model, 1)

    @cached_property
    def _prompt(self) -> tuple[bool, int, tuple[tuple[int, float], ...], float, float, float, float, float]:
        """Give what prefill attention is made of, times for all layers or for one pair and layer.

        Whether devices share the prompts out; layers that see everything, and those that see a window; the time of a
        token's operands and of a pair's arithmetic; tokens and keys at which the kernel is half as fast; the time of
        launches.
        """
        model, machine, layout, curve = self.model, self.machine, self.layout, self.machine.attention
        slowdown = self.engine.kernel_slowdown
        heads = model.heads / layout.tensor_parallel
        kv_heads = heads if model.mla else max(model.kv_heads / layout.tensor_parallel, 1.0)
        width = score_width(model)
        layers = sum(layers for layers, _ in self._kinds)
        moved_bytes = 2.0 * width * (heads + kv_heads) * machine.attention_bytes
        moved_s = moved_bytes / (curve.memory_efficiency * machine.bandwidth_bytes_per_s)
        rate = curve.compute_efficiency * machine.attention_peak_flop_per_s
        per_pair_s = 4.0 * heads * width * (1.0 + curve.half_head_dim / width) / rate
        return (
            max(layout.pipeline_parallel, layout.attention_data_parallel) > 1,
            sum(layers for layers, window in self._kinds if window is None),
            tuple((layers, window) for layers, window in self._kinds if window is not None),
            slowdown * layers * moved_s,
            slowdown * per_pair_s,
            curve.half_rows / heads,
            curve.half_sequence,
            slowdown * layers * curve.overhead_s,
        )

    @cached_property
    def _kinds(self) -> tuple[tuple[int, float | None], ...]:
        """Give the layers of each kind of attention, and the window of those that have one."""
        full, sliding = self.model.layers_of("full"), self.model.layers_of("sliding")
        if not self.engine.windows:
            return ((full + sliding, None),)
        window = None if self.model.sliding_window is None else float(self.model.sliding_window)
        return tuple((layers, span) for layers, span in ((full, None), (sliding, window)) if layers)

    def _products_s(self, tokens: Floats) -> Numbers:
        machine, tensor = self.machine, self.layout.tensor_parallel
        seconds: Numbers = 0.0
        for gemm in layer_gemms(self.model, tensor):
            columns = gemm.columns * (tensor if gemm.repeated else 1)
            wide = gemm.name == "router"
            peak = machine.wide_peak_flop_per_s if wide else machine.gemm_peak_flop_per_s
            curve = machine.wide_gemm if wide else machine.gemm
            element = WIDE_BYTES if wide else machine.weight_bytes
            one_s = gemm_s(tokens, columns, gemm.inner, element, peak, machine.bandwidth_bytes_per_s, curve)
            seconds = seconds + gemm.share * one_s
        return seconds

    def _vector_s(self, tokens: Floats) -> Numbers:
        """Time norms fused with residual additions, rotary embedding with the write to the cache, and activation."""
        model, tensor = self.model, self.layout.tensor_parallel
        dense = 1.0 - expert_share(model)
        if model.mla is None:
            heads = 2.0 * (model.heads + 2 * model.kv_heads) * model.head_dim
        else:
            heads = 4.0 * model.heads * (model.mla.nope_dim + model.mla.rope_dim)
        activation = dense * (3 if model.gated else 2) * model.ffn_hidden
        elements = 8.0 * model.hidden + (heads + activation) / tensor
        moved_s = memory_bound_s(
            tokens * elements * WIDE_BYTES, self.machine.bandwidth_bytes_per_s, self.machine.vector_efficiency
        )
        return self.engine.vector_kernels * self.engine.vector_kernel_s + moved_s

    def _experts_s(self, tokens: Floats) -> Numbers:
        """Time the routed experts of the mean layer: weights of the visited ones, a few rows each."""
        experts, machine, layout = self.model.experts, self.machine, self.layout
        if experts is None:
            return 0.0
        groups = min(layout.expert_parallel, experts.count)
        busiest = 1.0 + self.engine.expert_imbalance * log2(groups)
        seconds = routed_feed_forward_s(
            tokens, tokens * experts.top_k / groups * busiest,
            visited_experts(tokens, experts.top_k, experts.count) / groups, self.model.hidden,
            experts.ffn_hidden * groups / layout.stage_devices, machine.expert_bytes, machine.expert_peak_flop_per_s,
            machine.bandwidth_bytes_per_s, machine.grouped,
        )  # fmt: skip
        return expert_share(self.model) * seconds

    def _decode_layer_s(self, sequences: Numbers, context: Numbers) -> Numbers:
        model, machine, tensor = self.model, self.machine, self.layout.tensor_parallel
        if model.mla is not None:
            return latent_decode_s(
                sequences, context, model.heads / tensor, model.mla.kv_rank, model.mla.rope_dim, machine.cache_bytes,
                machine.wide_peak_flop_per_s, machine.bandwidth_bytes_per_s, machine.latent,
            )  # fmt: skip
        heads = model.heads / tensor
        kv_heads = max(model.kv_heads / tensor, 1.0)
        shared = self.engine.grouped_kernels
        if shared and round(heads / kv_heads) not in shared:
            kv_heads = heads - self.engine.key_head_sharing * (heads - kv_heads)
        return decode_attention_s(
            sequences, context, heads, kv_heads, model.head_dim, machine.cache_bytes, machine.bandwidth_bytes_per_s,
            machine.decode,
        )  # fmt: skip

    def _all_reduce_s(self, size_bytes: Numbers) -> Numbers:
        """Time an all-reduce of the tensor-parallel group, by the engine's own kernels inside one domain."""
        ranks, machine = self.layout.tensor_parallel, self.machine
        if ranks == 1:
            return 0.0
        if ranks <= machine.domain_devices:
            rate = machine.fabric.domain.bandwidth_bytes_per_s
            seconds = collective_s("all_reduce", size_bytes, float(ranks), rate, machine.all_reduce)
        else:
            group = place_group(ranks, 1, machine.domain_devices, machine.pod_devices)
            seconds = hierarchical_s("all_reduce", size_bytes, group, machine.fabric)
        return seconds

    def _exchange_s(self, tokens: Floats, own: Floats, one_bytes: float) -> Numbers:
        """Time the way of tokens to the experts and back, where attention is data-parallel."""
        experts = self.model.experts
        assert experts is not None
        gathered = self._domain_s("all_gather", tokens * one_bytes) + self._domain_s(
            "reduce_scatter", tokens * one_bytes
        )
        copies = min(experts.top_k, self.layout.expert_parallel)
        sent = 2.0 * self._domain_s("all_to_all", own * copies * one_bytes)
        return np.minimum(gathered, sent)

    def _domain_s(self, kind: Collective, size_bytes: Numbers) -> Numbers:
        machine, ranks = self.machine, self.layout.stage_devices
        if ranks == 1:
            return 0.0
        group = place_group(ranks, 1, machine.domain_devices, machine.pod_devices)
        return hierarchical_s(kind, size_bytes, group, machine.fabric)


def visited_experts(tokens: Numbers, top_k: Numbers, experts: Numbers) -> Numbers:
    """Give how many of ``experts`` are visited by ``tokens`` that choose ``top_k`` each, evenly at random.

    Source: expectation of distinct choices, E (1 - (1 - k/E)^T).
    Valid for: independent tokens; prompts on one subject visit fewer.

    >>> round(float(visited_experts(16, 8, 128)), 1)
    82.4
    """
    return experts * (1.0 - (1.0 - top_k / experts) ** tokens)
