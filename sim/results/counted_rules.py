"""The rules behind `sim.results.counted`, as data: words, expression in DuckDB's SQL, and which rows it is of."""

from __future__ import annotations

HUMAN_TOKENS_PER_S = 7.0
"""Pace at which people think in words, as the source text of scenarios/essay has it."""

Rule = tuple[str, str, str]

STATISTICS = {
    "mean": "mean", "p50": "median", "p90": "90th percentile", "p95": "95th percentile", "p99": "99th percentile",
    "max": "largest",
}  # fmt: skip
_DONE = "status = 'finished'"
_SEVERAL = f"{_DONE} and output_tokens > 1"
_SPAN = f"(max(finish_s) filter (where {_DONE}) - min(arrival_s))"
_SAID = "span (first arrival to last answer)"
_FLOP = "prefill_flop + decode_flop + wasted_flop"
_SPENT = "sum(greatest(finish_s - start_s, 0))"
_RIGHT = "avg(if(solved = 1, 1, 0))"
_WIDTH_S = "(max(time_s) - min(time_s)) / (count(*) - 1)"
_ENDED = "outcome = 'finished'"
_NO_SERVICE = "service = ''"

LATENCIES: dict[str, Rule] = {
    "ttft_s": ("first token - arrival of answers", "first_token_s - arrival_s", _DONE),
    "tpot_s": (
        "(last - first token) / (tokens of output - 1) of answers of two tokens or more",
        "(finish_s - first_token_s) / (output_tokens - 1)",
        _SEVERAL,
    ),
    "e2e_s": ("last token - arrival of answers", "finish_s - arrival_s", _DONE),
    "e2e_per_token_s": (
        "(last token - arrival) / tokens of output of answers",
        "(finish_s - arrival_s) / output_tokens",
        _DONE,
    ),
}
"""What is measured of one request."""
OF_JOBS: dict[str, Rule] = {
    "wait_s": ("first start - arrival of jobs that ended", "start_s - arrival_s", _ENDED),
    "jct_s": ("end - arrival of jobs that ended", "finish_s - arrival_s", _ENDED),
    "slowdown": ("(end - arrival) / run time (both at least 10 s) of jobs that ended", "slowdown", _ENDED),
    "finish_time_fairness": (
        "(end - arrival) / that on 1/N of the cluster alone (N: jobs there meanwhile) of jobs that ended",
        "finish_time_fairness",
        _ENDED,
    ),
}
"""What is measured of one job."""
TIME_OF_TASKS: dict[str, Rule] = {
    "wall_clock_s": ("end - arrival", "finish_s - arrival_s", ""),
    "flop_per_task": ("prefill, decode and wasted FLOP", _FLOP, ""),
}
"""What is measured of one task, and told with its quantiles."""
PER_TASK = (
    "calls", "tool_calls", "prompt_tokens", "cached_tokens", "output_tokens", "wasted_tokens", "prefill_flop",
    "decode_flop", "cached_flop", "wasted_flop", "flop16", "tool_usd",
)  # fmt: skip
"""Columns that are averaged over tasks."""

