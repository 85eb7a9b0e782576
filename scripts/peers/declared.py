"""What each peer can run and which arithmetic it has, as its source says (flash-attn-res 0.1.12, Liger-Kernel 0.8.5).

The keys of numerics are those of `assay verify-file --numerics`. Standard library only, so that it is tested without
the packages.
"""

from __future__ import annotations

import math

from problem import UNITS, Problem

Numerics = dict[str, object]

# Elements that one tensor of a Triton program may have, and the offsets that 32 bits can hold.
TRITON_ELEMENTS = 2**20
OFFSETS = 2**31


def power_of_two(n: int) -> int:
    """The least that is not below n."""
    return 1 << max(0, n - 1).bit_length()


def height(n: int, lanes: int, further: int = 0) -> int:
    """Longest chain of roundings in a sum of n products over so many lanes: `height` of harness/core/op.h.

    further: roundings of each term beside its product and a folded weight.
    """
    return power_of_two(math.ceil(n / lanes) + math.ceil(math.log2(lanes)) + 2 + further)


def text(numerics: Numerics) -> str:
    return ",".join(f"{key}={value}" for key, value in numerics.items())


def shared(n: int, lanes: int, further: int = 0) -> int:
    """Where at least so many lanes share a long row; nothing is assumed of a short one."""
    return height(n, lanes if n >= 8 * lanes else 1, further)


def eager_numerics(problem: Problem, _: str) -> Numerics:
    """Everything in f32. torch.sum runs over a row in at least 32 lanes: a cascade on a CPU, a warp or more on a GPU."""
    return {"height": shared(problem.dims["D"], 32)}


def compiled_numerics(problem: Problem, device: str) -> Numerics:
    """Inductor's sums: a vector of 8 or more on a CPU, a block of threads on a GPU.

    It may fuse the softmax into one pass that rescales, at most once a source.
    """
    lanes = 32 if device == "cuda" else 8
    return {"height": shared(problem.dims["D"], lanes), "rescales": problem.dims.get("N", 1)}


def by_schedule(_: Problem, __: str) -> Numerics:
    """Networks are judged by their schedule: there is nothing to declare."""
    return {}


def sources_of(problem: Problem) -> int:
    """The largest number of sources that one mix has."""
    if "L" not in problem.dims:
        return problem.dims.get("N", 1)
    layers, per_block = problem.dims["L"], problem.dims["S"]
    return 1 + math.ceil(layers / per_block)  # with the sum of the last block, complete or not


def largest_tensor(problem: Problem) -> int:
    """Elements; of a network also of what peers keep of it: the sources, and what is mixed for a block of layers."""
    largest = max(tensor.elements() for tensor in problem.tensors)
    if "L" not in problem.dims:
        return largest
    rows = max(sources_of(problem), min(problem.dims["L"], problem.dims["S"]))
    return max(largest, rows * problem.dims["T"] * problem.dims["D"])


def autograd_unsupported(problem: Problem) -> str:
    if problem.options.get("accumulate"):
        return "autograd returns gradients, it does not add to given ones"
    return ""


# flash-attn-res: one program a token, all sources and all of D in one tile; logits rsqrt(mean + eps)·<w, v> in f32,
# from queries of any dtype; O is rounded once, to bf16 whatever V is.


def flash_attn_res_unsupported(problem: Problem) -> str:
    dim, sources = problem.dims["D"], sources_of(problem)
    if dim != power_of_two(dim):
        return f"flash-attn-res: D={dim} is no power of two"
    if power_of_two(sources) * dim > TRITON_ELEMENTS:
        return f"flash-attn-res: a tile of {power_of_two(sources)} x {dim} is beyond what Triton allows"
    if largest_tensor(problem) > OFFSETS:
        return "flash-attn-res: offsets beyond 32 bits"
    for name in ("O", "H", "dO", "dH", "X"):  # autograd takes the gradient of an output in the output's dtype
        if problem.dtype(name) not in ("", "bf16"):
            return f"flash-attn-res: {name} is always rounded to bf16"
    if problem.dtype("Y") not in ("", "bf16"):
        return "flash-attn-res: what a layer puts out is bf16, as what it is given"
    if problem.tensor("U"):
        return "flash-attn-res: phase 2 does not update P"
    if problem.dtype("O1") not in ("", "bf16"):
        return "flash-attn-res: H has the dtype of O1 and is rounded to bf16"
    if problem.op == "attnres_merge_bwd" and problem.tensor("dLSE"):
        return "flash-attn-res: phase 2 has no LSE, hence no gradient of one"
    return autograd_unsupported(problem)


def flash_attn_res_numerics(problem: Problem, _: str) -> Numerics:
    """Autotuned over 1 to 8 warps: at least 32 lanes share a row, where there is enough of it."""
    return {"height": shared(problem.dims["D"], 32)}


# Liger: one program a token and one query; keys (v·r)·w_norm in the dtype of w_norm; no LSE.


def liger_unsupported(problem: Problem) -> str:
    if problem.dims.get("Q", 1) != 1:
        return "Liger: one query only"
    if problem.tensor("dLSE"):
        return "Liger: no LSE, hence no gradient of one"
    if power_of_two(problem.dims["D"]) > TRITON_ELEMENTS:
        return "Liger: a row is beyond what Triton allows"
    if largest_tensor(problem) > OFFSETS:
        return "Liger: offsets beyond 32 bits"
    for name in ("O", "dO"):
        if problem.tensor("V") and problem.dtype(name) not in ("", problem.dtype("V")):
            return f"Liger: {name} has the dtype of V"
    return autograd_unsupported(problem)


def liger_numerics(problem: Problem, _: str) -> Numerics:
    """128 to 512 threads share a row. A term is rounded three times in f32: v·r, ·w_norm, ·w_query.

    With a g in 16 bits the first two are roundings to that dtype. Assay has no word for keys in 16 bits: the one is a
    rounding of the weights, which has the same bound, the other is worth as many f32 roundings as its unit is larger.
    """
    row = power_of_two(problem.dims["D"])
    warps = 16 if row >= 8192 else 8 if row >= 2048 else 4
    numerics: Numerics = {"height": shared(row, 32 * warps, further=1)}
    g = problem.dtype("g")
    if g in ("bf16", "f16") and problem.op == "attnres_fwd":
        numerics["height"] = int(UNITS[g] / UNITS["f32"]) + shared(row, 32 * warps, further=1)
        numerics["weights"] = g
    return numerics
