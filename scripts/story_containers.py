#!/usr/bin/env python3
"""Writes stories260K as an MLX folder (affine, 8 bits, by mlx itself) and as an MLC-LLM folder (q0f16, by the layout that
the reader's source names): tests/golden/engines/mlx and mlc.

  scripts/story_containers.py HF_FOLDER

HF_FOLDER: the model as Hugging Face has it, with tokenizer.model.  Needs numpy and mlx.  Deterministic.
"""
import json
import shutil
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np

from small_safetensors import read_safetensors

OUT = Path(__file__).resolve().parent.parent / "tests/golden/engines"
GROUP, BITS = 64, 8


def fresh(name, source):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "tokenizer.model").write_bytes((source / "tokenizer.model").read_bytes())
    return folder


def write_mlx(source, config, tensors):
    folder = fresh("mlx", source)
    held = {}
    for name, value in tensors.items():
        half = mx.array(value).astype(mx.float16)
        if value.ndim == 2 and value.shape[1] % GROUP == 0:
            module = name.removesuffix(".weight")
            held[name], held[f"{module}.scales"], held[f"{module}.biases"] = mx.quantize(
                half, group_size=GROUP, bits=BITS)
        else:
            held[name] = half
    mx.save_safetensors(str(folder / "model.safetensors"), held, {"format": "mlx"})
    config = config | {"quantization": {"group_size": GROUP, "bits": BITS}}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_mlc(source, config, tensors):
    """Queries, keys and values are one matrix there, gates and what they gate another."""
    folder = fresh("mlc", source)
    data, records = b"", []
    for name in tensors:
        parts = [name]
        if ".q_proj." in name:
            parts = [name.replace("q_proj", p) for p in ("q_proj", "k_proj", "v_proj")]
            name = name.replace("q_proj", "qkv_proj")
        elif ".gate_proj." in name:
            parts = [name, name.replace("gate_proj", "up_proj")]
            name = name.replace("gate_proj", "gate_up_proj")
        elif any(part in name for part in (".k_proj.", ".v_proj.", ".up_proj.")):
            continue
        value = np.concatenate([tensors[part] for part in parts]).astype("<f2")
        records.append({"name": name, "shape": list(value.shape), "dtype": "float16", "format": "f32-to-bf16",
                        "nbytes": value.nbytes, "byteOffset": len(data)})
        data += value.tobytes()
    (folder / "params_shard_0.bin").write_bytes(data)
    (folder / "tensor-cache.json").write_text(json.dumps({
        "metadata": {"ParamSize": len(records)},
        "records": [{"dataPath": "params_shard_0.bin", "format": "raw-shard", "nbytes": len(data),
                     "records": records}]}) + "\n")
    numbers = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
               "vocab_size", "rms_norm_eps", "tie_word_embeddings")
    (folder / "mlc-chat-config.json").write_text(json.dumps({
        "model_type": "llama", "quantization": "q0f16", "context_window_size": config["max_position_embeddings"],
        "model_config": {n: config[n] for n in numbers} | {"position_embedding_base": 10000}}, indent=2) + "\n")


def main(source):
    config = json.loads((source / "config.json").read_text())
    tensors = read_safetensors(source / "model.safetensors")
    write_mlx(source, config, tensors)
    write_mlc(source, config, tensors)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
