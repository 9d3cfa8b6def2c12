"""Where every device-second, operation, token and joule of a world went; nothing is lost and nothing counted twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

TOLERANCE = 1e-9
"""Relative rounding that the conservation laws allow."""

SMALLEST = 1e-300
"""Below this amount a float has no digits left to be conserved."""

FREE = "free"


class ConservationError(AssertionError):
    """The simulator contradicts itself: a bug of ours, which no input may cause."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """A closed ledger."""

    end_s: float
    device_seconds: dict[str, float]
    """By account; they sum to capacity x ``end_s``."""
    amounts: dict[str, dict[str, float]]
    """By quantity ("flop", "tokens", "joules"), then by purpose."""


class Ledger:
    """Holds each device in exactly one account at any time, and sums the time that it spends there.

    Devices are whole numbers, or exact fractions where some are given in shares, so none gets lost. What a device
    really did while it ran is known only later (an interruption decides whether work was useful or lost): it runs in a
    provisional account, which `settle` divides.
    """

    def __init__(self, capacity: int) -> None:
        """Open at time 0 with all devices free."""
        self.capacity = capacity
        self._devices: dict[str, int | Fraction] = {FREE: capacity}
        self._since_s: dict[str, float] = {FREE: 0.0}
        self._device_seconds: dict[str, float] = {FREE: 0.0}
        self._provisional: dict[str, None] = {}
        self._amounts: dict[str, dict[str, float]] = {}
        self._supplied: dict[str, float] = {}
        self._due: dict[tuple[str, str], float] = {}

    def move(self, now_s: float, source: str, target: str, devices: int | Fraction) -> None:
        """Take devices from one account to another.

        Raises:
            ConservationError: the source does not hold so many.
        """
        held = self._devices.get(source, 0)
        if not 0 <= devices <= held:
            raise ConservationError(f"account {source!r} holds {held} devices, {devices} cannot move to {target!r}")
        self._accrue(source, now_s)
        self._accrue(target, now_s)
        self._devices[source] = held - devices
        self._devices[target] += devices

    def settle(self, now_s: float, provisional: str, parts: Mapping[str, float]) -> None:
        """Say what the devices of a provisional account did: device-seconds by account."""
        self._accrue(provisional, now_s)
        self._provisional[provisional] = None
        device_seconds = self._device_seconds
        for account, amount in parts.items():
            device_seconds[account] = device_seconds.get(account, 0.0) + amount
            device_seconds[provisional] -= amount

    def supply(self, quantity: str, amount: float) -> None:
        """Count what the machine produced or drew, as the clock sees it."""
        self._supplied[quantity] = self._supplied.get(quantity, 0.0) + amount

    def post(self, quantity: str, purpose: str, amount: float) -> None:
        """Count what it was for, as the work sees it."""
        purposes = self._amounts.setdefault(quantity, {})
        purposes[purpose] = purposes.get(purpose, 0.0) + amount

    def expect(self, quantity: str, purpose: str, amount: float) -> None:
        """Say what the work must have got when the ledger closes."""
        self._due[quantity, purpose] = amount

    def device_seconds(self, now_s: float) -> dict[str, float]:
        """Give device-seconds by account until now, provisional ones included."""
        for account in tuple(self._devices):
            self._accrue(account, now_s)
        return dict(self._device_seconds)

    def close(self, now_s: float) -> Accounts:
        """Assert the conservation laws and give the accounts that are not empty.

        Raises:
            ConservationError: an account is negative or unsettled, or a sum does not hold.
        """
        totals = self.device_seconds(now_s)
        available = self.capacity * now_s
        rounding = TOLERANCE * available + SMALLEST
        for account, amount in totals.items():
            if account in self._provisional and abs(amount) > rounding:
                raise ConservationError(f"account {account!r}: {amount!r} device-seconds were never settled")
            if amount < -rounding:
                raise ConservationError(f"account {account!r} is negative: {amount!r} device-seconds")
        _agree("device-seconds", sum(totals.values()), available, f"sum of accounts {totals}", "capacity x time")
        for quantity, purposes in self._amounts.items():
            supplied = self._supplied.get(quantity, 0.0)
            _agree(quantity, sum(purposes.values()), supplied, f"sum by purpose {purposes}", "what the clock saw")
        for (quantity, purpose), due in self._due.items():
            posted = self._amounts.get(quantity, {}).get(purpose, 0.0)
            _agree(quantity, posted, due, f"account {purpose!r}", "what the work needs")
        kept = {name: max(total, 0.0) for name, total in totals.items() if name not in self._provisional and total}
        return Accounts(now_s, kept, self._amounts)

    def _accrue(self, account: str, now_s: float) -> None:
        devices = self._devices.setdefault(account, 0)
        if devices:
            self._device_seconds[account] += devices * (now_s - self._since_s[account])
        else:
            self._device_seconds.setdefault(account, 0.0)
        self._since_s[account] = now_s


def _agree(quantity: str, found: float, due: float, what: str, against: str) -> None:
    if not abs(found - due) <= TOLERANCE * max(abs(found), abs(due)) + SMALLEST:
        raise ConservationError(f"{quantity} not conserved: {what} is {found!r}, {against} is {due!r}")
