"""Times a peer the way harness/engine/measure.cc times a variant: cold, by rotation over buffer sets.

On a GPU by events around each call, a batch enqueued behind a spin so that the host's time stays outside.
"""

from __future__ import annotations

import gc
import time
from typing import Callable, Protocol

import torch

from sampling import SamplingRule, rotation_sets, take_samples
from tensors import Tensors

Call = Callable[[], Tensors]

WARM_UPS = 3


class Clock(Protocol):
    name: str

    def time(self, calls: list[Callable[[], None]]) -> list[float]: ...

    def finish(self) -> None: ...


class SteadyClock:
    name = "steady_clock"

    def time(self, calls: list[Callable[[], None]]) -> list[float]:
        seconds = []
        for call in calls:
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        return seconds

    def finish(self) -> None:
        pass


class EventClock:
    """The spin lasts a number of cycles, not until a flag is raised: torch has no such kernel.

    So a batch counts only if the device had not begun it when all of it was enqueued. Otherwise the next spin is
    longer and, since a full queue makes the host wait for the device, the next batch smaller.
    """

    MAX_CYCLES = 4_000_000_000  # about two seconds

    def __init__(self) -> None:
        self.name = "cuda_event"
        self._cycles = 20_000_000
        self._batch = 64

    def time(self, calls: list[Callable[[], None]]) -> list[float]:
        seconds: list[float] = []
        while len(seconds) < len(calls):
            batch = calls[len(seconds) : len(seconds) + self._batch]
            taken, hidden = self._time_batch(batch)
            if hidden or self.name != "cuda_event":
                seconds += taken
            elif self._batch == 1 and self._cycles == self.MAX_CYCLES:
                self.name = "cuda_event, with host"  # it waits for the device itself: there is no hiding that
            else:
                self._cycles = min(2 * self._cycles, self.MAX_CYCLES)
                self._batch = max(1, len(batch) // 2)
        return seconds

    def finish(self) -> None:
        torch.cuda.synchronize()

    def _time_batch(self, calls: list[Callable[[], None]]) -> tuple[list[float], bool]:
        events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in calls]
        torch.cuda.synchronize()
        torch.cuda._sleep(self._cycles)
        for call, (start, end) in zip(calls, events):
            start.record()
            call()
            end.record()
        hidden = not events[0][0].query()
        torch.cuda.synchronize()
        return [start.elapsed_time(end) * 1e-3 for start, end in events], hidden


def clock_of(device: torch.device) -> Clock:
    return EventClock() if device.type == "cuda" else SteadyClock()


def cache_bytes(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).L2_cache_size if device.type == "cuda" else 32 << 20


def free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 4 << 30


def peak_bytes(call: Call, device: torch.device) -> int:
    """Of device memory that was in use at once during a call, with its inputs and outputs; 0: not known."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device)


def give_back_memory(device: torch.device) -> None:
    """That of a peer which is done, or has run out of it: the next one finds what the first one found."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


class Rotation:
    """Buffer sets in turn. What a call returns is kept until its set's next turn, so outputs rotate, too."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        self._kept: list[Tensors | None] = [None] * len(calls)
        self._next = 0
        self._last = 0

    def take(self, count: int) -> list[Callable[[], None]]:
        order = [(self._next + i) % len(self._calls) for i in range(count)]
        self._next = (self._next + count) % len(self._calls)
        return [lambda i=i: self._run(i) for i in order]

    def last_outputs(self) -> Tensors:
        kept = self._kept[self._last]
        assert kept is not None, "nothing has run"
        return kept

    def _run(self, index: int) -> None:
        self._kept[index] = self._calls[index]()
        self._last = index


def measure_cold(
    bind: Callable[[Tensors], Call],
    inputs: Tensors,
    set_bytes: int,
    cache: int,
    device: torch.device,
    rule: SamplingRule,
) -> tuple[str, list[float], int, Tensors]:
    """The clock, the samples in seconds, the number of buffer sets, and what the last sample left."""
    # Half of the memory: the rest is for what a peer allocates on the way.
    sets = rotation_sets(set_bytes, cache, free_bytes(device) // 2)
    copies = [inputs] + [{name: tensor.clone() for name, tensor in inputs.items()} for _ in range(sets - 1)]
    rotation = Rotation([bind(copy) for copy in copies])
    clock = clock_of(device)
    for call in rotation.take(WARM_UPS):
        call()
    clock.finish()
    samples = take_samples(rule, lambda count: clock.time(rotation.take(count)))
    clock.finish()
    return clock.name, samples, sets, rotation.last_outputs()
