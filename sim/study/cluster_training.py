"""Training runs as jobs of a shared cluster: planned for each kind of device, as fast as the cost layer says there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.cluster.job import Pace
from sim.errors import InfeasibleError, ScenarioError, SimError
from sim.plan.routes import nested_of, traffic_of
from sim.plan.training_speed import TrainingSteps
from sim.study.cluster_jobs import Asked, Gathered, priority_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.engine.cluster.job import Devices
    from sim.plan.placement import Allocation
    from sim.plan.routes import Traffic
    from sim.spec.scenario import Scenario
    from sim.spec.workload import TrainingSpec
    from sim.study.cluster_pools import Machine


class TrainingSpeed:
    """The pace of a training run on the devices that it gets, each kind with a plan of its own."""

    def __init__(self, steps: Mapping[str, TrainingSteps], asked: int) -> None:
        """Measure against the devices that it asks for, of the first kind, whole nodes of them."""
        self._steps = dict(steps)
        self._first = next(iter(self._steps))
        self._reference = self._steps[self._first].on(asked)
        self._paces: dict[int, Pace] = {}

    def at(self, devices: Devices, kind: str, place: object = None) -> Pace:
        """Give the pace; 0 where the model does not fit so few devices, or runs on no such kind."""
        count, steps = int(devices), self._steps.get(kind or self._first)
        step = None if steps is None else steps.on(count, place)  # type: ignore[arg-type]  # places are allocations
        prepared = None if steps is None else steps.prepared(count)
        if step is None or prepared is None or self._reference is None:
            return Pace(0.0)
        if id(step) not in self._paces:
            run = prepared.run
            overhead = run.hardware_flop_per_step / run.model_flop_per_step - 1.0
            self._paces[id(step)] = Pace(step.steps_per_s / self._reference.steps_per_s, step.parts, overhead)
        return self._paces[id(step)]

    def exchange(self, devices: Devices, kind: str, place: Allocation) -> tuple[Sequence[Traffic], float]:
        """Give what a step exchanges where the run sits, and the seconds from step to step, checkpoints included."""
        count, steps = int(devices), self._steps[kind]
        step = steps.on(count, place)
        return ((), 1.0) if step is None else (steps.placed(count).at(place).traffic, 1.0 / step.steps_per_s)

    def nested(self, devices: Devices, kind: str) -> Sequence[tuple[int, float]]:
        """Give the spans of its groups of collectives, each with the seconds that a step waits for it."""
        prepared = self._steps[kind].prepared(int(devices))
        if prepared is None or prepared.layout is None:
            return ()
        return nested_of(traffic_of(prepared.layout, prepared.run.step_parts))


def training_job(scenario: Scenario, machine: Machine, training: TrainingSpec) -> Gathered:
    """Make a job of a training run; kinds of device that it cannot use are left out, and told.

    Raises:
        InfeasibleError: the model does not fit the devices that it asks for, of any kind or of one that it names.
        ScenarioError: it asks for more devices than there are, or for kinds that there are not.

    """
    where = f"training {training.name}"
    machine.refuse_unknown(training.kinds, where)
    if not machine.clusters:
        rule = "a list of nodes says nothing of its devices but their kind, and a training run needs more"
        raise ScenarioError(rule, ", ".join(machine.kinds), where, "clusters: {NAME: COUNTxACCELERATOR} and no list")
    kinds = training.kinds or tuple(machine.clusters)
    devices = _devices(machine, training, kinds, where)
    steps: dict[str, TrainingSteps] = {}
    notes: list[str] = []
    for kind in kinds:
        try:
            steps[kind] = _planned(machine, training, kind, devices, where)
        except SimError as error:
            if training.kinds or len(kinds) == 1:
                raise
            notes.append(f"{where} does not run on {kind}: {error.rule}" + (f" ({error.value})" if error.value else ""))
    if not steps:
        raise InfeasibleError(
            f"the training run {training.name} runs on none of the kinds of device",
            "; ".join(notes),
            where,
            "more devices, or another precision: sim plan shows what fits",
        )
    first = next(iter(steps))
    prepared, step = steps[first].prepared(devices), steps[first].on(devices)
    assert prepared is not None
    assert step is not None
    run = prepared.run
    run_s = run.steps / step.steps_per_s
    tenant = training.tenant or ""
    asked = Asked(
        arrival_s=training.at,
        devices=devices,
        run_s=run_s,
        estimate_s=run_s,
        workload=training.name,
        priority=priority_of(tenant, training.priority, None, scenario.tenants),
        tenant=tenant,
        name=training.name,
        checkpoint_s=run.interval_s,
        restart_s=machine.clusters[first].spec.restart,
        kinds=tuple(steps) if machine.needs_speeds else (),
        speed=TrainingSpeed(steps, devices),
        flop=run.steps * run.model_flop_per_step,
    )
    return Gathered([asked], notes=notes)


def _devices(machine: Machine, training: TrainingSpec, kinds: Sequence[str], where: str) -> int:
    """Give the devices that a run asks for: all of its one kind where it does not say."""
    if training.devices is not None:
        return training.devices
    if len(kinds) == 1:
        return machine.clusters[kinds[0]].spec.count
    rule = "a training run says how many devices it asks for, where there are several kinds"
    raise ScenarioError(rule, ", ".join(kinds), where, "devices: 64")


def _planned(machine: Machine, training: TrainingSpec, kind: str, devices: int, where: str) -> TrainingSteps:
    """Plan a run on a kind of device.

    Raises:
        SimError: it does not run there.

    """
    cluster = machine.clusters[kind]
    if devices > cluster.spec.count:
        given = f"{devices} of {cluster.spec.count}"
        raise ScenarioError("a training run asks for devices of its cluster", given, where)
    steps = TrainingSteps(cluster, training, machine.cluster_map)
    if steps.on(devices) is None:
        raise InfeasibleError(
            f"the training run {training.name} does not fit {devices} devices",
            where=where,
            mend="more devices: sim plan shows what fits",
        )
    return steps
