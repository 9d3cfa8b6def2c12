"""Pictures of parts of a whole: the waterfall of device-time, levers, and the accounts of arithmetic and energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.results.charts.chart import Chart
from sim.results.charts.drawing import NARROW, Drawing, scale, shortened
from sim.results.words import amount, duration
from sim.units import show

if TYPE_CHECKING:
    from sim.results.record import Record

SMALLEST_SHARE = 0.0005
"""Accounts below it are drawn as one, "other"."""
FAMILIES = (
    ("useful", "c0"), ("prefill", "c0"), ("decode", "c2"), ("kernel", "c4"), ("communication", "c1"),
    ("bubble", "c6"), ("recompute", "c2"), ("optimizer", "c9"), ("host", "c9"), ("checkpoint", "c3"),
    ("lost", "c5"), ("wasted", "c5"), ("restart", "c8"), ("waiting", "c7"), ("idle", "idle"), ("free", "idle"),
    ("down", "c7"), ("model", "c0"), ("stepping", "c0"),
)  # fmt: skip
"""Colour of an account by a word in its name."""
CYCLE = ("c0", "c1", "c2", "c3", "c4", "c5", "c6", "c8", "c9", "c7")


def account_colour(name: str, place: int = 0) -> str:
    """Give the colour of an account, the same in every picture.

    >>> account_colour("exposed pipeline communication"), account_colour("lost work")
    ('c1', 'c5')
    """
    return next((fill for word, fill in FAMILIES if word in name), CYCLE[place % len(CYCLE)])


def waterfall(record: Record) -> Chart | None:
    """Draw where the device-time went: accounts that follow each other up to the wall-clock."""
    parts = [(str(part["name"]), float(part["seconds"])) for part in record.result.get("parts", ())]
    total_s = sum(seconds for _, seconds in parts)
    if total_s <= 0:
        return None
    if not record.is_training:
        words = [word for word, _ in FAMILIES]
        parts.sort(key=lambda part: next((place for place, word in enumerate(words) if word in part[0]), len(words)))
    shown = [(name, seconds) for name, seconds in parts if seconds >= SMALLEST_SHARE * total_s]
    left_out = len(parts) - len(shown)
    if left_out == 1:
        shown = parts
    elif left_out:
        shown.append((f"other ({left_out} accounts)", total_s - sum(seconds for _, seconds in shown)))
    size_s, unit = scale("second", total_s)

    def draw(width: float) -> Drawing:
        narrow = width <= NARROW
        label_width, value_width, row = (0.0, 0.0, 38.0) if narrow else (262.0, 132.0, 25.0)
        drawing = Drawing(width, row * (len(shown) + 1) + 8)
        room = width - label_width - value_width
        before_s = 0.0
        for place, (name, seconds) in enumerate([*shown, ("wall-clock", total_s)]):
            is_sum = place == len(shown)
            y = place * row
            value = f"{amount(seconds / size_s)} {unit}"
            said = f"{value} · {seconds / total_s:.1%}"
            x = label_width + (0 if is_sum else room * before_s / total_s)
            bar_y = y + (18 if narrow else 4)
            drawing.rect(label_width, bar_y, room, 16, "panel")
            fill = "ink" if is_sum else account_colour(name, place)
            drawing.rect(x, bar_y, max(room * seconds / total_s, 1.5), 16, fill, title=f"{name}: {said}", radius=2)
            text_y = y + (13 if narrow else 16)
            drawing.text(0, text_y, shortened(name, 40), size=12.5, bold=is_sum)
            drawing.text(width, text_y, said, size=12, fill="ink" if is_sum else "dim", anchor="end", bold=is_sum)
            if not is_sum and not narrow and place:
                drawing.line(x, bar_y - 9, x, bar_y, "line")
            before_s += seconds
        return drawing

    biggest = sorted(shown, key=lambda part: -part[1])[:3]
    label = "Where the device time goes: " + ", ".join(f"{name} {seconds / total_s:.0%}" for name, seconds in biggest)
    devices = record.result.get("devices") or record.result.get("plan", {}).get("devices") or 0
    note = f"Averaged over {devices:,} devices; the accounts sum to the wall-clock exactly." if devices else ""
    return Chart("waterfall", "Where the device time goes", draw, label, note)


def levers(record: Record) -> Chart | None:
    """Draw what would change the answer most, as a tornado around the expected time."""
    rows = record.result.get("levers") or ()
    if not rows or not record.is_training:
        return None
    expected_s = float(record.result["answer"]["wall_clock_s"]["expected"])
    effects = [(row, float(row["wall_clock_s"]) / expected_s - 1) for row in rows]
    largest = max(abs(effect) for _, effect in effects) or 1.0
    faster = max([-effect for _, effect in effects] + [0.0]) / largest
    slower = max([effect for _, effect in effects] + [0.0]) / largest

    def draw(width: float) -> Drawing:
        narrow = width <= NARROW
        label_width, row = (0.0, 44.0) if narrow else (380.0, 26.0)
        drawing = Drawing(width, row * len(effects) + 4)
        room = width - label_width - 2 * 58
        unit = room / max(faster + slower, 0.2)
        middle = label_width + 58 + unit * faster
        for place, (lever, effect) in enumerate(effects):
            y = place * row
            bar_y = y + (20 if narrow else 4)
            length = unit * abs(effect) / largest
            x = middle - length if effect < 0 else middle
            said = f"{effect:+.1%}, {duration(float(lever['wall_clock_s']))}"
            text = f"{lever['name']}: {lever['from']} → {lever['to']}"
            drawing.rect(
                x, bar_y, max(length, 1.5), 16, "c0" if effect < 0 else "c5", title=f"{text}: {said}", radius=2
            )
            drawing.text(0, y + (14 if narrow else 16), shortened(text, 62), size=12.5)
            if effect < 0:
                drawing.text(x - 6, bar_y + 12, f"{effect:+.1%}".replace("-", "−"), size=11.5, fill="dim", anchor="end")
            else:
                drawing.text(x + length + 6, bar_y + 12, f"{effect:+.1%}", size=11.5, fill="dim")
        drawing.line(middle, 0, middle, drawing.height, "ink")
        return drawing

    first, effect = effects[0]
    label = f"What would change the answer most: {first['name']} {first['from']} to {first['to']}, {effect:+.0%}"
    note = f"One change at a time, against {duration(expected_s)}; left of the line is faster."
    return Chart("levers", "What would change the answer most", draw, label, note)


def flop(record: Record) -> Chart | None:
    """Draw the accounts of arithmetic."""
    accounts = record.result.get("flop") or {}
    rows = [(name, float(weighted["operations"])) for name, weighted in accounts.items()]
    if not any(value > 0 for _, value in rows):
        return None
    if record.is_training:
        named = dict(rows)
        rows = [
            ("model", named["model"]),
            ("recompute and padding", named["hardware"] - named["model"]),
            ("lost and redone", named["executed"] - named["hardware"]),
        ]
    note = "Operations at any precision; one multiply-add is two."
    return bars("flop", "Arithmetic by purpose", rows, "flop", note)


def energy(record: Record) -> Chart | None:
    """Draw the accounts of energy, where the run has them."""
    rows: list[tuple[str, float]] = []
    note = "At the meter."
    simulated = record.result.get("simulated")
    if simulated:
        first = simulated["first_seed"]
        rows = [(name, float(joules)) for name, joules in first["joules"].items()]
        note = f"At the meter, of the run with seed {first['seed']}."
    elif "accounts" in record.tables and "joules" in record.tables["accounts"]:
        table = record.tables["accounts"]
        rows = [(str(name), float(joules)) for name, joules in zip(table["account"], table["joules"], strict=True)]
    if not any(value > 0 for _, value in rows):
        return None
    order = {str(part["name"]): place for place, part in enumerate(record.result.get("parts", ()))}
    rows.sort(key=lambda row: order.get(row[0], len(order)))
    return bars("energy", "Energy by account", rows, "joule", note)


def bars(name: str, title: str, rows: list[tuple[str, float]], dimension: str, note: str) -> Chart:
    """Draw one bar for each row, from one line on."""
    total = sum(value for _, value in rows)
    kept = [(each, value) for each, value in rows if value > 0]

    def draw(width: float) -> Drawing:
        narrow = width <= NARROW
        label_width, value_width, row = (0.0, 0.0, 38.0) if narrow else (262.0, 150.0, 25.0)
        drawing = Drawing(width, row * len(kept) + 4)
        room = width - label_width - value_width
        largest = max(value for _, value in kept)
        for place, (each, value) in enumerate(kept):
            y = place * row
            bar_y = y + (18 if narrow else 4)
            said = f"{show(value, dimension)} · {value / total:.1%}"
            fill = account_colour(each, place)
            drawing.rect(
                label_width, bar_y, max(room * value / largest, 1.5), 16, fill, title=f"{each}: {said}", radius=2
            )
            text_y = y + (13 if narrow else 16)
            drawing.text(0, text_y, shortened(each, 40), size=12.5)
            drawing.text(width, text_y, said, size=12, fill="dim", anchor="end")
        return drawing

    biggest, value = max(kept, key=lambda each: each[1])
    return Chart(name, title, draw, f"{title}: {biggest} {value / total:.0%} of {show(total, dimension)}", note)
