"""Collectives: predicted bus bandwidth beside nccl-tests tables, from the catalogue's calibration of the chip."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

from sim.cost.collectives import Collective, bus_factor, hierarchical_s, place_group
from sim.cost.recipe import recipe
from sim.errors import ScenarioError, SimError
from sim.plan import machine as machines
from sim.plan.resolve import resolve_cluster
from sim.validate.machines import accelerator_of, cluster_of
from sim.validate.names import names
from sim.validate.report import Report
from sim.validate.rows import MissingError
from sim.validate.score import Verdict
from sim.validate.steps import of_group
from sim.validate.table import read

if TYPE_CHECKING:
    from pathlib import Path

    from sim.cost.collectives import Group
    from sim.cost.machine import Machine
    from sim.validate.table import Line

METRIC = "busbw_GBps"
COLUMNS = ("gpu", "nodes", "ranks", "collective", "algo", "bytes", "intra_link", "inter_link", "nccl_version")
KNOWN = (*COLUMNS, METRIC, "source", "note")
REQUIRED = ("gpu", "nodes", "ranks", "collective", "bytes")
PLATEAU_BYTES = 8.0 * 2**30
"""Size that stands for a blank one: a table without sizes prints its plateau, and nccl-tests usually ends here."""
LARGE_BYTES = 2.0**20
"""From here on bandwidth decides, below it latency: summed apart."""
_LINKS = re.compile(
    r"(?:(?P<count>\d+)x)?(?P<rate>\d+(?:\.\d+)?) ?(?P<unit>Gb|GbE|Tb/s|GB/s)(?P<node>/node)?(?=[ /]|$)"
)
_GBYTES = {"Gb": 0.125, "GbE": 0.125, "Tb/s": 125.0, "GB/s": 1.0}


@dataclass(frozen=True, slots=True)
class CollectiveRow:
    """What was run: no bandwidth that was reached."""

    id: str
    gpu: str
    nodes: str
    ranks: int | None
    collective: str
    algo: str
    size_bytes: float | None
    intra_link: str
    inter_link: str


@dataclass(frozen=True, slots=True)
class BusBandwidth:
    """What is predicted of a row."""

    gbytes_per_s: float
    kind: str


def collectives(table: Path, group: str | None = None) -> Report:
    """Predict every row of a table of collectives and put it beside what was measured.

    Args:
        table: CSV in the format of docs/validation.md.
        group: only rows of this name in the `gpu` column.

    Raises:
        SimError: the table cannot be read, or has no such rows.

    """
    verdicts = []
    for line in of_group(read(table, KNOWN, REQUIRED), "gpu", group):
        row, measured = _row(line), line.number_of(METRIC) or None
        blank = Verdict(row.id, row.gpu, METRIC, "ok", gpu=chip_name(row.gpu), measured=measured)
        try:
            found = predict(row)
        except ScenarioError:
            raise  # a file of the catalogue is wrong, which is no fault of the row
        except SimError as error:
            verdicts.append(_skipped(blank, error.rule))
            continue
        if measured is None:
            verdicts.append(_skipped(blank, f"{METRIC} is blank"))
        else:
            verdicts.append(_predicted(blank, found))
    return Report("collectives", METRIC, tuple(verdicts))


def predict(row: CollectiveRow) -> BusBandwidth:
    """Predict the bus bandwidth of one row, as nccl-tests defines it.

    Raises:
        MissingError: a column is blank, or its name is not known.

    """
    if row.collective not in get_args(Collective):
        raise MissingError(f"no curve for the collective {row.collective}")
    kind: Collective = row.collective  # type: ignore[assignment]  # checked above
    if not row.ranks or not row.nodes.isdigit() or int(row.nodes) < 1:
        raise MissingError("ranks or nodes is blank, or no number")
    ranks, nodes = row.ranks, int(row.nodes)
    if ranks % nodes or ranks < 2:  # noqa: PLR2004 - one rank sends nothing
        raise MissingError("ranks is no multiple of nodes, or below 2")
    rate = line_rate_gbytes(row.inter_link, ranks // nodes) if nodes > 1 else 0.0
    machine = _machine(chip_name(row.gpu), ranks, rate, names().fabric(row.inter_link))
    # A run over several nodes that names no link inside them was made to measure the network.
    domain = machine.domain_devices if row.intra_link or nodes == 1 else ranks // nodes
    group = place_group(ranks, 1, domain, machine.pod_devices)
    size = row.size_bytes or PLATEAU_BYTES
    seconds = _seconds(kind, size, group, machine, ring=row.algo.lower().startswith("ring"))
    inside = float(group.domain_ranks) >= ranks
    length = "from 1 MiB" if size >= LARGE_BYTES else "below 1 MiB"
    used = names().used_in_calibration(f"{row.gpu}/{row.nodes}")
    where = "inside a domain" if inside else "across domains"
    return BusBandwidth(
        size * float(bus_factor(kind, ranks)) / seconds / 1e9, f"{where}, {'fitted' if used else length}"
    )


def _seconds(kind: Collective, size: float, group: Group, machine: Machine, *, ring: bool) -> float:
    """Time a call as nccl-tests makes it: from the host each time, where the curves are of calls replayed from a graph.

    An all-reduce that a table says to be a ring is a reduce-scatter and an all-gather: no reduction in the switch.
    """
    kinds: tuple[Collective, ...] = ("reduce_scatter", "all_gather") if ring and kind == "all_reduce" else (kind,)
    calls = sum(float(hierarchical_s(each, size, group, machine.fabric)) for each in kinds)
    return calls + names().collective_launch


def chip_name(gpu: str) -> str:
    """Give the chip's name without what a table adds to it.

    >>> chip_name("H200-SXM (ND H200 v5)")
    'H200-SXM'
    """
    return re.sub(r"\s*(\(.*| NVL72| \d+ NIC)$", "", gpu.removeprefix("DGX ")).strip()


def line_rate_gbytes(inter_link: str, per_node: int) -> float:
    """Give the line rate of one rank in GB/s per direction, from what a table says of a node's links; 0 for nothing.

    >>> line_rate_gbytes("8x400Gb/node RoCEv2", 4), line_rate_gbytes("400 GB/s/node EFAv3", 8)
    (100.0, 50.0)
    """
    found = _LINKS.search(inter_link)
    if found is None:
        return 0.0
    return int(found["count"] or 1) * float(found["rate"]) * _GBYTES[found["unit"]] / per_node


@lru_cache(maxsize=256)
def _machine(gpu: str, devices: int, rate_gbytes: float, fabric: str | None) -> Machine:
    accelerator = accelerator_of(gpu)
    cluster = resolve_cluster(cluster_of(accelerator, devices, 0, rate_gbytes * 8.0, fabric))
    return machines.build(cluster, recipe("bf16" if "bf16" in accelerator.peak_flop_per_s else "fp16"))


def _row(line: Line) -> CollectiveRow:
    return CollectiveRow(
        id=f"line-{line.number}",
        gpu=line.text("gpu"),
        nodes=line.text("nodes"),
        ranks=line.count("ranks"),
        collective=line.text("collective"),
        algo=line.text("algo"),
        size_bytes=line.number_of("bytes"),
        intra_link=line.text("intra_link"),
        inter_link=line.text("inter_link"),
    )


def _skipped(blank: Verdict, reason: str) -> Verdict:
    return Verdict(blank.id, blank.group, METRIC, "skipped", reason=reason, gpu=blank.gpu)


def _predicted(blank: Verdict, found: BusBandwidth) -> Verdict:
    return Verdict(
        blank.id,
        blank.group,
        METRIC,
        "ok",
        plan="given",
        measured=blank.measured,
        predicted=found.gbytes_per_s,
        gpu=blank.gpu,
        kind=found.kind,
    )
