"""Whether a model fits on a cluster for serving: with how much room, or the smallest changes that make it fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.cost.inference_memory import ELEMENT_BYTES, InferenceMemory, Split, per_device
from sim.errors import UsageError
from sim.plan.fits import MOST_CHIPS, Change, fewest_devices, larger_chips
from sim.plan.resolve import ResolvedCluster, resolve_cluster
from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.spec.cluster import ClusterSpec
    from sim.spec.model import ModelShape

MOST_SEQUENCES = 1_000_000
LONGEST_CONTEXT = 100_000_000
"""Bounds of the search for room."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served, and in which precisions."""

    model: ModelShape
    sequences: int
    """Served at the same time."""
    context: int
    """Tokens of each, prompt and answer."""
    weights: str
    cache: str


@dataclass(frozen=True, slots=True)
class InferenceFit:
    """Whether serving fits."""

    serving: Serving
    fits: bool
    split: Split
    """The smallest copy that fits and leaves no device idle; where none does, the one that misses least."""
    memory: InferenceMemory
    memory_bytes: float
    most_sequences: int
    """That fit at this context; 0 where the weights alone do not."""
    longest_context: int
    """That fits with these sequences."""
    fewest_devices: int | None
    changes: tuple[Change, ...]
    """What would make it fit, the smallest change first; empty where it fits."""


def inference_fit(cluster: str | ClusterSpec, serving: Serving) -> InferenceFit:
    """Tell whether a model fits for serving, and what would make it fit.

    Raises:
        CatalogError: a name is unknown.
        UsageError: the machine has no memory to fill, a precision is unknown, or the context is too long for the model.

    """
    resolved = resolve_cluster(cluster)
    _check(resolved, serving)
    asked = _Question(serving, resolved.spec.count, _domain(resolved), _memory(resolved))
    split, memory = asked.best()
    fits = memory.total_bytes <= asked.memory_bytes
    return InferenceFit(
        serving=serving,
        fits=fits,
        split=split,
        memory=memory,
        memory_bytes=asked.memory_bytes,
        most_sequences=_most(lambda n: asked.on(sequences=n), MOST_SEQUENCES),
        longest_context=_most(lambda n: asked.on(context=n), serving.model.max_positions or LONGEST_CONTEXT),
        fewest_devices=fewest_devices(asked.on_devices, resolved.devices_per_node, asked.devices),
        changes=() if fits else tuple(_changes(resolved, asked)),
    )


@dataclass(frozen=True, slots=True)
class _Question:
    serving: Serving
    devices: int
    domain_devices: int
    memory_bytes: float

    def best(self) -> tuple[Split, InferenceMemory]:
        """Give the first split that fits; else the one that misses least."""
        model = self.serving.model
        nearest: tuple[float, Split, InferenceMemory] | None = None
        for split in _splits(model, self.devices, self.domain_devices, self.serving.sequences):
            memory = self.memory_of(split)
            if memory.total_bytes <= self.memory_bytes:
                return split, memory
            if nearest is None or memory.total_bytes < nearest[0]:
                nearest = memory.total_bytes, split, memory
        assert nearest is not None, "one device is always a split"
        return nearest[1:]

    def memory_of(self, split: Split) -> InferenceMemory:
        asked = self.serving
        return per_device(
            asked.model, split, asked.sequences, asked.context, self.memory_bytes, asked.weights, asked.cache
        )

    def fits(self) -> bool:
        return self.best()[1].total_bytes <= self.memory_bytes

    def on(self, *, sequences: int | None = None, context: int | None = None) -> bool:
        asked = self.serving
        changed = replace(asked, sequences=sequences or asked.sequences, context=context or asked.context)
        return replace(self, serving=changed).fits()

    def on_devices(self, devices: int) -> bool:
        return replace(self, devices=devices).fits()


