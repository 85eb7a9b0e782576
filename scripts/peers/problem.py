"""A problem as the manifest of `assay export` describes it. Standard library only."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from typing import Any

SIZES = {"f32": 4, "f16": 2, "bf16": 2}
# Half the distance from 1 to the next number.
UNITS = {"f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str
    shape: tuple[int, ...]
    input: str  # the file to read; empty: it is only written
    output: str  # the file to write; empty: it is only read

    def elements(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count

    def bytes(self) -> int:
        return self.elements() * SIZES[self.dtype]


@dataclass(frozen=True)
class Device:
    """Where our own variants run: what it is called, and what its memory can do at this problem's mix."""

    backend: str
    name: str
    cache_bytes: int
    limit: float  # bytes per second; 0: unknown
    floor: float = 0.0  # seconds that a cold run takes at the least; 0: unknown


@dataclass(frozen=True)
class Problem:
    text: str
    op: str
    family: str
    seed: int
    dims: dict[str, int]
    options: dict[str, Any]
    tensors: tuple[Tensor, ...]
    bytes_read: float
    bytes_written: float
    flops: float
    device: Device | None
    judged_as: str = ""  # a network: the text of the problem on which programs for this one are judged

    def tensor(self, name: str) -> Tensor | None:
        return next((tensor for tensor in self.tensors if tensor.name == name), None)

    def dtype(self, name: str) -> str:
        """Of a tensor; empty: this problem does not have it."""
        tensor = self.tensor(name)
        return tensor.dtype if tensor else ""

    def inputs(self) -> list[Tensor]:
        return [tensor for tensor in self.tensors if tensor.input]

    def outputs(self) -> list[Tensor]:
        return [tensor for tensor in self.tensors if tensor.output]


def problem_of(manifest: dict[str, Any]) -> Problem:
    tensors = tuple(
        Tensor(t["name"], t["dtype"], tuple(t["shape"]), t.get("input", ""), t.get("output", ""))
        for t in manifest["tensors"]
    )
    device = manifest.get("device")
    return Problem(
        text=manifest["problem"],
        op=manifest["op"],
        family=manifest["family"],
        seed=manifest["seed"],
        dims=manifest["dims"],
        options=manifest["options"],
        tensors=tensors,
        bytes_read=manifest["bytes_read"],
        bytes_written=manifest["bytes_written"],
        flops=manifest["flops"],
        device=device
        and Device(
            device["backend"], device["name"], device["cache_bytes"], device["limit_bytes_per_s"], device["floor_s"]
        ),
        judged_as=manifest.get("judged_as", ""),
    )


def read_problem(folder: pathlib.Path) -> Problem:
    return problem_of(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
