"""Tables that are never cut: the same characters as rich draws where there is room."""

import contextlib
import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cli import output
from sim.cli.columns import Columns

CELLS = st.lists(st.tuples(st.text("ab µ日█", max_size=6), st.text("0123.,%", max_size=8)), max_size=5)


@given(CELLS)
def test_the_table_is_that_of_rich(rows: list[tuple[str, str]]) -> None:
    own, other = Columns(), output.table()
    for heading, justify in (("name", "left"), ("value", "right"), ("share", "right")):
        own.add_column(heading, justify)  # type: ignore[arg-type] # one of both
        other.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type] # as above
    for row in rows:
        own.add_row(*row)
        other.add_row(*row)
    assert drawn(own.draw) == drawn(lambda: output.draw(other))


def drawn(draw: Callable[[], None]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        draw()
    return text.getvalue()


def test_cells_of_several_lines_and_widths_that_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    table = Columns()
    table.add_column("a", min_width=3)
    table.add_column("b", "right")
    assert table.empty
    table.add_row("one\ntwo", "1")
    table.add_row("x")
    table.draw()
    assert capsys.readouterr().out.splitlines() == ["a    b", "──────", "one  1", "two", "x"]
    assert table.width == 6
    assert not table.empty
