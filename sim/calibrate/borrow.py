"""Make the record of a family without measurements of its own from the record of the family that lends its curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.calibrate.families import BORROWED, Borrowed
from sim.errors import UsageError

if TYPE_CHECKING:
    from sim.calibrate.build import Record


def borrowed(name: str, base: Record) -> Record:
    """Give the record of a family that borrows, from that of its base. Raises UsageError for an unknown family."""
    if name not in BORROWED:
        raise UsageError("a family that borrows is needed", name, mend=f"choose one of {', '.join(BORROWED)}")
    family = BORROWED[name]
    record: Record = {
        "name": name,
        "title": family.title,
        "notes": [f"The curves of {family.base} stand in wherever nothing else is named.", *family.notes],
    }
    for kind in ("gemm", "attention", "experts", "collectives"):
        record[kind] = {key: _lent(curve, family.base) for key, curve in base[kind].items()}
    record["network"], record["vector"] = _lent(base["network"], family.base), _lent(base["vector"], family.base)
    _known_products(record, family)
    _known_links(record, family)
    _known_memory(record, family)
    return record


def _lent(curve: Record, base: str) -> Record:
    """Copy a curve without its peaks (shares hold, peaks do not), with its origin for a source."""
    kept = {key: value for key, value in curve.items() if not key.endswith("_per_s")}
    return kept | {"fit": {"status": "stand-in", "source": f"calibration of {base}"}}


def _known_products(record: Record, family: Borrowed) -> None:
    """Put in the efficiencies that are known, and lower the others of the chip by the ratio of the 16-bit ones.

    What keeps a chip from its peak (clocks under power, compilers) keeps its other kernels from it too.
    """
    if not family.compute_efficiency:
        return
    ratio = family.compute_efficiency["bf16"][0] / record["gemm"]["bf16"]["compute_efficiency"]
    for kind in ("gemm", "attention", "experts"):
        for key, curve in record[kind].items():
            known = family.compute_efficiency.get(key) if kind == "gemm" else None
            if known is None:
                share, status = curve["compute_efficiency"] * ratio, "derived"
                source = f"calibration of {family.base}, compute_efficiency lowered as that of bf16 products"
            else:
                share, status, source = known
            curve["compute_efficiency"] = float(f"{share:.4g}")
            curve["fit"] = {
                "status": status,
                "source": source,
                "note": f"Every other constant is that of {family.base}.",
            }


def _known_memory(record: Record, family: Borrowed) -> None:
    """Raise the shares of memory bandwidth where the base has less of it for a reason that the chip does not share."""
    if family.memory is None:
        return
    scale, status, source = family.memory
    for curve in [*record["gemm"].values(), *record["experts"].values(), record["vector"]]:
        curve["memory_efficiency"] = float(f"{curve['memory_efficiency'] * scale:.4g}")
        curve["fit"] = curve["fit"] | {"status": status, "note": f"memory_efficiency: {source}"}


def _known_links(record: Record, family: Borrowed) -> None:
    note = f"Start-up and ramp are those of {family.base}."
    collectives = record["collectives"]
    if family.shares:
        shares, status, source = family.shares
        known = {"ranks": [2, 4, 8], "bandwidth_fraction": [float(f"{share:.4g}") for share in shares]}
        fit = {"fit": {"status": status, "source": source, "note": note}}
        for kind in collectives:
            if kind != "point_to_point":
                collectives[kind] = collectives[kind] | known | fit
    if family.pair_share:
        share, status, source = family.pair_share
        known = {"bandwidth_fraction": [float(f"{share:.4g}")]}
        fit = {"fit": {"status": status, "source": source, "note": note}}
        collectives["point_to_point"] = collectives["point_to_point"] | known | fit
