"""What an adapter is: a differentiable function of the op's inputs, timed forward or backward, and what it declares."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Callable

import torch
import torch._functorch.config

import declared
from problem import Problem
from tensors import DTYPES, Tensors

Options = dict[str, Any]
DTypes = dict[str, torch.dtype]  # of the results, as the contract wants them
Function = Callable[[Tensors, Options, DTypes], Tensors]
Bind = Callable[[Tensors], Callable[[], Tensors]]


@dataclass(frozen=True)
class Declared:
    unsupported: Callable[[Problem], str]
    numerics: Callable[[Problem, str], declared.Numerics]  # on the type of device
    compiled: bool = False  # by torch.compile
    triton: bool = False  # needs a GPU


@dataclass(frozen=True)
class Adapter:
    """build(problem) sets up what all buffer sets share and returns bind; bind(inputs) returns the call to be timed."""

    declared: Declared
    build: Callable[[Problem], Bind]

    def unsupported(self, problem: Problem, device: torch.device) -> str:
        # Triton's interpreter runs kernels on a CPU, to try an adapter: not in bf16, which it does not round properly.
        if self.declared.triton and device.type != "cuda" and not os.environ.get("TRITON_INTERPRET"):
            return "its kernels are Triton's, which needs a GPU"
        return self.declared.unsupported(problem)


def prepared(function: Function, compiled: bool, runs_once: bool = False) -> Function:
    """runs_once: the backward pass runs once after each forward pass, and may take its memory."""
    if not compiled:
        return function
    torch._dynamo.reset()  # or the second size would be compiled for all sizes, which is slower
    torch._functorch.config.donated_buffer = runs_once
    return torch.compile(function, dynamic=False)


def result_dtypes(problem: Problem) -> DTypes:
    """A backward op has dO where a forward op has O."""
    dtypes = {tensor.name: DTYPES[tensor.dtype] for tensor in problem.tensors}
    return {name[1:]: dtype for name, dtype in dtypes.items() if name.startswith("d")} | dtypes


def forward(function: Function, what: Declared) -> Adapter:
    def build(problem: Problem) -> Bind:
        run = prepared(function, what.compiled)
        dtypes = result_dtypes(problem)

        def call(inputs: Tensors) -> Tensors:
            with torch.no_grad():
                return run(inputs, problem.options, dtypes)

        return lambda inputs: lambda: call(inputs)

    return Adapter(what, build)


def gradient(function: Function, what: Declared) -> Adapter:
    """The backward op of `function`: dX for each of its inputs X, from dY for some of its outputs Y.

    The forward pass that autograd needs is done by bind, untimed. Where the contract wants a gradient in another dtype
    than the input's (dw, dg in f32), the input is widened first: autograd would round the gradient to the input's.
    """

    def build(problem: Problem) -> Bind:
        run = prepared(function, what.compiled)
        wanted = [tensor for tensor in problem.outputs() if tensor.name.startswith("d")]

        def bind(inputs: Tensors) -> Callable[[], Tensors]:
            values = dict(inputs)
            for tensor in wanted:
                values[tensor.name[1:]] = inputs[tensor.name[1:]].detach().to(DTYPES[tensor.dtype]).requires_grad_()
            leaves = [values[tensor.name[1:]] for tensor in wanted]
            with torch.enable_grad():
                results = run(values, problem.options, result_dtypes(problem))
            given = [name for name in results if f"d{name}" in inputs]
            outputs = [results[name] for name in given]
            sources = [inputs[f"d{name}"].to(results[name].dtype) for name in given]
            names = [tensor.name for tensor in wanted]

            def call() -> Tensors:
                return dict(zip(names, torch.autograd.grad(outputs, leaves, sources, retain_graph=True)))

            return call

        return bind

    return Adapter(what, build)
