"""Which peer computes which op, and how: op -> peer -> Adapter. A new one is a function and a row."""

from __future__ import annotations

import importlib

from adapters import eager, flash_attn_res, liger, network
from adapters.adapter import Adapter, forward, gradient

TABLE: dict[str, dict[str, Adapter]] = {
    "attnres_fwd": {
        "eager": forward(eager.attnres, eager.DECLARED),
        "compile": forward(eager.attnres, eager.COMPILED),
        "flash_attn_res": forward(flash_attn_res.attnres, flash_attn_res.DECLARED),
        "liger": forward(liger.attnres, liger.DECLARED),
    },
    "attnres_merge_fwd": {
        "eager": forward(eager.attnres_merge, eager.DECLARED),
        "compile": forward(eager.attnres_merge, eager.COMPILED),
        "flash_attn_res": forward(flash_attn_res.attnres_merge, flash_attn_res.DECLARED),
    },
    "attnres_bwd": {
        "eager": gradient(eager.attnres, eager.DECLARED),
        "compile": gradient(eager.attnres, eager.COMPILED),
        "flash_attn_res": gradient(flash_attn_res.attnres, flash_attn_res.DECLARED),
        "liger": gradient(liger.attnres, liger.DECLARED),
    },
    "attnres_merge_bwd": {
        "eager": gradient(eager.attnres_merge, eager.DECLARED),
        "compile": gradient(eager.attnres_merge, eager.COMPILED),
        "flash_attn_res": gradient(flash_attn_res.attnres_merge, flash_attn_res.DECLARED),
    },
    "block_attnres_fwd": {
        "eager": network.forward(eager.network, eager.NETWORK),
        "compile": network.forward(eager.network, eager.COMPILED_NETWORK),
        "flash_attn_res": network.forward(flash_attn_res.network, flash_attn_res.NETWORK),
        "liger": network.forward(liger.network, liger.NETWORK),
    },
    "block_attnres_bwd": {
        "eager": network.training_step(eager.network, eager.NETWORK),
        "compile": network.training_step(eager.network, eager.COMPILED_NETWORK),
        "flash_attn_res": network.training_step(flash_attn_res.network, flash_attn_res.NETWORK),
        "liger": network.training_step(liger.network, liger.NETWORK),
    },
}

# What must be importable; a peer without an entry needs torch alone.
PACKAGES = {"flash_attn_res": "flash_attn_res", "liger": "liger_kernel"}
PEERS = ["eager", "compile", "flash_attn_res", "liger"]


def why_not_importable(peer: str) -> str:
    """Empty: it is. A package may be there and still not suit the Triton that is there."""
    package = PACKAGES.get(peer, "torch")
    try:
        importlib.import_module(package)
        return ""
    except Exception as error:  # of whatever kind: it is not ours
        return f"importing {package}: {type(error).__name__}: {error}"
