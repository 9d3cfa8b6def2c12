"""A planned stretch of iterations: when each ends, and which is running at a given time."""

from __future__ import annotations

import math
from bisect import bisect_left


class Jump:
    """Iterations that take ``first_s``, ``first_s + step_s``, ... from ``start_s`` on, or end at listed times."""

    __slots__ = ("count", "end_s", "ends_s", "first_s", "start_s", "step_s")

    def __init__(self) -> None:
        """Begin with nothing planned."""
        self.count = 0
        """Iterations planned; 0: none."""
        self.start_s = self.end_s = self.first_s = self.step_s = 0.0
        self.ends_s: list[float] | None = None
        """When each iteration ends, where that follows no line."""

    def line(self, start_s: float, first_s: float, step_s: float, count: int) -> None:
        """Plan iterations whose lengths are an arithmetic progression."""
        self.count, self.start_s, self.first_s, self.step_s = count, start_s, first_s, step_s
        self.end_s = start_s + (count * first_s + step_s * (count * (count - 1) // 2))

    def listed(self, start_s: float, ends_s: list[float]) -> None:
        """Plan iterations that end at these times."""
        self.count = len(ends_s)
        self.start_s = start_s
        self.ends_s = ends_s
        self.end_s = ends_s[-1]

    def begun(self, time_s: float) -> int:
        """Give how many iterations have begun before a time within the jump, 1 at least."""
        if self.ends_s is not None:
            return min(bisect_left(self.ends_s, time_s) + 1, self.count)
        past_s = time_s - self.start_s
        # Root of k first + step k (k - 1) / 2 = past, in the form that also holds where step is 0.
        linear = self.first_s - self.step_s / 2
        root = linear * linear + 2 * self.step_s * past_s
        count = math.ceil(2 * past_s / (linear + math.sqrt(root))) if past_s > 0 and root > 0 else 1
        count = min(max(count, 1), self.count)
        while count > 1 and self.end_of(count - 1) >= time_s:
            count -= 1
        while count < self.count and self.end_of(count) < time_s:
            count += 1
        return count

    def cut(self, time_s: float) -> bool:
        """End with the iteration that is running at that time; tell whether that is earlier than planned."""
        count = self.begun(time_s)
        if count == self.count:
            return False
        self.end_s = self.end_of(count)
        self.count = count
        return True

    def end_of(self, count: int) -> float:
        """Give when so many iterations are over."""
        if self.ends_s is not None:
            return self.ends_s[count - 1] if count else self.start_s
        return self.start_s + (count * self.first_s + self.step_s * (count * (count - 1) // 2))
