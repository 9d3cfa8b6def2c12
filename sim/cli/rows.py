"""What `sim list` shows of each kind: which numbers, in which unit, in which order."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.units import show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sim.spec.hardware import Accelerator
    from sim.spec.quantity import Sourced

Row = dict[str, Any]
"""One entry: SI numbers, the unit in the key, None where there is no number; a key like _heads is for the table."""


class Column(NamedTuple):
    """One column of a table."""

    heading: str
    key: str
    """Key of the row that it shows."""
    show: Callable[[Any], str] = str
    """Writes the value for people."""
    right: bool = True
    """Numbers stand right, names left."""
    wide: bool = False
    """Shown on wide terminals only."""
    folds: bool = False
    """May be broken over several lines."""


class Kind(NamedTuple):
    """One kind of entry and its table."""

    about: str
    columns: tuple[Column, ...]
    legend: str
    """What the numbers of the table mean."""
    group: str = ""
    """Key of the row whose value heads a group."""


def rows_of(kind: str) -> list[Row]:
    """Give a row for every entry of a kind, in the order in which people look for them.

    Raises ScenarioError where a file of the catalogue is wrong.

    >>> next(row["power_w"] for row in rows_of("accelerators") if row["name"] == "h100-sxm")
    700.0
    """
    return _READERS[kind]()


def names_of(kind: str) -> tuple[str, ...]:
    """Give the names of the entries of a kind without reading them."""
    from sim.spec import catalog

    if kind == "policies":
        from sim.engine.cluster.registry import names

        return names()
    return tuple(scenario_files()) if kind == "scenarios" else catalog.names(kind)


def scenario_files() -> dict[str, Path]:
    """Give the scenarios that come with the program: file by name, such as quickstart/howlong-1e26."""
    from sim.spec import catalog

    folder = catalog.root().parent / "scenarios"
    files = sorted(folder.rglob("*.yaml"))
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def _scaled(unit: float) -> Callable[[float], str]:
    """Write a number in a unit that the heading names, with four digits.

    >>> [_scaled(1e12)(value) for value in (989.4e12, 1.75e16, 0.2)]
    ['989.4', '17500', '2e-13']
    """
    return lambda value: f"{value / unit:.0f}" if value >= 1e3 * unit else f"{value / unit:.4g}"


def _shown(dimension: str) -> Callable[[float], str]:
    return lambda value: show(value, dimension)


def _count(value: int) -> str:
    return f"{value:,}"


def _thousands(value: int) -> str:
    """Write a context length as people do: 131072 is 128k.

    >>> _thousands(131072), _thousands(2048), _thousands(1000)
    ('128k', '2k', '1000')
    """
    return f"{value // 1024}k" if value % 1024 == 0 else str(value)


def _percent(value: float) -> str:
    return f"{value:.0%}"


_NAME = Column("name", "name", right=False)
_TITLE = Column("", "title", right=False, wide=True)
_SEE = "sim show NAME gives every number with its source."
KINDS: Mapping[str, Kind] = {
    "accelerators": Kind(
        "chips: peaks, memory, links, power, price",
        (
            _NAME,
            Column("16-bit\nTFLOP/s", "peak_16bit_flop_per_s", _scaled(1e12)),
            Column("fp8\nTFLOP/s", "peak_fp8_flop_per_s", _scaled(1e12)),
            Column("memory\n", "memory_bytes", _shown("byte")),
            Column("memory\nTB/s", "memory_bandwidth_bytes_per_s", _scaled(1e12)),
            Column("scale-up\nGB/s", "scale_up_bandwidth_bytes_per_s", _scaled(1e9)),
            Column("power\nW", "power_w", _scaled(1.0)),
            Column("released", "released", right=False),
            _TITLE,
        ),
        f"Dense peaks; 16-bit is bf16, or fp16 on chips without it. Links per direction.\n{_SEE}",
        group="vendor",
    ),
    "nodes": Kind(
        "servers: devices, scale-up domain, network cards, power",
        (
            _NAME,
            Column("accelerator", "accelerator", right=False),
            Column("devices\na node", "devices", _count),
            Column("devices\na domain", "scale_up_domain_devices", _count),
            Column("up\nGB/s", "scale_up_bandwidth_bytes_per_s", _scaled(1e9)),
            Column("out\nGB/s", "scale_out_bandwidth_bytes_per_s", _scaled(1e9)),
            Column("power\nkW", "power_w", _scaled(1e3)),
            _TITLE,
        ),
        f"up: scale-up links of a domain; out: network cards; both per device, one way.\n{_SEE}",
    ),
    "fabrics": Kind(
        "networks: line rate, latency, levels",
        (
            _NAME,
            Column("kind", "kind", right=False),
            Column("Gbit/s", "link_bandwidth_bytes_per_s", _scaled(1e9 / 8)),
            Column("latency\nus", "latency_s", _scaled(1e-6)),
            Column("devices by level (oversubscription)", "levels", right=False, folds=True),
            _TITLE,
        ),
        f"Line rate of one device, per direction.\n{_SEE}",
        group="role",
    ),
    "clusters": Kind(
        "real machines and sites",
        (
            _NAME,
            Column("accelerator", "accelerator", right=False),
            Column("devices", "count", _count),
            Column("16-bit peak", "peak_16bit_flop_per_s", _shown("flop_per_s")),
            Column("since", "operational", lambda date: str(date)[:7], right=False),
            _TITLE,
        ),
        f"Peak of all devices, dense. {_SEE}",
        group="status",
    ),
    "models": Kind(
        "transformer shapes",
        (
            _NAME,
            Column("total\n1e9", "parameters", _scaled(1e9)),
            Column("active\n1e9", "active_parameters", _scaled(1e9)),
            Column("layers", "layers"),
            Column("hidden", "hidden"),
            Column("heads\n/ kv", "_heads"),
            Column("max\ntokens", "max_positions", _thousands),
            Column("released", "released", right=False),
            _TITLE,
        ),
        f"Counted from the shape; active: what a token multiplies with. 1k is 1024.\n{_SEE}",
    ),
    "policies": Kind(
        "scheduling policies: which job gets devices next",
        (
            _NAME,
            Column("what it does", "summary", right=False, folds=True),
            Column("claims", "claims", ", ".join, right=False, wide=True),
        ),
        "policy: NAME in a scenario. sim new policy writes one, with its test.",
    ),
    "profiles": Kind(
        "training frameworks: overlap, host time, memory",
        (
            _NAME,
            Column("title", "title", right=False, folds=True),
            Column("attention", "attention_kernel", right=False),
            Column("overlap\ntensor", "tensor_parallel_overlap", _percent),
            Column("overlap\ndata", "data_parallel_overlap", _percent),
            Column("overlap\npipeline", "pipeline_overlap", _percent),
        ),
        f"Overlap: share of that communication hidden behind compute.\n{_SEE}",
    ),
    "recipes": Kind(
        "precision recipes of training: formats, bytes kept and exchanged",
        (
            _NAME,
            Column("title", "title", right=False, folds=True),
            Column("products", "products", right=False),
            Column("attention\nand head", "wide", right=False),
            Column("weight\nB", "weight_bytes", _scaled(1)),
            Column("gradient\nB", "gradient_bytes", _scaled(1)),
            Column("optimizer\nB", "optimizer_bytes", _scaled(1)),
            Column("operand\nB", "operand_bytes", _scaled(1), wide=True),
            Column("tokens to\nexperts B", "dispatched_bytes", _scaled(1), wide=True),
        ),
        f"Bytes of a parameter or an element. Chosen by --precision or training.precision.\n{_SEE}",
    ),
    "engines": Kind(
        "inference engines: scheduler, budgets, host times",
        (
            _NAME,
            Column("title", "title", right=False, folds=True),
            Column("released", "released", right=False),
            Column("tokens an\niteration", "token_budget", _count),
            Column("sequences\nat most", "max_sequences", _count),
            Column("block\ntokens", "block_size", _count),
            Column("host\nus", "iteration_host_s", _scaled(1e-6)),
        ),
        f"host: between two iterations.\n{_SEE}",
    ),
    "scans": Kind(
        "measured recurrences of Mamba-2 and delta rules by family of chips",
        (
            _NAME,
            Column("gated delta\nof peak", "gated_delta", _percent),
            Column("by channel\nof peak", "channel_delta", _percent),
            Column("Mamba-2\nof peak", "state_space", _percent),
            _TITLE,
        ),
        f"Share of the dense 16-bit peak that the chunked kernel reaches in training.\n{_SEE}",
    ),
    "kernels": Kind(
        "measured kernels of inference by family of chips",
        (
            _NAME,
            Column("decode\nof bandwidth", "decode_efficiency", _percent),
            Column("\nfloor us", "decode_overhead_s", _scaled(1e-6)),
            Column("median\nerror", "decode_held_out_median", _percent),
            Column("latent\nmedian error", "latent_held_out_median", _percent),
            _TITLE,
        ),
        f"Decode: attention of one token over a 16-bit cache.\n{_SEE}",
    ),
    "calibration": Kind(
        "measured efficiency curves by family of chips",
        (
            _NAME,
            Column("GEMM\nof peak", "gemm_efficiency", _percent),
            Column("\ncurve", "gemm_status", right=False),
            Column("median\nerror", "gemm_held_out_median", _percent),
            Column("attention\ncurve", "attention_status", right=False),
            Column("median\nerror", "attention_held_out_median", _percent),
            Column("all-reduce\nof link", "all_reduce_bandwidth_fraction", _percent),
            Column("median\nerror", "all_reduce_held_out_median", _percent),
            _TITLE,
        ),
        "bf16; median error on measurements kept apart; a stand-in borrows another's.\n"
        "sim show calibration/NAME gives every number with its source.",
    ),
    "scenarios": Kind(
        "examples to run and to copy",
        (_NAME, Column("what it shows", "title", right=False, folds=True)),
        "sim run NAME plays it; sim show NAME prints it, to copy and change.",
    ),
}
"""Every kind that can be listed, in the order of the overview."""


def _value(number: Sourced | None) -> float | None:
    return None if number is None else number.value


def _accelerators() -> list[Row]:
    from sim.spec import catalog

    chips = [catalog.load("accelerators", name) for name in catalog.names("accelerators")]
    made = Counter(_vendor(chip) for chip in chips)
    chips.sort(key=lambda chip: (_newest_first(chip.released), chip.name))
    chips.sort(key=lambda chip: (-made[_vendor(chip)], _vendor(chip)))
    return [
        {
            "name": chip.name,
            "title": chip.title,
            "vendor": _vendor(chip),
            "released": chip.released,
            "status": chip.status,
            "peak_16bit_flop_per_s": _value(chip.peak_flop_per_s.get("bf16") or chip.peak_flop_per_s.get("fp16")),
            "peak_fp8_flop_per_s": _value(chip.peak_flop_per_s.get("fp8")),
            "memory_bytes": _value(chip.memory_bytes),
            "memory_bandwidth_bytes_per_s": _value(chip.memory_bandwidth_bytes_per_s),
            "scale_up_bandwidth_bytes_per_s": _value(chip.scale_up_bandwidth_bytes_per_s),
            "power_w": _value(chip.power_w),
        }
        for chip in chips
    ]


def _vendor(chip: Accelerator) -> str:
    """Give who makes a chip; imagined machines have nobody."""
    return chip.vendor if chip.vendor and chip.vendor != "none" else "nobody"


def _newest_first(date: str | None) -> float:
    """Give a key that sorts dates from the newest; no date comes last.

    >>> sorted(["2023", "2024-07", "2026-H2", "2026-Q4", "2024-11"], key=_newest_first)
    ['2026-Q4', '2026-H2', '2024-11', '2024-07', '2023']
    """
    year, _, part = (date or "0").partition("-")
    months = {"H": 6, "Q": 3}.get(part[:1], 1)
    within = (int(re.sub(r"\D", "", part[:2]) or 0) - 1) * months + 1
    return -(int(year) * 12 + within)


def _nodes() -> list[Row]:
    from sim.spec import catalog

    nodes = [catalog.load("nodes", name) for name in catalog.names("nodes")]
    return [
        {
            "name": node.name,
            "title": node.title,
            "accelerator": node.accelerator,
            "devices": node.devices,
            "scale_up_domain_devices": node.scale_up_domain_devices,
            "scale_up_bandwidth_bytes_per_s": node.scale_up_bandwidth_bytes_per_s.value,
            "scale_out_bandwidth_bytes_per_s": _value(node.scale_out_bandwidth_bytes_per_s),
            "power_w": _value(node.power_w),
        }
        for node in nodes
    ]


def _fabrics() -> list[Row]:
    from sim.spec import catalog

    fabrics = [catalog.load("fabrics", name) for name in catalog.names("fabrics")]
    return [
        {
            "name": fabric.name,
            "title": fabric.title,
            "kind": fabric.kind,
            "role": fabric.role,
            "link_bandwidth_bytes_per_s": fabric.link_bandwidth_bytes_per_s.value,
            "latency_s": _value(fabric.latency_s),
            "levels": ", ".join(
                f"{level.name}{f' {level.devices:,}' if level.devices else ''}"
                f"{f' ({level.oversubscription:g}:1)' if level.oversubscription > 1 else ''}"
                for level in fabric.levels
            ),
            "max_devices": fabric.max_devices,
        }
        for fabric in sorted(fabrics, key=lambda fabric: (fabric.role, fabric.name))
    ]


def _clusters() -> list[Row]:
    from sim.spec import catalog

    rows = []
    for name in catalog.names("clusters"):
        cluster = catalog.load("clusters", name)
        peaks = catalog.load("accelerators", cluster.accelerator).peak_flop_per_s
        peak = _value(peaks.get("bf16") or peaks.get("fp16"))
        rows.append(
            {
                "name": cluster.name,
                "title": cluster.title,
                "accelerator": cluster.accelerator,
                "count": cluster.count,
                "peak_16bit_flop_per_s": None if peak is None else peak * cluster.count,
                "operational": cluster.operational,
                "status": cluster.status,
                "owner": cluster.owner,
                "country": cluster.country,
                "power_w": _value(cluster.power_w),
            }
        )
    order = ("existing", "planned", "decommissioned", "imagined")
    return sorted(rows, key=lambda row: (order.index(str(row["status"])), -(row["peak_16bit_flop_per_s"] or 0.0)))


def _models() -> list[Row]:
    from sim.cost import parameters
    from sim.spec import catalog

    rows = []
    for name in catalog.names("models"):
        model = catalog.load("models", name)
        counted = parameters.count(model)
        rows.append(
            {
                "name": model.name,
                "title": model.title,
                "family": model.family or model.name,
                "released": model.released,
                "parameters": counted.total,
                "active_parameters": counted.active,
                "layers": model.layers,
                "hidden": model.hidden,
                "heads": model.heads,
                "kv_heads": model.kv_heads,
                "_heads": f"{model.heads}/{model.kv_heads}",
                "max_positions": model.max_positions,
                "vocab": model.vocab,
            }
        )
    return sorted(rows, key=lambda row: (str(row["family"]).lower(), str(row["released"]), row["parameters"]))


def _policies() -> list[Row]:
    from sim.engine.cluster.registry import policies

    return [
        {"name": name, "summary": policy.summary, "source": policy.source, "claims": sorted(policy.claims)}
        for name, policy in policies().items()
    ]


def _profiles() -> list[Row]:
    from sim.spec import catalog

    profiles = [catalog.load("profiles", name) for name in catalog.names("profiles")]
    return [
        {
            "name": profile.name,
            "title": profile.title,
            "attention_kernel": profile.attention_kernel,
            "tensor_parallel_overlap": profile.tensor_parallel_overlap.value,
            "data_parallel_overlap": profile.data_parallel_overlap.value,
            "pipeline_overlap": profile.pipeline_overlap.value,
        }
        for profile in profiles
    ]


def _recipes() -> list[Row]:
    from sim.cost.recipe import recipe
    from sim.spec import catalog

    found = [(catalog.load("recipes", name), recipe(name)) for name in catalog.names("recipes")]
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "like": entry.like,
            "products": numbers.gemm_precision,
            "wide": numbers.wide_precision,
            "wide_layers": numbers.wide_layers,
            "weight_bytes": numbers.weight_bytes,
            "gradient_bytes": numbers.gradient_bytes,
            "optimizer_bytes": numbers.optimizer_bytes,
            "operand_bytes": numbers.operand_bytes,
            "dispatched_bytes": numbers.dispatched_bytes,
        }
        for entry, numbers in found
    ]


def _engines() -> list[Row]:
    from sim.spec import catalog

    engines = [catalog.load("engines", name) for name in catalog.names("engines")]
    return [
        {
            "name": engine.name,
            "title": engine.title,
            "released": engine.released,
            "token_budget": int(engine.token_budget.value),
            "max_sequences": int(engine.max_sequences.value),
            "block_size": int(engine.block_size.value),
            "iteration_host_s": engine.iteration_host_s.value,
        }
        for engine in engines
    ]


def _scans() -> list[Row]:
    from sim.spec import catalog

    entries = [catalog.load("scans", name) for name in catalog.names("scans")]
    kinds = ("gated_delta", "channel_delta", "state_space")
    return [
        {"name": entry.name, "title": entry.title} | {kind: getattr(entry, kind).compute_efficiency for kind in kinds}
        for entry in entries
    ]


def _kernels() -> list[Row]:
    from sim.spec import catalog

    entries = [catalog.load("kernels", name) for name in catalog.names("kernels")]
    return [
        {
            "name": entry.name,
            "title": entry.title,
            "decode_efficiency": entry.decode_attention["bf16"].memory_efficiency,
            "decode_overhead_s": entry.decode_attention["bf16"].overhead_s,
            "decode_held_out_median": entry.decode_attention["bf16"].fit.held_out_median,
            "latent_held_out_median": entry.latent_decode["bf16"].fit.held_out_median,
        }
        for entry in entries
    ]


def _calibrations() -> list[Row]:
    from sim.spec import catalog

    rows = []
    for name in catalog.names("calibration"):
        entry = catalog.load("calibration", name)
        gemm, attention, reduce = entry.gemm["bf16"], entry.attention["bf16"], entry.collectives["all_reduce"]
        rows.append(
            {
                "name": entry.name,
                "title": entry.title,
                "gemm_efficiency": gemm.compute_efficiency,
                "gemm_status": gemm.fit.status,
                "gemm_held_out_median": gemm.fit.held_out_median,
                "attention_status": attention.fit.status,
                "attention_held_out_median": attention.fit.held_out_median,
                "all_reduce_bandwidth_fraction": reduce.bandwidth_fraction[-1],
                "all_reduce_held_out_median": reduce.fit.held_out_median,
            }
        )
    return rows


def _scenarios() -> list[Row]:
    return [{"name": name, "title": _first_comment(file)} for name, file in scenario_files().items()]


def _first_comment(file: Path) -> str:
    """Give what a scenario says of itself: its first line of comment."""
    with file.open(encoding="utf-8") as lines:
        return lines.readline().lstrip("# ").strip()


_READERS: Mapping[str, Callable[[], list[Row]]] = {
    "accelerators": _accelerators,
    "nodes": _nodes,
    "fabrics": _fabrics,
    "clusters": _clusters,
    "models": _models,
    "policies": _policies,
    "profiles": _profiles,
    "engines": _engines,
    "recipes": _recipes,
    "scans": _scans,
    "kernels": _kernels,
    "calibration": _calibrations,
    "scenarios": _scenarios,
}
