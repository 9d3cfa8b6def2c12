"""Sentences and numbers as people read them."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.results import words
from sim.results.build import width_in_words
from sim.results.spread import Interval, Spread
from tests.helpers.answers import asked


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 seconds"),
        (1e-7, "1e-7 seconds"),
        (0.5, "0.5 seconds"),
        (119.0, "119 seconds"),
        (120.0, "2 minutes"),
        (7199.0, "120 minutes"),
        (7200.0, "2 hours"),
        (2 * 86400.0, "2 days"),
        (729.9 * 86400.0, "730 days"),
        (2 * 365.25 * 86400.0, "2 years"),
        (1e300, "3.17e292 years"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@given(st.floats(1e-12, 1e30))
def test_amount_keeps_three_digits(value: float) -> None:
    assert float(words.amount(value).replace(",", "")) == pytest.approx(value, rel=0.0051)
    assert len(words.amount(value)) <= 8


def test_amount_has_no_digits_after_the_third_of_large_numbers() -> None:
    assert [words.amount(value) for value in (999.4, 9999.0, 999_999.0, 1e6, 1e-3, 9.99e-4)] == [
        "999",
        "9,999",
        "999,999",
        "1e6",
        "0.001",
        "9.99e-4",
    ]


@pytest.mark.parametrize(
    ("luck", "model", "said"),
    [
        (0.25, 0.75, "The interval (variance): 75 % error of the step model, 25 % luck of the run."),
        (1.0, 0.0, "The interval (variance): 0 % error of the step model, 100 % luck of the run."),
        (0.0, 0.0, "No interval: nothing interrupts this run, and its step was given."),
    ],
)
def test_width_in_words(luck: float, model: float, said: str) -> None:
    assert width_in_words(Interval(Spread(1.0, 1.0, 1.0, 1.0), luck, model)) == said


def test_a_day_beyond_the_calendar_is_a_duration() -> None:
    assert words.until(dt.date(9999, 12, 31), 86400.0 * 400) == "400 days later"
    assert words.until(dt.date(2026, 1, 1), 3e16) == "9.51e8 years later"


def test_dates_follow_the_spread() -> None:
    day = 86400.0
    found = words.dates(dt.date(2026, 12, 1), Spread(30.5 * day, 20.0 * day, 30.0 * day, 31.0 * day))
    assert found == {
        "start": "2026-12-01",
        "expected": "2026-12-31",
        "p10": "2026-12-21",
        "p50": "2026-12-31",
        "p90": "2027-01-01",
    }


def test_each_sentence_says_what_was_asked() -> None:
    long = asked("howlong", "1e22 FLOP", "256xh100-sxm").sentence
    assert long.startswith("1e22 FLOP of training on 256 x NVIDIA H100 SXM5 80 GB takes about ")
    assert "(80 % interval " in long
    many = asked("howmany", "1e22 FLOP", "10 d", "h100-sxm").sentence
    assert many.startswith("1e22 FLOP of training within 10 days needs ")
    assert "nodes of 8)" in many
    much = asked("howmuch", "10 d", "256xh100-sxm").sentence
    assert much.startswith("10 days of 256 x NVIDIA H100 SXM5 80 GB trains about ")
    assert "parameters on" in much


def test_a_named_model_is_named() -> None:
    said = asked("howlong", "1e12 tokens", "256xh100-sxm", model="llama-3.1-8b").sentence
    assert "FLOP (llama-3.1-8b, 1e12 tokens) on 256 x" in said


def test_without_an_interval_none_is_said() -> None:
    answer = asked("howlong", "1e22 FLOP", "256xh100-sxm", mfu=0.4, failure_rate="0/h")
    assert "interval" not in answer.sentence
    assert answer.width.startswith("No interval")
