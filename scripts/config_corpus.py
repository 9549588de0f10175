#!/usr/bin/env python3
"""Writes the first inputs of src/models/config_fuzz.cpp: configurations of golden models, one of each kind of layer, with
the shapes of their tensors."""
import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN, OUT = ROOT / "tests/golden", ROOT / "src/models/config_fuzz_corpus"
MODELS = ("bert-rerank", "deepseek3", "exaone4", "falcon-h1", "gemma3n", "gemma4-moe", "gpt-oss", "gpt2", "granite-hybrid",
          "lfm2-moe", "llama", "llama4", "minimax-m2", "modern-bert", "nemotron-h", "phi3-long", "qwen3-next", "rwkv7")
TOWERS = ("gemma3", "gemma4-large", "internvl", "llama4", "llava-next", "mistral3", "qwen2.5-vl", "qwen3-vl", "smolvlm")
OWN = {"name": "mine", "base": "llama", "model_type": "llama", "tensors.q.hf": "layers.{}.self_attn.q_proj",
       "numbers.rms_norm_eps": "rms_norm_eps"}


def compact(path):
    return json.dumps(json.loads(path.read_text()), separators=(",", ":")) if path.exists() else ""


def shapes(path):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    return "\n".join(" ".join([name, *map(str, entry["shape"])])
                     for name, entry in json.loads(raw[8:8 + size]).items() if name != "__metadata__")


def write(name, folder):
    parts = (compact(folder / "config.json"), compact(folder / "preprocessor_config.json"),
             shapes(folder / "model.safetensors"), json.dumps(OWN) if name == "llama" else "")
    (OUT / name).write_bytes(b"\0".join(part.encode() for part in parts))


def main():
    OUT.mkdir(exist_ok=True)
    for name in MODELS:
        write(name, GOLDEN / "models" / name)
    for name in TOWERS:
        write(f"{name}-sees" if name in MODELS else name, GOLDEN / "vision" / name)
    write("t5-gated", GOLDEN / "t5/gated")


if __name__ == "__main__":
    main()
