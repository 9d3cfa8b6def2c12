"""Engine profiles and kernels of the catalogue: complete, sourced, and found."""

import pytest

from sim.spec import catalog


@pytest.mark.parametrize("name", catalog.names("engines"))
def test_every_engine_has_a_slowdown_for_every_chip(name: str) -> None:
    engine = catalog.load("engines", name)
    for generation in ("ampere", "hopper", "blackwell", "cdna3", "other"):
        assert engine.slowdown(generation) is not None


@pytest.mark.parametrize("name", catalog.names("engines"))
def test_every_library_of_an_engine_was_measured_somewhere(name: str) -> None:
    known = {library for family in catalog.names("kernels") for library in catalog.load("kernels", family).all_reduce}
    assert set(catalog.load("engines", name).all_reduce) <= known


@pytest.mark.parametrize("name", catalog.names("kernels"))
def test_kernels_belong_to_a_calibration_family(name: str) -> None:
    assert name in catalog.names("calibration")
    entry = catalog.load("kernels", name)
    assert {"bf16"} <= set(entry.decode_attention)
    assert {"bf16"} <= set(entry.latent_decode)


def test_generations_choose_their_slowdown() -> None:
    engine = catalog.load("engines", "vllm-v1")
    entry = engine.kernel_slowdown[0]
    special = engine.model_copy(
        update={"kernel_slowdown": (entry.model_copy(update={"generations": ("ampere",), "factor": 1.5}), entry)}
    )
    assert special.slowdown("ampere").factor == 1.5
    assert special.slowdown("hopper").factor == entry.factor
