"""Questions as people type them, each with the command that it stands for; and those that are refused, with why."""

import shlex
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import units
from sim.errors import SimError, UsageError
from sim.spec import catalog
from sim.study.numerals import atoms, normalise, numeral, plain
from sim.study.question_scenario import OPTIONS, build_scenario, is_cluster
from sim.study.understand import EXAMPLES, Understood, understand
from sim.study.vocabulary import phrases
from tests.helpers.command import python

# The guarantee is 0.1 s on a core of its own; other tests share the core, so the process's own time is measured.
CPU_LIMIT_S = 0.1

PHRASINGS = {
    # The examples of the project's goals.
    "how long would 10^26 FLOP take on 25,000 H100s": "howlong 1e26 25000xh100-sxm",
    "how many B200s to do 3e25 FLOP in 100 days": "howmany 3e25 100d b200-sxm",
    "how much can 16k H100s train in 54 days": "howmuch 54d 16000xh100-sxm",
    "fine-tune llama-3.1-70b on 1e9 tokens with 8 H100s": "howlong 1e9tokens 8xh100-sxm --model llama-3.1-70b",
    "compare 1e26 on 24,576 H100s and 8,192 GB200s": "howlong 1e26 24576xh100-sxm 8192xgb200",
    # How numbers are written.
    "1e26 on 1000 H100s": "howlong 1e26 1000xh100-sxm",
    "10**26 FLOP on 1_000 H100s": "howlong 1e26 1000xh100-sxm",
    "10²⁶ FLOP on 1\u2019000 H100s": "howlong 1e26 1000xh100-sxm",
    "How long for 1 x 10^26 FLOPs on 1k H100s?": "howlong 1e26 1000xh100-sxm",
    "2 times 10^25 FLOP on 8 H100s in 16-bit": "howlong 2e25 8xh100-sxm --precision bf16",
    "how long would 2.5 × 10²⁵ operations take on 8xH100": "howlong 2.5e25 8xh100-sxm",
    "how long would 10 to the power of 26 FLOP take on twenty-five thousand H100 GPUs": "howlong 1e26 25000xh100-sxm",
    "a hundred septillion FLOP on 100 thousand H100s": "howlong 1e26 100000xh100-sxm",
    "how long will 100 yottaFLOP take on one million H100s": "howlong 1e26 1000000xh100-sxm",
    "3640 petaflop/s-days on 1024 V100s": "howlong 3.14496e23 1024xv100-sxm2-32gb",
    "how many A100s to train a 7B model on 100 trillion tokens in half a year": (
        "howmany 1e14tokens 0.5years a100-80gb-sxm --params 7e9"
    ),
    # Chips.
    "1e24 on 512 H100 SXM": "howlong 1e24 512xh100-sxm",
    "1e24 on 512 H100 PCIe cards": "howlong 1e24 512xh100-pcie",
    "1e24 on 512 A100 80GB": "howlong 1e24 512xa100-80gb-sxm",
    "1e24 on 512 NVIDIA A100 40GB GPUs": "howlong 1e24 512xa100-40gb-sxm",
    "how many TPU v5p chips do I need for 2e25 flop in three months?": "howmany 2e25 3months tpu-v5p",
    "how many MI300X to train Llama 3.1 405B on 15T tokens in 90 days": (
        "howmany 1.5e13tokens 90d mi300x --model llama-3.1-405b"
    ),
    "how long will 1e27 take on 100,000 GB200 NVL72": "howlong 1e27 100000xgb200",
    "how much compute can 8x 4090s do in 2 weeks?": "howmuch 2weeks 8xrtx-4090",
    "what can a single RTX 4090 train in a week": "howmuch 1week 1xrtx-4090",
    "1e22 FLOP on my 4090": "howlong 1e22 1xrtx-4090",
    "H100 x 1024, 1e24 FLOP": "howlong 1e24 1024xh100-sxm",
    "25,000 GPUs of type H100 for 1e26 FLOP": "howlong 1e26 25000xh100-sxm",
    "how many accelerators of type Trainium2 for 1e25 in 12 weeks": "howmany 1e25 12weeks trainium2",
    # Nodes and racks.
    "how long would 1e24 take on a DGX H100": "howlong 1e24 8xh100-sxm",
    "1e25 FLOP on 64 HGX H100 nodes": "howlong 1e25 512xh100-sxm",
    "1e25 FLOP on 1024 HGX H100 GPUs": "howlong 1e25 1024xh100-sxm",
    "1e25 FLOP on 128 nodes of 8 A100s": "howlong 1e25 1024xa100-80gb-sxm",
    "how long would 1e25 take on 10 GB200 NVL72 racks at 40% MFU": "howlong 1e25 720xgb200 --mfu 0.4",
    # Named machines.
    "how long would 1e26 FLOP take on Colossus": "howlong 1e26 xai-colossus-1",
    "how long would the Llama 3 cluster need for 3.8e25 flops?": "howlong 3.8e25 meta-16k-llama3",
    "how long would 1e26 FLOP take on Frontier": "howlong 1e26 frontier",
    "a frontier model of 1e26 FLOP on 50k H100": "howlong 1e26 50000xh100-sxm",
    "how long would 5e25 take humanity": "howlong 5e25 humanity",
    "how much training can all humans on Earth do in a century": "howmuch 100years humanity",
    # Models.
    "How long does it take to train GPT-3 on 300B tokens using 1024 A100 80GB?": (
        "howlong 3e11tokens 1024xa100-80gb-sxm --model gpt3-175b"
    ),
    "train llama 70b on 100 billion tokens on 64 DGX H100 nodes": (
        "howlong 1e11tokens 512xh100-sxm --model llama-3.1-70b"
    ),
    "how long does DeepSeek V3 on 14.8 trillion tokens take with 2,048 H800 GPUs in fp8": (
        "howlong 1.48e13tokens 2048xh800-sxm --model deepseek-v3 --precision fp8"
    ),
    "train a 405B parameter model on 15.6T tokens with 16,384 H100s": (
        "howlong 1.56e13tokens 16384xh100-sxm --params 4.05e11"
    ),
    "how many months to train a trillion-parameter model on 20 trillion tokens with 100k B200s": (
        "howlong 2e13tokens 100000xb200-sxm --params 1e12"
    ),
    "how long does it take to train a 70B on 2T training tokens on 512 H100": (
        "howlong 2e12tokens 512xh100-sxm --params 7e10"
    ),
    "We have 16 H100 nodes; how long to finetune Mixtral 8x7B on 5B tokens?": (
        "howlong 5e9tokens 128xh100-sxm --model mixtral-8x7b"
    ),
    "pretrain qwen2.5-72b on 18T tokens with 4096 H800": "howlong 1.8e13tokens 4096xh800-sxm --model qwen2.5-72b",
    # Precisions and other options.
    "how long would 1e26 FLOP take on 25,000 H100s in fp8": "howlong 1e26 25000xh100-sxm --precision fp8",
    "1e26 on 25,000 H100s with bfloat16": "howlong 1e26 25000xh100-sxm --precision bf16",
    "1e26 FLOP on 25000 H100s, starting 2026-12-01": "howlong 1e26 25000xh100-sxm --start 2026-12-01",
    "1e26 FLOP on 25000 H100s starting on December 1, 2026": "howlong 1e26 25000xh100-sxm --start 2026-12-01",
    "1e26 FLOP on 25000 H100s and no failures": "howlong 1e26 25000xh100-sxm --no-failures",
    "what would it cost to do 1e24 FLOP on 512 H100s at $2.50 per GPU-hour": (
        "howlong 1e24 512xh100-sxm --price '2.5 USD/h'"
    ),
    "1e25 on 4k H100, 8.4 s per step": "howlong 1e25 4000xh100-sxm --step-time 8.4s",
    "1e25 on 1024 H100s with a batch size of 4M tokens and 8k context": (
        "howlong 1e25 1024xh100-sxm --batch 4e6 --sequence 8192"
    ),
    "chinchilla-optimal 1e25 FLOP on 8k MI300X": "howlong 1e25 8000xmi300x --law chinchilla",
    "1e25 FLOP on 1000 H100s over InfiniBand NDR with 4 spare nodes and 64 seeds": (
        "howlong 1e25 1000xh100-sxm --fabric infiniband-ndr400 --spares 4 --seeds 64"
    ),
    "1e25 FLOP on 1000 H100s, a checkpoint every 30 minutes": "howlong 1e25 1000xh100-sxm --checkpoint 30min",
    # Which question it is.
    "how many days would 1e25 FLOP take on 4096 TPU v5p": "howlong 1e25 4096xtpu-v5p",
    "how fast can 256 H100s train a 7B model on 2T tokens": "howlong 2e12tokens 256xh100-sxm --params 7e9",
    "1e26 FLOP in 90 days on H100": "howmany 1e26 90d h100-sxm",
    "train for 90 days on 16,384 H100s": "howmuch 90d 16384xh100-sxm",
    "I have 512 H100s for two weeks. How much compute is that?": "howmuch 2weeks 512xh100-sxm",
    "how big a model can I train on 64 MI300X in one month?": "howmuch 1month 64xmi300x",
    "What's the number of H200s needed to finish 5e25 FLOP in 6 months?": "howmany 5e25 6months h200-sxm",
    "how much would 1e25 FLOP cost on 4096 H100s": "howlong 1e25 4096xh100-sxm",
    "how many tokens can 1024 A100s train llama 8b on in 30 days": (
        "howmuch 30d 1024xa100-80gb-sxm --model llama-3.1-8b"
    ),
    "how much can 8 H100s train in 3 days, and at what cost": "howmuch 3d 8xh100-sxm",
    # Several machines.
    "1e26 FLOP: 24,576 H100s vs 16,384 B200s vs Colossus": (
        "howlong 1e26 24576xh100-sxm 16384xb200-sxm xai-colossus-1"
    ),
    "H100 and B200 for 1e26, 10,000 each": "howlong 1e26 10000xh100-sxm 10000xb200-sxm",
    "how many B200s or GB200s for 3e25 in 100 days": "howmany 3e25 100d b200-sxm gb200",
    # What the command itself takes.
    "sim howlong 1e26 24576xh100-sxm 8192xgb200": "howlong 1e26 24576xh100-sxm 8192xgb200",
}

