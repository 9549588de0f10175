#!/usr/bin/env python3
"""A golden RWKV-7: what the package of its author (PyPI: rwkv) makes of a tiny random model, and the
same weights as a Hugging Face folder and as GGUF.

Needs torch, gguf, safetensors, numpy, rwkv.  Writes tests/golden/models/rwkv7/, as golden_models.py.

    scripts/golden_rwkv.py
"""

import json
import os
import shutil
import sys
import tempfile

os.environ |= {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}

import gguf
import numpy
import rwkv.model
import torch
from safetensors.numpy import save_file

from golden_models import ROOT, VOCAB, size, versions, write_golden

PROMPT_TOKENS, NEW_TOKENS, MARGIN = 24, 40, 1e-3
DIM, HEAD, LAYERS, HIDDEN = 32, 8, 2, 48
RANKS = dict(w=6, a=5, v=4, g=7)


def author_tensors(seed):
    """Under the names of the author's checkpoints; exact in half precision."""
    random = torch.Generator().manual_seed(seed)
    out = {}

    def put(name, *shape, scale=1.0, base=0.0):
        value = base + scale * torch.randn(shape, generator=random)
        out[name] = value.to(torch.float16).to(torch.float32)

    def matrix(name, rows, columns):
        put(name, rows, columns, scale=1.3 / columns**0.5)

    def norm(name, width):
        put(name + ".weight", width, scale=0.2, base=1.0)
        put(name + ".bias", width, scale=0.2)

    put("emb.weight", VOCAB, DIM, scale=0.7)
    norm("blocks.0.ln0", DIM)
    for i in range(LAYERS):
        b = f"blocks.{i}."
        norm(b + "ln1", DIM)
        norm(b + "ln2", DIM)
        for letter in "rwkvag":
            put(f"{b}att.x_{letter}", 1, 1, DIM, scale=0.3, base=0.5)
        for letter, rank in RANKS.items():
            if letter == "v" and i == 0:
                continue
            put(f"{b}att.{letter}1", DIM, rank, scale=1.3 / DIM**0.5)
            put(f"{b}att.{letter}2", rank, DIM, scale=1.3 / rank**0.5)
            if letter != "g":
                put(f"{b}att.{letter}0", 1, 1, DIM, scale=0.5)
        put(b + "att.k_k", 1, 1, DIM, scale=0.2, base=0.8)
        put(b + "att.k_a", 1, 1, DIM, scale=0.2, base=1.0)
        put(b + "att.r_k", DIM // HEAD, HEAD, scale=0.3)
        for name in ("receptance", "key", "value", "output"):
            matrix(f"{b}att.{name}.weight", DIM, DIM)
        norm(b + "att.ln_x", DIM)
        put(b + "ffn.x_k", 1, 1, DIM, scale=0.3, base=0.5)
        matrix(b + "ffn.key.weight", HIDDEN, DIM)
        matrix(b + "ffn.value.weight", DIM, HIDDEN)
    norm("ln_out", DIM)
    put("head.weight", VOCAB, DIM)
    return out


def greedy(model, prompt):
    """Tokens and logits of the prompt; None where first and second choice come too near."""
    logits, state = model.forward(prompt, None, full_output=True)
    first, row, tokens = logits.numpy().copy(), logits[-1], []
    for _ in range(NEW_TOKENS):
        best = torch.topk(row, 2).values
        if float((best[0] - best[1]) / logits.abs().max()) < MARGIN:
            return None
        tokens.append(int(row.argmax()))
        row, state = model.forward([tokens[-1]], state)
    return tokens, first


FOLDER_NAMES = {
    "ln0": "pre_norm", "ln1": "attn_norm", "ln2": "ffn_norm", "att.ln_x": "attn.g_norm",
    "att.receptance": "attn.r_proj", "att.key": "attn.k_proj", "att.value": "attn.v_proj",
    "att.output": "attn.o_proj", "ffn.key": "ffn.key", "ffn.value": "ffn.value"}


def folder_tensors(tensors):
    """As flash-linear-attention names them."""
    whole = {"emb.weight": "model.embeddings.weight", "head.weight": "lm_head.weight",
             "ln_out.weight": "model.norm.weight", "ln_out.bias": "model.norm.bias"}
    out = {}
    for name, value in tensors.items():
        if name in whole:
            out[whole[name]] = value
            continue
        _, layer, part = name.split(".", 2)
        stem, _, last = part.rpartition(".")
        at = f"model.layers.{layer}."
        if stem in FOLDER_NAMES:
            out[f"{at}{FOLDER_NAMES[stem]}.{last}"] = value
        elif len(last) == 2 and last[1] in "012":
            lora = f"{at}attn.{last[0]}_lora.lora."
            if last[1] == "0":
                out[lora + "2.bias"] = value.reshape(-1)
            else:
                out[lora + ("0" if last[1] == "1" else "2") + ".weight"] = value.T
        elif last in ("k_k", "k_a") or stem == "ffn":
            out[at + part.replace("att.", "attn.")] = value.reshape(-1)
        else:
            out[at + part.replace("att.", "attn.")] = value
    return out


def gguf_tensors(tensors):
    whole = {"emb": "token_embd", "head": "output", "ln_out": "output_norm"}
    parts = {"ln1": "attn_norm", "ln2": "attn_norm_2", "att.ln_x": "time_mix_ln",
             "att.receptance": "time_mix_receptance", "att.key": "time_mix_key",
             "att.value": "time_mix_value", "att.output": "time_mix_output",
             "ffn.key": "channel_mix_key", "ffn.value": "channel_mix_value"}
    out = {}
    for name, value in tensors.items():
        stem, _, last = name.rpartition(".")
        if stem in whole:
            out[f"{whole[stem]}.{last}"] = value
            continue
        if stem == "blocks.0.ln0":
            out[f"token_embd_norm.{last}"] = value
            continue
        _, layer, part = name.split(".", 2)
        b, (stem, _, last) = f"blk.{layer}.", part.rpartition(".")
        if stem in parts:
            out[f"{b}{parts[stem]}.{last}"] = value
        elif part == "ffn.x_k":
            out[b + "channel_mix_lerp_k.weight"] = value.reshape(-1)
        elif last.startswith("x_"):
            out.setdefault(b + "time_mix_lerp_fused.weight", []).append(value)
        else:
            value = value.T if last[1] in "12" else value.reshape(-1)
            out[f"{b}time_mix_{last}.weight"] = value
            if layer == "0" and last[0] == "a":  # the first layer's are there and mean nothing
                out[f"{b}time_mix_v{last[1]}.weight"] = value
    return {n: numpy.stack(v) if isinstance(v, list) else v for n, v in out.items()}


def write_gguf(tensors, folder):
    w = gguf.GGUFWriter(folder / "model.gguf", "rwkv7")
    w.add_name(folder.name)
    w.add_context_length(1048576)
    w.add_embedding_length(DIM)
    w.add_block_count(LAYERS)
    w.add_layer_norm_eps(1e-5)
    w.add_wkv_head_size(HEAD)
    w.add_decay_lora_rank(RANKS["w"])
    w.add_iclr_lora_rank(RANKS["a"])
    w.add_value_residual_mix_lora_rank(RANKS["v"])
    w.add_gate_lora_rank(RANKS["g"])
    w.add_feed_forward_length(HIDDEN)
    w.add_head_count(0)
    w.add_vocab_size(VOCAB)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    for name, value in gguf_tensors(tensors).items():
        w.add_tensor(name, numpy.ascontiguousarray(value, dtype=numpy.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_folder(tensors, folder):
    save_file({n: numpy.ascontiguousarray(v) for n, v in folder_tensors(tensors).items()},
              folder / "model.safetensors", metadata={"format": "pt"})
    config = dict(architectures=["RWKV7ForCausalLM"], model_type="rwkv7", hidden_size=DIM,
                  num_hidden_layers=LAYERS, head_dim=HEAD, intermediate_size=HIDDEN,
                  hidden_ratio=4.0, hidden_act="sqrelu", vocab_size=VOCAB, norm_eps=1e-5,
                  norm_bias=True, norm_first=True, decay_low_rank_dim=RANKS["w"],
                  a_low_rank_dim=RANKS["a"], v_low_rank_dim=RANKS["v"],
                  gate_low_rank_dim=RANKS["g"], max_position_embeddings=2048, attn=None,
                  tie_word_embeddings=False, torch_dtype="float32")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    folder = ROOT / "rwkv7"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for seed in range(1, 200):
        tensors = author_tensors(seed)
        with tempfile.TemporaryDirectory() as place:
            torch.save(tensors, f"{place}/model.pth")
            model = rwkv.model.RWKV(model=f"{place}/model", strategy="cpu fp32")
        random = numpy.random.default_rng(seed)
        prompt = [int(t) for t in random.integers(0, VOCAB, PROMPT_TOKENS)]
        told = greedy(model, prompt)
        if told is not None and len(set(told[0])) >= 8:
            break
    else:
        sys.exit("rwkv7: no seed with a margin")
    tokens, logits = told
    held = {n: v.numpy() for n, v in tensors.items()}
    write_folder(held, folder)
    write_gguf(held, folder)
    logits.astype("<f4").tofile(folder / "logits.f32")
    write_golden(folder, dict(kind="generator", architecture="rwkv7", versions=versions(),
                              seed=seed, margin=MARGIN, context=0, prompt=prompt, greedy=tokens))
    print("rwkv7 seed", seed, size(folder), flush=True)


if __name__ == "__main__":
    main()
