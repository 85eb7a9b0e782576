"""flash-attn-res: its phases 1 and 2, and its schedule of a whole network, which keeps the sums of blocks alone and
computes the rest again in the backward pass. Tokens are one batch of T; it has no RMSNorm weights, so w is multiplied
by g.
"""

from __future__ import annotations

import torch

import declared
from adapters.adapter import Declared, DTypes, Options
from tensors import Tensors

DECLARED = Declared(declared.flash_attn_res_unsupported, declared.flash_attn_res_numerics, triton=True)
NETWORK = Declared(declared.flash_attn_res_unsupported, declared.by_schedule, triton=True)


def _queries(inputs: Tensors, w: str = "w", g: str = "g") -> torch.Tensor:
    return inputs[w].float() * inputs[g].float() if g in inputs else inputs[w]


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


class _Adds(torch.nn.Module):
    """A layer without parameters."""

    def __init__(self, y: torch.Tensor) -> None:
        super().__init__()
        self._y = y

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h + self._y


_identity = torch.nn.Identity()


def network(inputs: Tensors, options: Options, dtypes: DTypes) -> Tensors:
    """Layers are modules of (batch, T, D); the last of its queries is that of the output."""
    from flash_attn_res.experimental.autograd import BlockAttentionResiduals

    of_layers, of_output = _queries(inputs), _queries(inputs, "w_out", "g_out")
    layers = [_Adds(y) for y in inputs["Y"]] if "Y" in inputs else [_identity] * len(of_layers)
    output = BlockAttentionResiduals.apply(
        inputs["X"].unsqueeze(0), torch.cat([of_layers, of_output[None]]), layers, options["S"], options["eps"]
    )
    return {"O": output.squeeze(0).to(dtypes["O"])}