REFUSED = {
    # question: (part of the rule, part of what to do)
    "": ("how much training?", "how long would 1e26 FLOP take"),
    "hello there": ("on what?", "sim ask"),
    "what is the meaning of life": ('"meaning of life" is not understood', "sim ask"),
    "how long would 1e26 FLOP take on 25,000 H300s": ('"H300s" is not understood', "h200-sxm"),
    "how long to train GPT-4 on 2T tokens on 25k A100": ('"GPT-4" is not understood', "gpt3-175b"),
    "how long would 1e26 FLOP take": ("on what? ('24,576 H100s')", "sim ask"),
    "how long on 100 H100s": ("how much training?", "sim ask"),
    "train llama 3.1 405b on 16k H100s": ("how many tokens?", "sim ask"),
    "15T tokens on 16k H100s": ("tokens of which model?", "sim ask"),
    "how many GPUs for 1e26 in 90 days": ("on which accelerator?", "how many B200s"),
    "how many H100s for 1e26": ("in what time?", "how many B200s"),
    "how many H100s and how long for 1e26": ("one question at a time", "sim ask"),
    "can 1000 H100s do 1e24 FLOP in a month?": ("no place for a time", "sim howmany 1e24 1month h100-sxm"),
    "1e26 on an H100 cluster": ("how many of them?", "sim ask"),
    "1e26 on 2.5 H100s": ("whole numbers", "sim ask"),
    "1e26 on 0 H100s": ("whole numbers", "sim ask"),
    "1e26 on -5 H100s": ('"-5" is not understood', "sim ask"),
    "1,5e26 FLOP on 1000 H100s": ("the decimal sign is a point", "sim ask"),
    "1e999 FLOP on 8 H100s": ("larger or smaller than this program can hold", "1e26"),
    "1e26 on 1000 H100s in fp4": ("training runs in bf16, fp16, fp8", "sim ask"),
    "1e26 on 1000 H100s in fp8 or bf16": ("one precision", "sim ask"),
    "1e25 and 1e26 on 1000 H100s": ("one budget", "sim ask"),
    "1e26 on 100k H100s + 50k B200s": ("two kinds of accelerators", "sim howlong 1e26"),
    "how much can I train with $10 million on 8 H100s in 3 days": ("money has a place as a price only", "sim ask"),
    "1e15 FLOP/s on 8 H100s in 3 days": ("a rate has no place here", "sim ask"),
    "how long would 1e26 FLOP take on 25,000 H100s without NVLink": ("without NVLink", "without it: sim howlong 1e26"),
    "how long to serve llama 70b on 8 H100s": ("training runs", "sim ask"),
    "lora of llama 70b on 1e9 tokens with 8 H100s": ("trains all parameters", "without it: sim howlong"),
    "1e26 FLOP on 2 pods of TPU v5p": ("the number of chips", "sim ask"),
    "1e26 FLOP on 2 racks of H100": ("no rack of h100-sxm", "sim ask"),
    "1e26 FLOP on 1000 H100s with 77": ("a number of what?", "sim ask"),
}

