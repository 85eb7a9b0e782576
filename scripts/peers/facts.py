"""The environment in which peers ran: versions and devices. No host name and no absolute path."""

from __future__ import annotations

import datetime
import importlib.metadata
import pathlib
import platform
import subprocess
import sys

import torch

PACKAGES = ["torch", "triton", "flash-attn-res", "liger-kernel", "numpy"]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def _command() -> str:
    words = [pathlib.Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return " ".join([pathlib.Path(sys.argv[0]).name] + [f"'{word}'" if " " in word else word for word in words])


def describe(device: torch.device) -> dict[str, str]:
    now = datetime.datetime.now(datetime.timezone.utc)
    facts = {
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": _command(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
    }
    facts |= {package: _version(package) for package in PACKAGES}
    facts["float32 products"] = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name = f"cuda:{device.index or 0}"
        facts |= {
            name: properties.name,
            f"{name} memory": f"{properties.total_memory >> 20} MiB",
            f"{name} L2": f"{properties.L2_cache_size >> 20} MiB",
            f"{name} driver": _driver(),
            f"{name} CUDA of torch": str(torch.version.cuda),
        }
    return facts
