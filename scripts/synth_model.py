#!/usr/bin/env python3
"""Writes a GGUF file with the exact shapes of a real model and random weights, to measure speed with no download.

usage: synth_model.py SHAPE TYPE OUT [--layers N] [--vocabulary N]

SHAPE: a row of SHAPES below.  TYPE: F32, F16, BF16, Q4_0, Q8_0, Q4_K, Q5_K, Q6_K, or the recipes Q4_K_M and Q5_K_M,
which give each tensor the type that llama.cpp gives it.  The text of such a model is noise; its speed, memory and file
are those of the real one.  The same arguments give the same bytes.  Only Python's standard library is used.

Blocks: Source: the GGUF specification and ggml's type table (docs/formats/README.md).  A pool of random blocks is drawn
once per type and repeated, every tensor beginning at another place, so that a file is written as fast as the disk takes it.
"""
import argparse
import random
import struct

# hidden, layers, heads, key-value heads, head size, feed-forward, vocabulary, tied embeddings, and what else differs.
SHAPES = {
    "tiny": ("qwen2", 256, 2, 4, 2, 64, 512, 1024, True, {"bias": True, "theta": 1e6}),
    "qwen2.5-0.5b": ("qwen2", 896, 24, 14, 2, 64, 4864, 151936, True, {"bias": True, "theta": 1e6}),
    "qwen2.5-1.5b": ("qwen2", 1536, 28, 12, 2, 128, 8960, 151936, True, {"bias": True, "theta": 1e6}),
    "qwen2.5-7b": ("qwen2", 3584, 28, 28, 4, 128, 18944, 152064, False, {"bias": True, "theta": 1e6}),
    "llama-3.2-1b": ("llama", 2048, 16, 32, 8, 64, 8192, 128256, True, {"theta": 5e5}),
    "llama-3.2-3b": ("llama", 3072, 28, 24, 8, 128, 8192, 128256, True, {"theta": 5e5}),
    "llama-3.1-8b": ("llama", 4096, 32, 32, 8, 128, 14336, 128256, False, {"theta": 5e5}),
    "mistral-7b": ("llama", 4096, 32, 32, 8, 128, 14336, 32768, False, {"theta": 1e6}),
    "qwen3-30b-a3b-8l": ("qwen3moe", 2048, 8, 32, 4, 128, 6144, 151936, False,
                         {"qk_norm": True, "theta": 1e6, "experts": 128, "used": 8, "expert_ff": 768}),
    # No real model's, all of which are large: the layer that guesses further tokens, as GLM-4.5 has it, behind dense ones.
    "mtp-1b": ("glm4moe", 1024, 48, 16, 4, 64, 7168, 151936, False,
               {"bias": True, "theta": 1e6, "turning": 32, "experts": 8, "used": 2, "expert_ff": 2048, "dense": 48,
                "shared": 1, "mtp": True}),
    "gemma-3-1b": ("gemma3", 1152, 26, 4, 1, 256, 6912, 262144, True,
                   {"qk_norm": True, "post_norms": True, "theta": 1e6, "window": 512}),
    # Layers that recur, some of which attend: Mamba-2 and gated delta nets.
    "granite-4-h-1b": ("granitehybrid", 1536, 40, 12, 4, 128, 4096, 100352, True,
                       {"attends": {5, 15, 25, 35}, "mixer": {"heads": 48, "head": 64, "groups": 1, "state": 128}}),
    "qwen3.5-0.8b": ("qwen35", 1024, 24, 8, 2, 256, 3584, 248320, True,
                     {"attends": set(range(3, 24, 4)), "qk_norm": True, "theta": 1e7, "turning": 64,
                      "mixer": {"heads": 16, "head": 128, "groups": 16, "state": 128}}),
}
# The same with its layer that guesses further tokens, which attends.
SHAPES["qwen3.5-0.8b-mtp"] = (*SHAPES["qwen3.5-0.8b"][:-1], SHAPES["qwen3.5-0.8b"][-1] | {
    "mtp": True, "attends": set(range(3, 24, 4)) | {24}})
CONTEXT = 32768
ALIGNMENT = 32
POOL_BLOCKS = 4099  # a prime: rows of a matrix do not repeat soon
STRENGTH = 0.02     # of the weights, about