NUMBERS = {
    "1e26 1E+26 10^26 10**26 10²⁶ 10^{26}": "1e26",
    "1 x 10^26|1×10²⁶|1·10^26|1*10**26|100 septillion|a hundred septillion|ten to the 26|10 to the 26th": "1e26",
    "100 trillion|100T|1e14|a hundred trillion|a hundred thousand billion": "1e14",
    "15.6T|15.6 trillion|15.6e12|15.6 x 10^12": "1.56e13",
    "24,576|24576|24_576|24'576|24\u202f576|twenty-four thousand five hundred and seventy-six": "24576",
    "16k|16 thousand|16K|sixteen thousand": "16000",
    "405B|405 billion|405bn": "4.05e11",
    "half a million|500 thousand|five hundred thousand|0.5M|.5M": "500000",
    "2^20": "1048576",
    "a dozen|twelve|12": "12",
    "10⁻³|10^-3|1e-3": "0.001",
}

GLUE = (
    "how long",
    "how many",
    "8",
    "16k",
    "1e26",
    "10^26",
    "a",
    "hundred",
    "%",
    "$",
    "/",
    "per",
    ",",
    "40%",
    "-",
    "x",
    "^",
)
WORDS = [*phrases(), *GLUE, "h100s", "tokens", "3 days", "on", "in"]
OF_WORDS = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


