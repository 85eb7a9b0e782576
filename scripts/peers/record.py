"""Records and environments as reports/jsonl.cc writes them. Standard library only."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

from hashing import fnv1a
from problem import UNITS, Problem
from sampling import quantile

SCHEMA = 1
Json = dict[str, Any]


def environment_id(facts: dict[str, str]) -> str:
    """The hash of harness/core/record.cc: FNV-1a over schema, keys and values, each ended by a byte 0xff."""
    texts = [str(SCHEMA), *(part for fact in facts.items() for part in fact)]
    value = fnv1a(b"".join(text.encode("utf-8") + b"\xff" for text in texts))
    return f"{value:016x}"


def environment(facts: dict[str, str]) -> Json:
    return {"schema": SCHEMA, "kind": "environment", "id": environment_id(facts), "facts": facts}


def measurement(problem: Problem, clock: str, samples: list[float], sets: int) -> Json:
    return {
        "cache": "cold",
        "clock": clock,
        "samples": len(samples),
        "median_s": quantile(samples, 0.5),
        "p05_s": quantile(samples, 0.05),
        "p95_s": quantile(samples, 0.95),
        "bytes_read": problem.bytes_read,
        "bytes_written": problem.bytes_written,
        "flops": problem.flops,
        "limit_bytes_per_s": problem.device.limit if problem.device else 0.0,
        "buffer_sets": sets,
        "floor_s": problem.device.floor if problem.device else 0.0,
    }


def without_verdict(problem: Problem, peer: str, backend: str, device: str, status: str, reason: str) -> Json:
    """A case that was never judged: unsupported, error or crashed."""
    return {
        "schema": SCHEMA,
        "kind": "case",
        "environment": "",
        "op": problem.op,
        "problem": problem.text,
        "variant": peer,
        "backend": backend,
        "device": device,
        "numerics": "",
        "repeatability": "not tested",
        "workspace_bytes": 0,
        "status": status,
        "reason": reason,
        "checks": [],
        "measurements": [],
        "seconds": 0.0,
        "repro": "",
    }


def stand_for(record: Json, problem: Problem) -> None:
    """The record of a short network becomes that of the one whose peers are judged on it."""
    record["notes"] = [*record.get("notes", []), f"judged on `{record['problem']}`"]
    record["problem"] = problem.text


def agreement(problem: Problem, output: str, elements: int, error: float) -> Json:
    """Of the last timed call's output with that of a call that was not timed. error: the norm's share; NaN fails.

    Both round to 16 bits where they store, and may add up in another order.
    """
    limit = max(1e-4, max(UNITS[tensor.dtype] for tensor in problem.tensors))
    passed = error <= limit
    why = f"what the last timed call left as {output} differs by {error:.2g} of its norm from that of an untimed one"
    return {
        "kind": "after_timing",
        "family": problem.family,
        "seed": problem.seed,
        "output": output,
        "status": "passed" if passed else "failed",
        "reason": "" if passed else why,
        "elements": elements,
        "wrong": 0 if passed else elements,
        "utilisation": number(error / limit),
        "zero_accepted": 0.0,
        "error_rms": 0.0,
        "error_normwise": number(error),
    }


def number(value: float) -> float | str:
    """JSON has no infinities and no NaN."""
    if math.isnan(value):
        return "nan"
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"


def add_checks(record: Json, checks: list[Json]) -> None:
    """Those of what a timed run has left; the first that failed fails the record."""
    record["checks"] += checks
    failed = [check for check in checks if check["status"] != "passed"]
    if record["status"] == "passed" and failed:
        record["status"], record["reason"] = failed[0]["status"], failed[0]["reason"]


def add_timed_checks(record: Json, judged: Json) -> None:
    """The checks of what a timed run has left; a failed one fails the record."""
    checks = [check for check in judged["checks"] if check["kind"] == "after_timing"]
    record["checks"] += checks
    if record["status"] == "passed" and any(check["status"] != "passed" for check in checks):
        record["status"], record["reason"] = judged["status"], judged["reason"]


def append(path: pathlib.Path, line: Json) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
