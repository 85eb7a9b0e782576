"""How many samples, over how many buffer sets, and what is said of them: the rules of harness/engine/measure.cc.

Standard library only.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Callable

MAX_SETS = 4096


@dataclass(frozen=True)
class SamplingRule:
    min_samples: int = 10
    min_seconds: float = 0.05  # of timed work
    max_seconds: float = 10.0  # wall time
    max_samples: int = 10_000


def rotation_sets(set_bytes: int, cache_bytes: int, memory_bytes: int) -> int:
    """Until a set has left the cache before its turn comes again: three caches full, at least two, as memory allows."""
    wanted = max(2, -(-3 * cache_bytes // set_bytes))
    return max(1, min(wanted, memory_bytes // set_bytes, MAX_SETS))


def next_batch(rule: SamplingRule, count: int, timed: float) -> int:
    """How many further samples to take after `count` that took `timed` seconds together."""
    batch = min(10, max(rule.min_samples, 1))
    if count > 0:
        missing = (rule.min_seconds - timed) / max(timed / count, 1e-9)
        batch = min(max(math.ceil(min(missing, 1000)), 1), 1000)
        batch = max(batch, min(rule.min_samples - count, 1000))
    return min(batch, rule.max_samples - count)


def take_samples(
    rule: SamplingRule, measure: Callable[[int], list[float]], now: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Calls measure(n), which returns n samples in seconds, until the rule is satisfied."""
    start = now()
    samples: list[float] = []
    while len(samples) < rule.max_samples:
        count, timed = len(samples), sum(samples)
        if count >= rule.min_samples and timed >= rule.min_seconds:
            break
        if now() - start > rule.max_seconds and count >= min(10, rule.min_samples):
            break
        samples += measure(next_batch(rule, count, timed))
    return samples


def quantile(samples: list[float], q: float) -> float:
    """Interpolated linearly between neighbours (definition 7 of Hyndman and Fan)."""
    ordered = sorted(samples)
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
