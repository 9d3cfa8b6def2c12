"""The heat strip: how full each pod of a cluster, or each replica of a service, was over time."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.results.charts.chart import Chart
from sim.results.charts.drawing import NARROW, Drawing, number, shortened
from sim.results.charts.over_time import BINS, binned_steps, cursor, texts, time_axis
from sim.results.words import amount, duration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.results.record import Record

    Numbers = NDArray[np.float64]

MOST_ROWS = 64
NAME, TITLE = "heat", "How full each part was"


@dataclass(frozen=True, slots=True)
class _Strip:
    names: list[str]
    matrix: Numbers
    """Shares by part and stretch of time."""
    end_s: float
    note: str


def heat(record: Record) -> Chart | None:
    """Draw how full each part of the cluster was over time, or else each replica; None where there is but one."""
    strip = _of_devices(record) or _of_replicas(record)
    if strip is None:
        return None
    names, matrix, note = strip.names, strip.matrix, strip.note
    if len(names) > MOST_ROWS:
        group = -(-len(names) // MOST_ROWS)
        note += f" Each line is the mean of {group} of {len(names):,}."
        cuts = range(0, len(names), group)
        matrix = np.array([matrix[cut : cut + group].mean(axis=0) for cut in cuts])
        names = [f"{names[cut]} …" for cut in cuts]
    image = _png(np.clip(matrix, 0, 1))

    def draw(width: float) -> Drawing:
        left = 70.0 if width <= NARROW else 150.0
        row = 14.0 if len(names) <= 24 else 8.0
        drawing = Drawing(width, row * len(names) + 26)
        drawing.plot = (left, width - 8, 0, row * len(names))
        drawing.parts.append(
            f'<image x="{number(left)}" y="0" width="{number(width - 8 - left)}" height="{number(row * len(names))}" '
            f'preserveAspectRatio="none" style="image-rendering:pixelated" href="data:image/png;base64,{image}"/>'
        )
        step = max(1, round(14 / row))
        for place in range(0, len(names), step):
            text = shortened(names[place], 11 if width <= NARROW else 24)
            drawing.text(left - 6, row * place + min(row, 12), text, size=10, fill="dim", anchor="end")
        time_axis(drawing, strip.end_s, left, width - 8, row * len(names))
        return drawing

    label = f"How full each of {len(names)} rows was over {duration(strip.end_s)}; mean {float(matrix.mean()):.0%}"
    return Chart(NAME, TITLE, draw, label, note, cursor(strip.end_s, {"mean": matrix.mean(axis=0)}, "fraction"))


def _of_devices(record: Record) -> _Strip | None:
    """Take the table that a played cluster leaves: how full each pod, leaf, domain or node was."""
    table = record.tables.get("heat")
    if table is None or not len(table["time_s"]):
        return None
    rows = texts(table["row"])
    times, values = np.asarray(table["time_s"], dtype=np.float64), np.asarray(table["value"], dtype=np.float64)
    end_s = max(float(record.result.get("wall_clock_s") or 0.0), float(times.max()))
    names = list(dict.fromkeys(rows.tolist()))
    if not end_s or not values.any():
        return None
    matrix = np.array([binned_steps(times[rows == name], values[rows == name], end_s) for name in names])
    return _Strip(names, matrix, end_s, "Share of its devices that jobs held or that were down; darker is fuller.")


def _of_replicas(record: Record) -> _Strip | None:
    """Count the requests that each replica had at a time, waiting or at work."""
    table = record.tables.get("requests")
    if table is None or not {"service", "replica", "arrival_s", "finish_s"} <= set(table):
        return None
    start_s, finish_s = (np.asarray(table[name], dtype=np.float64) for name in ("arrival_s", "finish_s"))
    replicas = np.asarray(table["replica"], dtype=np.float64)
    known = np.isfinite(start_s) & np.isfinite(finish_s) & (replicas >= 0)
    if not known.any():
        return None
    groups = [
        f"{service} {replica:.0f}" for service, replica in zip(table["service"], np.nan_to_num(replicas), strict=True)
    ]
    names, inverse = np.unique(np.array(groups, dtype=object)[known].astype(str), return_inverse=True)
    end_s = max(float(record.result.get("wall_clock_s") or 0.0), float(finish_s[known].max()))
    if len(names) < 2 or not end_s:
        return None
    said = [str(name) for name in names]
    order = sorted(range(len(said)), key=lambda place: (said[place].rpartition(" ")[0], _number(said[place])))
    at_once = np.array(
        [_at_once(start_s[known][inverse == place], finish_s[known][inverse == place], end_s) for place in order]
    )
    most = float(at_once.max())
    note = f"Requests at each replica, waiting or at work, against the most of any ({amount(most)}); darker is more."
    return _Strip([said[place] for place in order], at_once / (most or 1.0), end_s, note)


def _number(name: str) -> int:
    return int(name.rpartition(" ")[2])


def _at_once(start_s: Numbers, end_s: Numbers, until_s: float) -> Numbers:
    """Average over each bin how many intervals cover a time."""
    times = np.concatenate([start_s, end_s])
    order = np.argsort(times, kind="stable")
    there = np.cumsum(np.concatenate([np.ones(len(start_s)), -np.ones(len(end_s))])[order])
    return binned_steps(times[order], there, until_s, BINS)


def _png(matrix: Numbers) -> str:
    """Give a matrix of shares as a picture in base64: one colour whose opacity is the share suits any background."""
    height, width = matrix.shape
    pixels = np.zeros((height, width, 4), dtype=np.uint8)
    pixels[..., :3] = (0x1F, 0x83, 0xC4)
    pixels[..., 3] = np.round(20 + 235 * matrix).astype(np.uint8)
    raw = b"".join(b"\0" + line.tobytes() for line in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()
