#!/usr/bin/env python3
"""Writes more of tests/golden/formats/quantised: the tiny llama of golden_quantised.py as MLC-LLM
folders and as the llama files older than GGUF, packed here by the layouts that the readers' sources
name, and the logits that transformers gives for the weights they then hold.

Needs torch, transformers, numpy.  Run from the repository root.
"""
import json
import shutil
import struct

import numpy as np
import torch

from golden_quantised import LINEAR, MODEL, OUT, PROMPT, STATE, fit, pack_words


def write_logits(folder, plain):
    state = dict(STATE)
    state.update({k + ".weight": v.to(torch.float32) for k, v in plain.items()})
    MODEL.load_state_dict(state)
    with torch.no_grad():
        logits = MODEL(torch.tensor([PROMPT])).logits[0]
    (folder / "logits.f32").write_bytes(logits.numpy().astype("<f4").tobytes())


def fresh(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


# ---- MLC-LLM ------------------------------------------------------------------------------------


def fused(state):
    """The matrices as MLC has them: name to rows of outputs."""
    out = {}
    for name, value in state.items():
        if ".q_proj." in name:
            out[name.replace("q_proj", "qkv_proj")] = torch.cat(
                [value, state[name.replace("q_proj", "k_proj")], state[name.replace("q_proj", "v_proj")]])
        elif ".gate_proj." in name:
            out[name.replace("gate_proj", "gate_up_proj")] = torch.cat(
                [value, state[name.replace("gate_proj", "up_proj")]])
        elif not any(part in name for part in (".k_proj.", ".v_proj.", ".up_proj.")):
            out[name] = value
    return out


def unfused(name, value):
    """What a fused matrix stands for, by Hugging Face's names."""
    q, kv, hidden = 64, 32, 192
    if ".qkv_proj" in name:
        return {name.replace("qkv_proj", p): v for p, v in
                zip(("q_proj", "k_proj", "v_proj"), value.split([q, kv, kv]))}
    if ".gate_up_proj" in name:
        return {name.replace("gate_up_proj", p): v for p, v in
                zip(("gate_proj", "up_proj"), value.split([hidden, hidden]))}
    return {name: value}


def group_quantise(weight, bits, group):
    """Codes [N, padded K], scales [N, groups], what they stand for."""
    n, k = weight.shape
    groups = -(-k // group)
    top = 2 ** (bits - 1) - 1
    padded = torch.zeros(n, groups * group)
    padded[:, :k] = weight
    w = padded.reshape(n, groups, group)
    scale = (w.abs().amax(-1) / top).to(torch.float16).to(torch.float32)
    codes = torch.round(w / scale[..., None] + top).clamp(0, 2 * top)
    codes = codes.reshape(n, -1)
    codes[:, k:] = 0
    values = ((codes.reshape(w.shape) - top) * scale[..., None]).reshape(n, -1)[:, :k]
    return codes.to(torch.int64), scale, values


def write_mlc(name, quantization, cache="tensor-cache.json"):
    folder = fresh(name)
    tensors, plain = {}, {}
    kind = quantization
    for tensor, value in fused(STATE).items():
        module = tensor.removesuffix(".weight")
        if kind.startswith("q0") or value.ndim == 1:
            tensors[tensor] = value
        elif kind == "q4f16_autoawq":
            if not module.endswith("_proj"):
                tensors[tensor] = value
                continue
            order = [0, 4, 1, 5, 2, 6, 3, 7]
            codes, scale, zero, values = fit(value, 32, 4, False)
            tensors[module + ".qweight"] = pack_words(codes.t().contiguous(), 4, order)
            tensors[module + ".qzeros"] = pack_words(zero.t().contiguous(), 4, order)
            tensors[module + ".scales"] = scale.t().contiguous()
            plain.update(unfused(module, values))
        else:
            bits, group = (3, 40) if kind.startswith("q3") else (4, 32)
            codes, scale, values = group_quantise(value, bits, group)
            packed = pack_words(codes, bits)
            if kind.endswith("_0") and not module.endswith("embed_tokens"):
                packed, scale = packed.t().contiguous(), scale.t().contiguous()
            tensors[module + ".q_weight"], tensors[module + ".q_scale"] = packed, scale
            plain.update(unfused(module, values))
    width = "float32" if "f32" in kind else "float16"
    data, records = b"", []
    for tensor, value in tensors.items():
        dtype = "uint32" if value.dtype == torch.int32 else width
        raw = value.numpy().astype({"uint32": "<u4", "float32": "<f4", "float16": "<f2"}[dtype]) \
            if dtype != "uint32" else value.numpy().view("<u4")
        form = "f32-to-bf16"
        if dtype == "float32":  # as the cache stores it: the upper halves
            bits = torch.from_numpy(np.ascontiguousarray(raw)).to(torch.bfloat16)
            raw = bits.view(torch.int16).numpy()
            if tensor.endswith(".q_scale"):  # the weights are those of the stored scales
                module = tensor.removesuffix(".q_scale")
                codes, _, _ = group_quantise(fused(STATE)[module + ".weight"], 4, 32)
                k = fused(STATE)[module + ".weight"].shape[1]
                scale = bits.to(torch.float32).reshape(codes.shape[0], -1)
                plain.update(unfused(module, ((codes - 7) * scale.repeat_interleave(32, -1))[:, :k]))
            elif tensor.endswith(".weight"):
                plain.update(unfused(tensor.removesuffix(".weight"), bits.to(torch.float32)))
        raw = np.ascontiguousarray(raw).tobytes()
        records.append({"name": tensor, "shape": list(value.shape), "dtype": dtype, "format": form,
                        "nbytes": len(raw), "byteOffset": len(data)})
        data += raw
    half = len(records) // 2
    cut = records[half]["byteOffset"]
    shards = []
    for i, (part, first, last) in enumerate(((records[:half], 0, cut), (records[half:], cut, len(data)))):
        (folder / f"params_shard_{i}.bin").write_bytes(data[first:last])
        for record in part:
            record["byteOffset"] -= first
        shards.append({"dataPath": f"params_shard_{i}.bin", "format": "raw-shard", "nbytes": last - first,
                       "records": part})
    (folder / cache).write_text(json.dumps({"metadata": {"ParamSize": len(records)}, "records": shards}) + "\n")
    (folder / "mlc-chat-config.json").write_text(json.dumps({
        "model_type": "llama", "quantization": kind, "model_config": {
            "hidden_size": 64, "intermediate_size": 192, "num_attention_heads": 4, "num_hidden_layers": 1,
            "rms_norm_eps": 1e-6, "vocab_size": 64, "tie_word_embeddings": False,
            "position_embedding_base": 10000.0, "context_window_size": 256, "num_key_value_heads": 2,
            "head_dim": 16, "prefill_chunk_size": 64, "tensor_parallel_shards": 1}}) + "\n")
    write_logits(folder, plain)


# ---- before GGUF --------------------------------------------------------------------------------

META = {"model.embed_tokens": "tok_embeddings", "model.norm": "norm", "lm_head": "output",
        "self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk",
        "self_attn.v_proj": "attention.wv", "self_attn.o_proj": "attention.wo",
        "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
        "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm"}


def meta_name(module):
    for ours, theirs in META.items():
        if module == ours:
            return theirs + ".weight"
        if module.startswith("model.layers.") and module.endswith(ours):
            return f"layers.{module.split('.')[2]}.{theirs}.weight"
    raise KeyError(module)


def pair_rows(weight, heads):
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).transpose(1, 2).reshape(shape)


def nibbles(codes, apart):
    """16 bytes of 32 codes: neighbours, or 16 apart."""
    c = codes & 15
    return (c[:16] | c[16:] << 4) if apart else (c[0::2] | c[1::2] << 4)


def block(weights, kind, version):
    """One block of 32: its bytes, and what they stand for."""
    apart, halves = version >= 2, version >= 3
    number = (lambda x: struct.pack("<e", x)) if halves or kind.startswith("q5") else (lambda x: struct.pack("<f", x))
    kept = (lambda x: float(np.float16(x))) if halves or kind.startswith("q5") else (lambda x: float(np.float32(x)))
    w = weights.numpy().astype(np.float64)
    if kind == "q8_0":
        d = kept(np.abs(w).max() / 127)
        codes = np.clip(np.round(w / d), -127, 127).astype(np.int8)
        return number(d) + codes.tobytes(), codes * d
    bits = 5 if kind.startswith("q5") else 4
    if kind.endswith("_0"):
        d, m = kept(np.abs(w).max() / (2 ** (bits - 1) - 1)), 0.0
        codes = np.clip(np.round(w / d) + 2 ** (bits - 1), 0, 2**bits - 1).astype(np.int64)
        values, head = (codes - 2 ** (bits - 1)) * d, number(d)
    else:
        d, m = kept((w.max() - w.min()) / (2**bits - 1)), kept(w.min())
        codes = np.clip(np.round((w - m) / d), 0, 2**bits - 1).astype(np.int64)
        values, head = codes * d + m, number(d) + number(m)
    if bits == 5:
        head += struct.pack("<I", int(sum(int(c >> 4) << i for i, c in enumerate(codes))))
    return head + nibbles(codes, apart).astype(np.uint8).tobytes(), values


TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8}