def expected(command: str) -> list[str]:
    return shlex.split(command)


@pytest.mark.parametrize(("question", "command"), PHRASINGS.items())
def test_question_stands_for_command(question: str, command: str) -> None:
    found = understand(question)
    assert list(found.arguments) == expected(command)
    assert shlex.split(found.command) == ["sim", *expected(command)]


def test_table_is_as_long_as_promised() -> None:
    assert len(PHRASINGS) >= 60
    assert len(REFUSED) >= 15
    assert {command.split()[0] for command in PHRASINGS.values()} == set(EXAMPLES)


@pytest.mark.parametrize("question", PHRASINGS)
def test_what_it_stands_for_is_a_legal_question(question: str) -> None:
    """The command's own reader accepts each part: no word of a question becomes an option that does not exist."""
    found = understand(question)
    options = {name: value for name, value in found.options.items() if name in OPTIONS}
    assert set(found.options) - set(options) <= {"start", "seeds", "no_failures"}
    if found.model is not None:
        options["model"] = found.model
    for cluster in found.clusters:
        on = f"8x{cluster}" if found.kind == "howmany" else cluster
        assert is_cluster(on)
        build_scenario(on, found.budget or "1e21 FLOP", options, flags=True)
    if found.time is not None:
        assert units.parse(found.time, "second") > 0


@pytest.mark.parametrize(("question", "rule", "mend"), [(each, *parts) for each, parts in REFUSED.items()])
def test_refused_with_what_was_understood(question: str, rule: str, mend: str) -> None:
    with pytest.raises(UsageError) as caught:
        understand(question)
    assert rule in caught.value.rule
    assert mend in caught.value.mend
    assert caught.value.where == "the question"
    if "1e999" not in question:
        assert caught.value.value == question
        assert "understood:" in caught.value.rule


@pytest.mark.parametrize("kind", EXAMPLES)
def test_examples_offered_by_errors_are_understood(kind: str) -> None:
    assert understand(EXAMPLES[kind]).kind == kind


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (text, value)
        for texts, value in NUMBERS.items()
        for text in (texts.split("|") if "|" in texts else texts.split())
    ],
)
def test_numbers_as_people_write_them(text: str, value: str) -> None:
    run = atoms(normalise(text))
    read = numeral(run, 0)
    assert read is not None
    assert (plain(read[0]), read[1]) == (value, len(run))


@given(st.decimals(min_value=Decimal("1e-6"), max_value=Decimal("1e290"), allow_nan=False))
def test_numbers_come_back_from_how_they_are_written(value: Decimal) -> None:
    written = plain(value)
    assert Decimal(written) == value.normalize()
    if "-" not in written:
        assert numeral(atoms(written), 0) == (Decimal(written), 1)


