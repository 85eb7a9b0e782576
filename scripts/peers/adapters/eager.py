"""Plain PyTorch, all of it in f32: what one would write without a kernel at hand. Also what torch.compile is given."""

from __future__ import annotations

import torch

import declared
from adapters.adapter import Declared, DTypes, Options
from adapters.network import layer_by_layer
from tensors import Tensors

DECLARED = Declared(declared.autograd_unsupported, declared.eager_numerics)
COMPILED = Declared(declared.autograd_unsupported, declared.compiled_numerics, compiled=True)
NETWORK = Declared(declared.autograd_unsupported, declared.by_schedule)
COMPILED_NETWORK = Declared(declared.autograd_unsupported, declared.by_schedule, compiled=True)


def _weights(inputs: Tensors) -> torch.Tensor:
    w = inputs["w"].float()
    return w * inputs["g"].float() if "g" in inputs else w


def _logits(v: torch.Tensor, c: torch.Tensor, eps: float) -> torch.Tensor:
    """v (N,T,D) in f32, c (D) -> (N,T).

    Products and sums instead of einsum: torch.compile fuses them, and a library's matrix product may add a whole row
    one after the other, for which there is no useful bound.
    """
    return (v * c).sum(-1) * torch.rsqrt(v.square().mean(-1) + eps)


def _mix(logits: torch.Tensor, v: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return (torch.softmax(logits, 0).unsqueeze(-1) * v).sum(0).to(dtype)


def attnres(inputs: Tensors, options: Options, dtypes: DTypes) -> Tensors:
    """V (N,T,D), w (Q,D), g (Q,D) -> O (Q,T,D), LSE (Q,T)."""
    v = inputs["V"].float()
    outputs, lses = [], []
    for c in _weights(inputs):
        logits = _logits(v, c, options["eps"])
        outputs.append(_mix(logits, v, dtypes["O"]))
        lses.append(torch.logsumexp(logits, 0))
    return {"O": torch.stack(outputs), "LSE": torch.stack(lses)}


def attnres_merge(inputs: Tensors, options: Options, dtypes: DTypes) -> Tensors:
    """P (T,D), w, g (D), O1 (T,D), L1 (T) -> H (T,D), LSE (T); with U (T,D) P + U is used and returned as well."""
    updated = {"P": inputs["P"] + inputs["U"]} if "U" in inputs else {}
    p = updated.get("P", inputs["P"]).float()
    o1, l1 = inputs["O1"].float(), inputs["L1"].float()
    r = torch.rsqrt(p.square().mean(-1) + options["eps"])
    logit = (p * _weights(inputs)).sum(-1) * r
    h = o1 + torch.sigmoid(logit - l1).unsqueeze(-1) * (p - o1)
    return {"H": h.to(dtypes["H"]), "LSE": torch.logaddexp(l1, logit)} | updated


def _layer(sources: list[torch.Tensor], w: torch.Tensor, g: torch.Tensor | None, eps: float) -> torch.Tensor:
    """Inside in f32; what it returns, and so all sums of layers, is in the dtype of the embedding."""
    v = torch.stack(sources).float()
    c = w.float() if g is None else w.float() * g.float()
    return _mix(_logits(v, c, eps), v, sources[0].dtype)


network = layer_by_layer(_layer)
