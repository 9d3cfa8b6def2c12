"""Serving request by request: recorded runs of an engine, played again on the engine of this project.

A folder holds HARDWARE/MODEL/ENGINE/{meta.json, requests.jsonl} for each run, and may hold layer profiles of the same
cards in profiles/HARDWARE/ORGANISATION/MODEL/FORMAT/tpN: the format of LLMServingSim. Each run is predicted from the
operator curves and published figures alone, and from its layer profile where there is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sim.cost.serving_curves import ServingLayout
from sim.engine.serving.request import Request
from sim.engine.serving.service import Service
from sim.engine.world import World
from sim.errors import ScenarioError, UsageError
from sim.plan import layer_profile as layers
from sim.plan.resolve import resolve_cluster
from sim.plan.serving import Changes, replica_plan
from sim.spec import catalog
from sim.spec.cluster import ClusterSpec
from sim.validate.serving_names import serving_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from sim.engine.serving.recording import RequestColumns
    from sim.plan.serving import ReplicaPlan

    Floats = npt.NDArray[np.float64]

Source = Literal["layer profile", "curves"]
METRICS = ("tpot_s", "e2e_s", "ttft_s")
PROFILE_OF = {"vllm": "vllm-v1"}
"""Engine profile by the name of the folder of a run."""


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """One metric of one run: means over requests, and how far single requests are apart."""

    run: str
    source: Source
    metric: str
    requests: int
    measured: float
    predicted: float
    request_median_ape: float
    request_p90_ape: float

    @property
    def ratio(self) -> float:
        """Predicted over measured mean."""
        return self.predicted / self.measured

    def to_dict(self) -> dict[str, object]:
        """Give the verdict as `sim validate --json` prints it."""
        return {
            "id": f"{self.run}/{self.metric}",
            "group": self.source,
            "metric": self.metric,
            "measured": self.measured,
            "predicted": self.predicted,
            "ratio": self.ratio,
            "status": "ok",
            "reason": "",
            "plan": "given",
            "requests": self.requests,
            "request_median_ape": self.request_median_ape,
            "request_p90_ape": self.request_p90_ape,
        }


@dataclass(frozen=True, slots=True)
class RunsReport:
    """All runs of a folder."""

    verdicts: tuple[RunVerdict, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the answer as `sim validate --json` prints it."""
        errors = {
            source: [abs(each.ratio - 1.0) for each in self.verdicts if each.source == source] for source in _SOURCES
        }
        summary = {
            "n": len(self.verdicts),
            "by_group": {
                source: {"n": len(found), "median_ape": float(np.median(found)), "max_ape": max(found)}
                for source, found in errors.items()
                if found
            },
        }
        return {
            "question": {"what": "serving runs"},
            "rows": [each.to_dict() for each in self.verdicts],
            "summary": summary,
        }


