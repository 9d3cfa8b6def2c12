"""A layer profile of a user's own: read, filled where it may be, and refused where it has holes."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from sim.cost.serving_curves import CurveParts, ServingLayout
from sim.cost.serving_tables import TableParts
from sim.errors import UsageError
from sim.plan import layer_profile as layers
from sim.plan.resolve import resolve_cluster
from sim.plan.services import plan_service
from sim.plan.serving import Changes, replica_plan
from sim.plan.serving_machine import engine_traits, serving_machine
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.load import load_scenario
from sim.spec.service import EngineSettings

AXES = ((0, 16, 64), (0, 16, 64), (0, 1, 2, 4), (0, 16, 64, 256))


def attention_us(chunk: float, before: float, decoding: float, context: float) -> float:
    return 1.0 * bool(chunk or decoding) + 0.01 * chunk + 0.001 * chunk * before + 0.02 * decoding * context


def write(folder: Path, skip: tuple[int, ...] = ()) -> Path:
    folder.mkdir(exist_ok=True)
    tokens = (1, 8, 64)
    dense = [f"{name},{count},{10 + count}" for name in ("qkv_proj", "layernorm") for count in tokens]
    dense += [f"embedding,{count},{count}" for count in tokens]
    (folder / "dense.csv").write_text("\n".join(["layer,tokens,time_us", *dense]))
    rows = [f"{name},{count},{5 * count}" for name in ("lm_head", "sampler") for count in (1, 4)]
    (folder / "per_sequence.csv").write_text("\n".join(["layer,sequences,time_us", *rows]))
    points = [
        point
        for point in product(*AXES)
        if (point[0] or point[2]) and bool(point[2]) == bool(point[3]) and not (point[0] == 0 and point[1])
    ]
    points = [point for at, point in enumerate(points) if at not in skip]
    lines = [",".join(map(str, (*point, attention_us(*point)))) for point in points]
    (folder / "attention.csv").write_text("\n".join(["prefill_chunk,kv_prefill,n_decode,kv_decode,time_us", *lines]))
    return folder


@pytest.fixture
def parts(tmp_path: Path) -> TableParts:
    model, cluster = (
        catalog.load("models", "llama-3.1-8b"),
        resolve_cluster(ClusterSpec(accelerator="h100-sxm", count=1)),
    )
    engine = catalog.load("engines", "vllm-v1")
    curves = CurveParts(
        model, ServingLayout(), serving_machine(cluster, engine), engine_traits(engine, cluster.accelerator)
    )
    return TableParts(model, ServingLayout(), layers.read(write(tmp_path / "own")), curves)


def test_a_layer_is_the_sum_of_its_operators(parts: TableParts) -> None:
    """Two norms and one product a layer, 32 of them, and one embedding."""
    expected = 32 * (3 * 18) + 8
    assert parts.token_s(np.array([8.0]))[0] == pytest.approx(expected * 1e-6)
    assert parts.token_s(np.array([36.0]))[0] == pytest.approx((32 * 3 * 46 + 36) * 1e-6)


def test_beyond_the_profile_times_go_on_with_the_last_slope(parts: TableParts) -> None:
    assert parts.token_s(np.array([128.0]))[0] == pytest.approx((32 * 3 * 138 + 128) * 1e-6)
    assert parts.output_s(np.array([8.0]))[0] == pytest.approx(2 * 40e-6)


def test_attention_is_linear_between_points(parts: TableParts) -> None:
    found = parts.decode_attention_s(3, np.array([3 * 40.0]))[0]
    assert found == pytest.approx(32 * attention_us(0, 0, 3, 40) * 1e-6)
    prompt = parts.prompt_attention_s(2, 2 * 64.0, 32.0, 32 * (16 + 16), 1)
    together, alone = attention_us(32, 16, 2, 64), attention_us(0, 0, 2, 64)
    assert prompt == pytest.approx(32 * (together - alone) * 1e-6)


def test_a_plan_takes_measured_layers(parts: TableParts) -> None:
    plan = replica_plan(parts.model, ClusterSpec(accelerator="h100-sxm", count=1), changes=Changes(layers=parts.tables))
    host_s = catalog.load("engines", "vllm-v1").iteration_host_s.value
    expected = parts.token_s(np.array([4.0]))[0] + parts.output_s(np.array([4.0]))[0] + host_s
    expected += parts.decode_attention_s(4, np.array([256.0]))[0]
    assert plan.cost.mixed_s(4, 256, 0, 0, 0) == pytest.approx(expected, rel=1e-9)
    contexts = np.arange(4, 900, 7, dtype=np.int64)
    assert plan.cost.decode_s(4, contexts).tolist() == [plan.cost.mixed_s(4, int(c), 0, 0, 0) for c in contexts]
    assert plan.cost.flop(1, 0, 0) == parts.curves.flop(1, 0, 0)


def test_a_hole_in_the_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="grid"):
        layers.read(write(tmp_path / "own", skip=(1,)))


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder"):
        layers.read(tmp_path / "nothing")


def test_a_scenario_takes_the_profile_beside_it(tmp_path: Path) -> None:
    """`engine: {layers: FOLDER}`: the plan of the service is made of it, and changes with it."""
    write(tmp_path / "measured")
    text = """
schema_version: 1
name: measured
cluster: 1xh100-sxm
services: {chat: {model: llama-3.1-8b, plan: {tp: 1}, engine: {layers: measured}}}
workloads:
  - requests: {service: chat, arrivals: {poisson: 1/s}, input: 100 tokens, output: 10 tokens, count: 5}
"""
    file = tmp_path / "scenario.yaml"
    file.write_text(text, encoding="utf-8")
    scenario = load_scenario(file)
    cluster = resolve_cluster(scenario.one_cluster)
    planned = plan_service("chat", scenario.services["chat"], cluster)
    usual = plan_service("chat", scenario.services["chat"].model_copy(update={"engine": EngineSettings()}), cluster)
    assert planned.plan.cost.mixed_s(4, 64, 0, 0, 0) != usual.plan.cost.mixed_s(4, 64, 0, 0, 0)
    file.write_text(text.replace("layers: measured", "layers: nowhere"), encoding="utf-8")
    with pytest.raises(UsageError, match="folder"):
        plan_service("chat", load_scenario(file).services["chat"], cluster)