def _splits(model: ModelShape, devices: int, domain_devices: int, sequences: int) -> list[Split]:
    """List the ways to lay a copy out: first those that leave no device idle, and of them the smallest copy first."""
    degrees = [tp for tp in range(1, min(devices, domain_devices) + 1) if model.heads % tp == 0]
    stages = sorted({-(-model.layers // depth) for depth in range(1, model.layers + 1)})
    pairs = [(tp, pp) for tp in degrees for pp in stages if tp * pp <= devices]
    pairs.sort(key=lambda pair: (devices % (pair[0] * pair[1]) > 0, pair[0] * pair[1], pair[1]))
    return [Split(tp, pp, min(devices // (tp * pp), sequences)) for tp, pp in pairs]


def _most(fits: Callable[[int], bool], limit: int) -> int:
    """Give the largest number that fits, 0 where 1 does not; ``fits`` has to stay false once it is."""
    if not fits(1):
        return 0
    low, high = 1, 2
    while high <= limit and fits(high):
        low, high = high, 2 * high
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _changes(resolved: ResolvedCluster, asked: _Question) -> Iterator[Change]:
    """Try changes one by one: precisions first, then what is served, devices and chip."""
    serving = asked.serving
    for name, given in (("cache", serving.cache), ("weights", serving.weights)):
        narrower = [each for each in ("fp8", "fp4") if ELEMENT_BYTES[each] < ELEMENT_BYTES[given]]
        for precision in narrower[: 1 if name == "cache" else 2]:
            changed = replace(serving, cache=precision) if name == "cache" else replace(serving, weights=precision)
            if replace(asked, serving=changed).fits():
                yield Change(name, given, precision)
                break
    sequences = _most(lambda n: asked.on(sequences=n), serving.sequences)
    if sequences:
        yield Change("sequences at once", f"{serving.sequences:,}", f"{sequences:,}")
    context = _most(lambda n: asked.on(context=n), serving.context)
    if context:
        yield Change("context", f"{serving.context:,} tokens", f"{context:,} tokens")
    fewest = fewest_devices(asked.on_devices, resolved.devices_per_node, asked.devices)
    if fewest is not None:
        yield Change("devices", f"{asked.devices:,}", f"{fewest:,}")
    yield from _of_chip(resolved, asked)


def _of_chip(resolved: ResolvedCluster, asked: _Question) -> Iterator[Change]:
    named = 0
    chip = resolved.accelerator
    for larger in larger_chips(chip):
        other = resolve_cluster(
            resolved.spec.model_copy(update={"accelerator": larger, "node": None, "fabric": None, "spares": 0})
        )
        room = _memory(other)
        if replace(asked, domain_devices=_domain(other), memory_bytes=room).fits():
            before = f"{chip.name} ({show(asked.memory_bytes, 'byte')})"
            yield Change("chip", before, f"{larger.name} ({show(room, 'byte')})")
            named += 1
        if named == MOST_CHIPS:
            return


def _domain(resolved: ResolvedCluster) -> int:
    return int(resolved.node.scale_up_domain_devices) if resolved.node is not None else 1


def _memory(resolved: ResolvedCluster) -> float:
    assert resolved.accelerator.memory_bytes is not None
    return resolved.accelerator.memory_bytes.value


def _check(resolved: ResolvedCluster, serving: Serving) -> None:
    if resolved.accelerator.memory_bytes is None:
        raise UsageError("an ideal machine has no memory to fill", value=resolved.accelerator.name)
    for option, precision in (("--weights", serving.weights), ("--cache", serving.cache)):
        if precision not in ELEMENT_BYTES:
            known = ", ".join(ELEMENT_BYTES)
            raise UsageError("no such precision to keep numbers in", precision, option, f"one of {known}")
    longest = serving.model.max_positions
    if longest is not None and serving.context > longest:
        raise UsageError(
            f"{serving.model.name} takes {longest:,} tokens at most",
            value=f"{serving.context:,} tokens",
            where="--context",
            mend=f"--context {longest}",
        )