def half(value):
    """A number's two bytes as f16."""
    return struct.pack("<e", value)


# One random block per type: (ggml's id, weights, bytes, maker).
TYPES = {
    "F32": (0, 1, 4, lambda rng: struct.pack("<f", rng.gauss(0, STRENGTH))),
    "F16": (1, 1, 2, lambda rng: half(rng.gauss(0, STRENGTH))),
    "BF16": (30, 1, 2, lambda rng: struct.pack("<f", rng.gauss(0, STRENGTH))[2:]),
    "Q4_0": (2, 32, 18, lambda rng: half(STRENGTH / 5) + rng.randbytes(16)),
    "Q5_0": (6, 32, 22, lambda rng: half(STRENGTH / 9) + rng.randbytes(20)),
    "Q5_1": (7, 32, 24, lambda rng: half(STRENGTH / 9) + half(-STRENGTH * 16 / 9) + rng.randbytes(20)),
    "Q8_0": (8, 32, 34, lambda rng: half(STRENGTH / 70) + rng.randbytes(32)),
    "Q4_K": (12, 256, 144, lambda rng: half(STRENGTH / 150) + half(STRENGTH / 20) + rng.randbytes(140)),
    "Q5_K": (13, 256, 176, lambda rng: half(STRENGTH / 300) + half(STRENGTH / 20) + rng.randbytes(172)),
    "Q6_K": (14, 256, 210, lambda rng: rng.randbytes(208) + half(STRENGTH / 1300)),
}
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "Q4_K": 15, "Q4_K_M": 15, "Q5_K": 17, "Q5_K_M": 17, "Q6_K": 18, "BF16": 32}


def more_bits(layer, layers):
    """Whether the M recipes give this layer's attn_v and ffn_down Q6_K."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def type_of(name, dims, recipe, layers, tied):
    """The type of a tensor, by its name, in a recipe."""
    if len(dims) == 1 or any(part in name for part in ("ffn_gate_inp", "conv1d", "ssm_a", "ssm_d", "ssm_norm")):
        return "F32"
    if recipe in ("F32", "F16", "BF16"):
        return recipe
    base = recipe.removesuffix("_M")
    if name in ("output.weight", "token_embd.weight"):
        wanted = "Q6_K" if name == "output.weight" or tied else base
        wanted = "Q8_0" if recipe == "Q8_0" else wanted
    elif recipe.endswith("_M") and ("attn_v" in name or "ffn_down" in name):
        wanted = "Q6_K" if more_bits(int(name.split(".")[1]), layers) else base
    else:
        wanted = base
    block = TYPES[wanted][1]
    if dims[0] % block:  # as llama.cpp: rows that no superblock divides
        wanted = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}.get(wanted, wanted)
    return wanted


def tensors_of(shape):
    """Names and dimensions (innermost first, as GGUF has them)."""
    arch, hidden, layers, heads, kv_heads, head, ff, vocabulary, tied, more = shape
    yield "token_embd.weight", (hidden, vocabulary)
    yield "output_norm.weight", (hidden,)
    if not tied:
        yield "output.weight", (hidden, vocabulary)
    for i in range(layers + bool(more.get("mtp"))):
        b = f"blk.{i}."
        if i == layers:
            for part in ("enorm", "hnorm", "shared_head_norm"):
                yield f"{b}nextn.{part}.weight", (hidden,)
            yield b + "nextn.eh_proj.weight", (2 * hidden, hidden)
        yield b + "attn_norm.weight", (hidden,)
        if i not in more.get("attends", {i}):
            yield from mixer_of(arch, b, hidden, **more["mixer"])
            yield b + ("ffn_norm.weight" if arch == "granitehybrid" else "post_attention_norm.weight"), (hidden,)
            yield from mlp_of(b, hidden, ff)
            continue
        gates = heads * head if arch == "qwen35" else 0
        for part, rows in (("q", heads * head + gates), ("k", kv_heads * head), ("v", kv_heads * head)):
            yield f"{b}attn_{part}.weight", (hidden, rows)
            if more.get("bias"):
                yield f"{b}attn_{part}.bias", (rows,)
        yield b + "attn_output.weight", (heads * head, hidden)
        if more.get("qk_norm"):
            yield b + "attn_q_norm.weight", (head,)
            yield b + "attn_k_norm.weight", (head,)
        if more.get("post_norms"):
            yield b + "post_attention_norm.weight", (hidden,)
            yield b + "post_ffw_norm.weight", (hidden,)
        yield b + ("post_attention_norm.weight" if arch in ("qwen35", "glm4moe") else "ffn_norm.weight"), (hidden,)
        if more.get("experts") and min(i, layers - 1) >= more.get("dense", 0):
            experts, inner = more["experts"], more["expert_ff"]
            yield b + "ffn_gate_inp.weight", (hidden, experts)
            yield b + "ffn_gate_exps.weight", (hidden, inner, experts)
            yield b + "ffn_up_exps.weight", (hidden, inner, experts)
            yield b + "ffn_down_exps.weight", (inner, hidden, experts)
            if more.get("shared"):
                yield b + "exp_probs_b.bias", (experts,)
                for part, dims in (("gate", (hidden, inner)), ("up", (hidden, inner)), ("down", (inner, hidden))):
                    yield f"{b}ffn_{part}_shexp.weight", dims
        else:
            yield from mlp_of(b, hidden, ff)


def mlp_of(b, hidden, ff):
    """A gated MLP."""
    yield b + "ffn_gate.weight", (hidden, ff)
    yield b + "ffn_up.weight", (hidden, ff)
    yield b + "ffn_down.weight", (ff, hidden)


def mixer_of(arch, b, hidden, heads, head, groups, state):
    """What of a layer recurs."""
    inner, channels = heads * head, heads * head + 2 * groups * state
    yield b + "ssm_conv1d.weight", (4, channels)
    yield b + "ssm_dt.bias", (heads,)
    if arch == "granitehybrid":
        yield b + "ssm_in.weight", (hidden, inner + channels + heads)
        yield b + "ssm_conv1d.bias", (channels,)
        yield b + "ssm_a", (1, heads)
        yield b + "ssm_d", (1, heads)
        yield b + "ssm_norm.weight", (inner // groups, groups)
    else:
        yield b + "attn_qkv.weight", (hidden, channels)
        yield b + "attn_gate.weight", (hidden, inner)
        yield b + "ssm_alpha.weight", (hidden, heads)
        yield b + "ssm_beta.weight", (hidden, heads)
        yield b + "ssm_a", (heads,)
        yield b + "ssm_norm.weight", (head,)
    yield b + "ssm_out.weight", (inner, hidden)


def byte_letters():
    """GPT-2's letters for the 256 bytes."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
    others = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


