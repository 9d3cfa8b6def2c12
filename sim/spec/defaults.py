"""What a scenario means where it is silent: every default with its unit and its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Default:
    """A value that holds where the user gives none (SI), with the dimension it is shown in and its source."""

    value: float | str
    dimension: str
    """A dimension of sim.units, or "name" for a choice."""
    source: str


_LLAMA3 = "Llama 3 (arXiv:2407.21783)"

DEFAULTS: dict[str, Default] = {
    "training.model": Default("compute-optimal", "name", "the shape that the scaling law asks for"),
    "training.law": Default("llama3", "name", f"{_LLAMA3} section 3.2.1, anchored on its published optimum"),
    "training.precision": Default("bf16", "name", "the commonest recipe of published dense pre-training runs"),
    "training.sequence": Default(8192, "token", f"{_LLAMA3} table 4"),
    "training.batch": Default(2048 * 8192, "token", f"{_LLAMA3} section 3.4.1: 16M tokens a step for most of the run"),
    "training.plan": Default("auto", "name", "the best legal layout of the plan search"),
    "training.profile": Default("megatron-core", "name", "the newest profile with measured factors"),
    "training.checkpoint.bytes_per_parameter": Default(
        14, "byte", "2 B weights and 12 B optimizer state: Rajbhandari et al. 2020 (arXiv:1910.02054)"
    ),
    "training.checkpoint.bandwidth": Default(2e12, "byte_per_s", f"{_LLAMA3} section 3.3.1: storage sustains 2 TB/s"),
    "training.checkpoint.interval": Default("auto", "name", "Young/Daly optimum: Daly 2006"),
    "cluster.failure_rate": Default(
        19.7e-6 / 3600,
        "per_s",
        f"{_LLAMA3} table 5: 419 unexpected interruptions in 54 days on 16,384 H100, all causes",
    ),
    "cluster.restart": Default(600, "second", "detection and restart; a round figure, no published mean"),
    "cluster.repair": Default(86400, "second", "a node is back within a day; a round figure; matters with spares only"),
    "cluster.node_loss_share": Default(
        0.78, "fraction", f"{_LLAMA3} section 3.3.4: 78 % of unexpected interruptions are hardware; with spares only"
    ),
    "cluster.spares": Default(0, "count", "spare nodes stand outside the count, so nobody waits for a repair"),
    "cluster.power_usage_effectiveness": Default(
        1.2, "ratio", "typical liquid-cooled AI campus (from memory; surveys say 1.55, Google 1.10)"
    ),
    "cluster.carbon": Default(369.473e-3 / 3.6e6, "kg_per_j", "USA 2023: codecarbon@b05965e global_energy_mix.json"),
}
"""Default of each field, by the path that assumptions and errors use."""


def number(path: str) -> float:
    """Give the default of a numeric field, in SI."""
    return float(DEFAULTS[path].value)


def name(path: str) -> str:
    """Give the default of a field that names something."""
    return str(DEFAULTS[path].value)
