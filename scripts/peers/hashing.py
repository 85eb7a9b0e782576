"""The hash of harness/core/text.h, by which records name their environment and check their samples."""

from __future__ import annotations


def fnv1a(data: bytes, value: int = 0xCBF29CE484222325) -> int:
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value