def write_ggml(name, magic, version, kind):
    folder = fresh(name)
    out = struct.pack("<I", magic)
    if magic != 0x67676D6C:
        out += struct.pack("<I", version)
    out += struct.pack("<7I", 64, 64, 32, 4, 1, 16, TYPES[kind])
    for i in range(64):
        piece = (b"", b"", b"")[i] if i < 3 else (bytes([i + 30]) if i < 40 else b" t%d" % i)
        out += struct.pack("<I", len(piece)) + piece
        if magic != 0x67676D6C:
            out += struct.pack("<f", -float(i))
    plain = {}
    for tensor, value in STATE.items():
        module = tensor.removesuffix(".weight")
        stored = value
        if module.endswith("q_proj"):
            stored = pair_rows(value, 4)
        if module.endswith("k_proj"):
            stored = pair_rows(value, 2)
        own = kind if value.ndim == 2 else "f32"
        raw, values = b"", torch.zeros_like(stored)
        if own in ("f32", "f16"):
            raw = stored.numpy().astype("<f4" if own == "f32" else "<f2").tobytes()
            values = stored
        else:
            for r in range(stored.shape[0]):
                for b in range(0, stored.shape[1], 32):
                    data, held = block(stored[r, b:b + 32], own, version if magic == 0x67676A74 else 1)
                    raw += data
                    values[r, b:b + 32] = torch.from_numpy(held.astype(np.float32))
        back = values
        if module.endswith(("q_proj", "k_proj")):
            heads = 4 if module.endswith("q_proj") else 2
            back = values.reshape(heads, 8, 2, -1).transpose(1, 2).reshape(values.shape)
        if value.ndim == 2:
            plain[module] = back
        label = meta_name(module).encode()
        out += struct.pack("<3I", value.ndim, len(label), TYPES[own])
        out += b"".join(struct.pack("<I", e) for e in reversed(value.shape)) + label
        if magic == 0x67676A74:
            out += b"\0" * (-len(out) % 32)
        out += raw
    (folder / "model.bin").write_bytes(out)
    write_logits(folder, plain)


def main():
    for kind in ("q0f16", "q0f32", "q3f16_1", "q4f16_0", "q4f32_1", "q4f16_autoawq"):
        write_mlc(f"mlc-{kind}", kind)
    write_mlc("mlc-q4f16_1", "q4f16_1", "ndarray-cache.json")
    write_ggml("ggml-f16", 0x67676D6C, 0, "f16")
    write_ggml("ggmf-q4_1", 0x67676D66, 1, "q4_1")
    for version, kind in ((1, "q4_0"), (1, "q5_0"), (1, "q5_1"), (2, "q4_0"), (2, "q4_1"), (2, "q8_0"),
                          (2, "q5_1"), (3, "q4_0"), (3, "q8_0")):
        write_ggml(f"ggjt{version}-{kind}", 0x67676A74, version, kind)


if __name__ == "__main__":
    main()
