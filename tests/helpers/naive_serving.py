"""The serving engine again, one iteration at a time and one block at a time: slow, plain, and the oracle of the other.

Of sim/engine/serving it shares Request, the draws and the cost of drafting, and the routers that draw or remember.
Every sequence keeps its own counts, every block is an object, and an iteration looks at all of them.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from sim.engine.random import Streams
from sim.engine.serving.contents import each
from sim.engine.serving.drafting import DraftedCost
from sim.engine.serving.options import ServiceOptions
from sim.engine.serving.request import Request
from sim.engine.serving.router import make_router
from sim.engine.serving.speculative_batch import draw_gains
from tests.helpers.serving import HandPlan


class Block:
    """One block of cache."""

    def __init__(self) -> None:
        self.content: Hashable = None
        self.holders = 0


@dataclass(eq=False)
class Task:
    """A request on the naive engine."""

    request: Request
    order: int
    computed: int = 0
    generated: int = 0
    blocks: list[Block] = field(default_factory=list)
    contents: list[Hashable] = field(default_factory=list)
    named: int = 0
    first_s: float = math.nan
    finish_s: float = math.nan
    cached: int = -1
    preemptions: int = 0
    target: int = 0
    """Tokens that had to be prefilled when it was admitted; beyond them it decodes."""
    swapped: int = 0
    """Blocks in host memory."""
    draws: np.random.Generator | None = None
    token_s: list[float] = field(default_factory=list)
    status: str = "waiting"
    replica: int = -1
    given_up: bool = False

    @property
    def known(self) -> int:
        """Tokens that exist: prompt and answer so far."""
        return self.request.prompt_tokens + self.generated

    @property
    def left(self) -> int:
        return self.known - self.computed


class NaiveReplica:
    """One replica."""

    def __init__(self, plan: HandPlan, options: ServiceOptions, waiting: list[Task], place: int) -> None:
        self.plan = plan
        self.by_priority = options.by_priority
        self.speculation = options.speculation
        self.width = self.speculation.tokens + 1 if self.speculation else 1
        self.cost = DraftedCost(plan.cost, self.speculation) if self.speculation else plan.cost
        offload = options.offload
        block_bytes = plan.block_size * plan.kv_bytes_per_token
        self.host_blocks = int(offload.bytes / block_bytes) if offload else 0
        self.block_move_s = block_bytes / offload.bandwidth_bytes_per_s if offload else 0.0
        self.swaps = plan.rules.preemption == "swap" and self.host_blocks > 0
        self.host: list[Hashable] = []
        self.moved_s = 0.0
        self.waiting = waiting
        self.place = place
        self.running: list[Task] = []
        self.queue = [Block() for _ in range(plan.kv_blocks)]
        """Free blocks, the next one to be taken first."""
        self.cached: dict[Hashable, Block] = {}
        self.end_s = math.inf
        self.batch: list[tuple[Task, int]] = []
        self.iterations = 0
        self.open = 0
        self.caching = plan.rules.prefix_caching

    def blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.plan.block_size)

    def take(self, task: Task, count: int) -> None:
        for _ in range(count):
            block = self.queue.pop(0)
            if block.content is not None:
                del self.cached[block.content]
                if self.host_blocks and not self.swaps:
                    self.host = [*(one for one in self.host if one != block.content), block.content][
                        -self.host_blocks :
                    ]
                block.content = None
            block.holders = 1
            task.blocks.append(block)

    def name(self, task: Task, upto: int) -> None:
        """Give full blocks their contents, where no other block has it."""
        for place in range(task.named, min(upto, len(task.contents))):
            content = task.contents[place]
            if content not in self.cached:
                self.cached[content] = task.blocks[place]
                task.blocks[place].content = content
        task.named = max(task.named, min(upto, len(task.contents)))

    def free(self, task: Task) -> None:
        size = self.plan.block_size
        if self.caching:
            self.name(task, task.computed // size)
        # Tail first; a second copy of a content is freed with the tail.
        for block in [b for b in task.blocks if b.content is None] + [
            b for b in task.blocks[::-1] if b.content is not None
        ]:
            block.holders -= 1
            if not block.holders:
                self.queue.append(block)
        task.blocks = []
        task.named = 0

    def preempt(self) -> Task:
        if self.by_priority:
            victim = max(self.running, key=lambda task: (-task.request.priority, task.order))
        else:
            victim = self.running[-1]
        self.running.remove(victim)
        full = victim.computed // self.plan.block_size
        if self.caching:
            victim.contents += [("own", victim.order, place) for place in range(len(victim.contents), full)]
        held = len(victim.blocks)
        decoding = victim.computed >= victim.target
        self.free(victim)
        if self.swaps and decoding and held <= self.host_blocks:
            victim.swapped = held
            self.host_blocks -= held
            self.moved_s += held * self.block_move_s
        else:
            victim.computed = 0
        victim.preemptions += 1
        self.wait(victim, front=True)
        return victim

    def wait(self, task: Task, *, front: bool = False) -> None:
        if self.by_priority:
            self.waiting.append(task)
            self.waiting.sort(key=lambda one: (-one.request.priority, one.order))
        elif front:
            self.waiting.insert(0, task)
        else:
            self.waiting.append(task)

    def slots(self, task: Task) -> int:
        """Tokens that need a place in the next iteration of a decoding task."""
        return min(task.computed + self.width, task.request.prompt_tokens + task.request.output_tokens - 1)

    def hits(self, task: Task) -> int:
        found = 0
        if self.caching:
            for content in task.contents[: (task.known - 1) // self.plan.block_size]:
                if content not in self.cached:
                    break
                found += 1
        return found

    def start(self, now_s: float) -> None:
        """Compose the next iteration."""
        rules = self.plan.rules
        self.batch = []
        self.moved_s = 0.0
        preempted = False
        static = rules.batching == "static"
        apart = static or rules.order == "prefill-first"
        if apart:
            if static and not self.running:
                self.open = len(self.waiting)
            budget = self.plan.token_budget
            prefilling = [task for task in self.running if not self.decoding(task)]
            for task in prefilling:
                tokens = min(task.left, budget)
                need = self.blocks_for(task.computed + tokens) - len(task.blocks)
                if need > len(self.queue):
                    self.running.remove(task)
                    self.running.append(task)
                    saved, self.by_priority = self.by_priority, False
                    self.preempt()
                    self.by_priority = saved
                    preempted = True
                else:
                    self.take(task, max(need, 0))
                    self.schedule(task, tokens)
                    budget -= tokens
            if not preempted:
                self.admit(budget)
            if not self.batch:
                self.decode_all()
                self.open = 0
        else:
            budget = self.plan.token_budget
            preempted, budget = self.go_on(budget)
            if not preempted:
                self.admit(budget)
        if self.batch:
            self.end_s = now_s + self.length_s()
            self.iterations += 1
        else:
            self.end_s = math.inf

    def decoding(self, task: Task) -> bool:
        return task in self.running and task.computed >= task.target

    def decode_all(self) -> bool:
        preempted = False
        for task in list(self.running):
            if task not in self.running:
                continue
            need = self.blocks_for(self.slots(task)) - len(task.blocks)
            while need > len(self.queue):
                preempted = True
                if self.preempt() is task:
                    break
            else:
                self.take(task, max(need, 0))
                self.schedule(task, 1)
        self.batch = [(task, tokens) for task, tokens in self.batch if task in self.running]
        return preempted

    def go_on(self, budget: int) -> tuple[bool, int]:
        """Schedule who runs already, preempting from the end."""
        preempted = False
        for task in list(self.running):
            if task not in self.running:
                continue
            tokens = min(task.left, budget - sum(self.computes(each) for each in self.batch if each[0] in self.running))
            slots = self.slots(task) if self.decoding(task) else task.computed + tokens
            need = self.blocks_for(slots) - len(task.blocks)
            while need > len(self.queue):
                preempted = True
                if self.preempt() is task:
                    break
            else:
                self.take(task, max(need, 0))
                self.schedule(task, tokens)
        self.batch = [(task, tokens) for task, tokens in self.batch if task in self.running]
        return preempted, budget - sum(self.computes(each) for each in self.batch)

    def computes(self, entry: tuple[Task, int]) -> int:
        """Tokens that an entry of the batch takes from the budget."""
        return self.width if self.decoding(entry[0]) else entry[1]

    def schedule(self, task: Task, tokens: int) -> None:
        self.batch.append((task, tokens))
        if self.caching and not self.decoding(task):
            self.name(task, (task.computed + tokens) // self.plan.block_size)

    def admit(self, budget: int) -> None:
        rules, size = self.plan.rules, self.plan.block_size
        while self.waiting and budget > 0 and len(self.running) < self.plan.max_sequences:
            if rules.batching == "static" and self.open <= 0:
                return
            task = self.waiting[0]
            if task.swapped:
                if budget < self.width or not self.swap_in(task):
                    return
                budget -= self.width
                continue
            device = self.hits(task)
            found = device + self.host_hits(task, device)
            tokens = task.left - found * size
            if tokens > budget and not rules.chunked_prefill and self.crowded():
                return
            if rules.chunked_prefill:
                tokens = min(tokens, budget)
            whole = task.request.prompt_tokens + task.request.output_tokens - 1
            start = self.blocks_for(whole if rules.admission == "whole" else found * size + tokens) - device
            wanted = self.blocks_for(task.known) - device if rules.admission == "prompt" else start
            shared = [self.cached[content] for content in task.contents[:device]]
            wanted += sum(not block.holders for block in shared)
            if self.running:
                wanted += int(rules.watermark * self.plan.kv_blocks)
            if wanted > len(self.queue):
                return
            self.waiting.pop(0)
            self.open -= 1
            for block in shared:
                if not block.holders:
                    self.queue.remove(block)
                block.holders += 1
            task.blocks = list(shared)
            task.named = device
            self.take(task, start)
            self.name(task, found)
            self.moved_s += (found - device) * self.block_move_s
            task.computed = found * size
            task.target = task.known
            if task.cached < 0:
                task.cached = task.computed
            task.replica = self.place
            self.running.append(task)
            self.schedule(task, tokens)
            budget -= tokens

    def crowded(self) -> bool:
        """Tell whether a prompt above the budget would share an iteration."""
        apart = self.plan.rules.order == "prefill-first" or self.plan.rules.batching == "static"
        return any(not self.decoding(one) for one, _ in self.batch) or (not apart and bool(self.running))

    def host_hits(self, task: Task, start: int) -> int:
        found = 0
        if self.caching:
            for content in task.contents[start : (task.known - 1) // self.plan.block_size]:
                if content not in self.host:
                    break
                found += 1
        return found

    def swap_in(self, task: Task) -> bool:
        """Give a swapped task its blocks back; tell whether there were enough."""
        apart = self.plan.rules.order == "prefill-first" or self.plan.rules.batching == "static"
        whole = task.request.prompt_tokens + task.request.output_tokens - 1
        reserved = self.plan.rules.admission == "whole"
        held = self.blocks_for(whole if reserved else task.computed)
        wanted = max(held, self.blocks_for(self.slots(task)))
        if self.running:
            wanted += int(self.plan.rules.watermark * self.plan.kv_blocks)
        if wanted > len(self.queue):
            return False
        self.waiting.remove(task)
        self.take(task, held)
        self.moved_s += task.swapped * self.block_move_s
        self.host_blocks += task.swapped
        task.swapped = 0
        task.target = task.computed
        self.running.append(task)
        if not apart:
            self.take(task, max(self.blocks_for(self.slots(task)) - held, 0))
            self.schedule(task, 1)
        return True

    def length_s(self) -> float:
        decoding = [task for task, tokens in self.batch if self.decoding(task)]
        chunks = [(task.computed, tokens) for task, tokens in self.batch if not self.decoding(task)]
        return float(
            self.moved_s
            + self.cost.mixed_s(
                len(decoding),
                sum(task.computed + 1 for task in decoding),
                sum(tokens for _, tokens in chunks),
                sum(sum(range(before + 1, before + tokens + 1)) for before, tokens in chunks),
                len(chunks),
            )
        )

    def finish_iteration(self) -> list[Task]:
        """Carry it out."""
        finished = []
        decoded = [task for task, _ in self.batch if self.decoding(task)]
        for task, tokens in self.batch:
            if task in decoded and self.speculation:
                gain = self.gain(task)
                task.computed += gain
                task.generated += gain - 1
            else:
                task.computed += tokens
            if task.left == 0:
                task.generated += 1
                task.token_s.append(self.end_s)
                if task.generated == 1:
                    task.first_s = self.end_s
                if task.generated == task.request.output_tokens:
                    if not task.given_up:
                        task.finish_s = self.end_s
                        task.status = "finished"
                    finished.append(task)
        finished += [task for task in self.running if task.given_up and task not in finished]
        # Those that decoded go first, in their order of arrival, then those whose prompt gave their only token.
        finished.sort(
            key=lambda task: (
                task.generated < task.request.output_tokens,
                task not in decoded and task.generated == task.request.output_tokens,
                task.order if task.generated == task.request.output_tokens else task.finish_s,
            )
        )
        for task in finished:
            self.running.remove(task)
            self.free(task)
        return finished

    def gain(self, task: Task) -> int:
        """Draw how many tokens an iteration gives."""
        speculation = self.speculation
        assert speculation is not None
        if task.draws is None:
            task.draws = Streams(0).generator(f"speculation service {task.order + 1}")
        drawn = int(draw_gains(task.draws, speculation.tokens, speculation.acceptance, 1)[0])
        return min(drawn, task.request.output_tokens - task.generated)


class NaiveService:
    """Replicas behind a router, one event after the other: deadlines, then arrivals, then ends of iterations."""

    def __init__(self, plan: HandPlan, options: ServiceOptions) -> None:
        self.options = options
        self.router = make_router(options.router, Streams(0), "service")
        shared: list[Task] = []
        self.units = [
            NaiveReplica(plan, options, shared if self.router is None else [], place)
            for place in range(options.replicas)
        ]
        self.tasks: list[Task] = []
        self.outstanding = [0] * options.replicas
        self.deadlines: list[tuple[float, Task]] = []
        self.of_tenant = dict.fromkeys(options.tenant_limits, 0)
        self.held_back: dict[str, list[Task]] = {tenant: [] for tenant in options.tenant_limits}
        self.tied = False
        """Two replicas ended an iteration at the same instant."""

    def serve(self, requests: list[Request]) -> None:
        """Serve requests in the order given, which is that of their arrivals."""
        arrivals = list(requests)
        while True:
            times = [when for when, _ in self.deadlines] + [unit.end_s for unit in self.units]
            now_s = min([*times, arrivals[0].arrival_s] if arrivals else times)
            if now_s == math.inf:
                return
            self.expire(now_s)
            while arrivals and arrivals[0].arrival_s == now_s:
                self.arrive(arrivals.pop(0), now_s)
            # Which of two goes first, if both end an iteration at once, is nobody's rule.
            self.tied |= sum(abs(unit.end_s - now_s) < 1e-9 for unit in self.units) > 1
            for unit in self.units:
                if unit.end_s == now_s:
                    finished = unit.finish_iteration()
                    for task in finished:
                        self.outstanding[task.replica] -= 1
                    for task in finished:
                        self.let_next(task.request.tenant, now_s)
                    unit.start(now_s)
            for unit in self.units:
                if unit.end_s == math.inf and (unit.waiting or unit.running):
                    unit.start(now_s)

    def arrive(self, request: Request, now_s: float) -> None:
        task = Task(request, len(self.tasks), contents=list(each(request.blocks)))
        self.tasks.append(task)
        if request.time_out_s is not None:
            self.deadlines.append((now_s + request.time_out_s, task))
        limit = self.options.tenant_limits.get(request.tenant)
        if limit is not None:
            self.of_tenant[request.tenant] += 1
            if self.of_tenant[request.tenant] > limit:
                self.held_back[request.tenant].append(task)
                return
        self.put(task, now_s)

    def put(self, task: Task, now_s: float) -> None:
        """Give a task to a replica, or turn it away where too many wait."""
        place = self.choose(task)
        unit, most = self.units[place], self.options.max_queue
        beside = [unit] if self.router is not None else self.units
        room = sum(each.plan.max_sequences - len(each.running) for each in beside)
        if most is not None and len(unit.waiting) - room >= most:
            task.status, task.finish_s = "rejected", now_s
            self.let_next(task.request.tenant, now_s)
            return
        task.replica = place
        self.outstanding[place] += 1
        unit.wait(task)

    def choose(self, task: Task) -> int:
        """Choose by the loads; what draws or remembers does so in the router that is tested."""
        if self.options.router == "round-robin":
            return task.order % len(self.units)
        if self.router is None or self.options.router == "least-outstanding":
            return self.outstanding.index(min(self.outstanding))
        return self.router.choose(task.request, self.outstanding) if len(self.units) > 1 else 0

    def let_next(self, tenant: str, now_s: float) -> None:
        """Let a request through that was held back, where one of its tenant has gone."""
        if tenant in self.of_tenant:
            self.of_tenant[tenant] -= 1
            held = self.held_back[tenant]
            if held and self.of_tenant[tenant] - len(held) < self.options.tenant_limits[tenant]:
                self.put(held.pop(0), now_s)

    def expire(self, now_s: float) -> None:
        for when, task in [entry for entry in self.deadlines if entry[0] == now_s]:
            self.deadlines.remove((when, task))
            if task.status != "waiting":
                continue
            task.status, task.finish_s = "timed out", now_s
            task.given_up = True
            unit = self.units[task.replica]
            if task in unit.waiting:
                unit.waiting.remove(task)
                unit.host_blocks += task.swapped
                self.outstanding[task.replica] -= 1
