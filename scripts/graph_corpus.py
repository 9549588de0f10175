#!/usr/bin/env python3
"""Writes models with something wrong in them, for src/graphs/graph_run_fuzz.cpp: node tests of the ONNX project with other
attributes, shapes, operators and bytes, and the TFLite files of tests/golden/graphs/tflite.npz with other bytes.

    python scripts/graph_corpus.py NODE_TESTS OUT COUNT [SEED]
    build/release/graph_run_fuzz OUT            # the last name printed is of the model that ends it

NODE_TESTS: a folder of folders with model.onnx (scripts/onnx_node_tests.py writes them).  Needs onnx and numpy.
"""
import random
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, numpy_helper

INTS = (0, 1, -1, 2, 3, 7, -2, 16, 255, -128, 1 << 31, -(1 << 31), (1 << 62), -(1 << 63), (1 << 63) - 1)
EXTENTS = (0, 1, 2, 3, 5, 8, 64, 1000, 1 << 20)
FLOATS = (0.0, -1.0, 1e30, float("nan"), float("inf"), 1e-30, 0.5)


def change_attribute(model, r):
    node = r.choice(model.graph.node)
    if not node.attribute:
        return
    a = r.choice(node.attribute)
    if a.type == AttributeProto.INT:
        a.i = r.choice(INTS)
    elif a.type == AttributeProto.INTS:
        kind = r.randrange(3)
        if kind == 0 and a.ints:
            a.ints[r.randrange(len(a.ints))] = r.choice(INTS)
        elif kind == 1:
            a.ints.append(r.choice(INTS))
        elif a.ints:
            del a.ints[-1]
    elif a.type == AttributeProto.FLOAT:
        a.f = r.choice(FLOATS)
    elif a.type == AttributeProto.STRING:
        a.s = r.choice((b"", b"x", b"SAME_UPPER", b"VALID", b"linear", b"cubic", b"add", b"...ij,jk->ik", b"a"))
    elif a.type == AttributeProto.TENSOR:
        change_tensor(a.t, r)
    elif a.type in (AttributeProto.GRAPH,):
        if a.g.node:
            n = r.choice(a.g.node)
            n.op_type = r.choice(OPERATORS)


def change_tensor(t, r):
    if r.random() < 0.5 and t.dims:
        t.dims[r.randrange(len(t.dims))] = r.choice(EXTENTS)
        return
    try:
        x = numpy_helper.to_array(t).copy()
    except Exception:
        return
    if x.size == 0 or x.dtype == object or not np.issubdtype(x.dtype, np.number):
        return
    with np.errstate(all="ignore"):
        x.reshape(-1)[r.randrange(x.size)] = np.array(r.choice(INTS)).astype(x.dtype)
    t.CopyFrom(numpy_helper.from_array(x, t.name))


def change_input(model, r):
    if not model.graph.input:
        return
    t = r.choice(model.graph.input).type.tensor_type
    if r.random() < 0.3:
        t.elem_type = r.choice(range(1, 27))
    elif r.random() < 0.3:
        t.shape.dim.add().dim_value = r.choice(EXTENTS)
    elif t.shape.dim:
        if r.random() < 0.2:
            del t.shape.dim[-1]
        else:
            d = r.choice(t.shape.dim)
            d.dim_value = r.choice(EXTENTS)


def make_constant(model, r):
    """An input becomes a constant of odd numbers: sizes, axes, indices."""
    inputs = list(model.graph.input)
    if not inputs:
        return
    i = r.randrange(len(inputs))
    t = inputs[i].type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(t.elem_type)
        shape = [d.dim_value for d in t.shape.dim]
        if np.prod(shape) > 4096 or dtype == object:
            return
        with np.errstate(all="ignore"):
            x = np.array([r.choice(INTS) for _ in range(int(np.prod(shape)))], dtype=object).astype(np.float64).astype(dtype)
        model.graph.initializer.append(numpy_helper.from_array(x.reshape(shape), inputs[i].name))
        del model.graph.input[i]
    except Exception:
        return


def change_node(model, r):
    node = r.choice(model.graph.node)
    kind = r.randrange(6)
    if kind == 0:
        node.op_type = r.choice(OPERATORS)
    elif kind == 1 and node.input:
        del node.input[-1]
    elif kind == 2 and len(node.input) > 1:
        i, k = r.randrange(len(node.input)), r.randrange(len(node.input))
        node.input[i], node.input[k] = node.input[k], node.input[i]
    elif kind == 3 and node.input:
        node.input.append(r.choice(node.input))
    elif kind == 4 and node.input:
        node.input[r.randrange(len(node.input))] = ""
    elif node.output:
        node.output[r.randrange(len(node.output))] = ""


OPERATORS = []


def main():
    source, out, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    r = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    out.mkdir(parents=True, exist_ok=True)
    models = [p.read_bytes() for p in sorted(source.glob("*/model.onnx")) if p.stat().st_size < 20000]
    OPERATORS.extend(sorted({n.op_type for m in models for n in onnx.load_model_from_string(m).graph.node}))
    golden = np.load(Path(__file__).resolve().parent.parent / "tests/golden/graphs/tflite.npz")
    files = [golden[name].tobytes() for name in golden.files if name.endswith("/model")]
    for i in range(count):
        if r.random() < 0.3:
            data = bytearray(r.choice(files))
            for _ in range(r.choice((1, 1, 2, 4))):
                data[r.randrange(len(data))] = r.choice((0, 1, 2, 3, 7, 127, 128, 255, r.randrange(256)))
            (out / f"{i:06}.tflite").write_bytes(data)
            continue
        model = onnx.load_model_from_string(r.choice(models))
        if not model.graph.node:
            continue
        for _ in range(r.choice((1, 1, 2, 3))):
            r.choice((change_attribute, change_attribute, change_input, make_constant, change_node))(model, r)
        data = bytearray(model.SerializeToString())
        if r.random() < 0.1:
            for _ in range(3):
                data[r.randrange(len(data))] = r.randrange(256)
        (out / f"{i:06}.onnx").write_bytes(data)


if __name__ == "__main__":
    main()