_SOURCES: tuple[Source, ...] = ("layer profile", "curves")


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A run as its files tell it."""

    name: str
    plans: tuple[tuple[Source, ReplicaPlan], ...]
    arrival_s: Floats
    prompts: tuple[int, ...]
    outputs: tuple[int, ...]
    first_s: Floats
    finish_s: Floats


def serving_runs(folder: Path) -> RunsReport:
    """Play every run of a folder again and put it beside what was measured.

    Raises:
        UsageError: there is no run in the folder.
        ScenarioError: a file of a run cannot be read.
        SimError: a run's model, chip or layout is not known.

    """
    files = sorted(folder.glob("*/*/*/requests.jsonl"))
    if not files:
        raise UsageError(
            "a folder of runs holds HARDWARE/MODEL/ENGINE/requests.jsonl", str(folder), "--runs", "check the path"
        )
    return RunsReport(tuple(verdict for file in files for verdict in _verdicts(_recorded(folder, file.parent))))


def play(plan: ReplicaPlan, arrivals_s: Floats, prompts: tuple[int, ...], outputs: tuple[int, ...]) -> RequestColumns:
    """Serve requests of given arrivals and lengths by one replica; rows in the order of the requests."""
    world = World(plan.devices, seed=0)
    service = Service(world, plan)
    done: list[Request] = []
    state = {"next": 0}

    def arrive() -> None:
        index = state["next"]
        state["next"] += 1
        service.submit(Request(index, 0.0, prompts[index], outputs[index]), done.append)
        follow()

    def follow() -> None:
        if state["next"] < len(prompts):
            world.after(max(float(arrivals_s[state["next"]]) - world.now_s, 0.0), arrive)

    follow()
    world.run_until(lambda: len(done) == len(prompts))
    requests = service.close().requests
    assert requests is not None
    return requests


def _verdicts(run: _Recorded) -> Iterator[RunVerdict]:
    gaps = np.array(run.outputs, dtype=float) - 1.0
    several = gaps > 0
    measured = {
        "ttft_s": run.first_s - run.arrival_s,
        "e2e_s": run.finish_s - run.arrival_s,
        "tpot_s": (run.finish_s - run.first_s)[several] / gaps[several],
    }
    for source, plan in run.plans:
        found = play(plan, run.arrival_s, run.prompts, run.outputs)
        order = np.argsort(found.id)
        arrival_s, first_s, finish_s = (each[order] for each in (found.arrival_s, found.first_token_s, found.finish_s))
        predicted = {
            "ttft_s": first_s - arrival_s,
            "e2e_s": finish_s - arrival_s,
            "tpot_s": (finish_s - first_s)[several] / gaps[several],
        }
        for metric in METRICS:
            error = np.abs(predicted[metric] / measured[metric] - 1.0)
            yield RunVerdict(
                run.name,
                source,
                metric,
                len(run.prompts),
                float(np.mean(measured[metric])),
                float(np.mean(predicted[metric])),
                float(np.median(error)),
                float(np.quantile(error, 0.9)),
            )


def _recorded(root: Path, folder: Path) -> _Recorded:
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        lines = (folder / "requests.jsonl").read_text(encoding="utf-8").splitlines()
        rows = sorted((json.loads(line) for line in lines if line), key=lambda row: float(row["queued_ts"]))
        start_s = float(rows[0]["queued_ts"])
        times = [
            (
                float(row["queued_ts"]) - start_s,
                float(row["first_token_ts"]) - start_s,
                float(row["last_token_ts"]) - start_s,
            )
            for row in rows
        ]
        lengths = [(int(row["input_toks"]), int(row["output_toks"])) for row in rows]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ScenarioError(
            "a run has meta.json, and in requests.jsonl for each request input_toks, output_toks, queued_ts, "
            "first_token_ts and last_token_ts",
            f"{type(error).__name__}: {error}",
            str(folder),
            "mend the file, or take the run away",
        ) from None
    arrival_s, first_s, finish_s = np.array(times).T
    return _Recorded(
        name="/".join(folder.parts[-3:-1]),
        plans=tuple(_plans(root, folder, meta)),
        arrival_s=arrival_s,
        prompts=tuple(prompt for prompt, _ in lengths),
        outputs=tuple(output for _, output in lengths),
        first_s=first_s,
        finish_s=finish_s,
    )


def _plans(root: Path, folder: Path, meta: Any) -> Iterator[tuple[Source, ReplicaPlan]]:  # noqa: ANN401 - JSON
    """Plan a run from what its engine was started with; the blocks of its cache are taken where they were recorded."""
    known, engine = serving_names(), PROFILE_OF.get(folder.name)
    try:
        given, blocks = meta["engine_kwargs"], meta.get("kv_cache", {})
        name, chip = known.model(str(given["model"])), known.chip(folder.parts[-3])
        tensor, data = int(given.get("tensor_parallel_size", 1)), int(given.get("data_parallel_size", 1))
        changes = Changes(
            kv_blocks=blocks.get("num_gpu_blocks"),
            block_size=blocks.get("block_size"),
            token_budget=int(given["max_num_batched_tokens"]) * data,
            max_sequences=int(given["max_num_seqs"]) * data,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ScenarioError(
            "meta.json has engine_kwargs with model, max_num_batched_tokens and max_num_seqs",
            f"{type(error).__name__}: {error}",
            str(folder / "meta.json"),
            "mend the file, or take the run away",
        ) from None
    if chip is None or name is None or engine is None:
        raise UsageError("a run names a known chip, model and engine", "/".join(folder.parts[-3:]), str(folder))
    model = catalog.load("models", name)
    layout = ServingLayout(tensor, 1, tensor * data if given.get("enable_expert_parallel") else 1, data)
    cluster = resolve_cluster(ClusterSpec(accelerator=chip.accelerator, count=layout.devices))
    for measured in sorted((root / "profiles" / folder.parts[-3]).glob(f"*/{folder.parts[-2]}/*/tp{tensor}")):
        from_layers = replace(changes, layers=layers.read(measured))
        yield "layer profile", replica_plan(model, cluster, engine, layout=layout, changes=from_layers)
    yield "curves", replica_plan(model, cluster, engine, layout=layout, changes=changes)
