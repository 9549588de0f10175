"""Reads a small safetensors file of F32 tensors, for the scripts that make tests' fixtures."""
import json
import struct

import numpy as np


def read_safetensors(path):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        assert entry["dtype"] == "F32"
        array = np.frombuffer(raw[8 + size + begin : 8 + size + end], np.float32)
        tensors[name] = array.reshape(entry["shape"]).copy()
    return tensors
