#!/usr/bin/env python3
"""Writes a small llama as a language model for LiteRT, alone and in the bundles in which such models travel.

  scripts/golden_litert.py HF_FOLDER OUT_FOLDER

OUT_FOLDER/litert.tflite has the signatures `prefill_8` and `decode` of LiteRT's generative models: tokens, input_pos,
mask and the keys and values as inputs, norms as composites, weights in half precision.  Beside it: the same in
model.litertlm and model.task, with tokenizer and metadata.  expected.txt: what LiteRT's own interpreter continues from
the first token, greedily.

Needs numpy, flatbuffers and ai-edge-litert (made with 2.3).  Deterministic.
Source: TFLite, schema.fbs; LiteRT-LM, litertlm_header_schema.fbs, llm_metadata.proto; MediaPipe, llm_params.proto.
"""
import json
import struct
import sys
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers

from small_safetensors import read_safetensors

ROOM, PREFILL = 256, 8
F32, F16, I32, I64 = 0, 1, 2, 4
VERSIONS = {130: 2}  # of operators that have none of version 1
SCALARS = {"i8": ("Int8", 1), "u8": ("Uint8", 1), "bool": ("Bool", 1), "i32": ("Int32", 4), "u32": ("Uint32", 4),
           "u64": ("Uint64", 8), "i64": ("Int64", 8), "f32": ("Float32", 4)}


def put(b, table):
    """A table {slot: (kind, value)} with everything that it refers to; its offset."""
    offsets = {}
    for slot, (kind, value) in table.items():
        if kind == "table":
            offsets[slot] = put(b, value)
        elif kind == "text":
            offsets[slot] = b.CreateString(value)
        elif kind == "tables":
            offsets[slot] = vector(b, [put(b, each) for each in value])
        elif kind == "i32s":
            offsets[slot] = b.CreateNumpyVector(np.array(value, np.int32))
        elif kind == "f32s":
            offsets[slot] = b.CreateNumpyVector(np.array(value, np.float32))
        elif kind == "i64s":
            offsets[slot] = b.CreateNumpyVector(np.array(value, np.int64))
        elif kind == "bytes":
            offsets[slot] = raw_vector(b, value)
    b.StartObject(max(table, default=0) + 1)
    for slot, (kind, value) in table.items():
        if kind in SCALARS:
            getattr(b, f"Prepend{SCALARS[kind][0]}Slot")(slot, value, None)
        else:
            b.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
    return b.EndObject()


def vector(b, offsets):
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return b.EndVector()


def raw_vector(b, data):
    b.StartVector(1, len(data), 16)
    b.head -= len(data)
    b.Bytes[b.head:b.head + len(data)] = data
    return b.EndVector()


def code_table(code):
    """Of a built-in operator by its number, of a custom one by its name."""
    if isinstance(code, str):
        return {0: ("i8", 32), 1: ("text", code), 2: ("i32", 1), 3: ("i32", 32)}
    return {0: ("i8", min(code, 127)), 2: ("i32", VERSIONS.get(code, 1)), 3: ("i32", code)}


class File:
    """Operator codes and buffers, which all graphs of a file share."""

    def __init__(self):
        self.codes, self.buffers, self.known, self.graphs = [], [b""], {}, []
        self.metadata = {}  # name: bytes

    def code(self, number):
        if number not in self.codes:
            self.codes.append(number)
        return self.codes.index(number)

    def buffer(self, data):
        if data not in self.known:
            self.known[data] = len(self.buffers)
            self.buffers.append(data)
        return self.known[data]

    def write(self, signatures):
        b = flatbuffers.Builder(1 << 22)
        entries = [{0: ("text", name), 1: ("u32", self.buffer(data))} for name, data in self.metadata.items()]
        buffers = []
        for data in self.buffers:
            offset = raw_vector(b, data) if data else None
            b.StartObject(1)
            if offset:
                b.PrependUOffsetTRelativeSlot(0, offset, 0)
            buffers.append(b.EndObject())
        buffers = vector(b, buffers)
        graphs = vector(b, [put(b, g.table()) for g in self.graphs])
        codes = vector(b, [put(b, code_table(c)) for c in self.codes])
        keys = vector(b, [put(b, s) for s in signatures])
        text = b.CreateString("hearth fixture")
        entries = vector(b, [put(b, e) for e in entries]) if entries else None
        b.StartObject(8)
        for slot, offset in ((1, codes), (2, graphs), (3, text), (4, buffers), (7, keys)):
            b.PrependUOffsetTRelativeSlot(slot, offset, 0)
        if entries:
            b.PrependUOffsetTRelativeSlot(6, entries, 0)
        b.PrependUint32Slot(0, 3, 0)
        b.Finish(b.EndObject(), file_identifier=b"TFL3")
        return bytes(b.Output())


