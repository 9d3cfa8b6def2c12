"""What names and amounts of a scenario stand for."""

import pytest

from sim.cost.transformer import flop_per_token
from sim.errors import CatalogError, UsageError
from sim.plan.resolve import resolve_cluster, resolve_training
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.spec.workload import Budget, TrainingSpec


def test_an_accelerator_brings_its_usual_node_and_fabric() -> None:
    cluster = resolve_cluster(ClusterSpec(accelerator="h100-sxm", count=64))
    assert cluster.node is not None
    assert cluster.fabric is not None
    assert (cluster.node.name, cluster.fabric.name) == (cluster.accelerator.node, cluster.accelerator.fabric)
    assert cluster.devices_per_node == 8
    assert cluster.entry is None


def test_a_real_cluster_brings_its_own() -> None:
    cluster = resolve_cluster("meta-16k-llama3")
    assert cluster.entry == "meta-16k-llama3"
    assert cluster.spec.count == 16384
    assert cluster.fabric is not None
    assert cluster.fabric.name == "meta-24k-roce"


def test_things_given_in_full_are_taken_as_they_are() -> None:
    chip = catalog.load("accelerators", "h100-sxm").model_copy(update={"name": "mine"})
    node = catalog.load("nodes", "hgx-h100")
    cluster = resolve_cluster(ClusterSpec(accelerator=chip, count=64, node=node))
    assert cluster.accelerator is chip
    assert cluster.node is node


def test_unknown_names() -> None:
    with pytest.raises(CatalogError, match="h100"):
        resolve_cluster(ClusterSpec(accelerator="h100-sxn", count=64))
    with pytest.raises(CatalogError):
        resolve_training(TrainingSpec(model="llama-9", tokens=1e12))


@pytest.mark.parametrize("spares", [8, 9])
def test_some_nodes_must_be_left_to_work(spares: int) -> None:
    with pytest.raises(UsageError, match="some must be left"):
        resolve_cluster(ClusterSpec(accelerator="h100-sxm", count=64, spares=spares))
    assert resolve_cluster(ClusterSpec(accelerator="h100-sxm", count=64, spares=7)).spec.spares == 7


def test_flop_decide_the_tokens_of_a_named_model() -> None:
    training = resolve_training(TrainingSpec(model="llama-3.1-8b", budget=Budget(flop=1e22), sequence=4096))
    assert training.tokens == pytest.approx(1e22 / flop_per_token(training.model, 4096).training)
    assert training.model_flop == pytest.approx(1e22)
    assert training.sized_by == "catalogue"


def test_flop_alone_size_the_model_too() -> None:
    training = resolve_training(TrainingSpec(budget=Budget(flop=1e24)))
    assert training.sized_by == "scaling law"
    assert training.model_flop == pytest.approx(1e24)


def test_parameters_size_a_model_of_the_usual_proportions() -> None:
    training = resolve_training(TrainingSpec(params=70e9, tokens=1e12))
    assert training.sized_by == "parameters"
    assert training.tokens == 1e12


def test_a_shape_of_ones_own() -> None:
    shape = catalog.load("models", "llama-3.1-8b")
    assert resolve_training(TrainingSpec(model=shape, tokens=1e12)).sized_by == "scenario"


def test_a_run_needs_a_budget() -> None:
    with pytest.raises(UsageError, match="needs a budget"):
        resolve_training(TrainingSpec(model="llama-3.1-8b"))


def test_tokens_alone_do_not_size_a_model() -> None:
    with pytest.raises(UsageError, match="do not size a model"):
        resolve_training(TrainingSpec(tokens=1e12))


@pytest.mark.parametrize(("factor", "contradicts"), [(0.89, True), (0.91, False), (1.09, False), (1.12, True)])
def test_flop_and_tokens_may_differ_by_rounding_and_no_more(factor: float, contradicts: bool) -> None:
    exact = resolve_training(TrainingSpec(model="llama-3.1-8b", tokens=1e12)).model_flop
    spec = TrainingSpec(model="llama-3.1-8b", tokens=1e12, budget=Budget(flop=exact / factor))
    if contradicts:
        with pytest.raises(UsageError, match="contradict"):
            resolve_training(spec)
    else:
        assert resolve_training(spec).tokens == 1e12


def test_a_batch_is_whole_sequences_and_at_least_one() -> None:
    assert resolve_training(TrainingSpec(model="llama-3.1-8b", tokens=1e9, sequence=8192, batch=100)).global_batch == 1
    assert resolve_training(TrainingSpec(model="llama-3.1-8b", tokens=1e9, sequence=1000, batch=2499)).global_batch == 2
