"""A whole network: what all peers share that compute one layer after the other, and its training step.

Layers in blocks of S; layer l reads a mix, with its own query, of X, the sums of the blocks before its own and, from
the second layer of a block on, the sum of its block so far; its output is that plus Y_l, if there is a Y.
"""

from __future__ import annotations

from typing import Callable

import torch

from adapters.adapter import Adapter, Bind, Declared, DTypes, Function, Options, prepared, result_dtypes
from problem import Problem
from tensors import DTYPES, Tensors

# mix(sources, w, g, eps): from tensors (T,D), a query (D) and the RMSNorm's weights (D), or None.
Mix = Callable[[list[torch.Tensor], torch.Tensor, "torch.Tensor | None", float], torch.Tensor]


def layer_by_layer(mix: Mix) -> Function:
    def network(inputs: Tensors, options: Options, dtypes: DTypes) -> Tensors:
        w, g, y = inputs["w"], inputs.get("g"), inputs.get("Y")
        layers_per_block, eps = options["S"], options["eps"]
        blocks, running = [inputs["X"]], None
        for layer in range(w.shape[0]):
            if layer % layers_per_block == 0 and layer > 0:
                blocks.append(running)
                running = None
            sources = blocks if running is None else [*blocks, running]
            h = mix(sources, w[layer], None if g is None else g[layer], eps)
            output = h if y is None else h + y[layer]
            running = output if running is None else running + output
        return {"O": mix([*blocks, running], inputs["w_out"], inputs.get("g_out"), eps).to(dtypes["O"])}

    return network


def _options(problem: Problem) -> Options:
    return problem.options | {"S": problem.dims["S"]}


def forward(function: Function, what: Declared) -> Adapter:
    def build(problem: Problem) -> Bind:
        run = prepared(function, what.compiled)
        options, dtypes = _options(problem), result_dtypes(problem)

        def call(inputs: Tensors) -> Tensors:
            with torch.no_grad():
                return run(inputs, options, dtypes)

        return lambda inputs: lambda: call(inputs)

    return Adapter(what, build)


def training_step(function: Function, what: Declared) -> Adapter:
    """Forward and backward, both timed. Inputs whose gradient has another dtype are widened, as by `gradient`."""

    def build(problem: Problem) -> Bind:
        run = prepared(function, what.compiled, runs_once=True)
        options, dtypes = _options(problem), result_dtypes(problem)
        wanted = [tensor for tensor in problem.outputs() if tensor.name.startswith("d")]

        def call(inputs: Tensors) -> Tensors:
            values = dict(inputs)
            for tensor in wanted:
                name = tensor.name[1:]
                values[name] = inputs[name].detach().to(DTYPES[tensor.dtype]).requires_grad_()
            with torch.enable_grad():
                output = run(values, options, dtypes)["O"]
            leaves = [values[tensor.name[1:]] for tensor in wanted]
            gradients = torch.autograd.grad(output, leaves, inputs["dO"].to(output.dtype))
            return dict(zip([tensor.name for tensor in wanted], gradients))

        return lambda inputs: lambda: call(inputs)

    return Adapter(what, build)
