"""From a question to a scenario: the cluster in short form, and options by the names that people type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import UsageError
from sim.spec import catalog
from sim.spec.compose import compose
from sim.spec.document import Source, brief
from sim.spec.emit import dumps
from sim.spec.load import read_scenario
from sim.spec.model_reference import path_of
from sim.spec.yaml import Document, apply_override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.spec.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Option:
    """Where an option belongs in a scenario, and the SI unit that a plain number of Python code has."""

    path: str
    unit: str = ""
    help: str = ""


_TRAINING = "workloads.0.training"

OPTIONS: dict[str, Option] = {
    "model": Option(f"{_TRAINING}.model", help="a model of the catalogue instead of the compute-optimal one"),
    "params": Option(f"{_TRAINING}.params", help="parameters of a dense model of the usual proportions: 405e9"),
    "tokens": Option(f"{_TRAINING}.tokens", "tokens", "training tokens: 15.6e12"),
    "law": Option(f"{_TRAINING}.law", help="scaling law: llama3 or chinchilla"),
    "precision": Option(f"{_TRAINING}.precision", help="recipe: bf16, fp16 or fp8"),
    "sequence": Option(f"{_TRAINING}.sequence", help="tokens of one sequence"),
    "batch": Option(f"{_TRAINING}.batch", "tokens", "tokens of one optimizer step: 16.8e6"),
    "documents": Option(
        f"{_TRAINING}.documents", "tokens", "documents that sequences are packed from: 600 tokens, or a distribution"
    ),
    "capacity": Option(f"{_TRAINING}.capacity", help="tokens of an expert over the mean, beyond which they drop: 1.25"),
    "profile": Option(f"{_TRAINING}.profile", help="software profile of the catalogue"),
    "mfu": Option(f"{_TRAINING}.mfu", help="utilization of a step, instead of the predicted one: 0.4"),
    "step_time": Option(f"{_TRAINING}.step_time", "s", "time of a step, instead of the predicted one: 8.4s"),
    "checkpoint": Option(f"{_TRAINING}.checkpoint.interval", "s", "time between checkpoints, or auto"),
    "fabric": Option("cluster.fabric", help="network between scale-up domains"),
    "node": Option("cluster.node", help="node that holds the accelerators"),
    "failure_rate": Option("cluster.failure_rate", "/s", "interruptions per device and time: 19.7e-6/h"),
    "restart": Option("cluster.restart", "s", "detection and restart: 10min"),
    "repair": Option("cluster.repair", "s", "time until a failed node is back: 1d"),
    "spares": Option("cluster.spares", help="spare nodes inside the count"),
    "price": Option("cluster.price", "USD/s", "price of a device: '2.50 USD/h'"),
}
"""Options of every question, by the name in Python; on the command line with dashes."""

MOST_CHARACTERS = 8000
"""Length of an argument; what is longer belongs into a scenario file."""
_EMPTY = "{schema_version: 1, name: question, cluster: {}, workloads: [{training: {}}]}"
_COUNTED = re.compile(r"([0-9][0-9_,]*)\s*x\s*([a-z0-9][a-z0-9.-]*)", re.IGNORECASE)


def build_scenario(
    on: str, budget: str | None, options: Mapping[str, object], *, seed: int = 0, flags: bool = False
) -> Scenario:
    """Build the scenario that a question stands for.

    Args:
        on: COUNTxACCELERATOR, or a cluster of the catalogue.
        budget: FLOP or tokens, with unit; None where model and tokens say it.
        options: values of ``OPTIONS``; text with units, or plain SI numbers.
        seed: draws the luck of its simulated runs.
        flags: whether errors name command-line flags.

    Raises:
        SimError: a part of the question is wrong; the error names the option.

    """
    return read_scenario(build_document(on, budget, options, seed=seed, flags=flags))


def scenario_text(on: str, budget: str | None, options: Mapping[str, object], *, seed: int, comment: str) -> str:
    """Give that scenario as a file: what ``--emit`` writes."""
    data = build_document(on, budget, options, seed=seed).data
    assert isinstance(data, dict)
    training = data["workloads"][0]["training"]
    path = path_of(training.get("model"))
    if path is not None:  # a question's path begins where the user stands, a file's at the file
        training |= {"model": {"hf": str(Path(path).absolute())}}
    return dumps(data, comment)


def build_document(
    on: str, budget: str | None, options: Mapping[str, object], *, seed: int = 0, flags: bool = False
) -> Document:
    """Build the document of that scenario."""
    document = compose(Source("the question", _EMPTY, has_lines=False))
    for path, value in cluster_fields(on).items():
        document = _with(document, f"cluster.{path}", str(value), "the cluster of the question")
    if budget is not None:
        document = _with(document, f"{_TRAINING}.budget", budget, "the budget of the question")
    for name, value in options.items():
        if name not in OPTIONS:
            known = ", ".join(sorted(OPTIONS))
            raise UsageError("a question has no such option", value=name, mend=f"one of {known}")
        option = OPTIONS[name]
        flag = f"--{name.replace('_', '-')}" if flags else name
        document = _with(document, option.path, number_text(value, option.unit), flag)
    if seed:
        document = _with(document, "seed", str(seed), "--seed" if flags else "seed")
    return apply_override(document, f"name={_quoted(title(document))}")


def _with(document: Document, path: str, value: str, name: str) -> Document:
    """Set one value of the document; errors call it ``name``."""
    if not value.strip():
        raise UsageError("there is nothing in it", where=name, mend="give a value, or leave it out")
    if len(value) > MOST_CHARACTERS:
        rule = f"at most {MOST_CHARACTERS:,} characters may stand here"
        raise UsageError(rule, brief(value), name, "write a scenario file: sim run FILE")
    return apply_override(document, f"{path}={value}", name)


def cluster_fields(on: str) -> dict[str, object]:
    """Read '24576xh100-sxm' or the name of a real cluster as fields of a cluster.

    Raises:
        UsageError: it is neither.
        CatalogError: the accelerator or cluster is unknown.

    >>> cluster_fields("24,576 x h100-sxm")
    {'accelerator': 'h100-sxm', 'count': 24576}
    """
    counted = _COUNTED.fullmatch(on.strip())
    if counted:
        accelerator = counted[2].lower()
        catalog.path("accelerators", accelerator)
        return {"accelerator": accelerator, "count": int(counted[1].replace(",", "").replace("_", ""))}
    if on in catalog.names("accelerators"):
        raise UsageError(
            "how many of them?", value=on, where="the cluster of the question", mend=f"write it like 1024x{on}"
        )
    entry = catalog.load("clusters", on)
    fields: dict[str, object] = {"accelerator": entry.accelerator, "count": entry.count}
    named = {"node": entry.node, "fabric": entry.fabric}
    return fields | {name: value for name, value in named.items() if value is not None}


def is_cluster(text: str) -> bool:
    """Tell whether an argument of a question is a cluster rather than a budget."""
    return bool(_COUNTED.fullmatch(text.strip())) or text in catalog.names("clusters")


def title(document: Document) -> str:
    """Name the scenario of a question."""
    data = document.data
    assert isinstance(data, dict)
    cluster, training = data["cluster"], data["workloads"][0]["training"]
    amount = training.get("budget") or f"{training.get('tokens', 'a run')} tokens"
    return f"{amount} on {cluster['count']} x {cluster['accelerator']}"


def number_text(value: object, unit: str) -> str:
    """Write a value as it stands in a file: text as it is, numbers (also those of numpy) with their SI unit.

    >>> number_text(8.4, "s"), number_text("8.4 s", "s"), number_text(2, "")
    ('8.4 s', '8.4 s', '2')
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    plain = int(value) if isinstance(value, Integral) else float(value)
    return f"{plain!r} {unit}".strip()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", " ").replace('"', " ") + '"'
