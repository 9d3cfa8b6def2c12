from __future__ import annotations

import pytest

from sim.engine.ledger import ConservationError, Ledger


def test_every_device_second_has_one_account() -> None:
    ledger = Ledger(10)
    ledger.move(0.0, "free", "running", 6)
    ledger.move(5.0, "running", "down", 2)
    ledger.move(8.0, "down", "free", 2)
    ledger.settle(10.0, "running", {"useful compute": 45.0, "lost work": 5.0})
    accounts = ledger.close(10.0)
    assert accounts.device_seconds == {"free": 44.0, "down": 6.0, "useful compute": 45.0, "lost work": 5.0}
    assert accounts.end_s == 10.0


def test_accounts_that_stay_empty_are_left_out() -> None:
    ledger = Ledger(4)
    ledger.move(0.0, "free", "allocated idle", 4)
    assert ledger.close(3.0).device_seconds == {"allocated idle": 12.0}


@pytest.mark.parametrize("devices", [5, -1])
def test_no_account_gives_devices_that_it_does_not_hold(devices: int) -> None:
    ledger = Ledger(4)
    with pytest.raises(ConservationError, match=f"account 'free' holds 4 devices, {devices} cannot move to 'down'"):
        ledger.move(1.0, "free", "down", devices)


def test_unsettled_time_names_its_account() -> None:
    ledger = Ledger(4)
    ledger.move(0.0, "free", "running", 4)
    ledger.settle(10.0, "running", {"useful compute": 39.9})
    with pytest.raises(ConservationError, match=r"account 'running': .* never settled"):
        ledger.close(10.0)


def test_a_negative_account_is_named() -> None:
    ledger = Ledger(4)
    ledger.move(0.0, "free", "running", 4)
    ledger.settle(10.0, "running", {"useful compute": 41.0, "checkpoint": -1.0})
    with pytest.raises(ConservationError, match="account 'checkpoint' is negative"):
        ledger.close(10.0)


def test_time_that_nobody_accounts_for_is_found() -> None:
    ledger = Ledger(4)
    ledger.capacity = 5
    with pytest.raises(ConservationError, match="device-seconds not conserved"):
        ledger.close(10.0)


def test_purposes_must_sum_to_what_the_clock_saw() -> None:
    ledger = Ledger(1)
    ledger.supply("flop", 100.0)
    ledger.post("flop", "model", 60.0)
    ledger.post("flop", "model", 10.0)
    ledger.post("flop", "lost and redone", 30.0 * (1 + 1e-10))
    assert ledger.close(1.0).amounts == {"flop": {"model": 70.0, "lost and redone": 30.0 * (1 + 1e-10)}}
    ledger.post("flop", "model", 1e-6)
    with pytest.raises(ConservationError, match="flop not conserved"):
        ledger.close(1.0)


def test_the_work_must_get_what_it_needs() -> None:
    ledger = Ledger(1)
    ledger.supply("tokens", 100.0)
    ledger.post("tokens", "lost", 100.0)
    ledger.expect("tokens", "trained", 100.0)
    with pytest.raises(ConservationError, match=r"account 'trained' is 0.0, what the work needs is 100.0"):
        ledger.close(1.0)


def test_amounts_too_small_for_digits_are_no_contradiction() -> None:
    ledger = Ledger(1)
    ledger.supply("flop", 5e-324)
    ledger.post("flop", "model", 1e-323)
    assert ledger.close(1.0).amounts == {"flop": {"model": 1e-323}}


def test_nan_is_never_conserved() -> None:
    ledger = Ledger(1)
    ledger.supply("flop", float("nan"))
    ledger.post("flop", "model", 1.0)
    with pytest.raises(ConservationError):
        ledger.close(1.0)
