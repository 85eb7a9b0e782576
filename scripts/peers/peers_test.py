#!/usr/bin/env python3
"""Tests of what needs neither torch nor a built assay: python3 scripts/peers/peers_test.py"""

from __future__ import annotations

import json
import math
import pathlib
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import declared
import record
from assay import Assay, AssayError
from hashing import fnv1a
from problem import Problem, problem_of
from samples import SampleWriter
from sampling import SamplingRule, next_batch, quantile, rotation_sets, take_samples

ROOT = pathlib.Path(__file__).resolve().parents[2]


def problem(dims: dict[str, int], op: str = "attnres_fwd", options: dict | None = None, **dtypes: str) -> Problem:
    shapes = {
        "V": ("N", "T", "D"), "O": ("Q", "T", "D"), "LSE": ("Q", "T"), "w": ("Q", "D"), "g": ("Q", "D"), "dO": ("Q", "T", "D"),
        "dLSE": ("Q", "T"), "P": ("T", "D"), "O1": ("T", "D"), "H": ("T", "D"), "X": ("T", "D"), "Y": ("L", "T", "D"),
    }
    outputs = {"attnres_fwd": ("O", "LSE"), "attnres_merge_fwd": ("H", "LSE"), "block_attnres_fwd": ("O",)}.get(
        op, ("dV", "dw", "dg"))
    tensors = [
        {"name": name, "dtype": dtype, "shape": [dims.get(axis, 1) for axis in shapes[name]]}
        | ({"output": f"{name}.npy"} if name in outputs else {"input": f"{name}.npy"})
        for name, dtype in dtypes.items()
    ]
    return problem_of({
        "problem": op, "op": op, "family": "gaussian", "seed": 1, "dims": dims, "options": options or {"eps": 1e-6},
        "tensors": tensors, "bytes_read": 96.0, "bytes_written": 32.0, "flops": 64.0,
        "device": {"backend": "cpu", "name": "C", "cache_bytes": 1, "limit_bytes_per_s": 2.0, "floor_s": 1e-6},
    })


def forward(dims: dict[str, int], dtype: str = "bf16", **more: str) -> Problem:
    return problem(dims, **({"V": dtype, "w": dtype, "O": dtype, "LSE": "f32"} | more))


def network(dims: dict[str, int], dtype: str = "bf16", **more: str) -> Problem:
    return problem(LAYERS | dims, "block_attnres_fwd", **({"X": dtype, "w": dtype, "O": dtype} | more))


LAYERS = {"L": 32, "S": 8, "T": 8192, "D": 2048}
SMALL = {"N": 9, "Q": 1, "T": 64, "D": 2048}