def metadata_of(name, shape, recipe):
    """Keys with their GGUF type and value."""
    arch, hidden, layers, heads, kv_heads, head, ff, vocabulary, tied, more = shape
    letters = byte_letters()
    pieces = letters + [f"<piece {i}>" for i in range(vocabulary - 256 - 1)] + ["<|end|>"]
    yield "general.architecture", "string", arch
    yield "general.name", "string", f"{name}, random weights"
    yield "general.file_type", "u32", FILE_TYPES[recipe]
    numbers = {"block_count": layers, "context_length": CONTEXT, "embedding_length": hidden, "feed_forward_length": ff,
               "attention.head_count": heads, "attention.head_count_kv": kv_heads, "attention.key_length": head,
               "attention.value_length": head, "rope.dimension_count": more.get("turning", head)}
    if mixer := more.get("mixer"):
        inner = mixer["heads"] * mixer["head"]
        numbers |= {"ssm.conv_kernel": 4, "ssm.state_size": mixer["state"], "ssm.group_count": mixer["groups"],
                    "ssm.time_step_rank": mixer["heads"], "ssm.inner_size": inner}
        if arch == "granitehybrid":
            numbers["attention.head_count_kv"] = [kv_heads if i in more["attends"] else 0 for i in range(layers)]
            del numbers["rope.dimension_count"]
    if more.get("experts"):
        numbers |= {"expert_count": more["experts"], "expert_used_count": more["used"], "expert_feed_forward_length": more["expert_ff"]}
    if more.get("shared"):
        numbers |= {"expert_shared_count": more["shared"], "leading_dense_block_count": more["dense"], "expert_gating_func": 2}
        yield f"{arch}.expert_weights_norm", "bool", True
    if more.get("mtp"):
        numbers |= {"block_count": layers + 1, "nextn_predict_layers": 1}
    if more.get("window"):
        numbers["attention.sliding_window"] = more["window"]
    for key, value in numbers.items():
        yield f"{arch}.{key}", "i32s" if isinstance(value, list) else "u32", value
    yield f"{arch}.rope.freq_base", "f32", more.get("theta", 1e4)
    yield f"{arch}.attention.layer_norm_rms_epsilon", "f32", 1e-6
    yield "tokenizer.ggml.model", "string", "gpt2"
    yield "tokenizer.ggml.pre", "string", "qwen2"
    yield "tokenizer.ggml.tokens", "strings", pieces
    yield "tokenizer.ggml.token_type", "i32s", [1] * 256 + [4] * (vocabulary - 257) + [3]
    yield "tokenizer.ggml.merges", "strings", [f"{a} {b}" for a, b in (("t", "h"), ("i", "n"))]
    yield "tokenizer.ggml.eos_token_id", "u32", vocabulary - 1
    yield "tokenizer.ggml.add_bos_token", "bool", False