class Graph:
    def __init__(self, file, name):
        self.file, self.name, self.tensors, self.nodes, self.inputs, self.outputs = file, name, [], [], [], []
        file.graphs.append(self)
        self.index = len(file.graphs) - 1
        self.constants = {}

    def tensor(self, shape, kind=F32, name="", buffer=0):
        self.tensors.append({0: ("i32s", shape), 1: ("i8", kind), 2: ("u32", buffer),
                             3: ("text", name or f"t{len(self.tensors)}")})
        return len(self.tensors) - 1

    def input(self, name, shape, kind=F32):
        self.inputs.append(self.tensor(shape, kind, name))
        return self.inputs[-1]

    def constant(self, array):
        kind = {"float32": F32, "float16": F16, "int32": I32}[array.dtype.name]
        key = (array.tobytes(), array.shape, kind)
        if key not in self.constants:
            self.constants[key] = self.tensor(array.shape, kind, buffer=self.file.buffer(array.tobytes()))
        return self.constants[key]

    def ints(self, *values):
        return self.constant(np.array(values, np.int32))

    def number(self, value):
        return self.constant(np.float32(value).reshape(1))

    def op(self, code, inputs, shape, options=None, kind=F32, option_type=0, second=None):
        out = self.tensor(shape, kind)
        node = {0: ("u32", self.file.code(code)), 1: ("i32s", inputs), 2: ("i32s", [out])}
        if options is not None:
            node[3], node[4] = ("u8", option_type), ("table", options)
        if second is not None:
            node[11], node[12] = ("u8", 21), ("table", second)
        self.nodes.append(node)
        return out

    def table(self):
        return {0: ("tables", self.tensors), 1: ("i32s", self.inputs), 2: ("i32s", self.outputs),
                3: ("tables", self.nodes), 4: ("text", self.name)}

    def shape(self, t):
        return list(self.tensors[t][0][1])

    def add(self, a, b, shape):
        return self.op(0, [a, b], shape, {0: ("i8", 0)}, option_type=11)

    def mul(self, a, b, shape):
        return self.op(18, [a, b], shape, {0: ("i8", 0)}, option_type=21)

    def reshape(self, x, *shape, kind=F32):
        return self.op(22, [x, self.ints(*shape)], shape, {0: ("i32s", shape)}, kind, 17)

    def transpose(self, x, *order):
        return self.op(39, [x, self.ints(*order)], [self.shape(x)[i] for i in order], {}, option_type=26)

    def slice(self, x, begin, size, kind=F32):
        return self.op(65, [x, self.ints(*begin), self.ints(*size)], size, {}, kind, 48)

    def concat(self, parts, axis, shape, kind=F32):
        return self.op(2, parts, shape, {0: ("i32", axis), 1: ("i8", 0)}, kind, 10)

    def widened(self, array):
        return self.op(6, [self.constant(array.astype(np.float16))], array.shape, {}, option_type=38)

    def linear(self, x, weight, rows):
        return self.op(9, [x, self.widened(weight), -1], rows + [weight.shape[0]],
                       {0: ("i8", 0), 1: ("i8", 0), 2: ("bool", len(rows) > 1)}, option_type=8)


def norm_graph(file, n, width, eps):
    g = Graph(file, f"odml.rms_norm.impl_{n}")
    x, weight = g.input("x", [1, n, width]), g.input("weight", [width])
    square = g.mul(x, x, [1, n, width])
    mean = g.op(40, [square, g.ints(2)], [1, n, 1], {0: ("bool", True)}, option_type=27)
    root = g.op(76, [g.add(mean, g.number(eps), [1, n, 1])], [1, n, 1])
    g.outputs = [g.mul(g.mul(x, root, [1, n, width]), weight, [1, n, width])]
    return g