class Declared(unittest.TestCase):
    def test_height_is_that_of_the_harness(self) -> None:
        self.assertEqual(declared.height(2048, 256), 32)  # 8 + 8 + 2
        self.assertEqual(declared.height(7168, 128), 128)  # 56 + 7 + 2
        self.assertEqual(declared.height(8, 1), 16)
        self.assertEqual(declared.height(4, 1, further=3), 16)  # 4 + 2 + 3

    def test_text_is_what_verify_file_reads(self) -> None:
        self.assertEqual(declared.text({"height": 64, "weights": "bf16"}), "height=64,weights=bf16")

    def test_flash_attn_res_names_what_it_cannot_run(self) -> None:
        why = declared.flash_attn_res_unsupported
        self.assertEqual(why(forward(SMALL)), "")
        self.assertIn("D=2304 is no power of two", why(forward(SMALL | {"D": 2304})))
        self.assertIn("always rounded to bf16", why(forward(SMALL, "f16")))
        self.assertIn("beyond what Triton allows", why(forward(SMALL | {"N": 129, "D": 8192})))
        self.assertIn("32 bits", why(forward(SMALL | {"T": 2**20})))
        merge = problem({"T": 4, "D": 64}, "attnres_merge_fwd", P="bf16", w="bf16", O1="f32", H="bf16")
        self.assertIn("O1", why(merge))
        backward = problem(SMALL, "attnres_bwd", {"eps": 1e-6, "accumulate": True}, V="bf16", w="bf16", dO="bf16")
        self.assertIn("does not add to given ones", why(backward))

    def test_liger_names_what_it_cannot_run(self) -> None:
        why = declared.liger_unsupported
        self.assertEqual(why(forward(SMALL | {"D": 2304}, "f16")), "")
        self.assertIn("one query", why(forward(SMALL | {"Q": 2})))
        self.assertIn("dtype of V", why(forward(SMALL, O="f32")))
        self.assertIn("no LSE", why(problem(SMALL, "attnres_bwd", V="bf16", w="bf16", dO="bf16", dLSE="f32")))

    def test_liger_rounds_keys_where_its_weights_have_16_bits(self) -> None:
        self.assertEqual(declared.liger_numerics(forward(SMALL), "cuda"), {"height": 32})
        self.assertEqual(declared.liger_numerics(forward(SMALL, g="bf16"), "cuda"),
                         {"height": 65536 + 32, "weights": "bf16"})
        self.assertEqual(declared.liger_numerics(forward(SMALL, g="f32"), "cuda"), {"height": 32})


class Networks(unittest.TestCase):
    def test_a_manifest_says_on_which_problem_a_network_is_judged(self) -> None:
        manifest = {
            "problem": "p", "op": "o", "family": "f", "seed": 1, "dims": {}, "options": {}, "tensors": [],
            "bytes_read": 0, "bytes_written": 0, "flops": 0,
        }
        self.assertEqual(problem_of(manifest).judged_as, "")
        self.assertEqual(problem_of(manifest | {"judged_as": "short"}).judged_as, "short")

    def test_nothing_is_declared(self) -> None:
        self.assertEqual(declared.text(declared.by_schedule(network({}), "cuda")), "")

    def test_the_largest_mix_is_that_of_the_output_and_of_the_last_layers(self) -> None:
        self.assertEqual(declared.sources_of(network({})), 5)
        self.assertEqual(declared.sources_of(network({"L": 33})), 6)
        self.assertEqual(declared.sources_of(network({"L": 1})), 2)
        self.assertEqual(declared.sources_of(forward(SMALL)), 9)

    def test_what_peers_keep_of_a_network_counts(self) -> None:
        self.assertEqual(declared.largest_tensor(network({})), 8 * 8192 * 2048)
        self.assertEqual(declared.largest_tensor(network({"S": 2})), 17 * 8192 * 2048)
        self.assertEqual(declared.largest_tensor(network({}, Y="bf16")), 32 * 8192 * 2048)

    def test_what_cannot_run_a_network_says_why(self) -> None:
        why = declared.flash_attn_res_unsupported
        self.assertEqual(why(network({"T": 65536})), "")
        self.assertEqual(why(network({"L": 4, "T": 4, "D": 64}, w="f32", Y="bf16")), "")
        self.assertIn("no power of two", why(network({"D": 2304})))
        self.assertIn("always rounded to bf16", why(network({}, "f16")))
        self.assertIn("X is always rounded", why(network({}, X="f32")))
        self.assertIn("a layer puts out is bf16", why(network({"T": 4}, Y="f32")))
        self.assertIn("32 bits", why(network({"T": 2**18})))
        self.assertIn("beyond what Triton allows", why(network({"L": 1024, "S": 1, "T": 1})))
        why = declared.liger_unsupported
        self.assertEqual(why(network({"D": 2304}, "f16")), "")
        self.assertIn("32 bits", why(network({"T": 2**18})))