def text(value):
    """A string with its length."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


ENCODERS = {
    "u32": (4, lambda v: struct.pack("<I", v)),
    "f32": (6, lambda v: struct.pack("<f", v)),
    "bool": (7, lambda v: struct.pack("<?", v)),
    "string": (8, text),
    "strings": (9, lambda v: struct.pack("<IQ", 8, len(v)) + b"".join(map(text, v))),
    "i32s": (9, lambda v: struct.pack("<IQ", 5, len(v)) + struct.pack(f"<{len(v)}i", *v)),
}


def padded(size):
    """A size rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def bytes_of(dims, kind):
    """How many bytes a tensor takes."""
    weights = 1
    for dim in dims:
        weights *= dim
    return weights // TYPES[kind][1] * TYPES[kind][2]


def write_data(out, name, dims, kind, pools):
    """A tensor's bytes: norms are one, decays minus one, the rest comes from the pool."""
    size = bytes_of(dims, kind)
    if name.endswith("ssm_a"):
        out.write(struct.pack("<f", -1.0) * (size // 4))
    elif name.endswith("ssm_norm.weight"):
        out.write(struct.pack("<f", 1.0) * (size // 4))
    elif name.endswith("norm.weight"):
        out.write(struct.pack("<f", 1.0) * dims[0])
    else:
        if kind not in pools:
            rng = random.Random(kind)
            pools[kind] = b"".join(TYPES[kind][3](rng) for _ in range(POOL_BLOCKS))
        pool, start = pools[kind], random.Random(name).randrange(POOL_BLOCKS) * TYPES[kind][2]
        left = size
        while left > 0:
            piece = memoryview(pool)[start:start + left]
            out.write(piece)
            left, start = left - len(piece), 0
    out.write(b"\0" * (padded(size) - size))


def write_model(path, name, shape, recipe):
    """The whole file."""
    tensors = [(n, dims, type_of(n, dims, recipe, shape[2], shape[8])) for n, dims in tensors_of(shape)]
    metadata = list(metadata_of(name, shape, recipe))
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, kind, value in metadata:
        number, encode = ENCODERS[kind]
        head += text(key) + struct.pack("<I", number) + encode(value)
    offset = 0
    for n, dims, kind in tensors:
        head += text(n) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims) + struct.pack("<IQ", TYPES[kind][0], offset)
        offset += padded(bytes_of(dims, kind))
    with open(path, "wb") as out:
        out.write(head)
        out.write(b"\0" * (padded(len(head)) - len(head)))
        pools = {}
        for n, dims, kind in tensors:
            write_data(out, n, dims, kind, pools)


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("type", choices=FILE_TYPES)
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, help="fewer layers than the real model")
    parser.add_argument("--vocabulary", type=int, help="another size of the vocabulary, 512 or more")
    arguments = parser.parse_args()
    shape = list(SHAPES[arguments.shape])
    shape[2] = arguments.layers or shape[2]
    shape[7] = arguments.vocabulary or shape[7]
    write_model(arguments.out, arguments.shape, shape, arguments.type)


if __name__ == "__main__":
    main()
