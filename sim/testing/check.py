"""`check_policy`: many small scenarios, and the smallest one that breaks a promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sim.engine.cluster.policy import CLAIMS
from sim.engine.cluster.scheduler import Scheduler
from sim.errors import UsageError
from sim.testing.invariants import ALWAYS, Violation, judge
from sim.testing.strategies import scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sim.engine.cluster.policy import Policy
    from sim.testing.case import Case


@dataclass(frozen=True, slots=True)
class Checked:
    """A policy that kept its promises."""

    policy: str
    examples: int
    """Scenarios that were played."""
    promises: tuple[str, ...]
    """What was held: what every policy owes, then what it claims."""


class PolicyFailure(AssertionError):  # noqa: N818 - read in a test's output, beside the name of the policy
    """A policy broke a promise; ``case`` is the smallest scenario that was found, ``text`` the same as a file."""

    def __init__(self, policy: str, violations: list[Violation], case: Case, text: str) -> None:
        """Keep the parts; the message has them all."""
        head = f"the policy {policy} breaks a promise\n" + "\n".join(f"  {each}" for each in violations)
        super().__init__(f"{head}\n\n{text}")
        self.violations, self.case, self.text = violations, case, text


class _FoundError(Exception):
    """Tells hypothesis that this scenario breaks a promise."""


def check_policy(
    policy: Callable[[], Policy],
    *,
    claims: Iterable[str] | None = None,
    examples: int = 200,
    scheduler: type[Scheduler] = Scheduler,
    random_seed: bool = False,
) -> Checked:
    """Hold a policy to what every policy owes and to what it claims, on many small scenarios.

    Two of three scenarios are calm (rigid jobs, nothing but the policy decides), the others have failures, quotas,
    reservations, places, elastic jobs, and work of unknown length that its owner gives up. Every play is done twice and
    must come out the same, and once more where equal nodes change places.

    Args:
        policy: the class, or whatever makes a fresh policy.
        claims: keys of `CLAIMS`, where not those that the policy declares.
        examples: how many scenarios to try.
        scheduler: the engine, where it is the engine that is on trial.
        random_seed: other scenarios each time; the same ones where it is false.

    Raises:
        PolicyFailure: a promise is broken; shows the smallest scenario found.
        UsageError: there is no such claim.
    """
    chosen = frozenset(policy().claims if claims is None else claims)
    unknown = sorted(chosen - set(CLAIMS))
    if unknown:
        raise UsageError("there is no such claim", unknown[0], "claims", f"one of {', '.join(CLAIMS)}")
    played = 0
    last: tuple[Case, list[Violation]] | None = None

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=not random_seed,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2).flatmap(lambda draw: scenarios(calm=draw > 0)))
    def hold(case: Case) -> None:
        nonlocal played, last
        played += 1
        violations = judge(case, policy, chosen, scheduler)
        if violations:
            last = (case, violations)
            raise _FoundError

    name = _name(policy)
    try:
        hold()
    except _FoundError:
        assert last is not None
        case, violations = last
        comment = f"sim.testing found this: {violations[0]}\nsim run FILE --allow-code"
        raise PolicyFailure(name, violations, case, case.to_yaml(_target(policy), comment)) from None
    return Checked(name, played, (*ALWAYS, *sorted(chosen)))


def _name(policy: Callable[[], Policy]) -> str:
    return policy().name or getattr(policy, "__name__", "policy")


def _target(policy: Callable[[], Policy]) -> str:
    cls = policy if isinstance(policy, type) else type(policy())
    return f"{cls.__module__}:{cls.__name__}"
