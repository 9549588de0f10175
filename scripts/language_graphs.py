#!/usr/bin/env python3
"""Writes a small llama as ONNX, in the shapes in which language models travel in that format.

  scripts/language_graphs.py HF_FOLDER OUT_FOLDER

OUT_FOLDER/optimum: model.onnx as torch's exporter and optimum write it: norms and rotations in
  their parts, matrices transposed and without names, keys and values as past_key_values.N.key.
OUT_FOLDER/genai: model.onnx with onnxruntime-genai's fused operators and matrices of 4 bits in
  blocks of 32, with genai_config.json.
Each folder gets expected.txt: what onnxruntime continues from the first token, greedily.
Needs onnx, onnxruntime and numpy (made with 1.23, 1.31, 2.4).  Deterministic.
"""
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from small_safetensors import read_safetensors


class Builder:
    def __init__(self):
        self.nodes, self.constants, self.serial = [], [], 0

    def op(self, kind, inputs, outputs=1, name="", domain="", **attributes):
        self.serial += 1
        base = name or f"/{kind}_{self.serial}"
        made = [f"{base}_output_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, made, name=base, domain=domain, **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, array, name=""):
        self.serial += 1
        name = name or f"onnx::{'MatMul' if np.ndim(array) == 2 else 'Const'}_{self.serial}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def save(self, path, inputs, outputs, opset, microsoft=False):
        graph = helper.make_graph(self.nodes, "main_graph", inputs, outputs, self.constants)
        sets = [helper.make_opsetid("", opset)]
        if microsoft:
            sets.append(helper.make_opsetid("com.microsoft", 1))
        model = helper.make_model(graph, opset_imports=sets, producer_name="hearth-fixture", ir_version=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(path))


def info(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def cache_infos(prefix, config, length, dim):
    shape = ["batch_size", config["num_key_value_heads"], length, dim]
    return [
        info(f"{prefix}.{i}.{part}", TensorProto.FLOAT, shape)
        for i in range(config["num_hidden_layers"])
        for part in ("key", "value")
    ]


def optimum(weights, config, path):
    b = Builder()
    heads, kv, layers = (config[k] for k in ("num_attention_heads", "num_key_value_heads", "num_hidden_layers"))
    width = config["hidden_size"]
    dim = width // heads
    eps = b.constant(np.float32(config["rms_norm_eps"]))
    two, one = b.constant(np.float32(2)), b.constant(np.float32(1))

    def norm(x, weight, place):
        square = b.op("Pow", [x, two], name=f"{place}/Pow")
        mean = b.op("ReduceMean", [square], name=f"{place}/ReduceMean", axes=[-1])
        root = b.op("Sqrt", [b.op("Add", [mean, eps], name=f"{place}/Add")], name=f"{place}/Sqrt")
        share = b.op("Div", [one, root], name=f"{place}/Div")
        scaled = b.op("Mul", [x, share], name=f"{place}/Mul")
        return b.op("Mul", [b.constant(weights[weight], weight), scaled], name=f"{place}/Mul_1")

    def linear(x, weight):
        place = "/" + weight.removesuffix(".weight").replace("layers.", "layers#").replace(".", "/").replace("#", ".")
        return b.op("MatMul", [x, b.constant(weights[weight].T)], name=f"{place}/MatMul")

    embedding = b.constant(weights["model.embed_tokens.weight"], "model.embed_tokens.weight")
    x = b.op("Gather", [embedding, "input_ids"], name="/model/embed_tokens/Gather")
    # Angles of the positions.
    frequencies = (config["rope_theta"] ** (-np.arange(0, dim, 2) / dim)).astype(np.float32)
    places = b.op("Cast", [b.op("Unsqueeze", ["position_ids", b.ints(2)])], to=TensorProto.FLOAT)
    half = b.op("Mul", [places, b.constant(frequencies.reshape(1, 1, -1))])
    angles = b.op("Concat", [half, half], axis=-1)
    cosine = b.op("Unsqueeze", [b.op("Cos", [angles]), b.ints(1)])
    sine = b.op("Unsqueeze", [b.op("Sin", [angles]), b.ints(1)])
    # What each row may see: keys up to its own place, where the mask is set.
    total = b.op("Gather", [b.op("Shape", ["attention_mask"]), b.constant(np.int64(1))], axis=0)
    keys = b.op("Range", [b.constant(np.int64(0)), total, b.constant(np.int64(1))])
    rows = b.op("Unsqueeze", ["position_ids", b.ints(1, 3)])
    seen = b.op("LessOrEqual", [keys, rows])
    set_there = b.op("Cast", [b.op("Unsqueeze", ["attention_mask", b.ints(1, 2)])], to=TensorProto.BOOL)
    mask = b.op("Where", [b.op("And", [seen, set_there]), b.constant(np.float32(0)), b.constant(np.float32(-3.4e38))])

    def split(x, count):
        shaped = b.op("Reshape", [x, b.ints(0, 0, count, dim)])
        return b.op("Transpose", [shaped], perm=[0, 2, 1, 3])

    def rotate(x):
        low = b.op("Slice", [x, b.ints(0), b.ints(dim // 2), b.ints(3)])
        high = b.op("Slice", [x, b.ints(dim // 2), b.ints(dim), b.ints(3)])
        turned = b.op("Concat", [b.op("Neg", [high]), low], axis=-1)
        return b.op("Add", [b.op("Mul", [x, cosine]), b.op("Mul", [turned, sine])])

    def repeat(x):
        wide = b.op("Unsqueeze", [x, b.ints(2)])
        shape = b.op("Shape", [wide])
        target = b.op("Mul", [shape, b.ints(1, 1, heads // kv, 1, 1)])
        return b.op("Reshape", [b.op("Expand", [wide, target]), b.ints(0, heads, -1, dim)])

    for i in range(layers):
        name, place = f"model.layers.{i}.", f"/model/layers.{i}"
        y = norm(x, name + "input_layernorm.weight", place + "/input_layernorm")
        q = rotate(split(linear(y, name + "self_attn.q_proj.weight"), heads))
        k = rotate(split(linear(y, name + "self_attn.k_proj.weight"), kv))
        v = split(linear(y, name + "self_attn.v_proj.weight"), kv)
        for part, value in (("key", k), ("value", v)):
            b.nodes.append(helper.make_node("Concat", [f"past_key_values.{i}.{part}", value], [f"present.{i}.{part}"], axis=-2))
        keys_t = b.op("Transpose", [repeat(f"present.{i}.key")], perm=[0, 1, 3, 2])
        scores = b.op("Div", [b.op("MatMul", [q, keys_t]), b.constant(np.float32(np.sqrt(dim)))])
        shares = b.op("Softmax", [b.op("Add", [scores, mask])], axis=-1)
        mixed = b.op("MatMul", [shares, repeat(f"present.{i}.value")])
        joined = b.op("Reshape", [b.op("Transpose", [mixed], perm=[0, 2, 1, 3]), b.ints(0, 0, width)])
        x = b.op("Add", [x, linear(joined, name + "self_attn.o_proj.weight")])
        y = norm(x, name + "post_attention_layernorm.weight", place + "/post_attention_layernorm")
        gate = linear(y, name + "mlp.gate_proj.weight")
        act = b.op("Mul", [gate, b.op("Sigmoid", [gate])])
        x = b.op("Add", [x, linear(b.op("Mul", [act, linear(y, name + "mlp.up_proj.weight")]), name + "mlp.down_proj.weight")])
    x = norm(x, "model.norm.weight", "/model/norm")
    weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])
    b.nodes.append(helper.make_node("MatMul", [x, b.constant(weights["lm_head.weight"].T)], ["logits"], name="/lm_head/MatMul"))
    inputs = [info(n, TensorProto.INT64, ["batch_size", s]) for n, s in (("input_ids", "sequence_length"), ("attention_mask", "past_sequence_length + 1"), ("position_ids", "sequence_length"))]
    inputs += cache_infos("past_key_values", config, "past_sequence_length", dim)
    outputs = [info("logits", TensorProto.FLOAT, ["batch_size", "sequence_length", config["vocab_size"]])]
    outputs += cache_infos("present", config, "past_sequence_length + 1", dim)
    b.save(path, inputs, outputs, 17)


def blocks_of_four_bits(matrix, block):
    """[n, k] to codes [n, blocks, block / 2], scales and packed zero points."""
    n, k = matrix.shape
    count = -(-k // block)
    padded = np.zeros((n, count * block), np.float32)
    padded[:, :k] = matrix
    grouped = padded.reshape(n, count, block)
    low, high = np.minimum(grouped.min(2), 0), np.maximum(grouped.max(2), 0)
    scales = np.where(high > low, (high - low) / 15, 1).astype(np.float32)
    zeros = np.clip(np.round(-low / scales), 0, 15).astype(np.uint8)
    codes = np.clip(np.round(grouped / scales[..., None]) + zeros[..., None], 0, 15).astype(np.uint8)
    packed = codes[..., 0::2] | codes[..., 1::2] << 4
    if count % 2:
        zeros = np.concatenate([zeros, np.zeros((n, 1), np.uint8)], 1)
    return packed, scales, zeros[:, 0::2] | zeros[:, 1::2] << 4


def widened(weights, config):
    """The same model with heads twice as wide, the new half zero: onnxruntime's GroupQueryAttention
    wants multiples of 16.  The angles stay what they were when theta is squared."""
    dim = config["hidden_size"] // config["num_attention_heads"]
    half = dim // 2

    def rows(matrix, factor=1.0, split=True):
        parts = matrix.reshape(-1, dim, matrix.shape[1]) * np.float32(factor)
        wide = np.zeros((parts.shape[0], 2 * dim, parts.shape[2]), np.float32)
        wide[:, :half], wide[:, dim : dim + half] = parts[:, :half], parts[:, half:]
        if not split:
            wide = np.concatenate([parts, np.zeros_like(parts)], 1)
        return wide.reshape(-1, matrix.shape[1])

    for i in range(config["num_hidden_layers"]):
        name = f"model.layers.{i}.self_attn."
        weights[name + "q_proj.weight"] = rows(weights[name + "q_proj.weight"], 2**0.5)
        weights[name + "k_proj.weight"] = rows(weights[name + "k_proj.weight"])
        weights[name + "v_proj.weight"] = rows(weights[name + "v_proj.weight"], split=False)
        weights[name + "o_proj.weight"] = rows(weights[name + "o_proj.weight"].T, split=False).T.copy()
    return weights, {**config, "head_dim": 2 * dim, "rope_theta": config["rope_theta"] ** 2}


def genai(weights, config, path, block=32):
    b = Builder()
    weights, config = widened(weights, config)
    heads, kv, layers = (config[k] for k in ("num_attention_heads", "num_key_value_heads", "num_hidden_layers"))
    width, dim = config["hidden_size"], config["head_dim"]
    ms = "com.microsoft"

    def linear(x, matrix, place):
        codes, scales, zeros = blocks_of_four_bits(matrix, block)
        name = place.strip("/").replace("/", ".")
        parts = [b.constant(codes, name + ".MatMul.weight_Q4"), b.constant(scales, name + ".MatMul.weight_scales"), b.constant(zeros, name + ".MatMul.weight_zp")]
        return b.op("MatMulNBits", [x, *parts], name=f"{place}/MatMul_Q4", domain=ms, N=matrix.shape[0], K=matrix.shape[1], bits=4, block_size=block)

    frequencies = config["rope_theta"] ** (-np.arange(0, dim, 2) / dim)
    angles = np.arange(config["max_position_embeddings"])[:, None] * frequencies[None]
    cosine, sine = b.constant(np.cos(angles).astype(np.float32), "cos_cache"), b.constant(np.sin(angles).astype(np.float32), "sin_cache")
    embedding = b.constant(weights["model.embed_tokens.weight"], "model.embed_tokens.weight")
    stream = b.op("Gather", [embedding, "input_ids"], name="/model/embed_tokens/Gather")
    summed = b.op("ReduceSum", ["attention_mask", b.ints(1)], name="/model/attn_mask_reformat/ReduceSum")
    lengths = b.op("Cast", [b.op("Sub", [summed, b.ints(1)])], to=TensorProto.INT32)
    total = b.op("Cast", [b.op("Gather", [b.op("Shape", ["attention_mask"]), b.constant(np.int64(1))], axis=0)], to=TensorProto.INT32)
    eps = float(config["rms_norm_eps"])
    y = b.op("SimplifiedLayerNormalization", [stream, b.constant(weights["model.layers.0.input_layernorm.weight"], "model.layers.0.input_layernorm.weight")], name="/model/layers.0/input_layernorm/LayerNorm", epsilon=eps, axis=-1, stash_type=1)

    def skip_norm(stream, branch, weight, place, last=False):
        made = b.op("SkipSimplifiedLayerNormalization", [stream, branch, b.constant(weights[weight], place.strip("/").replace("/", ".") + ".weight")], 4 if not last else 1, name=place + "/SkipLayerNorm", domain=ms, epsilon=eps)
        if last:
            return made, ""
        b.nodes[-1].output[1] = b.nodes[-1].output[2] = ""
        return made[0], made[3]

    for i in range(layers):
        name, place = f"model.layers.{i}.", f"/model/layers.{i}"
        packed = np.concatenate([weights[name + f"self_attn.{p}_proj.weight"] for p in "qkv"])
        qkv = linear(y, packed, place + "/attn/qkv_proj")
        outputs = [f"{place}/attn/GroupQueryAttention/output_0", f"present.{i}.key", f"present.{i}.value"]
        b.nodes.append(helper.make_node("GroupQueryAttention", [qkv, "", "", f"past_key_values.{i}.key", f"past_key_values.{i}.value", lengths, total, cosine, sine], outputs, name=place + "/attn/GroupQueryAttention", domain=ms, num_heads=heads, kv_num_heads=kv, scale=1 / dim**0.5, do_rotary=1, rotary_interleaved=0, local_window_size=-1))
        branch = linear(outputs[0], weights[name + "self_attn.o_proj.weight"], place + "/attn/o_proj")
        y, stream = skip_norm(stream, branch, name + "post_attention_layernorm.weight", place + "/post_attention_layernorm")
        gate = linear(y, weights[name + "mlp.gate_proj.weight"], place + "/mlp/gate_proj")
        up = linear(y, weights[name + "mlp.up_proj.weight"], place + "/mlp/up_proj")
        act = b.op("Mul", [gate, b.op("Sigmoid", [gate], name=place + "/mlp/act_fn/Sigmoid")], name=place + "/mlp/act_fn/Mul")
        branch = linear(b.op("Mul", [act, up], name=place + "/mlp/Mul"), weights[name + "mlp.down_proj.weight"], place + "/mlp/down_proj")
        last = i + 1 == layers
        follows = "model.norm.weight" if last else f"model.layers.{i + 1}.input_layernorm.weight"
        y, stream = skip_norm(stream, branch, follows, f"/model/layers.{layers}/final_norm_layernorm" if last else f"/model/layers.{i + 1}/input_layernorm", last)
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    logits = linear(y, head, "/lm_head")
    b.nodes[-1].output[0] = "logits"
    inputs = [info(n, TensorProto.INT64, ["batch_size", s]) for n, s in (("input_ids", "sequence_length"), ("attention_mask", "total_sequence_length"))]
    inputs += cache_infos("past_key_values", config, "past_sequence_length", dim)
    outputs = [info("logits", TensorProto.FLOAT, ["batch_size", "sequence_length", config["vocab_size"]])]
    outputs += cache_infos("present", config, "total_sequence_length", dim)
    b.save(path, inputs, outputs, 21, microsoft=True)
    names = {"key": "past_key_values.%d.key", "value": "past_key_values.%d.value"}
    decoder = {
        "filename": path.name,
        "head_size": dim,
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "num_hidden_layers": layers,
        "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", "past_key_names": names["key"], "past_value_names": names["value"]},
        "outputs": {"logits": "logits", "present_key_names": "present.%d.key", "present_value_names": "present.%d.value"},
    }
    model = {"type": config["model_type"], "vocab_size": config["vocab_size"], "context_length": config["max_position_embeddings"], "bos_token_id": 1, "eos_token_id": 2, "decoder": decoder}
    search = {"do_sample": False, "temperature": 1.0, "top_k": 1, "top_p": 1.0}
    (path.parent / "genai_config.json").write_text(json.dumps({"model": model, "search": search}, indent=1))


def continue_with_onnxruntime(path, config, steps):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    state = {}
    for value in session.get_inputs():
        if value.name.startswith("past"):
            state[value.name] = np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
    tokens = [config["bos_token_id"]]
    wants_places = any(v.name == "position_ids" for v in session.get_inputs())
    for step in range(steps):
        feed = {"input_ids": np.array([[tokens[-1]]]), "attention_mask": np.ones((1, step + 1), np.int64), **state}
        if wants_places:
            feed["position_ids"] = np.array([[step]])
        made = dict(zip((o.name for o in session.get_outputs()), session.run(None, feed)))
        tokens.append(int(made["logits"][0, -1].argmax()))
        state = {n: made[n.replace("past_key_values", "present")] for n in state}
    return tokens


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    config = json.loads((source / "config.json").read_text())
    for shape, build in (("optimum", optimum), ("genai", genai)):
        folder = out / shape
        build(read_safetensors(source / "model.safetensors"), config, folder / "model.onnx")
        shutil.copyfile(source / "tokenizer.model", folder / "tokenizer.model")
        if shape == "optimum":
            shutil.copyfile(source / "config.json", folder / "config.json")
        tokens = continue_with_onnxruntime(folder / "model.onnx", config, 80)
        (folder / "expected.txt").write_text(" ".join(map(str, tokens)) + "\n")


if __name__ == "__main__":
    main()
