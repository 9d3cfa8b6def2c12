"""The JSON Schema of an answer, as `--json` prints it: the promise that scripts rely on.

A minor version may add keys, never take one away or change its meaning; readers ignore what they do not know.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _object(description: str, properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": sorted(set(properties) - set(optional)),
    }


def _number(description: str, unit: str = "", *, least: float | None = 0, may_lack: bool = False) -> Schema:
    schema: Schema = {"type": ["number", "null"] if may_lack else "number", "description": description}
    if unit:
        schema["x-unit"] = unit
    return schema if least is None else schema | {"minimum": least}


def _share(description: str) -> Schema:
    return _number(description, "1") | {"maximum": 1}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _list(description: str, items: Schema) -> Schema:
    return {"type": "array", "description": description, "items": items}


def _spread(description: str, unit: str) -> Schema:
    parts = {"expected": "Mean of the closed form; deterministic.", "p10": "One in ten runs stays below."}
    parts |= {"p50": "Half of the runs stay below.", "p90": "Nine in ten runs stay below."}
    return _object(description, {name: _number(text, unit) for name, text in parts.items()})


def _weighted(description: str) -> Schema:
    scales = {
        "operations": "One operation is 1 FLOP at any precision: what laws count.",
        "bits16": "Operations x bits / 16.",
        "device_time16": "Operations x 16-bit peak / peak of the precision, on the same chip.",
    }
    return _object(description, {name: _number(text, "FLOP") for name, text in scales.items()})


_ANSWER = _object(
    "What was asked for; the time of the run always, count or flop where that was the question.",
    {
        "wall_clock_s": _spread("Time of the run.", "s"),
        "device_hours": _number("Expected time x devices.", "h"),
        "count": {"type": "integer", "minimum": 1, "description": "Accelerators needed (howmany)."},
        "flop": _spread("Model FLOP that fit (howmuch).", "FLOP"),
    },
    optional=("count", "flop"),
)
_UTILIZATION = _object(
    "Shares of capacity or time.",
    {
        "allocated": _share("Device-seconds held by the work over capacity."),
        "busy": _share("Device-seconds in kernels over capacity."),
        "ettr": _share("Productive time over wall-clock."),
        "mfu_step": _share("Model FLOP over peak x time, active devices, during a step."),
        "mfu_run": _share("Model FLOP over peak x time, all devices, whole run."),
        "hfu_run": _share("Executed FLOP over peak x time, all devices, whole run."),
        "peak_precision": _text("Precision of the dense peak that they are measured against."),
    },
)
_PART = _object(
    "One account of the device-seconds, as seconds of wall-clock.",
    {"name": _text("Name of the account, as contracts list them."), "seconds": _number("Its time.", "s")},
)
_FLOP = _object(
    "Arithmetic of the whole run: what is counted, on three scales each.",
    {
        "model": _weighted("What the mathematics needs."),
        "hardware": _weighted("With recompute."),
        "executed": _weighted("With what interruptions made the run redo."),
    },
)
_LOSS = _object(
    "Expected training loss by the scaling law.",
    {
        "value": _number("Nats a token."),
        "p10": _number("One in ten models stays below."),
        "p90": _number("Nine in ten models stay below."),
        "in_range": {"type": "boolean", "description": "Whether the law was fitted to models of this size."},
        "source": _text("The law."),
    },
)
_LEVER = _object(
    "One change and the run that it would give.",
    {
        "name": _text("What changes."),
        "from": {"description": "Its value now."},
        "to": {"description": "Its value then."},
        "wall_clock_s": _number("Expected time then.", "s"),
    },
)
_ASSUMPTION = _object(
    "One value that shaped the answer.",
    {
        "path": _text("Field of the scenario that sets it."),
        "value": {"type": ["number", "string"], "description": "Its value, in SI."},
        "unit": _text("SI unit; empty for names and plain numbers."),
        "source": _text("Where it comes from."),
        "given_by": {"enum": ["default", "user", "catalogue"], "description": "Who gave it."},
    },
)
_THRESHOLD = _object(
    "An amount of training compute that a law names, and when the run crosses it.",
    {
        "name": _text("The rule."),
        "flop": _number("Its amount.", "FLOP"),
        "source": _text("Where the rule stands."),
        "model_crossed_at_s": _number("When model operations cross it; null for never.", "s", may_lack=True),
        "executed_crossed_at_s": _number("When executed operations cross it; null for never.", "s", may_lack=True),
    },
)
ANSWER: Schema = {
    "title": "Answer of sim howlong, howmany, howmuch and run",
    **_object(
        "Numbers are SI, units in the names of keys.",
        {
            "schema_version": {"const": "1.0", "description": "Version of this schema."},
            "question": {"type": "object", "description": "What was asked, as it was understood."},
            "sentence": _text("The answer in words, with its interval."),
            "interval": _text("How much of the interval is luck and how much the model."),
            "answer": _ANSWER,
            "utilization": _UTILIZATION,
            "parts": _list("They sum to the expected time, to 1e-9.", _PART),
            "flop": _FLOP,
            "energy_j": _number("At the meter; null with the reason in missing.", "J", may_lack=True),
            "cost_usd": _number("Rent of all devices; null with the reason in missing.", "USD", may_lack=True),
            "co2_kg": _number("Of the energy; null with the reason in missing.", "kg", may_lack=True),
            "missing": _list("Why energy or cost are not given.", _text("One reason.")),
            "expected_loss": _LOSS,
            "rule_of_thumb_s": _number("6 N D over peak x 0.4: what most people would say.", "s"),
            "model": {"type": "object", "description": "The model that is trained."},
            "plan": {"type": "object", "description": "Its layout on the devices, and the step."},
            "levers": _list("What would change the answer most, the strongest first.", _LEVER),
            "assumptions": _list("What was assumed.", _ASSUMPTION),
            "thresholds": _list("Amounts that laws name, the smallest first.", _THRESHOLD),
            "events": {
                "type": "object",
                "description": "Expected number of interruptions and checkpoints.",
                "additionalProperties": _number("How many."),
            },
            "next": _list("Commands that lead on.", _text("One command.")),
            "provenance": _object(
                "What made this answer, so that it can be made again.",
                {
                    "version": _text("Version of flopclock."),
                    "seed": {"type": "integer", "minimum": 0, "description": "Seed of the simulated luck."},
                    "scenario_sha256": _text("Digest of the scenario that it stands for."),
                },
            ),
        },
        optional=("interval", "missing", "events"),
    ),
}
"""Schema of the object that a question or a run prints with ``--json``."""
