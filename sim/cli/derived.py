"""What follows from an entry of the catalogue and is shown beside its own numbers."""

from __future__ import annotations

from typing import NamedTuple

from sim.cli.entries import Line, exact, label_of
from sim.spec.hardware import Accelerator, ClusterEntry
from sim.spec.model import ModelShape
from sim.spec.quantity import FrozenModel, Sourced

SECTION = "worked out from these"
TPP_RULE = "US ECCN 3A090: 2 x MacTOPS x bits, greatest of all precisions; control begins at 4,800"


class Derived(NamedTuple):
    """One number that follows from others."""

    key: str
    """Name in JSON, with its unit last."""
    label: str
    value: float
    dimension: str
    source: str
    """How it follows."""
    section: str = SECTION

    def shown(self) -> Line:
        """Give it as a line of the entry."""
        text = f"{self.value:+.2%}" if self.dimension == "difference" else exact(self.value, self.dimension)
        return Line(self.section, self.label, text, True, self.source, "derived")


def derive(entry: FrozenModel) -> list[Derived]:
    """Give what follows from an entry: TPP of a chip, peaks and power of a cluster, parameters of a model.

    >>> from sim.spec.catalog import load
    >>> [(line.label, line.value) for line in derive(load("accelerators", "h100-sxm"))]
    [('TPP of one chip', 15831)]
    """
    if isinstance(entry, Accelerator):
        return [_tpp(entry)]
    if isinstance(entry, ClusterEntry):
        return _of_cluster(entry)
    return _of_model(entry) if isinstance(entry, ModelShape) else []


def _tpp(chip: Accelerator) -> Derived:
    from sim.cost.export_control import total_processing_performance

    peaks = {precision: peak.value for precision, peak in chip.peak_flop_per_s.items()}
    value = round(total_processing_performance(peaks))
    return Derived("total_processing_performance", "TPP of one chip", value, "count", TPP_RULE)


def _of_cluster(cluster: ClusterEntry) -> list[Derived]:
    """Multiply one device by the number of them."""
    from sim.spec import catalog

    chip = catalog.load("accelerators", cluster.accelerator)
    times = f"{cluster.count:,} x {chip.name}"
    found = [
        Derived(
            f"peak_{name}_flop_per_s",
            f"peak {label_of(name)}",
            peak.value * cluster.count,
            "flop_per_s",
            f"{times}, dense",
        )
        for name, peak in chip.peak_flop_per_s.items()
    ]
    if chip.power_w is not None:
        source = f"{times}, boards alone"
        found.append(Derived("boards_power_w", "power of boards", chip.power_w.value * cluster.count, "watt", source))
    node_name = cluster.node or chip.node
    node = catalog.load("nodes", node_name) if node_name else None
    if node is not None and node.power_w is not None and node.accelerator == chip.name:
        nodes = -(-cluster.count // node.devices)
        source = f"{nodes:,} x {node.name} at full load, without cooling and storage"
        found.append(Derived("nodes_power_w", "power of nodes", node.power_w.value * nodes, "watt", source))
    return [*found, _tpp(chip)]


def _of_model(model: ModelShape) -> list[Derived]:
    """Count parameters by part, and set the published totals beside ours."""
    from sim.cost import parameters

    counted = parameters.count(model)
    linear, state_space = model.layers_of("linear"), model.layers_of("mamba")
    softmax, dense, sparse = model.softmax_layers, model.feed_forwards_of("dense"), model.expert_layers
    parts = [
        ("embedding", counted.embedding, "vocabulary x hidden"),
        ("positions", counted.positions, "learned table"),
        ("attention", counted.attention_per_layer * softmax, _layers(softmax)),
        ("linear attention", counted.linear_per_layer * linear, _layers(linear)),
        ("state space", counted.state_space_per_layer * state_space, _layers(state_space)),
        ("dense feed-forward", counted.dense_ffn_per_layer * dense, _layers(dense)),
        ("experts", counted.expert_layer * sparse, f"{_layers(sparse)}, routed, shared and router"),
        ("norms", counted.norms_per_layer * model.layers + counted.final_norm, "all layers and the last"),
        ("head", counted.head, "not shared with the embedding"),
    ]
    total = sum(value for _, value, _ in parts)
    assert total == counted.total, "the parts are the whole"
    how = "counted from the shape"
    found = [
        Derived(
            f"{label.replace(' ', '_').replace('-', '_')}_parameters",
            label,
            value,
            "count",
            f"{how}: {of}",
            "parameters",
        )
        for label, value, of in parts
        if value
    ]
    found.append(Derived("parameters", "total", counted.total, "count", how, "parameters"))
    found += _beside("published_parameters", counted.total, model.published_parameters)
    active = "counted from the shape: what one token multiplies with, without the input embedding"
    found.append(Derived("active_parameters", "active", counted.active, "count", active, "parameters"))
    return found + _beside("published_active_parameters", counted.active, model.published_active_parameters)


def _layers(count: int) -> str:
    return f"{count} layers" if count != 1 else "1 layer"


def _beside(key: str, ours: float, published: Sourced | None) -> list[Derived]:
    """Give our count over the published one, less 1."""
    if published is None or not published.value:
        return []
    source = f"ours over the published one, less 1: {published.source}"
    label = "  against published"
    return [Derived(f"{key}_difference", label, ours / published.value - 1, "difference", source, "parameters")]
