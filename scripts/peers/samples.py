"""The binary file of samples beside the records, as reports/samples.h describes it. Standard library only."""

from __future__ import annotations

import pathlib
import struct
from typing import Any

from hashing import fnv1a

MAGIC, VERSION, SAMPLE = b"assaysmp", 1, struct.Struct("<ffI")  # seconds, SM clock (0: unknown), flags
HEADER = MAGIC + struct.pack("<II", VERSION, SAMPLE.size)


class SampleWriter:
    """Appends blocks. Beside records that are new or empty the file begins anew."""

    def __init__(self, results: pathlib.Path) -> None:
        self._path = pathlib.Path(str(results).removesuffix(".jsonl") + ".samples")
        if _is_empty(results) or _is_empty(self._path):
            self._path.write_bytes(HEADER)
        elif self._path.read_bytes()[: len(HEADER)] != HEADER:
            raise OSError(f"{self._path} is no file of samples of version {VERSION}; move it away")

    def write(self, seconds: list[float]) -> dict[str, Any]:
        """What the measurement says of where they are: its `samples_at`."""
        block = b"".join(SAMPLE.pack(value, 0.0, 0) for value in seconds)
        with self._path.open("ab") as file:
            offset = file.tell()
            file.write(block)
        return {"offset": offset, "count": len(seconds), "checksum": f"{fnv1a(block):016x}"}


def _is_empty(path: pathlib.Path) -> bool:
    return not path.exists() or path.stat().st_size == 0
