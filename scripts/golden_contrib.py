#!/usr/bin/env python3
"""Writes tests/golden/graphs/onnx_microsoft.npz: ONNX files of one operator of ONNX Runtime's own domain each, with what
ONNX Runtime gives for them.

    python scripts/golden_contrib.py

Each archive member: CASE/model, CASE/in/NAME, CASE/out/N.  Needs numpy, onnx and onnxruntime (made with 1.31).  Deterministic.
"""
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
R = np.random.RandomState(9)
CASES = {}


def rnd(*shape, scale=2.0):
    return np.round(R.uniform(-scale, scale, shape), 2).astype(np.float32)


def u8(*shape):
    return R.randint(0, 256, shape).astype(np.uint8)


def i8(*shape):
    return R.randint(-128, 128, shape).astype(np.int8)


def case(op, inputs, constants=(), outs=1, name="", **attributes):
    """inputs: (name, array or None); those named in `constants` lie in the file."""
    names = [n if x is not None else "" for n, x in inputs]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outs)], domain="com.microsoft", **attributes)
    kind = lambda x: helper.np_dtype_to_tensor_dtype(x.dtype)
    given = [(n, x) for n, x in inputs if x is not None and n not in constants]
    held = [numpy_helper.from_array(x, n) for n, x in inputs if x is not None and n in constants]
    graph = helper.make_graph([node], "case", [helper.make_tensor_value_info(n, kind(x), x.shape) for n, x in given],
                              [helper.make_empty_tensor_value_info(f"y{i}") for i in range(outs)], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
                              ir_version=8)
    key = f"{op}.{sum(k.startswith(op + '.') for k in CASES) + 1}"
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    CASES[key] = (model.SerializeToString(), dict(given), session.run(None, dict(given)))


def scale(name, value, zero, kind=np.uint8):
    return [(f"{name}_scale", np.float32(value)), (f"{name}_zero", kind(zero))]


QUANT = lambda names: tuple(f"{n}_{what}" for n in names for what in ("scale", "zero"))


