"""From a file, or a document put together elsewhere, to a valid scenario."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from sim.spec.reserved import refuse_not_yet
from sim.spec.training_scenario import TrainingScenario, is_one_training
from sim.spec.yaml import Document, apply_override, load, validate

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from sim.spec.scenario import Scenario


def load_scenario(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Scenario:
    """Read and validate a scenario file, always as a whole `Scenario`.

    Args:
        path: the YAML file.
        overrides: changes as ``path=value``, such as ``cluster.count=4096``.

    Raises:
        ScenarioError: the file or a change is wrong; every problem is listed with its place.
        NotYetError: the file uses parts of the language that are not built yet.

    """
    document = load_document(path, overrides)
    refuse_not_yet(document.data)
    return _whole(document)


def load_document(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Document:
    """Read a scenario file with its changes, and leave it to be validated.

    Raises:
        ScenarioError: the file is no YAML, or a change fits nothing in it.

    """
    document = load(path)
    for assignment in overrides:
        document = apply_override(document, assignment)
    return document


def read_scenario(document: Document) -> Scenario:
    """Validate a document as a scenario.

    Raises:
        NotYetError: it uses parts of the scenario language that are not built yet.
        ScenarioError: it is wrong; the error lists every problem with its place.

    """
    refuse_not_yet(document.data)
    return check_document(document)


def check_document(document: Document) -> Scenario:
    """Validate a document as a scenario, reserved keys included.

    One training run alone is read as a `TrainingScenario`, which stands for a `Scenario` wherever one is played.

    Raises:
        ScenarioError: it is wrong; the error lists every problem with its place.

    """
    if is_one_training(document.data):
        return cast("Scenario", validate(TrainingScenario, document))
    return _whole(document)


def _whole(document: Document) -> Scenario:
    scenario: Scenario = validate(importlib.import_module("sim.spec.scenario").Scenario, document)
    if scenario.graphs or any(workload.tasks is not None for workload in scenario.workloads):
        # Few scenarios have graphs, and all would wait for the library that checks them.
        importlib.import_module("sim.spec.graph_check").check_graphs(scenario, document)
    return scenario
