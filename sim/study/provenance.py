"""Which version answered, and from what."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.spec.scenario import Scenario


def provenance(scenario: Scenario) -> dict[str, Any]:
    """Say which version answered, from which scenario and seed."""
    try:
        installed = version("flopclock")
    except PackageNotFoundError:
        installed = "not installed"
    canonical = json.dumps(scenario.model_dump(mode="json"), sort_keys=True)
    return {
        "version": installed,
        "seed": scenario.seed,
        "scenario_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
    }
