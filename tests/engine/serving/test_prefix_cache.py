"""The prefix cache, which keeps runs of blocks, against one that keeps every block by itself."""

from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from sim.engine.serving.contents import Blocks, count, each
from sim.engine.serving.prefix_cache import Held, PrefixCache

CAPACITY = 40
PROMPTS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 9)), min_size=1, max_size=4, unique_by=lambda run: run[0]
)
ACTIONS = st.lists(st.tuples(st.sampled_from(["start", "start", "go on", "leave", "leave"]), PROMPTS), max_size=40)


class BlockByBlock:
    """Every free block in a queue, by its content; None for a block without any."""

    def __init__(self, host_blocks: int) -> None:
        self.queue: list[int | None] = [None] * CAPACITY
        self.holders: dict[int, int] = {}
        self.host: OrderedDict[int, None] = OrderedDict()
        self.host_blocks = host_blocks

    def take(self, blocks: int) -> None:
        for _ in range(blocks):
            content = self.queue.pop(0)
            if content is not None:
                del self.holders[content]
                if self.host_blocks:
                    self.host[content] = None
                    self.host.move_to_end(content)
                    if len(self.host) > self.host_blocks:
                        self.host.popitem(last=False)

    def hold(self, contents: list[int]) -> None:
        for content in contents:
            if not self.holders[content]:
                self.queue.remove(content)
            self.holders[content] += 1

    def keep(self, contents: list[int]) -> list[int]:
        kept = [content for content in contents if content not in self.holders]
        self.holders |= dict.fromkeys(kept, 1)
        return kept

    def leave(self, contents: list[int], others: int) -> None:
        self.queue += [None] * others
        for content in reversed(contents):
            self.holders[content] -= 1
            if not self.holders[content]:
                self.queue.append(content)


class Both:
    """One cache of each kind, asked the same."""

    def __init__(self, host_blocks: int) -> None:
        self.cache, self.naive = PrefixCache(CAPACITY, host_blocks), BlockByBlock(host_blocks)
        self.live: list[tuple[Blocks, list[Held], list[int], int, int]] = []

    def start(self, prompt: Blocks) -> None:
        """Begin with the first half of what is not found; its blocks are named at once."""
        names = [(name << 32, blocks) for name, blocks in prompt]
        contents = tuple(names)
        ids = list(each(contents))
        most = len(ids) - 1
        found = self.cache.find(contents, most)
        assert found == next((place for place, one in enumerate(ids[:most]) if one not in self.naive.holders), most)
        hosted = next((place for place, one in enumerate(ids[found:most]) if one not in self.naive.host), most - found)
        assert self.cache.find_in_host(contents, found, most) == hosted
        idle = sum(not self.naive.holders[one] for one in ids[:found])
        assert self.cache.idle_among(contents, found) == idle
        blocks = len(ids) + 1 - found
        if blocks + idle > self.cache.free:
            return
        held = self.cache.hold(contents, found)
        self.naive.hold(ids[:found])
        self.cache.free -= blocks
        self.naive.take(blocks)
        full = found + (len(ids) - found) // 2
        kept = self.cache.keep(contents, found, full)
        own = self.naive.keep(ids[found:full])
        assert spelt(kept) == own
        self.live.append((contents, held + kept, ids[:found] + own, full, len(ids) + 1))

    def go_on(self) -> None:
        """Name the rest of the blocks of one that was begun."""
        if self.live:
            contents, held, ids, full, blocks = self.live.pop()
            whole = list(each(contents))
            kept = self.cache.keep(contents, full, len(whole))
            own = self.naive.keep(whole[full:])
            assert spelt(kept) == own
            self.live.insert(0, (contents, held + kept, ids + own, len(whole), blocks))

    def leave(self) -> None:
        if self.live:
            _, held, ids, _, blocks = self.live.pop()
            self.cache.leave(held, blocks)
            self.naive.leave(ids, blocks - len(ids))
            assert self.cache.free == len(self.naive.queue)


def spelt(held: list[Held]) -> list[int]:
    return [int(str(name)) + place for name, low, high in held for place in range(low, high)]


@given(ACTIONS, st.sampled_from([0, 7]))
def test_runs_of_blocks_are_found_and_evicted_as_blocks_are(
    actions: list[tuple[str, list[tuple[int, int]]]], host_blocks: int
) -> None:
    both = Both(host_blocks)
    for action, prompt in actions:
        if action == "start":
            both.start(tuple(prompt))
        elif action == "go on":
            both.go_on()
        else:
            both.leave()
    while both.live:
        both.leave()
    both.cache.check()
    assert both.cache.find((), 5) == count(()) == 0
