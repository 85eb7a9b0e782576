"""Files of `assay export` to torch tensors and back: bf16 is widened to f32 in files, which loses nothing."""

from __future__ import annotations

import math
import pathlib

import numpy
import torch

from problem import Problem

Tensors = dict[str, torch.Tensor]

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def read_inputs(folder: pathlib.Path, problem: Problem, device: torch.device) -> Tensors:
    return {
        tensor.name: torch.from_numpy(numpy.load(folder / tensor.input)).to(device=device, dtype=DTYPES[tensor.dtype])
        for tensor in problem.inputs()
    }


def remove_outputs(folder: pathlib.Path, problem: Problem) -> None:
    for tensor in problem.outputs():
        (folder / tensor.output).unlink(missing_ok=True)


def write_outputs(folder: pathlib.Path, problem: Problem, outputs: Tensors) -> None:
    """Those that there are, as the peer left them: a wrong dtype or shape is for verify-file to refuse."""
    remove_outputs(folder, problem)
    for tensor in problem.outputs():
        if tensor.name not in outputs:
            continue
        value = outputs[tensor.name].detach()
        value = value.float() if value.dtype == torch.bfloat16 else value
        numpy.save(folder / tensor.output, numpy.ascontiguousarray(value.cpu().numpy()))


def to_host(outputs: Tensors) -> Tensors:
    return {name: value.detach().cpu() for name, value in outputs.items()}


def difference(got: torch.Tensor, want: torch.Tensor) -> float:
    """|got - want| / |want| of tensors in host memory; NaN where either holds what is no finite number."""
    norms = [torch.linalg.vector_norm(value, dtype=torch.float64) for value in (got.float() - want.float(), want)]
    error, norm = (float(value) for value in norms)
    return 0.0 if error == 0 else error / norm if norm > 0 else math.inf
