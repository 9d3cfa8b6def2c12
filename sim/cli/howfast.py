"""`sim howfast`: latency, throughput and cost of serving a model, without a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sim.cli import output
from sim.cli.columns import Columns
from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.cli.answers import Request
    from sim.results.serving_answer import Candidate, LoadPoint, ServingAnswer


def _option(text: str, panel: str = "Service") -> object:
    return typer.Option(help=text, show_default=False, rich_help_panel=panel)


def howfast(
    model: Annotated[str, typer.Argument(help="A model of the catalogue, or hf:path/to/config.json.")],
    on: Annotated[str, typer.Argument(help="COUNTxACCELERATOR, a real cluster, or an accelerator: one replica.")],
    in_: Annotated[str | None, typer.Option("--in", help="Tokens of a prompt (1024).", rich_help_panel="Load")] = None,
    out: Annotated[str | None, _option("Tokens of an answer (256).", "Load")] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests at a time.", min=1, max=4096, rich_help_panel="Load")
    ] = None,
    rate: Annotated[str | None, _option("Requests per time, such as 5/s, instead of a concurrency.", "Load")] = None,
    engine: Annotated[str | None, _option("Engine profile of the catalogue (vllm-v1).")] = None,
    precision: Annotated[str | None, _option("Of weights and products: bf16, fp8, fp4, int4 (bf16).")] = None,
    kv: Annotated[str | None, _option("Of the cache: bf16 or fp8 (bf16).")] = None,
    tp: Annotated[
        str | None, _option("Tensor-parallel devices of a replica; the smallest that fits without it.")
    ] = None,
    pp: Annotated[str | None, _option("Pipeline stages of a replica.")] = None,
    ep: Annotated[str | None, _option("Expert-parallel devices of a replica.")] = None,
    dp_attention: Annotated[str | None, _option("Copies of the attention layers in a replica.")] = None,
    token_budget: Annotated[str | None, _option("Most tokens of one iteration.")] = None,
    max_sequences: Annotated[str | None, _option("Most sequences of one iteration.")] = None,
    router: Annotated[str | None, _option("How a request finds its replica (least-outstanding).")] = None,
    price: Annotated[str | None, _option("Price of a device: '2.50 USD/h'.")] = None,
    node: Annotated[str | None, _option("Node that holds the accelerators.")] = None,
    fabric: Annotated[str | None, _option("Network between scale-up domains.")] = None,
    seed: Annotated[int, typer.Option(help="Draws the arrivals (0).", min=0, show_default=False)] = 0,
    everything: Annotated[bool, typer.Option("--all", help="Show every assumption with its source.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, in SI units.")] = False,
) -> None:
    """How fast is a model served: latency, throughput, cost.

    At one concurrency or rate, or at several concurrencies where neither is given.
    """
    from sim.study.howfast import howfast as ask

    given = {
        "in": in_,
        "out": out,
        "engine": engine,
        "precision": precision,
        "kv": kv,
        "tp": tp,
        "pp": pp,
        "ep": ep,
        "dp_attention": dp_attention,
        "token_budget": token_budget,
        "max_sequences": max_sequences,
        "router": router,
        "price": price,
        "node": node,
        "fabric": fabric,
    }
    options = {name: value for name, value in given.items() if value is not None}
    answer = ask(model, on, concurrency=concurrency, rate=rate, seed=seed, flags=True, options=options)
    if json:
        output.write_json(answer.to_dict())
        return
    draw(answer, everything=everything)


def howmany_serve(model: str, accelerators: Sequence[str], given: Mapping[str, str], request: Request) -> None:
    """Answer how many devices serve a rate, for `sim howmany --serve`.

    Raises:
        UsageError: no rate or not one accelerator, or an option that is for training.

    """
    from sim.study.howmany_serve import LIMITS
    from sim.study.howmany_serve import howmany_serve as ask

    form = "sim howmany --serve MODEL --rate 100/s --in 1024 --out 256 --ttft-p99 500ms --tpot-p99 30ms h100-sxm"
    if "rate" not in given:
        raise UsageError("howmany for serving needs a rate of requests", mend=form)
    if len(accelerators) != 1:
        raise UsageError("howmany for serving takes one accelerator", " ".join(accelerators), mend=form)
    for name in request.options:
        if name not in _SHARED:
            raise UsageError("this option is for training", f"--{name.replace('_', '-')}", mend="leave it out")
    options = {name: str(value) for name, value in request.options.items()}
    options |= {name: value for name, value in given.items() if name not in {*LIMITS, "rate"}}
    limits = {name: given[name] for name in LIMITS if name in given}
    answer = ask(
        model, accelerators[0], rate=given["rate"], limits=limits, seed=request.seed, flags=True, options=options
    )
    if request.json:
        output.write_json(answer.to_dict())
    else:
        draw(answer, everything=request.everything)


_SHARED = ("precision", "price", "node", "fabric")
"""Options of training questions that mean the same in serving."""


def draw(answer: ServingAnswer, *, everything: bool = False) -> None:
    """Print an answer about serving."""
    output.write(output.styled(output.wrapped(answer.sentence, ""), output.CYAN))
    output.write("")
    if len(answer.points) == 1:
        _latency(answer.points[0])
        _usage(answer.points[0])
    elif answer.points:
        _loads(answer.points)
    if len(answer.candidates) > 1:
        _candidates(answer.candidates)
    for note in answer.notes:
        output.write(output.wrapped(note, "Note: "))
    plan = answer.plan
    head = f"{plan['engine']}, weights {plan['weights']}, cache {plan['kv']} of {plan['kv_tokens']:,} tokens a replica"
    budget = f"up to {plan['max_sequences']:,} sequences and {plan['token_budget']:,} tokens an iteration"
    output.write(output.wrapped(f"{head}, {budget}", "Assumed: "))
    if everything:
        for row in answer.assumptions:
            output.write(output.wrapped(f"{row.shown} ({row.given_by}: {row.source})", f"  {row.path} = "))
    for command in answer.next:
        output.write(output.wrapped(command, "Next: "))


MOST_TOLD = 6
"""Layouts of the table, unless more of them were played."""


def _candidates(candidates: Sequence[Candidate]) -> None:
    output.write("")
    table = output.table()
    for title in ("layout", "fewest devices", "replicas"):
        table.add_column(title, justify="left" if title == "layout" else "right", no_wrap=True)
    table.add_column("fewer fail by")
    told = [each for each in candidates if each.played]
    told += [each for each in candidates if not each.played][: max(MOST_TOLD - len(told), 0)]
    for each in told:
        devices, replicas = (f"{count:,}" if count is not None else "-" for count in (each.devices, each.replicas))
        table.add_row(each.layout, devices, replicas, each.reason)
    output.draw(table)
    if len(told) < len(candidates):
        left = len(candidates) - len(told)
        output.write(output.wrapped(f"{left} more layouts ask for no fewer devices by their mean iteration.", ""))


_LATENCIES = (("ttft_s", "first token (TTFT)"), ("tpot_s", "further token (TPOT)"), ("e2e_s", "whole answer"))
_SPREAD = ("mean", "p50", "p90", "p95", "p99")


def _latency(point: LoadPoint) -> None:
    table = Columns()
    table.add_column("time to")
    for name in _SPREAD:
        table.add_column(name, justify="right")
    for key, title in _LATENCIES:
        table.add_row(title, *(point.shown(f"{key}.{name}") for name in _SPREAD))
    table.draw()


def _usage(point: LoadPoint) -> None:
    per_device = point.shown("output_tokens_per_s_per_device")
    rates = [f"{point.shown('output_tokens_per_s')} of output ({per_device} a device)"]
    rates += [f"{point.shown('total_tokens_per_s')} in and out", f"{point.shown('requests_per_s')} answered"]
    output.write(output.wrapped(", ".join(rates), "Throughput: "))
    used = (("busy", "busy"), ("mfu", "MFU"), ("bandwidth_utilization", "bandwidth"), ("kv_use.mean", "cache"))
    told = [f"{title} {point.shown(name)}" for name, title in used if name in point.figures]
    told += [f"batch {point.shown('batch.mean')}", f"{point.shown('preemptions')} preemptions"]
    output.write(output.wrapped(", ".join(told), "Use: "))
    money = [f"{point.shown('usd_per_output_token')} of output", f"{point.shown('usd_per_token')} in and out"]
    told = money if "usd_per_token" in point.figures else []
    told += [f"{point.shown('joules_per_output_token')} per token of output"]
    output.write(output.wrapped(", ".join(told), "Cost: "))


def _loads(points: Sequence[LoadPoint]) -> None:
    columns = (
        ("ttft_s.p50", "TTFT p50"),
        ("ttft_s.p99", "TTFT p99"),
        ("tpot_s.p50", "TPOT p50"),
        ("output_tokens_per_s", "output"),
        ("usd_per_output_token", "output costs"),
        ("mfu", "MFU"),
    )
    table = Columns()
    table.add_column("at a time", justify="right")
    for _, title in columns:
        table.add_column(title, justify="right")
    for point in points:
        table.add_row(f"{point.concurrency:,}", *(point.shown(name) for name, _ in columns))
    table.draw()