def define():
    for op in ("QLinearAdd", "QLinearMul"):
        case(op, [("a", u8(2, 3, 4)), *scale("a", 0.02, 120), ("b", u8(3, 4)), *scale("b", 0.03, 7), *scale("y", 0.06, 99)],
             QUANT("aby"))
        case(op, [("a", i8(2, 5)), *scale("a", 0.02, -3, np.int8), ("b", i8(2, 5)), *scale("b", 0.03, 4, np.int8),
                  *scale("y", 0.05, 1, np.int8)], QUANT("aby"))
    case("QLinearSigmoid", [("x", u8(2, 9)), *scale("x", 0.05, 128), *scale("y", 1 / 256, 0)], QUANT("xy"))
    case("QLinearLeakyRelu", [("x", u8(2, 9)), *scale("x", 0.05, 100), *scale("y", 0.04, 60)], QUANT("xy"), alpha=0.2)
    for axis, opset in ((-1, 13), (1, 12)):
        case("QLinearSoftmax", [("x", u8(2, 3, 4)), *scale("x", 0.03, 10), *scale("y", 1 / 256, 0)], QUANT("xy"), axis=axis,
             opset=opset)
    for last in (0, 1):
        case("QLinearGlobalAveragePool", [("x", u8(1, 4, 5, 6)), *scale("x", 0.03, 10), *scale("y", 0.02, 5)], QUANT("xy"),
             channels_last=last)
    case("QLinearAveragePool", [("x", u8(1, 3, 6, 6)), *scale("x", 0.03, 10), *scale("y", 0.025, 12)], QUANT("xy"),
         kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    case("QLinearConcat", [*scale("y", 0.05, 90), ("a", u8(2, 3)), *scale("a", 0.03, 80), ("b", u8(2, 4)), *scale("b", 0.06, 100)],
         QUANT("yab"), axis=1)
    case("QLinearWhere", [("c", R.rand(2, 3) > 0.5), ("a", u8(2, 3)), *scale("a", 0.03, 80), ("b", u8(2, 3)),
                          *scale("b", 0.06, 100), *scale("y", 0.07, 90)], QUANT("aby"))
    for last in (0, 1):
        image = u8(1, 3, 6, 7)
        case("QLinearConv", [("x", image.transpose(0, 2, 3, 1).copy() if last else image), *scale("x", 0.02, 120), ("w", i8(4, 3, 3, 3)),
                             ("ws", np.float32([0.01, 0.02, 0.015, 0.01])), ("wz", np.int8([0] * 4)), *scale("y", 0.1, 130),
                             ("b", R.randint(-500, 500, (4,)).astype(np.int32))],
             (*QUANT("xy"), "w", "ws", "wz", "b"), channels_last=last, pads=[1] * 4, strides=[2, 1])
    case("NhwcMaxPool", [("x", u8(1, 6, 7, 3))], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0])
    for real in (False, True):
        result = [] if real else scale("y", 0.3, 100)
        case("QGemm", [("a", u8(3, 8)), *scale("a", 0.02, 120), ("b", i8(5, 8)), *scale("b", 0.03, 0, np.int8),
                       ("c", R.randint(-500, 500, (5,)).astype(np.int32)), *result],
             (*QUANT("ab"), "b", "c", *(() if real else QUANT("y"))), transB=1, alpha=1.0)
    case("DynamicQuantizeMatMul", [("a", rnd(3, 8)), ("b", i8(8, 5)), *scale("b", 0.03, 2, np.int8), ("bias", rnd(5))],
         ("b", *QUANT("b"), "bias"))
    case("MatMulIntegerToFloat", [("a", u8(3, 8)), ("b", i8(8, 5)), ("as", np.float32(0.02)), ("bs", np.float32(0.03)),
                                  ("az", np.uint8(120)), ("bz", np.int8(3)), ("bias", rnd(5))], ("as", "bs", "az", "bz", "bias", "b"))
    case("QAttention", [("x", u8(2, 3, 8)), ("w", i8(8, 24)), ("bias", rnd(24, scale=0.5)), ("xs", np.float32(0.02)),
                        ("ws", np.float32(0.01)), ("mask", np.int32([3, 2])), ("xz", np.uint8(125)), ("wz", np.int8(0))],
         ("w", "bias", "xs", "ws", "xz", "wz"), num_heads=2)
    for activation, extra in (("Relu", {}), ("LeakyRelu", dict(activation_params=[0.3])), ("Clip", dict(activation_params=[-1.0, 1.5]))):
        case("FusedConv", [("x", rnd(1, 3, 6, 6)), ("w", rnd(4, 3, 3, 3)), ("b", rnd(4))], ("w", "b"), pads=[1] * 4,
             activation=activation, **extra)
    case("FusedConv", [("x", rnd(1, 3, 6, 6)), ("w", rnd(4, 3, 3, 3)), ("b", rnd(4)), ("z", rnd(1, 4, 6, 6))], ("w", "b"),
         pads=[1] * 4, activation="Relu")
    case("FusedGemm", [("a", rnd(3, 8)), ("b", rnd(8, 5)), ("c", rnd(5))], ("b", "c"), activation="LeakyRelu",
         activation_alpha=0.1, alpha=0.5)
    ids = R.randint(0, 10, (2, 4)).astype(np.int32)
    tables = [("words", rnd(10, 8)), ("places", rnd(6, 8)), ("kinds", rnd(2, 8)), ("gamma", rnd(8)), ("beta", rnd(8))]
    held = tuple(n for n, _ in tables)
    mask = np.int32([[1, 1, 1, 0], [1, 1, 1, 1]])
    case("EmbedLayerNormalization", [("ids", ids), ("segments", np.int32([[0, 0, 1, 1]] * 2)), *tables, ("mask", mask)], held, outs=3)
    case("EmbedLayerNormalization", [("ids", ids), ("segments", None), *tables[:2], ("kinds", None), *tables[3:]], held, outs=2,
         epsilon=1e-6)
    case("DynamicQuantizeLSTM", [("x", rnd(4, 2, 3)), ("w", i8(1, 3, 20)), ("r", i8(1, 5, 20)), ("b", rnd(1, 40, scale=0.5)),
                                 ("l", None), ("h", None), ("c", None), ("p", None), ("ws", np.float32([0.005])),
                                 ("wz", np.int8([0])), ("rs", np.float32([0.006])), ("rz", np.int8([0]))],
         ("w", "r", "b", "ws", "wz", "rs", "rz"), outs=3, hidden_size=5)


def main():
    define()
    arrays = {}
    for name, (model, given, got) in CASES.items():
        arrays[f"{name}/model"] = np.frombuffer(model, np.uint8)
        for key, x in given.items():
            arrays[f"{name}/in/{key}"] = x
        for i, x in enumerate(got):
            arrays[f"{name}/out/{i}"] = x
    np.savez_compressed(ROOT / "tests/golden/graphs/onnx_microsoft.npz", **arrays)
    print(len(CASES), "cases")


main()
