"""`sim ask`: what it prints, and that its answer is the answer of the command it names."""

import json
import shlex
from pathlib import Path

import pytest

from tests.helpers.command import call

# All humans on Earth are an ideal machine: no layouts to search, nothing to simulate, so the answer is quick.
QUICK = "how long would 5e25 FLOP take humanity"


def answer_below(printed: str) -> tuple[str, str]:
    """The command that `sim ask` names, and what it prints below it."""
    above, _, below = printed.partition("\n\n")
    command = above.splitlines()[-1]
    assert command.startswith("Command       sim ")
    return command.removeprefix("Command       "), below


@pytest.mark.parametrize(
    "question",
    [
        QUICK,
        "how much can humanity train in a million years",
        "compare 5e25 FLOP on humanity and on 8 billion humans",
        "1e22 on 64 H100 SXM at 40% MFU with no failures",
        "1e22 on 64 H100 SXM at 40% MFU starting 2026-12-01",
    ],
)
def test_answer_is_that_of_the_command_it_names(question: str) -> None:
    asked = call("ask", question)
    assert asked.exit_code == 0, asked.stderr
    command, below = answer_below(asked.stdout)
    answered = call(*shlex.split(command)[1:])
    assert answered.exit_code == 0
    assert below == answered.stdout
    assert asked.stderr == answered.stderr


def test_prints_how_it_understood() -> None:
    printed = call("ask", "how long would 1e22 FLOP take on 64 H100s at 40% MFU?").stdout
    first, second, *_ = printed.splitlines()
    assert first.split(maxsplit=3) == ["Understood", "how", "long", "howlong: the time is asked for"]
    assert second.split(maxsplit=2) == ["1e22", "FLOP", "1e22 FLOP of training"]
    assert first.index("howlong:") == second.index("1e22 FLOP of")
    assert "64 x h100-sxm: NVIDIA H100 SXM5 80 GB; not h100-nvl or h100-pcie" in " ".join(printed.split())
    assert "\nCommand       sim howlong 1e22 64xh100-sxm --mfu 0.4\n\n" in printed


def test_words_need_no_quotes() -> None:
    assert call("ask", *QUICK.split()) == call("ask", QUICK)


def test_json_is_the_answer_with_the_question_in_words() -> None:
    asked = json.loads(call("ask", QUICK, "--json").stdout)
    words = asked["question"].pop("words")
    assert words["text"] == QUICK
    assert words["command"] == "sim howlong 5e25 humanity"
    assert words["understood"][0] == {"phrase": "how long", "meaning": "howlong: the time is asked for"}
    assert asked == json.loads(call("howlong", "5e25", "humanity", "--json").stdout)


def test_json_of_several_machines_has_the_words_once() -> None:
    asked = json.loads(call("ask", "5e25 FLOP on humanity and on 8 billion humans", "--json").stdout)
    assert len(asked["answers"]) == 2
    assert asked["question"]["words"]["command"] == "sim howlong 5e25 humanity 8000000000xhuman"


def test_csv_is_not_mixed_with_words() -> None:
    asked = call("ask", QUICK, "--csv")
    assert asked.stdout == call("howlong", "5e25", "humanity", "--csv").stdout
    assert "Command       sim howlong 5e25 humanity\n" in asked.stderr


def test_seeds_on_the_command_line_win() -> None:
    question = "1e22 on 64 H100 SXM at 40% MFU with 3 seeds"
    command, below = answer_below(call("ask", question, "--seeds", "5").stdout)
    assert command == "sim howlong 1e22 64xh100-sxm --mfu 0.4 --seeds 5"
    assert below == call(*shlex.split(command)[1:]).stdout


def test_emit_writes_the_scenario(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ask.yaml", tmp_path / "howlong.yaml"
    assert call("ask", QUICK, "--emit", str(ours)).exit_code == 0
    assert call("howlong", "5e25", "humanity", "--emit", str(theirs)).exit_code == 0
    assert ours.read_text(encoding="utf-8") == theirs.read_text(encoding="utf-8")
    assert call("ask", QUICK, "--emit", str(ours)).exit_code == 2
    assert call("ask", QUICK, "--emit", str(ours), "--force").exit_code == 0


def test_what_cannot_be_read_is_an_error_on_stderr() -> None:
    asked = call("ask", "how many zorgs to do 3e25 FLOP in 100 days")
    assert (asked.exit_code, asked.stdout) == (2, "")
    assert '"zorgs" is not understood' in asked.stderr
    assert 'understood: "100 days" as a time of 100 days' in asked.stderr
    assert 'mend:  ask like this: sim ask "how many B200s to do 3e25 FLOP in 100 days"' in asked.stderr


def test_what_cannot_be_read_is_an_error_in_json() -> None:
    asked = call("ask", "how many zorgs to do 3e25 FLOP in 100 days", "--json")
    assert asked.exit_code == 2
    assert json.loads(asked.stdout)["error"] == "UsageError"


def test_what_has_no_answer_ends_as_the_command_does() -> None:
    asked = call("ask", "fine-tune llama-3.1-70b on 1e9 tokens with 8 RTX 4090")
    answered = call("howlong", "1e9tokens", "8xrtx-4090", "--model", "llama-3.1-70b")
    assert asked.exit_code == answered.exit_code == 4
    assert asked.stderr == answered.stderr
    as_json = call("ask", "fine-tune llama-3.1-70b on 1e9 tokens with 8 RTX 4090", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["error"]) == (4, "InfeasibleError")


def test_hostile_text_does_not_drive_the_terminal() -> None:
    asked = call("ask", "how long would 1e26 FLOP take on 8 \x1b[2JH100s")
    assert "\x1b" not in asked.stdout + asked.stderr