class Sampling(unittest.TestCase):
    def test_quantiles_are_interpolated(self) -> None:
        self.assertEqual(quantile([4, 1, 3, 2], 0.5), 2.5)
        self.assertAlmostEqual(quantile(list(range(101)), 0.95), 95)
        self.assertEqual(quantile([7], 0.05), 7)

    def test_sets_fill_three_caches_and_are_at_least_two(self) -> None:
        self.assertEqual(rotation_sets(10, 100, 10**9), 30)
        self.assertEqual(rotation_sets(1000, 100, 10**9), 2)
        self.assertEqual(rotation_sets(1000, 100, 1500), 1)
        self.assertEqual(rotation_sets(1, 10**9, 10**12), 4096)

    def test_sampling_goes_on_until_both_minima_are_reached(self) -> None:
        rule = SamplingRule(min_samples=10, min_seconds=1.0)
        samples = take_samples(rule, lambda n: [0.01] * n, now=lambda: 0.0)
        self.assertGreaterEqual(sum(samples), 1.0 - 1e-9)
        self.assertEqual(next_batch(rule, 0, 0), 10)
        self.assertEqual(next_batch(rule, 10, 0.1), 90)

    def test_sampling_ends_when_the_time_is_up(self) -> None:
        clock = iter(range(0, 10_000, 5))
        samples = take_samples(SamplingRule(min_seconds=100), lambda n: [0.1] * n, now=lambda: next(clock))
        self.assertLess(len(samples), 1100)


class Records(unittest.TestCase):
    def test_environments_are_hashed_like_the_harness_hashes_them(self) -> None:
        files = sorted((ROOT / "reports" / "results").rglob("*.jsonl"))
        lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
        environments = [line for line in lines if line["kind"] == "environment"]
        self.assertTrue(environments)
        for line in environments:
            self.assertEqual(record.environment_id(line["facts"]), line["id"])

    def test_a_record_has_keys_of_ours_in_their_order(self) -> None:
        path = ROOT / "reports" / "results" / "nvidia-h100-80gb-hbm3" / "backward.jsonl"
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        ours = next(line for line in lines if line["kind"] == "case" and line["measurements"])
        made = record.without_verdict(forward(SMALL), "liger", "cuda", "GPU", "unsupported", "why")
        self.assertEqual(list(made), [key for key in ours if key in made])
        measured = record.measurement(forward(SMALL), "cuda_event", [2e-6, 1e-6, 3e-6], 4)
        self.assertEqual(list(measured), [key for key in ours["measurements"][0] if key in measured])
        self.assertEqual((measured["median_s"], measured["limit_bytes_per_s"], measured["buffer_sets"]), (2e-6, 2.0, 4))
        self.assertEqual(measured["floor_s"], 1e-6)

    def test_what_a_timed_run_left_can_fail_a_record(self) -> None:
        made = {"status": "passed", "reason": "", "checks": []}
        bad = {"kind": "after_timing", "status": "failed"}
        judged = {"status": "failed", "reason": "O[q=0]", "checks": [bad, {"kind": "bias", "status": "passed"}]}
        record.add_timed_checks(made, judged)
        self.assertEqual(made, {"status": "failed", "reason": "O[q=0]", "checks": [bad]})


    def test_a_short_network_stands_for_the_one_that_is_timed(self) -> None:
        made = {"problem": "short", "status": "passed"}
        record.stand_for(made, network({}))
        self.assertEqual(made["problem"], "block_attnres_fwd")
        self.assertEqual(made["notes"], ["judged on `short`"])

    def test_a_timed_call_must_leave_what_an_untimed_one_does(self) -> None:
        def status(problem: Problem, error: float) -> str:
            return record.agreement(problem, "O", 7, error)["status"]

        self.assertEqual(status(network({}), 2.0**-8), "passed")
        self.assertEqual(status(network({}), 2.0**-7), "failed")
        self.assertEqual(status(network({}, "f32"), 9e-5), "passed")
        self.assertEqual(status(network({}, "f32"), 2e-4), "failed")
        self.assertEqual(status(network({}), math.nan), "failed")
        made = {"status": "passed", "reason": "", "checks": []}
        record.add_checks(made, [record.agreement(network({}), "O", 7, 0.0)])
        self.assertEqual((made["status"], made["reason"]), ("passed", ""))
        record.add_checks(made, [record.agreement(network({}), "O", 7, math.inf)])
        self.assertEqual(made["status"], "failed")
        self.assertIn("O differs by inf of its norm", made["reason"])
        self.assertEqual([check["kind"] for check in made["checks"]], ["after_timing"] * 2)
        json.dumps(made, allow_nan=False)

    def test_a_check_has_the_keys_of_ours_in_their_order(self) -> None:
        path = ROOT / "reports" / "results" / "nvidia-h100-80gb-hbm3" / "networks.jsonl"
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        ours = next(line for line in lines if line["kind"] == "case")["checks"][0]
        made = record.agreement(network({}), "O", 7, 0.0)
        self.assertEqual(list(made), [key for key in ours if key in made])


