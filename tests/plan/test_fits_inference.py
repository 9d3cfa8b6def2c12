"""Whether serving fits: room is exact, and every change that is named makes it fit."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import UsageError
from sim.plan.fits_inference import InferenceFit, Serving, inference_fit
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec

LLAMA_70B = Serving(catalog.load("models", "llama-3.1-70b"), 16, 8192, "bf16", "bf16")


def on(count: int, accelerator: str = "h100-sxm") -> ClusterSpec:
    return ClusterSpec(accelerator=accelerator, count=count)


def serving(name: str, sequences: int = 1, context: int = 8192, weights: str = "bf16", cache: str = "bf16") -> Serving:
    return Serving(catalog.load("models", name), sequences, context, weights, cache)


def to(fit: InferenceFit, name: str) -> list[str]:
    return [change.after for change in fit.changes if change.name == name]


@pytest.mark.parametrize(
    ("name", "devices", "weights", "fits"),
    [
        ("llama-3.1-8b", 1, "bf16", True),
        ("llama-3.1-70b", 1, "bf16", False),
        ("llama-3.1-70b", 1, "fp4", True),
        ("llama-3.1-70b", 4, "bf16", True),
        ("llama-3.1-405b", 8, "bf16", False),
        ("llama-3.1-405b", 8, "fp8", True),
        ("llama-3.1-405b", 16, "bf16", True),
        ("deepseek-v3", 8, "fp8", False),
        ("deepseek-v3", 16, "fp8", True),
        ("gpt-oss-120b", 1, "fp4", True),
    ],
)
def test_what_people_know_of_h100(name: str, devices: int, weights: str, fits: bool) -> None:
    assert inference_fit(on(devices), serving(name, weights=weights)).fits == fits


@given(st.sampled_from(["llama-3.1-8b", "gemma-2-9b", "deepseek-v2-lite"]), st.sampled_from([1, 2, 3, 8]))
def test_room_is_exact(name: str, devices: int) -> None:
    asked = serving(name, context=4096)
    fit = inference_fit(on(devices), asked)
    assert fit.fits
    assert inference_fit(on(devices), replace(asked, sequences=fit.most_sequences)).fits
    assert not inference_fit(on(devices), replace(asked, sequences=fit.most_sequences + 1)).fits
    longest = asked.model.max_positions
    assert inference_fit(on(devices), replace(asked, context=fit.longest_context)).fits
    assert longest is None or fit.longest_context <= longest


def test_the_split_uses_the_devices_it_says() -> None:
    fit = inference_fit(on(8), replace(LLAMA_70B, sequences=64))
    assert fit.fits
    assert fit.split.devices == 8
    assert fit.split.tensor_parallel * fit.split.pipeline_parallel >= 2


def test_every_change_that_is_named_makes_it_fit() -> None:
    fit = inference_fit(on(2), LLAMA_70B)
    assert not fit.fits
    assert fit.memory.total_bytes > fit.memory_bytes
    assert {change.name for change in fit.changes} == {"weights", "sequences at once", "context", "devices", "chip"}
    (weights,), (sequences,), (context,), (devices,) = (
        to(fit, name) for name in ("weights", "sequences at once", "context", "devices")
    )
    assert inference_fit(on(2), replace(LLAMA_70B, weights=weights)).fits
    assert inference_fit(on(2), replace(LLAMA_70B, sequences=int(sequences))).fits
    assert not inference_fit(on(2), replace(LLAMA_70B, sequences=int(sequences) + 1)).fits
    tokens = int(context.split()[0].replace(",", ""))
    assert inference_fit(on(2), replace(LLAMA_70B, context=tokens)).fits
    assert not inference_fit(on(2), replace(LLAMA_70B, context=tokens + 1)).fits
    assert inference_fit(on(int(devices)), LLAMA_70B).fits
    for chip in to(fit, "chip"):
        assert inference_fit(on(2, chip.split()[0]), LLAMA_70B).fits


def test_a_narrow_cache_comes_before_narrow_weights() -> None:
    fit = inference_fit(on(4), serving("llama-3.1-8b", sequences=500))
    assert not fit.fits
    assert fit.changes[0].name == "cache"


@pytest.mark.parametrize("name", catalog.names("models"))
def test_every_model_of_the_catalogue_fits_somewhere(name: str) -> None:
    model = catalog.load("models", name)
    context = min(8192, model.max_positions or 8192)
    fit = inference_fit(on(8, "h200-sxm"), serving(name, context=context))
    assert fit.fewest_devices is not None
    assert inference_fit(on(fit.fewest_devices, "h200-sxm"), serving(name, context=context)).fits


@pytest.mark.parametrize(
    ("cluster", "asked", "word"),
    [
        (on(8), replace(LLAMA_70B, weights="fp12"), "no such precision"),
        (on(8), replace(LLAMA_70B, cache="int3"), "no such precision"),
        (on(8), replace(LLAMA_70B, context=200_000), "131,072 tokens at most"),
        (on(8, "human"), LLAMA_70B, "no memory to fill"),
    ],
)
def test_wrong_questions(cluster: ClusterSpec, asked: Serving, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        inference_fit(cluster, asked)
