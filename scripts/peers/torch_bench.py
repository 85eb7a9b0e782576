#!/usr/bin/env python3
"""Runs Assay's problems through PyTorch eager, torch.compile and, where importable, flash-attn-res and Liger.

    scripts/peers/torch_bench.py quick --device cpu --out peers.jsonl
    build/assay report results.jsonl peers.jsonl

Each peer computes from the inputs that `assay export` writes, `assay verify-file` judges every element of what it
computed under the arithmetic that it declares, and only what passed is timed, cold, by the protocol of our own
variants. A whole network is judged on a short one with the same layers, row by row; after timing its outputs must be
those of a call that was not timed. Records are appended in Assay's own format. Exit code: 0 all good; 1 a peer failed
or could not be run; 2 wrong usage. Needs torch and numpy.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time
from typing import Iterator, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import torch

import declared
import record as records
from adapters import PEERS, TABLE, why_not_importable
from adapters.adapter import Adapter, Bind
from assay import Assay, AssayError
from facts import describe
from problem import Problem
from samples import SampleWriter
from sampling import SamplingRule
from tensors import Tensors, difference, read_inputs, to_host, write_outputs
from timing import cache_bytes, give_back_memory, measure_cold, peak_bytes

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD, BAD, USAGE = 0, 1, 2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", help="suites and problems, as for `assay run`")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this peer; may be repeated")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: %(default)s)")
    parser.add_argument("--families", default="gaussian,spread,dominant,grown", metavar="NAMES",
                        help="of inputs to verify, those that a problem has; the first is timed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the inputs (default: %(default)s)")
    parser.add_argument("--verify-only", action="store_true", help="do not time")
    parser.add_argument("--no-limit", action="store_true",
                        help="do not measure the device's limit (needed where assay lacks the backend)")
    parser.add_argument("--samples", type=int, default=10, help="at least so many a case (default: %(default)s)")
    parser.add_argument("--min-time", type=float, default=0.05, metavar="SECONDS",
                        help="of timed work a case, at least (default: %(default)s)")
    parser.add_argument("--assay", default=str(ROOT / "build" / "assay"), help="the program (default: build/assay)")
    parser.add_argument("--scratch", type=pathlib.Path, help="folder for tensors, which may take gigabytes")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("peers.jsonl"), metavar="FILE",
                        help="append the records to this file (default: %(default)s)")
    return parser.parse_args()


class Export(NamedTuple):
    folder: pathlib.Path
    problem: Problem


def export_families(
    assay: Assay, problem: str, options: argparse.Namespace, scratch: pathlib.Path, limit: str = ""
) -> Iterator[Export]:
    """Those of the families that the problem has, one after the other; the limit goes with the first."""
    for name in options.families.split(","):
        folder = scratch / name
        try:
            exported = assay.export(problem, name, options.seed, folder, limit)
        except AssayError as error:
            if "family" not in str(error):
                raise
            print(f"{problem}: without the family {name}: {error}", file=sys.stderr)
            continue
        yield Export(folder, exported)
        limit = ""


class Exports:
    """What is timed, and what is judged: the same on each of the families, or, of a network, a short one."""

    def __init__(self, assay: Assay, problem: str, options: argparse.Namespace, scratch: pathlib.Path) -> None:
        limit = "" if options.verify_only or options.no_limit else torch.device(options.device).type
        families = export_families(assay, problem, options, scratch / "timed", limit)
        first = next(families, None)
        if not first:
            raise AssayError(f"{problem}: none of the families {options.families} applies")
        self.timed = first
        short = first.problem.judged_as
        self.judged = [*export_families(assay, short, options, scratch / "judged")] if short else [first, *families]


class Bench:
    def __init__(self, assay: Assay, samples: SampleWriter, options: argparse.Namespace) -> None:
        self.assay = assay
        self.samples = samples
        self.options = options
        self.device = torch.device(options.device)
        self.rule = SamplingRule(min_samples=options.samples, min_seconds=options.min_time)

    def run(self, exports: Exports, peer: str) -> records.Json:
        """The record of one peer on one problem, whatever it does."""
        start = time.monotonic()
        problem = exports.timed.problem
        adapter = TABLE.get(problem.op, {}).get(peer)
        reason = adapter.unsupported(problem, self.device) if adapter else f"{peer} does not compute {problem.op}"
        if reason or not adapter:
            result = self._without_verdict(problem, peer, "unsupported", reason)
        else:
            try:
                result = self._verify_and_time(exports, peer, adapter)
            except torch.cuda.OutOfMemoryError as error:  # what its text goes on to say is of that moment and that machine
                result = self._without_verdict(problem, peer, "error", str(error).split(" GPU ")[0])
            except Exception as error:  # whatever a peer throws is its verdict
                result = self._without_verdict(problem, peer, "error", f"{type(error).__name__}: {error}".strip())
        give_back_memory(self.device)
        result["seconds"] = time.monotonic() - start
        result["repro"] = self._repro(problem, peer)
        return result

    def _verify_and_time(self, exports: Exports, peer: str, adapter: Adapter) -> records.Json:
        judged = exports.judged[0].problem
        bind = adapter.build(judged)
        for folder, problem in exports.judged:
            write_outputs(folder, problem, bind(read_inputs(folder, problem, self.device))())
        numerics = declared.text(adapter.declared.numerics(judged, self.device.type))
        result = self._judge(judged, [folder for folder, _ in exports.judged], peer, numerics)
        folder, problem = exports.timed
        if problem.judged_as:
            records.stand_for(result, problem)
        if result["status"] != "passed" or self.options.verify_only:
            return result
        inputs = read_inputs(folder, problem, self.device)
        if problem.judged_as:
            self._time_network(problem, adapter.build(problem), inputs, result)
            return result
        measured, outputs = self._time(problem, bind, inputs)
        write_outputs(folder, problem, outputs)
        records.add_timed_checks(result, self._judge(problem, [folder], peer, numerics, "after_timing"))
        result["measurements"] = [measured]
        return result

    def _time_network(self, problem: Problem, bind: Bind, inputs: Tensors, result: records.Json) -> None:
        """What is too large to be judged must be what it is without a clock, too."""
        call = bind(inputs)
        untimed = to_host(call())  # compiles, and chooses among configurations
        result["peak_bytes"] = peak_bytes(call, self.device)
        measured, outputs = self._time(problem, bind, inputs)
        left = to_host(outputs)
        records.add_checks(result, [
            records.agreement(problem, name, want.numel(), difference(left[name], want))
            for name, want in untimed.items()
        ])
        result["measurements"] = [measured]

    def _time(self, problem: Problem, bind: Bind, inputs: Tensors) -> tuple[records.Json, Tensors]:
        set_bytes = sum(tensor.bytes() for tensor in problem.tensors)
        cache = problem.device.cache_bytes if problem.device else cache_bytes(self.device)
        clock, samples, sets, outputs = measure_cold(bind, inputs, set_bytes, cache, self.device, self.rule)
        measured = records.measurement(problem, clock, samples, sets)
        return measured | {"samples_at": self.samples.write(samples)}, outputs

    def _judge(
        self, problem: Problem, folders: list[pathlib.Path], peer: str, numerics: str, check: str = "interval"
    ) -> records.Json:
        return self.assay.judge(folders, peer, numerics, self.device.type, self._device_name(problem), check)

    def _device_name(self, problem: Problem) -> str:
        if problem.device:
            return problem.device.name
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""

    def _without_verdict(self, problem: Problem, peer: str, status: str, reason: str) -> records.Json:
        return records.without_verdict(problem, peer, self.device.type, self._device_name(problem), status, reason)

    def _repro(self, problem: Problem, peer: str) -> str:
        return (f"scripts/peers/torch_bench.py '{problem.text}' --peer {peer} --device {self.options.device} "
                f"--families {self.options.families} --seed {self.options.seed}")

    def device_is_lost(self) -> bool:
        try:
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            return False
        except RuntimeError:
            return True


def chosen_peers(options: argparse.Namespace) -> list[str]:
    peers = []
    for peer in options.peer or PEERS:
        trouble = why_not_importable(peer)
        if trouble and options.peer:
            raise AssayError(f"{peer}: {trouble}")
        if trouble:
            print(f"without {peer}: {trouble}", file=sys.stderr)
        else:
            peers.append(peer)
    return peers


def line_of(result: records.Json) -> str:
    times = "".join(f" {m['median_s'] * 1e6:.1f} µs" for m in result["measurements"])
    reason = f": {result['reason']}" if result["reason"] else ""
    return f"{result['status']} {result['variant']}@{result['backend']} {result['problem']}{times}{reason}"


def sweep(options: argparse.Namespace, assay: Assay) -> int:
    peers = chosen_peers(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    bench = Bench(assay, SampleWriter(options.out), options)
    environment = records.environment(describe(bench.device))
    problems = assay.problems(options.what)
    records.append(options.out, environment)
    good = True
    for text in problems:
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            exports = Exports(assay, text, options, pathlib.Path(scratch))
            for peer in peers:
                result = bench.run(exports, peer)
                lost = result["status"] == "error" and bench.device_is_lost()
                result["status"] = "crashed" if lost else result["status"]
                result["environment"] = environment["id"]
                records.append(options.out, result)
                print(line_of(result), flush=True)
                good = good and result["status"] in ("passed", "unsupported")
                if lost:
                    raise AssayError("the device is lost to this process: run the other problems again without this")
    return GOOD if good else BAD


def main() -> int:
    options = parse_arguments()
    if torch.device(options.device).type == "cuda":
        if not torch.cuda.is_available():
            print("torch_bench: torch sees no CUDA device; --device cpu runs eager and compile", file=sys.stderr)
            return USAGE
        torch.cuda.set_device(torch.device(options.device).index or 0)
    torch.set_float32_matmul_precision("highest")
    try:
        if options.scratch:
            options.scratch.mkdir(parents=True, exist_ok=True)
        return sweep(options, Assay(options.assay))
    except (AssayError, OSError) as error:
        print(f"torch_bench: {error}", file=sys.stderr)
        return USAGE


if __name__ == "__main__":
    sys.exit(main())