def model(file, weights, config, name, n, has_logits):
    heads, kv, layers, width = (config[k] for k in ("num_attention_heads", "num_key_value_heads", "num_hidden_layers",
                                                    "hidden_size"))
    dim, share = width // heads, heads // kv
    norms = norm_graph(file, n, width, config["rms_norm_eps"])
    g = Graph(file, name)
    tokens, places = g.input(f"{name}_tokens", [1, n], I32), g.input(f"{name}_input_pos", [n], I32)
    mask = g.input(f"{name}_mask", [1, 1, n, ROOM])
    names_in = {"tokens": tokens, "input_pos": places, "mask": mask}
    names_out = {}

    def norm(x, weight):
        return g.op(206, [x, g.constant(weights[weight])], [1, n, width],
                    second={0: ("text", "odml.rms_norm"), 1: ("i32", norms.index),
                            2: ("bytes", flexbuffers.Dumps({})), 4: ("i32", 1)})

    embedding = weights["model.embed_tokens.weight"]
    rows = g.op(36, [g.widened(embedding), tokens], [1, n, width], {0: ("i32", 0)}, option_type=23)
    x = rows
    frequencies = (config["rope_theta"] ** (-np.arange(0, dim, 2) / dim)).astype(np.float32)
    real = g.op(53, [places], [n], {0: ("i8", I32), 1: ("i8", F32)}, option_type=37)
    half = g.mul(g.reshape(real, n, 1), g.constant(frequencies.reshape(1, -1)), [n, dim // 2])
    angles = g.reshape(g.concat([half, half], 1, [n, dim]), 1, n, 1, dim)
    cosine, sine = (g.op(code, [angles], [1, n, 1, dim]) for code in (108, 66))
    first = g.slice(places, [0], [1], I32)
    start = g.concat([g.ints(0), first, g.ints(0), g.ints(0)], 0, [4], I32)
    hidden = g.reshape(mask, 1, n, 1, ROOM)

    def rotate(x, count):
        shape = [1, n, count, dim]
        low = g.slice(x, [0, 0, 0, 0], [1, n, count, dim // 2])
        high = g.slice(x, [0, 0, 0, dim // 2], [1, n, count, dim // 2])
        turned = g.concat([g.op(59, [high], [1, n, count, dim // 2], {}, option_type=42), low], 3, shape)
        return g.add(g.mul(x, cosine, shape), g.mul(turned, sine, shape), shape)

    def product(a, b, shape, turned):
        return g.op(126, [a, b], shape, {0: ("bool", False), 1: ("bool", turned)}, option_type=101)

    for i in range(layers):
        place = f"model.layers.{i}."
        y = norm(x, place + "input_layernorm.weight")
        q, k, v = (g.reshape(g.linear(y, weights[f"{place}self_attn.{p}_proj.weight"], [1, n]), 1, n, c, dim)
                   for p, c in (("q", heads), ("k", kv), ("v", kv)))
        held = []
        for part, value in (("k", rotate(k, kv)), ("v", v)):
            key = f"kv_cache_{part}_{i}"
            names_in[key] = g.input(f"{name}_{key}", [1, ROOM, kv, dim])
            held.append(g.op(151, [names_in[key], value, start], [1, ROOM, kv, dim], {}, option_type=117))
            names_out[key] = held[-1]
        keys, values = (g.reshape(g.transpose(t, 0, 2, 1, 3), kv, ROOM, dim) for t in held)
        apart = g.transpose(g.reshape(rotate(q, heads), n, kv, share, dim), 1, 0, 2, 3)
        scores = product(g.reshape(apart, kv, n * share, dim), keys, [kv, n * share, ROOM], True)
        scores = g.mul(scores, g.number(1 / np.sqrt(dim)), [kv, n * share, ROOM])
        scores = g.add(g.reshape(scores, kv, n, share, ROOM), hidden, [kv, n, share, ROOM])
        shares = g.op(25, [scores], [kv, n, share, ROOM], {0: ("f32", 1.0)}, option_type=9)
        mixed = product(g.reshape(shares, kv, n * share, ROOM), values, [kv, n * share, dim], False)
        joined = g.transpose(g.reshape(mixed, kv, n, share, dim), 1, 0, 2, 3)
        joined = g.reshape(joined, 1, n, width)
        x = g.add(x, g.linear(joined, weights[place + "self_attn.o_proj.weight"], [1, n]), [1, n, width])
        y = norm(x, place + "post_attention_layernorm.weight")
        gate, up = (g.linear(y, weights[f"{place}mlp.{p}_proj.weight"], [1, n]) for p in ("gate", "up"))
        wide = [1, n, config["intermediate_size"]]
        y = g.mul(g.mul(gate, g.op(14, [gate], wide), wide), up, wide)
        x = g.add(x, g.linear(y, weights[place + "mlp.down_proj.weight"], [1, n]), [1, n, width])
    if has_logits:
        names_out["logits"] = g.linear(norm(x, "model.norm.weight"), embedding, [1, n])
    g.outputs = list(names_out.values())
    return {0: ("tables", [{0: ("text", k), 1: ("u32", t)} for k, t in names_in.items()]),
            1: ("tables", [{0: ("text", k), 1: ("u32", t)} for k, t in names_out.items()]),
            2: ("text", name), 4: ("u32", g.index)}


def story(path, config, count):
    """What LiteRT goes on with from the first token; the second eight are read at once to try the other signature."""
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(str(path), num_threads=1)
    decode, prefill = interpreter.get_signature_runner("decode"), interpreter.get_signature_runner("prefill_8")
    shape = [1, ROOM, config["num_key_value_heads"], config["hidden_size"] // config["num_attention_heads"]]
    empty = {f"kv_cache_{p}_{i}": np.zeros(shape, np.float32) for i in range(config["num_hidden_layers"]) for p in "kv"}

    def run(runner, tokens, at, held):
        n = len(tokens)
        mask = np.where(np.arange(ROOM)[None] <= at + np.arange(n)[:, None], 0, -65504).astype(np.float32)
        out = runner(tokens=np.array([tokens], np.int32), input_pos=np.arange(at, at + n, dtype=np.int32),
                     mask=mask.reshape(1, 1, n, ROOM), **held)
        return out.pop("logits", None), out

    tokens, held = [config["bos_token_id"]], empty
    while len(tokens) < count:
        logits, held = run(decode, tokens[-1:], len(tokens) - 1, held)
        tokens.append(int(logits[0, -1].argmax()))
    again = run(prefill, tokens[:PREFILL], 0, empty)[1]
    logits, _ = run(decode, tokens[PREFILL:PREFILL + 1], PREFILL, again)
    assert int(logits[0, -1].argmax()) == tokens[PREFILL + 1]
    return tokens


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def litertlm(graph, tokenizer, config):
    metadata = (field(1, field(1, field(1, varint(config["bos_token_id"])))) +
                field(2, field(1, field(1, varint(config["eos_token_id"])))) +
                field(3, field(1, field(1, "Q: ") + field(2, "\n")) + field(2, field(1, "A: ") + field(2, "\n"))) +
                field(5, ROOM) + field(6, field(1, b"")))
    parts, at = [], 1 << 14
    for kind, data in ((5, metadata), (4, tokenizer), (3, graph)):
        parts.append((kind, at, data))
        at += -(-len(data) // (1 << 14)) * (1 << 14)
    item = {0: ("text", "model_type"), 1: ("u8", 9), 2: ("table", {0: ("text", "TF_LITE_PREFILL_DECODE")})}
    b = flatbuffers.Builder(1024)
    sections = [{0: ("tables", [item] if kind == 3 else []), 1: ("u64", at), 2: ("u64", at + len(data)), 3: ("u8", kind)}
                for kind, at, data in parts]
    b.Finish(put(b, {0: ("table", {0: ("tables", [])}), 1: ("table", {0: ("tables", sections)})}))
    header = bytes(b.Output())
    out = bytearray(b"LITERTLM" + struct.pack("<IIIIQ", 1, 0, 0, 0, 32 + len(header)) + header)
    for _, at, data in parts:
        out += bytes(at - len(out)) + data
    return bytes(out)


def task(path, graph, tokenizer, config):
    metadata = field(2, config["vocab_size"]) + field(4, config["bos_token_id"]) + field(5, "</s>")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (("TF_LITE_PREFILL_DECODE", graph), ("TOKENIZER_MODEL", tokenizer), ("METADATA", metadata)):
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    config = json.loads((source / "config.json").read_text())
    weights = read_safetensors(source / "model.safetensors")
    out.mkdir(parents=True, exist_ok=True)
    file = File()
    signatures = [model(file, weights, config, "decode", 1, True),
                  model(file, weights, config, f"prefill_{PREFILL}", PREFILL, False)]
    graph = file.write(signatures)
    (out / "litert.tflite").write_bytes(graph)
    tokens = story(out / "litert.tflite", config, 80)
    (out / "expected.txt").write_text(" ".join(map(str, tokens)) + "\n")
    tokenizer = (source / "tokenizer.model").read_bytes()
    (out / "model.litertlm").write_bytes(litertlm(graph, tokenizer, config))
    task(out / "model.task", graph, tokenizer, config)
    print(tokens)


if __name__ == "__main__":
    main()
