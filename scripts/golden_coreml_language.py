#!/usr/bin/env python3
"""Writes a small llama as a Core ML program with its keys and values as states, as coremltools makes it of a PyTorch
model, and what PyTorch goes on with from the first token.

  scripts/golden_coreml_language.py HF_FOLDER OUT_FOLDER

OUT_FOLDER/model.mlpackage takes inputIds and causalMask and gives logits; weights in half precision.
Needs coremltools 9 and torch.  Source: Apple, "On Device Llama 3.1 with Core ML".
"""
import json
import shutil
import sys
from pathlib import Path

import coremltools as ct
import numpy as np
import torch
import torch.nn.functional as F

from small_safetensors import read_safetensors

torch.set_num_threads(1)
ROOM, COUNT = 256, 80


class Llama(torch.nn.Module):
    def __init__(self, weights, config):
        super().__init__()
        self.w, self.c = {k: v.half().float() for k, v in weights.items()}, config
        self.heads, self.kv = config["num_attention_heads"], config["num_key_value_heads"]
        self.dim = config["hidden_size"] // self.heads
        self.layers, self.eps = config["num_hidden_layers"], config["rms_norm_eps"]
        angles = torch.outer(torch.arange(ROOM).float(),
                             config["rope_theta"] ** (-torch.arange(0, self.dim, 2).float() / self.dim))
        angles = torch.cat([angles, angles], -1)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())
        shape = (self.layers, 1, self.kv, ROOM, self.dim)
        self.register_buffer("keyCache", torch.zeros(shape))
        self.register_buffer("valueCache", torch.zeros(shape))

    def norm(self, x, name):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.w[name]

    def forward(self, inputIds, causalMask):
        end = causalMask.shape[-1]
        n = inputIds.shape[-1]
        first = end - n
        cosine, sine = self.cosine[first:end], self.sine[first:end]

        def rotate(x):
            low, high = x[..., :self.dim // 2], x[..., self.dim // 2:]
            return x * cosine + torch.cat([-high, low], -1) * sine

        x = F.embedding(inputIds, self.w["model.embed_tokens.weight"])
        for i in range(self.layers):
            place = f"model.layers.{i}."
            y = self.norm(x, place + "input_layernorm.weight")
            q, k, v = (F.linear(y, self.w[f"{place}self_attn.{p}_proj.weight"]).reshape(1, -1, c, self.dim).transpose(1, 2)
                       for p, c in (("q", self.heads), ("k", self.kv), ("v", self.kv)))
            self.keyCache[i:i + 1, :, :, first:end, :] = rotate(k).unsqueeze(0)
            self.valueCache[i:i + 1, :, :, first:end, :] = v.unsqueeze(0)
            keys, values = self.keyCache[i, :, :, :end], self.valueCache[i, :, :, :end]
            keys, values = (t.repeat_interleave(self.heads // self.kv, 1) for t in (keys, values))
            scores = rotate(q) @ keys.transpose(-1, -2) * self.dim ** -0.5 + causalMask
            mixed = (scores.softmax(-1) @ values).transpose(1, 2).reshape(1, -1, self.heads * self.dim)
            x = x + F.linear(mixed, self.w[place + "self_attn.o_proj.weight"])
            y = self.norm(x, place + "post_attention_layernorm.weight")
            gate, up = (F.linear(y, self.w[f"{place}mlp.{p}_proj.weight"]) for p in ("gate", "up"))
            x = x + F.linear(F.silu(gate) * up, self.w[place + "mlp.down_proj.weight"])
        return F.linear(self.norm(x, "model.norm.weight"), self.w["model.embed_tokens.weight"])


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    config = json.loads((source / "config.json").read_text())
    weights = {k: torch.tensor(v) for k, v in read_safetensors(source / "model.safetensors").items()}
    model = Llama(weights, config).eval()
    example = (torch.zeros((1, 3), dtype=torch.int32), torch.zeros((1, 1, 3, 5)))
    with torch.no_grad():
        traced = torch.jit.trace(model, example, check_trace=False)
        model.keyCache.zero_(), model.valueCache.zero_()
        tokens = [config["bos_token_id"]]
        while len(tokens) < COUNT:
            logits = model(torch.tensor([tokens[-1:]], dtype=torch.int32), torch.zeros((1, 1, 1, len(tokens))))
            tokens.append(int(logits[0, -1].argmax()))
        for name in ("keyCache", "valueCache"):
            getattr(traced, name).zero_()
    n, end = ct.RangeDim(1, ROOM, 1), ct.RangeDim(1, ROOM, 1)
    states = [ct.StateType(wrapped_type=ct.TensorType(shape=tuple(model.keyCache.shape), dtype=np.float16), name=name)
              for name in ("keyCache", "valueCache")]
    made = ct.convert(traced, inputs=[ct.TensorType(shape=(1, n), dtype=np.int32, name="inputIds"),
                                      ct.TensorType(shape=(1, 1, n, end), dtype=np.float16, name="causalMask")],
                      outputs=[ct.TensorType(dtype=np.float16, name="logits")], states=states,
                      minimum_deployment_target=ct.target.iOS18, compute_precision=ct.precision.FLOAT16,
                      skip_model_load=True)
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "model.mlpackage", ignore_errors=True)
    made.save(str(out / "model.mlpackage"))
    for name in ("tokenizer.model", "config.json"):
        shutil.copyfile(source / name, out / name)
    (out / "expected.txt").write_text(" ".join(map(str, tokens)) + "\n")
    print(tokens)


main()
