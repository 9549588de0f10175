#!/usr/bin/env python3
"""Writes the first inputs of the fuzzers of src/formats: small valid files, made by the packages
gguf and safetensors, and a few that are nearly valid."""
import json
import pathlib

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


if __name__ == "__main__":
    main()
