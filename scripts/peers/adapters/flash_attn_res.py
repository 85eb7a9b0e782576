"""flash-attn-res: its phases 1 and 2. Tokens are one batch of T; it has no RMSNorm weights, so w is multiplied by g."""

from __future__ import annotations

import torch

import declared
from adapters.adapter import Declared, DTypes, Options
from tensors import Tensors

DECLARED = Declared(declared.flash_attn_res_unsupported, declared.flash_attn_res_numerics, triton=True)


def _queries(inputs: Tensors) -> torch.Tensor:
    return inputs["w"].float() * inputs["g"].float() if "g" in inputs else inputs["w"]


def attnres(inputs: Tensors, options: Options, _: DTypes) -> Tensors:
    from flash_attn_res import phase_1_batched_attention_triton_op as phase_1

    output, lse = phase_1(inputs["V"].unsqueeze(1), _queries(inputs), options["eps"])
    return {"O": output.squeeze(1), "LSE": lse.squeeze(1)}


def attnres_merge(inputs: Tensors, options: Options, _: DTypes) -> Tensors:
    """H alone: it does not return the merged LSE."""
    from flash_attn_res import phase_2_online_softmax_merge_triton_op as phase_2

    merged = phase_2(
        inputs["P"].unsqueeze(0),
        _queries(inputs).reshape(-1),
        inputs["O1"].unsqueeze(0),
        inputs["L1"].unsqueeze(0),
        options["eps"],
    )
    return {"H": merged.squeeze(0)}
