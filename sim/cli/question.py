"""The three questions on the command line: how long, how many, how much.

All options of a scenario are options of every question; they come from one table, ``OPTIONS`` of
``sim.study.question_scenario``.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated

import typer

from sim.cli.answers import Request, Settings, answer_all
from sim.errors import UsageError
from sim.results.answer import Answer
from sim.study.question_scenario import OPTIONS, is_cluster


def _parameter(
    name: str,
    annotation: object,
    default: object,
    text: str,
    *flags: str,
    panel: str = "Answer",
    least: int | None = None,
    most: int | None = None,
) -> inspect.Parameter:
    option = typer.Option(*flags, help=text, show_default=False, rich_help_panel=panel, min=least, max=most)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=Annotated[annotation, option])


_SCENARIO = [
    _parameter(name, str | None, None, f"{option.help[0].upper()}{option.help[1:]}.", panel="Scenario")
    for name, option in OPTIONS.items()
]
_ANSWER = [
    _parameter("no_failures", bool, False, "Nothing ever interrupts the run.", "--no-failures"),
    _parameter("threshold", list[str] | None, None, "Amount of FLOP to watch: 5e25, or NAME=5e25."),
    _parameter("start", str | None, None, "First day of the run, for dates: 2026-12-01."),
    _parameter("seeds", int, 16, "Simulated runs behind the interval (16).", least=1, most=100_000),
    _parameter("seed", int, 0, "First of the seeds (0).", least=0),
    _parameter("emit", str | None, None, "Write the scenario that the question stands for."),
    _parameter("force", bool, False, "Let --emit replace a file.", "--force"),
    _parameter("everything", bool, False, "Show every assumption with its source.", "--all"),
    _parameter("csv", bool, False, "Print a table as CSV.", "--csv"),
    _parameter("json", bool, False, "Print one JSON object.", "--json"),
]


def _asks(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of every question, gathered into one Request."""

    @wraps(function)
    def command(**given: object) -> None:
        own = {name: given.pop(name) for name in inspect.signature(function).parameters if name != "request"}
        function(**own, request=Request.of(given))

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "request"
    ]
    command.__signature__ = inspect.Signature([*own, *_SCENARIO, *_ANSWER])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *_SCENARIO, *_ANSWER)}
    return command


def _serving(flag: str, text: str) -> object:
    return typer.Option(flag, help=text, show_default=False, rich_help_panel="Serving")


_HOWMANY_WORDS = 3


@_asks
def howlong(
    asked: Annotated[list[str], typer.Argument(help="FLOP or tokens, then clusters: 1e26 24576xh100-sxm")],
    request: Request,
) -> None:
    """How long would this much training take.

    A budget in FLOP or tokens, and one cluster or more: COUNTxACCELERATOR or a name of sim list clusters.
    """
    from sim.study.questions import howlong as ask

    clusters = [text for text in asked if is_cluster(text)]
    budgets = [text for text in asked if not is_cluster(text)]
    _one_budget(budgets, clusters, asked)
    budget = with_unit(budgets[0]) if budgets else None

    def one(on: str, settings: Settings) -> Answer:
        return ask(budget, on, **settings)

    answer_all(request, clusters, one)


@_asks
def howmany(
    asked: Annotated[list[str], typer.Argument(help="Budget, time to finish in, then accelerators: 1e26 90d h100-sxm")],
    request: Request,
    serve: Annotated[str | None, _serving("--serve", "Serve this model at a rate, instead of training.")] = None,
    rate: Annotated[str | None, _serving("--rate", "Requests per time: 100/s.")] = None,
    in_: Annotated[str | None, _serving("--in", "Tokens of a prompt (1024).")] = None,
    out: Annotated[str | None, _serving("--out", "Tokens of an answer (256).")] = None,
    ttft_p99: Annotated[str | None, _serving("--ttft-p99", "Longest time to the first token: 500ms.")] = None,
    tpot_p99: Annotated[str | None, _serving("--tpot-p99", "Longest time per further token: 30ms.")] = None,
    e2e_p99: Annotated[str | None, _serving("--e2e-p99", "Longest time to the last token: 10s.")] = None,
    engine: Annotated[str | None, _serving("--engine", "Engine profile of the catalogue (vllm-v1).")] = None,
    kv: Annotated[str | None, _serving("--kv", "Precision of the cache: bf16 or fp8 (bf16).")] = None,
    tp: Annotated[str | None, _serving("--tp", "Only this tensor-parallel degree.")] = None,
    pp: Annotated[str | None, _serving("--pp", "Only so many pipeline stages.")] = None,
    ep: Annotated[str | None, _serving("--ep", "Only so many expert-parallel devices.")] = None,
    dp_attention: Annotated[str | None, _serving("--dp-attention", "Only so many copies of attention.")] = None,
) -> None:
    """How many accelerators finish it in time.

    The smallest number of whole nodes whose expected time is not longer. With --serve: the fewest devices, over
    replicas and layouts, that serve a rate of requests within limits.
    """
    layout = {"tp": tp, "pp": pp, "ep": ep, "dp_attention": dp_attention}
    serving = {"rate": rate, "in": in_, "out": out, "engine": engine, "kv": kv, **layout}
    limits = {"ttft_p99": ttft_p99, "tpot_p99": tpot_p99, "e2e_p99": e2e_p99}
    given = {name: value for name, value in (serving | limits).items() if value is not None}
    if serve is not None:
        from sim.cli.howfast import howmany_serve

        howmany_serve(serve, asked, given, request)
        return
    if given:
        flag = f"--{next(iter(given)).replace('_', '-')}"
        raise UsageError("this option is for serving", flag, mend="add --serve MODEL")
    if len(asked) < _HOWMANY_WORDS:
        raise UsageError(
            "howmany takes a budget, a time and an accelerator",
            value=" ".join(asked),
            mend="as in sim howmany 1e26 90d h100-sxm; for serving: --serve MODEL --rate 100/s --ttft-p99 1s h100-sxm",
        )
    from sim.study.questions import howmany as ask

    amount, time = with_unit(asked[0]), asked[1]

    def one(on: str, settings: Settings) -> Answer:
        return ask(amount, time, on, **settings)

    answer_all(request, asked[2:], one)


@_asks
def howmuch(
    time: Annotated[str, typer.Argument(help="Time that the cluster is yours: 90d")],
    clusters: Annotated[list[str], typer.Argument(help="One cluster or more: 24576xh100-sxm")],
    request: Request,
) -> None:
    """How much training fits into this much time.

    The most model FLOP whose expected time is not longer.
    """
    from sim.study.questions import howmuch as ask

    def one(on: str, settings: Settings) -> Answer:
        return ask(time, on, **settings)

    answer_all(request, clusters, one)


def with_unit(budget: str) -> str:
    """Read a bare number as FLOP.

    >>> with_unit("1e26"), with_unit("15.6e12 tokens")
    ('1e26 FLOP', '15.6e12 tokens')
    """
    try:
        float(budget)
    except ValueError:
        return budget
    return f"{budget} FLOP"


def _one_budget(budgets: list[str], clusters: list[str], asked: list[str]) -> None:
    if not clusters or len(budgets) > 1:
        strange = budgets[-1] if budgets else ""
        raise UsageError(
            "howlong takes one budget and then clusters",
            value=" ".join(asked),
            mend=f"'{strange}' is no cluster: write COUNTxACCELERATOR, as in sim howlong 1e26 24576xh100-sxm "
            "(sim list accelerators, sim list clusters)",
        )