def test_a_name_of_many_says_which_one_was_taken() -> None:
    said = dict(understand("1e26 FLOP on 1000 H100s and 500 A100s").understood)
    assert said["1000 H100s"] == "1,000 x h100-sxm: NVIDIA H100 SXM5 80 GB; not h100-nvl or h100-pcie"
    assert "not a100-40gb-sxm" in said["500 A100s"]
    assert "not" not in dict(understand("1e26 FLOP on 1000 H100 SXMs").understood)["1000 H100 SXMs"].split()


def test_says_how_it_read_each_phrase_in_order() -> None:
    assert understand("How long would 10^26 FLOP take on 25k H100 PCIe in fp8?").understood == (
        ("How long", "howlong: the time is asked for"),
        ("10^26 FLOP", "1e26 FLOP of training"),
        ("25k H100 PCIe", "25,000 x h100-pcie: NVIDIA H100 PCIe 80 GB"),
        ("fp8", "precision fp8"),
    )
    assert understand("1e26 on 8 H100s").understood[0] == ("(from what is given)", "howlong: the time is asked for")


def test_fields_of_an_understanding() -> None:
    found = understand("train llama 3.1 70b on 2T tokens with 1024 H100 SXM in fp8 at 40% MFU")
    assert found == Understood(
        kind="howlong",
        budget="2e12 tokens",
        time=None,
        clusters=("1024xh100-sxm",),
        model="llama-3.1-70b",
        options={"precision": "fp8", "mfu": "0.4"},
        understood=found.understood,
    )


@pytest.mark.parametrize("kind", ["accelerators", "models", "clusters"])
def test_every_name_of_the_catalogue_is_understood(kind: str) -> None:
    for name in catalog.names(kind):
        if kind == "accelerators":
            assert understand(f"how long would 1e22 FLOP take on 8 {name}").clusters == (f"8x{name}",)
        elif kind == "models":
            assert understand(f"train {name} on 1e9 tokens with 8 H100s").model == name
        else:
            assert understand(f"how long would 1e26 FLOP take on {name}").clusters == (name,)


@pytest.mark.parametrize(("kind", "wanted"), [("chip", "accelerators"), ("model", "models"), ("cluster", "clusters")])
def test_loose_names_lead_into_the_catalogue(kind: str, wanted: str) -> None:
    names = {entry.value for entry in phrases().values() if entry.kind == kind}
    assert names == set(catalog.names(wanted))


@given(st.one_of(st.text(max_size=520), OF_WORDS, st.lists(st.sampled_from(list(PHRASINGS)), max_size=3).map(" ".join)))
def test_any_text_is_understood_or_refused_soon(text: str) -> None:
    before = time.process_time()
    try:
        end: Understood | SimError = understand(text)
    except SimError as error:
        end = error
    assert time.process_time() - before < CPU_LIMIT_S
    if isinstance(end, SimError):
        assert end.rule
        assert end.mend
    else:
        assert end.command.startswith(f"sim {end.kind} ")
        assert end.clusters


@pytest.mark.parametrize(
    "text",
    [
        *("9" * 500, "a" * 500, "h100 " * 100, "10^" * 160, "hundred " * 62, "1,5" * 160, "half a " * 70, "²" * 500),
        *("million " * 62, "x" * 250 + " " + "y" * 240, "( " * 250, "1e26 " * 99, "how many " * 55, "zz " * 166),
        *("nonillion " * 50, "2^1000 " * 70, "999^999", "0^0", "10^-300", "\x00" * 500, "é" * 500),
        "\u0661\u0660^\u0662\u0666 on 8 H100s",
    ],
)
def test_text_made_to_break_it_ends_soon(text: str) -> None:
    before = time.process_time()
    with pytest.raises(UsageError) as caught:
        understand(text)
    assert caught.value.mend
    assert time.process_time() - before < CPU_LIMIT_S


def test_a_question_has_a_longest_length() -> None:
    with pytest.raises(UsageError, match="at most 500 characters"):
        understand("how long " * 60)


def test_understanding_imports_nothing_heavy() -> None:
    code = "import sys; from sim.study.understand import understand; understand('1e26 on 8 H100s'); print(*sys.modules)"
    loaded = set(python(code).split())
    assert not loaded & {"numpy", "simpy", "networkx", "sim.study.questions", "sim.plan.training"}
