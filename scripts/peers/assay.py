"""What is asked of the program itself: problems, inputs, verdicts. Standard library only."""

from __future__ import annotations

import json
import pathlib
import subprocess
import tempfile
from dataclasses import dataclass

from problem import Problem, read_problem
from record import Json


class AssayError(RuntimeError):
    """What the program said when it could not do what was asked."""


@dataclass(frozen=True)
class Assay:
    program: str

    def problems(self, what: list[str]) -> list[str]:
        return self._run(["list", "problems", *what]).splitlines()

    def export(self, problem: str, family: str, seed: int, folder: pathlib.Path, limit: str = "") -> Problem:
        """Without a family the one that is timed. limit: the backend whose limit goes with it, which takes seconds."""
        arguments = ["export", problem, "--seed", str(seed), "--to", str(folder)]
        arguments += ["--family", family] if family else []
        arguments += ["--limit", limit] if limit else []
        self._run(arguments)
        return read_problem(folder)

    def judge(
        self,
        folders: list[pathlib.Path],
        peer: str,
        numerics: str,
        backend: str,
        device: str,
        check: str = "interval",
    ) -> Json:
        """The record of verify-file: exit code 1 is a verdict, not trouble."""
        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch) / "record.jsonl"
            arguments = ["verify-file", *map(str, folders), "--variant", peer, "--backend", backend]
            arguments += ["--device", device, "--check", check, "--out", str(out)]
            arguments += ["--numerics", numerics] if numerics else []
            self._run(arguments, verdicts=(0, 1))
            lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
            records = [line for line in map(json.loads, lines) if line["kind"] == "case"]
            if not records:
                raise AssayError("verify-file came to no verdict")
            return records[-1]

    def _run(self, arguments: list[str], verdicts: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False)
        if done.returncode not in verdicts or done.stderr.startswith("assay: "):
            raise AssayError(done.stderr.strip() or f"{self.program} ended with {done.returncode}")
        return done.stdout
