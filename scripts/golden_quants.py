#!/usr/bin/env python3
"""Writes tests/golden/ops/quants.bin: stored blocks of every type and the floats they stand for.

The floats come from the Python package `gguf` (dequantize), from torch for the 8-bit floats, and
for Q1_0 and Q2_0, which that package lacks, from the two formulas below (ggml: bit i of the codes
gives d or -d; pair i of the codes gives d (q - 1)).

Record: u8 length and bytes of the type's name, u32 elements, u32 bytes, stored bytes, f32 values.
"""
import pathlib
import struct

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = 20260926
NAMES = {t: t.name.lower() for t in T}
# Where a block holds f16 numbers.
HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82],
          T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ2_XXS: [0],
          T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ3_XXS: [0], T.IQ3_S: [0], T.IQ1_S: [0], T.IQ1_M: [],
          T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64], T.MXFP4: [], T.NVFP4: []}


def blocks_of(rng, size, halves):
    """Random codes with ordinary scales, then the extremes, then random bytes."""
    blocks = rng.integers(0, 256, (10, size), dtype=np.uint8)
    blocks[4] = 0
    blocks[5] = 0xFF
    blocks[6] = 0xFF
    scales = [0.013, -0.71, 3e-6, 65504.0, 1.0, None, 1.0, None, None, None]
    for block, scale in zip(blocks, scales):
        for place in halves if scale is not None else []:
            block[place:place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    return blocks


def q1_0(blocks):
    d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    bits = np.unpackbits(blocks[:, 2:], axis=1, bitorder="little")
    return np.where(bits == 1, d, -d)


def q2_0(blocks):
    d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    pairs = (blocks[:, 2:, None] >> np.array([0, 2, 4, 6], dtype=np.uint8)) & 3
    return d * (pairs.reshape(len(blocks), 64).astype(np.float32) - np.float32(1))


def main():
    rng = np.random.default_rng(SEED)
    records = []
    with np.errstate(all="ignore"):
        for kind, halves in HALVES.items():
            elements, size = gguf.GGML_QUANT_SIZES[kind]
            blocks = blocks_of(rng, size, halves)
            values = gguf.quants.dequantize(blocks, kind).astype(np.float32)
            assert values.shape == (len(blocks), elements)
            records.append((NAMES[kind], blocks, values))
        for name, formula in (("q1_0", q1_0), ("q2_0", q2_0)):
            blocks = blocks_of(rng, 18, [0])
            records.append((name, blocks, formula(blocks).astype(np.float32)))
    every = torch.arange(256, dtype=torch.uint8)
    for name, kind in (("f8_e4m3", torch.float8_e4m3fn), ("f8_e5m2", torch.float8_e5m2),
                       ("f8_e8m0", torch.float8_e8m0fnu)):
        records.append((name, every.numpy(), every.view(kind).to(torch.float32).numpy()))

    folder = ROOT / "tests/golden/ops"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "quants.bin", "wb") as out:
        for name, blocks, values in records:
            out.write(struct.pack("<B", len(name)) + name.encode())
            out.write(struct.pack("<II", values.size, blocks.size))
            out.write(blocks.tobytes() + values.tobytes())
    (folder / "quants.txt").write_text(
        f"quants.bin: scripts/golden_quants.py, seed {SEED}, gguf {version('gguf')}, numpy "
        f"{np.__version__}, torch {torch.__version__}\n")


def version(package):
    import importlib.metadata
    return importlib.metadata.version(package)


if __name__ == "__main__":
    main()
