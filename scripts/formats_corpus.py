#!/usr/bin/env python3
"""Writes the first inputs of the fuzzers of src/formats: small valid files, made by the packages
gguf and safetensors, and a few that are nearly valid."""
import json
import pathlib
import struct

import gguf
import numpy as np
import safetensors.numpy

SRC = pathlib.Path(__file__).resolve().parent.parent / "src/formats"


def write_gguf(path, alignment=None, quantised=()):
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_uint8("u8", 1)
    writer.add_int16("i16", -2)
    writer.add_float32("f32", 1.5)
    writer.add_bool("bool", True)
    writer.add_uint64("u64", 1 << 40)
    writer.add_string("general.name", "caf\u00e9")
    writer.add_array("tokenizer.ggml.tokens", ["<unk>", "a", "b"])
    writer.add_array("tokenizer.ggml.scores", [0.0, -1.0, -2.0])
    writer.add_tensor("token_embd.weight", np.zeros((3, 4), np.float32))
    for kind in quantised:
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        writer.add_tensor(f"blk.0.{kind.name.lower()}", np.zeros((2, size), np.uint8),
                          raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    folder = SRC / "gguf_fuzz_corpus"
    folder.mkdir(exist_ok=True)
    kinds = [k for k in gguf.GGMLQuantizationType if k.name[0] in "QIMTN" and k.name[1] != "8"
             and gguf.GGML_QUANT_SIZES[k][0] > 1]
    write_gguf(folder / "plain")
    write_gguf(folder / "aligned", alignment=64)
    write_gguf(folder / "quantised", quantised=kinds)
    plain = (folder / "plain").read_bytes()
    (folder / "cut").write_bytes(plain[:100])
    (folder / "version2").write_bytes(plain[:4] + b"\2" + plain[5:])
    (folder / "big_endian").write_bytes(plain[:4] + b"\0\0\0\3" + plain[8:])
    (folder / "version1").write_bytes(
        b"GGUF" + np.array([1, 1, 1, 1], "<u4").tobytes() + b"k" + np.array([8, 2], "<u4").tobytes()
        + b"hi" + np.array([1], "<u4").tobytes() + b"w" + np.array([1, 4, 0, 0, 0], "<u4").tobytes()
        + bytes(15) + bytes(16))

    folder = SRC / "safetensors_fuzz_corpus"
    folder.mkdir(exist_ok=True)
    safetensors.numpy.save_file({"a": np.zeros((2, 3), np.float16), "b.c": np.zeros((), np.int64),
                                 "empty": np.zeros((0, 2), np.float32)}, folder / "plain",
                                metadata={"format": "pt"})
    header = rb'{"caf\u00e9\ud83d\ude00":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'
    (folder / "escapes").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    (folder / "none").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "index").write_text(json.dumps(
        {"metadata": {"total_size": 8},
         "weight_map": {"a": "model-00001-of-00002.safetensors",
                        "b": "model-00002-of-00002.safetensors"}}))
    (folder / "index_climbs").write_text(json.dumps({"weight_map": {"a": "../x.safetensors"}}))

    write_checkpoints()


FILES = ["config.json", "model.safetensors", "weights.npz", "mlc-chat-config.json", "tensor-cache.json",
         "ndarray-cache.json", "params_shard_0.bin", "params_shard_1.bin", "vocabulary.json", "model.bin"]


def write_checkpoints():
    """The golden checkpoints, their tensors cut to few rows: what checkpoint_fuzz.cpp reads."""
    folder = SRC / "checkpoint_fuzz_corpus"
    folder.mkdir(exist_ok=True)
    golden = SRC.parent.parent / "tests/golden/formats/quantised"
    for name in ("mlx-affine3", "mlx-mixed", "mlx-mxfp4", "gptq-order", "awq", "fp8-block", "packed-zeros",
                 "bnb-nf4-nested", "nvfp4", "bnb-int8"):
        held = (golden / name / "model.safetensors").read_bytes()
        size = int.from_bytes(held[:8], "little")
        header, data, kept = json.loads(held[8:8 + size]), held[8 + size:], {}
        body = b""
        for tensor, entry in header.items():
            if "q_proj" not in tensor and "v_proj" not in tensor:
                continue
            begin, end = entry["data_offsets"]
            kept[tensor] = {**entry, "data_offsets": [len(body), len(body) + end - begin]}
            body += data[begin:end]
        text = json.dumps(kept, separators=(",", ":")).encode()
        weights = len(text).to_bytes(8, "little") + text + body
        config = (golden / name / "config.json").read_bytes()
        out = b"\0"
        for which, part in ((0, config), (1, weights)):
            out += bytes([which]) + len(part).to_bytes(4, "little") + part
        (folder / name).write_bytes(out)
    for name in ("mlc-q4f16_1", "mlc-q3f16_1", "mlc-q4f16_0", "ct2-int8"):
        out = b"\0"
        for path in sorted((golden / name).iterdir()):
            if path.name in FILES:
                part = path.read_bytes()
                out += bytes([FILES.index(path.name)]) + len(part).to_bytes(4, "little") + part
        (folder / name).write_bytes(out)
    for name in ("ggml-f16", "ggmf-q4_1", "ggjt1-q5_0", "ggjt2-q8_0", "ggjt3-q4_0"):
        whole = (golden / name / "model.bin").read_bytes()
        (folder / name).write_bytes(b"\1" + whole[:12000])
    (folder / "whisper-q8_0").write_bytes(b"\1" + whisper_cpp())
    pictures()


def pictures():
    """One of each kind; scripts/golden_vision.py draws them."""
    folder, odd = SRC / "picture_fuzz_corpus", SRC.parents[1] / "tests/golden/vision/odd"
    folder.mkdir(exist_ok=True)
    for path in sorted(odd.iterdir()):
        if path.suffix != ".json" and (path.name == "turned2.jpg" or "turned" not in path.name):
            (folder / path.name).write_bytes(path.read_bytes())


def whisper_cpp():
    """The smallest file of whisper.cpp: a header, no filters, two words, two tensors."""
    def tensor(name, shape, kind, size):
        return struct.pack(f"<3I{len(shape)}I", len(shape), len(name), kind, *shape) + name + b"\1" * size
    head = b"lmgg" + struct.pack("<11I", 1708, 1500, 32, 2, 1, 8, 32, 2, 1, 80, 1)
    words = struct.pack("<3I", 2, 1, ord("a"))[:9] + struct.pack("<I", 1) + b"\xc3"
    return (head + struct.pack("<2I", 1, 2) + bytes(8) + words + tensor(b"encoder.conv1.bias", (1, 32), 0, 128) +
            tensor(b"encoder.blocks.0.attn.query.weight", (32, 2), 8, 68))


if __name__ == "__main__":
    main()
