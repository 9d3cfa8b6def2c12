"""What is written as YAML reads back as the same data."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.spec.emit import dumps
from sim.spec.yaml import loads

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co", "Cn", "Zl", "Zp")), max_size=20)
scalars = (
    texts
    | st.booleans()
    | st.none()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["1e26", "no", "on", "0x10", "0o7", "12:30:00", "~", "null", "1_000", ".5", "2026-12-01", "=", "<<"]
    )
)
keys = texts.filter(lambda text: text not in ("", "<<"))  # the reader refuses both as keys
documents = st.dictionaries(
    keys,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
    ),
    min_size=1,
    max_size=4,
)


@given(documents)
def test_data_comes_back(data: dict[str, Any]) -> None:
    assert loads(dumps(data, "a comment")).data == data


@pytest.mark.parametrize("text", ["1e26", "24576", "no", "on", "12:30:00", "1e3-x", "0x10", "", " x ", "# x", "a: b"])
def test_text_stays_text(text: str) -> None:
    assert loads(dumps({"name": text}, "")).data == {"name": text}


@pytest.mark.parametrize("number", [1e26, 1.2345678901234567e25, 1e-300, 0.1, 24576, 1e22])
def test_numbers_keep_every_digit(number: float) -> None:
    assert loads(dumps({"value": number}, "")).data == {"value": number}


def test_every_line_of_the_comment_is_one() -> None:
    text = dumps({"name": "x"}, "first\nsecond: {not yaml\r\nthird")
    assert text.splitlines() == ["# first", "# second: {not yaml", "# third", "{name: x}"]
    assert loads(text).data == {"name": "x"}


def test_keys_keep_their_order() -> None:
    assert dumps({"b": 1, "a": {"d": 1, "c": 2}}, "").splitlines()[-2:] == ["b: 1", "a: {d: 1, c: 2}"]
