"""Records and environments as reports/jsonl.cc writes them. Standard library only."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from hashing import fnv1a
from problem import Problem
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


def add_timed_checks(record: Json, judged: Json) -> None:
    """The checks of what a timed run has left; a failed one fails the record."""
    checks = [check for check in judged["checks"] if check["kind"] == "after_timing"]
    record["checks"] += checks
    if record["status"] == "passed" and any(check["status"] != "passed" for check in checks):
        record["status"], record["reason"] = judged["status"], judged["reason"]


def append(path: pathlib.Path, line: Json) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
