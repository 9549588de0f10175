#!/usr/bin/env python3
"""Writes a small llama as an ExecuTorch program that keeps its keys and values, and what ExecuTorch's own runtime goes
on with from the first token.

  scripts/golden_executorch_language.py HF_FOLDER OUT_FOLDER

OUT_FOLDER/model.pte takes a token and its place and gives logits, as ExecuTorch's llama exporter makes it without
dynamic shapes; weights in half precision.  Needs executorch 1.5 and torch.
"""
import json
import shutil
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from executorch.exir import EdgeCompileConfig, to_edge
from executorch.runtime import Runtime

from small_safetensors import read_safetensors

torch.set_num_threads(1)
ROOM, COUNT = 256, 80


class Llama(torch.nn.Module):
    def __init__(self, weights, config):
        super().__init__()
        self.heads, self.kv = config["num_attention_heads"], config["num_key_value_heads"]
        self.dim = config["hidden_size"] // self.heads
        self.layers, self.eps = config["num_hidden_layers"], config["rms_norm_eps"]
        self.names = {}
        for name, value in weights.items():
            self.names[name] = name.replace(".", "_")
            self.register_buffer(self.names[name], value)
        angles = torch.outer(torch.arange(ROOM).float(),
                             config["rope_theta"] ** (-torch.arange(0, self.dim, 2).float() / self.dim))
        angles = torch.cat([angles, angles], -1)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())
        self.register_buffer("mask", torch.full((ROOM, ROOM), -65504.0).triu(1))
        for i in range(self.layers):
            for part in "kv":
                self.register_buffer(f"{part}_cache_{i}", torch.zeros(1, self.kv, ROOM, self.dim))

    def w(self, name):
        return getattr(self, self.names[name]).float()

    def norm(self, x, name):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.w(name)

    def forward(self, tokens, input_pos):
        cosine, sine, mask = self.cosine[input_pos], self.sine[input_pos], self.mask[input_pos]

        def rotate(x):
            low, high = x[..., :self.dim // 2], x[..., self.dim // 2:]
            return x * cosine + torch.cat([-high, low], -1) * sine

        x = F.embedding(tokens, self.w("model.embed_tokens.weight"))
        for i in range(self.layers):
            place = f"model.layers.{i}."
            y = self.norm(x, place + "input_layernorm.weight")
            q, k, v = (F.linear(y, self.w(f"{place}self_attn.{p}_proj.weight")).reshape(1, 1, c, self.dim).transpose(1, 2)
                       for p, c in (("q", self.heads), ("k", self.kv), ("v", self.kv)))
            keys, values = getattr(self, f"k_cache_{i}"), getattr(self, f"v_cache_{i}")
            keys[:, :, input_pos] = rotate(k)
            values[:, :, input_pos] = v
            grouped = rotate(q).reshape(1, self.kv, self.heads // self.kv, self.dim)
            scores = grouped @ keys.transpose(-1, -2) * self.dim ** -0.5 + mask
            mixed = (scores.softmax(-1) @ values).reshape(1, 1, self.heads * self.dim)
            x = x + F.linear(mixed, self.w(place + "self_attn.o_proj.weight"))
            y = self.norm(x, place + "post_attention_layernorm.weight")
            gate, up = (F.linear(y, self.w(f"{place}mlp.{p}_proj.weight")) for p in ("gate", "up"))
            x = x + F.linear(F.silu(gate) * up, self.w(place + "mlp.down_proj.weight"))
        return F.linear(self.norm(x, "model.norm.weight"), self.w("model.embed_tokens.weight"))


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    config = json.loads((source / "config.json").read_text())
    weights = {k: torch.tensor(v).half() for k, v in read_safetensors(source / "model.safetensors").items()}
    model = Llama(weights, config).eval()
    example = (torch.zeros((1, 1), dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    constants = {"get_vocab_size": config["vocab_size"], "get_max_seq_len": ROOM, "get_bos_id": config["bos_token_id"],
                 "get_n_eos": 1, "use_kv_cache": True}
    with torch.no_grad():
        program = torch.export.export(model, example, strict=False)
        made = to_edge(program, constant_methods=constants,
                       compile_config=EdgeCompileConfig(_check_ir_validity=False)).to_executorch()
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.pte").write_bytes(made.buffer)
    method = Runtime.get().load_program(str(out / "model.pte")).load_method("forward")
    tokens = [config["bos_token_id"]]
    while len(tokens) < COUNT:
        logits = method.execute([torch.tensor([tokens[-1:]]), torch.tensor([len(tokens) - 1])])[0]
        tokens.append(int(logits[0, -1].argmax()))
    for name in ("tokenizer.model", "config.json"):
        shutil.copyfile(source / name, out / name)
    (out / "expected.txt").write_text(" ".join(map(str, tokens)) + "\n")
    print(tokens)


main()