_OF_REQUESTS: dict[str, Rule] = {
    "tpot_s.pooled": (
        "sum of (last - first token) / sum of (tokens of output - 1) of answers",
        "sum(finish_s - first_token_s) / sum(output_tokens - 1)",
        _SEVERAL,
    ),
    "output_tokens_per_s": (
        f"tokens of output of answers / {_SAID}",
        f"sum(output_tokens) filter (where {_DONE}) / {_SPAN}",
        "",
    ),
    "total_tokens_per_s": (
        f"tokens of answers, prompts included / {_SAID}",
        f"sum(output_tokens + prompt_tokens) filter (where {_DONE}) / {_SPAN}",
        "",
    ),
    "requests_per_s": (f"answers / {_SAID}", f"count(*) filter (where {_DONE}) / {_SPAN}", ""),
    "goodput_per_s": (f"answers within every limit / {_SAID}", f"count(*) filter (where met = 1) / {_SPAN}", ""),
    "slo_met": (
        "answers within every limit / requests that have limits",
        "count(*) filter (where met = 1) / count(*) filter (where met >= 0)",
        "",
    ),
    "requests": ("number", "count(*)", ""),
    "finished": ("number of those answered in full", "count(*)", _DONE),
    "timed_out": ("number of those given up in time", "count(*)", "status = 'timed out'"),
    "rejected": ("number of those turned away", "count(*)", "status = 'rejected'"),
    "cancelled": ("number of those that nobody needed any more", "count(*)", "status = 'cancelled'"),
    "preemptions": ("times that one lost its place in the cache", "coalesce(sum(preemptions), 0)", ""),
    "hit_rate": (
        "tokens of prompts found in the cache / tokens of prompts of answers",
        "sum(cached_tokens) / sum(prompt_tokens)",
        _DONE,
    ),
}
_OF_TIME: dict[str, Rule] = {
    "batch.mean": (
        "requests at work, mean over the time in which replicas work",
        f"sum(running) * {_WIDTH_S} / sum(busy_s)",
        "",
    ),
    "batch.peak": ("most requests at work in a bin of the timeline, all replicas together", "max(running)", ""),
    "queue.peak": ("most requests waiting in a bin of the timeline, all replicas together", "max(waiting)", ""),
    "kv_use.mean": (
        "part of the cache in use, mean over the time in which replicas work",
        f"sum(kv_use) * {_WIDTH_S} / sum(busy_s)",
        "",
    ),
}
_OF_TASKS: dict[str, Rule] = {
    "tasks": ("number", "count(*)", ""),
    "failed": ("number that failed as a whole", "count(*)", "reason <> ''"),
    "solved": ("part that is solved", _RIGHT, ""),
    "solved.standard_error": ("sqrt(share x (1 - share) / tasks)", f"sqrt({_RIGHT} * (1 - {_RIGHT}) / count(*))", ""),
    "flop_per_task": ("mean of prefill, decode and wasted FLOP", f"avg({_FLOP})", ""),
    "parallelism": (
        "time of calls and tools / time from start to end, both summed",
        f"sum(model_s + tool_s) / {_SPENT}",
        "",
    ),
    "flop_per_s": ("FLOP / time from start to end, both summed", f"sum({_FLOP}) / {_SPENT}", ""),
    "tokens_per_s": (
        "tokens generated, wasted ones included / time from start to end, both summed",
        f"sum(output_tokens + wasted_tokens) / {_SPENT}",
        "",
    ),
    "human_thought": (
        f"tokens_per_s / {HUMAN_TOKENS_PER_S:g} tokens/s, the pace at which people think",
        f"sum(output_tokens + wasted_tokens) / {_SPENT} / {HUMAN_TOKENS_PER_S!r}",
        "",
    ),
    "hit_rate": (
        "tokens of prompts found in the cache / tokens of prompts",
        "sum(cached_tokens) / sum(prompt_tokens)",
        "",
    ),
    "flop_per_solved_task": ("FLOP / solved tasks", f"sum({_FLOP}) / count(*) filter (where solved = 1)", ""),
    "critical_path_s.waiting": ("mean time of waiting on the critical path", "avg(path_waiting_s)", ""),
    "critical_path_s.model": ("mean time of models on the critical path", "avg(path_model_s)", ""),
    "critical_path_s.tool": ("mean time of tools on the critical path", "avg(path_tool_s)", ""),
    "critical_path_s.other": ("mean time of the rest on the critical path", "avg(path_other_s)", ""),
}
OF_ALL_JOBS: dict[str, Rule] = {
    "makespan_s": ("last end - first arrival", "max(finish_s) - min(arrival_s)", _ENDED),
    "fairness.jain": (
        "Jain's index of x = 1 / slowdown, (sum of x)^2 / (n x sum of x^2), of those that ended",
        "pow(sum(1 / slowdown), 2) / (count(*) * sum(1 / slowdown ** 2))",
        _ENDED,
    ),
    "preemptions": ("times that one gave its devices back for another", "coalesce(sum(preemptions), 0)", _NO_SERVICE),
    "failures": ("times that a failing device stopped one", "coalesce(sum(failures), 0)", _NO_SERVICE),
    "lost_device_s": ("device-seconds of lost work of those that ended", "coalesce(sum(lost_device_s), 0)", _ENDED),
    "rejected": ("number that can never run here", "count(*)", "outcome = 'rejected'"),
}
"""Figures of all jobs together."""
_GOT = "case when start_s <= finish_s then start_s else finish_s end"
_NEVER = "case when start_s <= finish_s then 0 else 1 end"
OF_REPLICAS: dict[str, Rule] = {
    "devices_wait_s.mean": ("mean time from asking to having devices, or to giving up", f"avg({_GOT} - arrival_s)", ""),
    "devices_wait_s.max": (
        "longest time from asking to having devices, or to giving up",
        f"max({_GOT} - arrival_s)",
        "",
    ),
    "replicas_without_devices": ("number that never had devices", f"sum({_NEVER})", ""),
    "replicas_preempted": ("times that a policy took devices away", "sum(preemptions)", ""),
    "replicas_failed": ("times that a failing device stopped one", "sum(failures)", ""),
}
"""Figures of the gangs that the replicas of a service ask for, where it shares a queue."""
SQL: dict[str, dict[str, Rule]] = {
    "requests": _OF_REQUESTS,
    "timeline": _OF_TIME,
    "tasks": _OF_TASKS,
    "accounts": {
        "allocated": (
            "1 - (free + down device-seconds) / device-seconds",
            "1 - coalesce(sum(device_seconds) filter (where account in ('free', 'down')), 0) / sum(device_seconds)",
            "",
        )
    },
}
"""By table and figure."""
ALONE = {
    "itl_s.*": "over all gaps between tokens of answers, each gap once; from a histogram with bins of half a percent, "
    "since single gaps are not kept",
    "busy": "seconds in which replicas work / seconds for which they are held",
    "mfu": "FLOP of prefill and decode / (dense peak x seconds for which replicas are held)",
    "mfu_busy": "FLOP of prefill and decode / (dense peak x seconds in which replicas work)",
    "bandwidth_utilization": "(iterations x bytes of weights + bytes of cache read) / (bandwidth x seconds of work)",
    "queue.mean": "request-seconds in the queue / seconds for which replicas are held",
    "kv_use.peak": "most blocks of the cache in use in a bin of the timeline / blocks of all replicas",
    "output_tokens_per_s_per_device": "output_tokens_per_s / most devices held",
    "retries": "requests that were sent again after a failure",
    "failures": "failures of replicas",
    "too_long": "requests that no replica could ever hold",
    "replicas": "replicas that were started",
    "iterations": "iterations of all replicas",
    "energy_j": "power of a device in what it does x time, summed, x the factors of node and building",
    "cost_usd": "price of a device x device-seconds held",
    "usd_per_token": "cost_usd / tokens of prompts and of output, those of the warm-up included",
    "joules_per_output_token": "energy_j / tokens of output that were delivered, those of the warm-up included",
    "usd_per_output_token": "cost_usd / tokens of output that were delivered, those of the warm-up included",
    "flop_per_s.*": "rate of arithmetic over windows of a bin of the timeline (1s) or of an hour (1h) that begin at "
    "each bin: the largest, and their 99th percentile; the cap is 1e20 FLOP/s",
}
"""Figures of a service that its engine measures while it runs; no table holds what they are of."""
TOOLS = {
    "calls": "number of calls",
    "failed": "number of calls that failed",
    "at_once": "seconds of calls, summed / length of the run",
    "utilization": "seconds of calls, summed / (length of the run x calls that it takes at once)",
    "latency_s.*": "seconds of calls, summed / calls",
    "queue_s.*": "seconds of waiting for a place, summed / calls",
}
"""Figures of a tool, likewise."""
OF_KINDS = {
    "allocated": "device-seconds of this kind that jobs held / device-seconds of this kind",
    "cost_usd": "price of a device of this kind x its device-seconds, held or not",
    "energy_j": "power of a device of this kind in what it does x time, summed, x the factors of node and building",
}
"""Figures of one kind of device among several."""