class Samples(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.results = pathlib.Path(folder.name) / "peers.jsonl"
        self.file = pathlib.Path(folder.name) / "peers.samples"

    def test_blocks_are_those_of_the_harness(self) -> None:
        folder = ROOT / "reports" / "results" / "nvidia-h100-80gb-hbm3"
        theirs = (folder / "auto.samples").read_bytes()
        lines = map(json.loads, (folder / "auto.jsonl").read_text(encoding="utf-8").splitlines())
        measured = next(m for line in lines for m in line.get("measurements", []) if "samples_at" in m)
        at = measured["samples_at"]
        block = theirs[at["offset"] : at["offset"] + 12 * at["count"]]
        self.assertEqual(f"{fnv1a(block):016x}", at["checksum"])
        ours = SampleWriter(self.results).write([second for second, _, _ in struct.iter_unpack("<ffI", block)])
        self.assertEqual((ours["offset"], ours["count"]), (16, at["count"]))
        written = self.file.read_bytes()
        self.assertEqual(written[:16], theirs[:16])
        self.assertEqual(written[16::12], block[::12])
        self.assertEqual(f"{fnv1a(written[16:]):016x}", ours["checksum"])

    def test_a_file_goes_on_only_beside_its_records(self) -> None:
        SampleWriter(self.results).write([1.0])
        self.assertEqual(SampleWriter(self.results).write([2.0])["offset"], 16)
        self.results.write_text("{}\n", encoding="utf-8")
        self.assertEqual(SampleWriter(self.results).write([3.0])["offset"], 28)
        self.file.write_bytes(b"something else, which stays")
        with self.assertRaises(OSError):
            SampleWriter(self.results)


class Program(unittest.TestCase):
    """Against a stand-in for assay."""

    def stand_in(self, body: str) -> Assay:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "assay"
        path.write_text("#!/bin/sh\n" + body, encoding="utf-8")
        path.chmod(0o755)
        return Assay(str(path))

    def test_problems_are_lines(self) -> None:
        self.assertEqual(self.stand_in("echo a N=1; echo b N=2").problems(["quick"]), ["a N=1", "b N=2"])

    def test_a_verdict_is_no_trouble_but_wrong_usage_is(self) -> None:
        failing = self.stand_in('for last; do :; done; while [ "$1" != --out ]; do shift; done\n'
                                'echo \'{"kind":"environment"}\' >"$2"; echo \'{"kind":"case","status":"failed"}\' >>"$2"; exit 1')
        self.assertEqual(failing.judge([pathlib.Path("x")], "p", "height=8", "cpu", "C")["status"], "failed")
        with self.assertRaisesRegex(AssayError, "assay: no manifest"):
            self.stand_in("echo assay: no manifest >&2; exit 2").judge([pathlib.Path("x")], "p", "", "cpu", "C")


if __name__ == "__main__":
    unittest.main()
