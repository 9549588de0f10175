#!/usr/bin/env python3
"""Writes src/kernels/quants_grids.inc: the code books of the IQ1, IQ2 and IQ3 tensor types.

The numbers define the file format; they come from the ggml project (MIT licence), by way of the
Python package `gguf`.  Each entry becomes one 16-bit code: coordinate i is level
(code >> bits * i) & mask of the type's list of levels.
"""
import pathlib

import gguf.quants as quants

ROOT = pathlib.Path(__file__).resolve().parent.parent
TYPES = [
    ("iq2_xxs", quants.IQ2_XXS, 2),
    ("iq2_xs", quants.IQ2_XS, 2),
    ("iq2_s", quants.IQ2_S, 2),
    ("iq3_xxs", quants.IQ3_XXS, 3),
    ("iq3_s", quants.IQ3_S, 3),
    ("iq1_s", quants.IQ1_S, 2),
]


def main():
    out = ["// Written by scripts/extract_grids.py.  The numbers are part of the GGUF tensor types and",
           "// come from the ggml project, copyright (c) 2023-2026 The ggml authors, MIT licence."]
    for name, quant, bits in TYPES:
        quant.init_grid()
        entries, width = quant.grid_shape
        levels = [int(level) for level in quant.grid_map]
        grid = quant.grid.reshape(entries, width).astype(int)
        codes = [sum(levels.index(v) << (bits * i) for i, v in enumerate(row)) for row in grid]
        out += ["", f"constexpr std::uint16_t {name}_codes[{entries}] = {{"]
        out += ["    " + ", ".join(f"0x{c:04x}" for c in codes[i:i + 12]) + ","
                for i in range(0, entries, 12)]
        out += ["};"]
    signs = list(quants.IQ2_XXS.ksigns)
    assert signs == [i | (bin(i).count("1") & 1) << 7 for i in range(128)]  # an even number of minus
    (ROOT / "src/kernels/quants_grids.inc").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
