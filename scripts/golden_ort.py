#!/usr/bin/env python3
"""Writes tests/golden/graphs/ort.npz: graphs in ONNX Runtime's own format, as it saves them at its levels of optimisation,
with what it gives for them.

    python scripts/golden_ort.py

Each archive member: CASE/model, CASE/in/NAME, CASE/out/N.  Needs numpy, onnx and onnxruntime (made with 1.31).  Deterministic.
"""
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent
R = np.random.RandomState(31)
MODELS = {}
LEVELS = {"basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED", "all": "ORT_ENABLE_ALL"}


def rnd(*shape, scale=1.0):
    return np.round(R.uniform(-scale, scale, shape), 2).astype(np.float32)


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def model(name, nodes, inputs, outputs, held, given, version=17):
    """outputs: names.  held: constants by name."""
    kind = lambda x: helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(nodes, name, [value(n, kind(given[n]), shape) for n, shape in inputs],
                              [helper.make_empty_tensor_value_info(n) for n in outputs],
                              [numpy_helper.from_array(np.asarray(x), n) for n, x in held.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8, producer_name="hearth fixture")
    helper.set_model_props(made, {"made by": "a script"})
    MODELS[name] = (made.SerializeToString(), given)


def define():
    node = helper.make_node
    x = rnd(1, 3, 8, 8)
    model("cnn", [node("Conv", ["x", "w"], ["a"], pads=[1] * 4), node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n"]),
                  node("Relu", ["n"], ["r"]), node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
                  node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "g", "c"], ["d"], transB=1), node("Softmax", ["d"], ["y"])],
          [("x", ["batch", 3, 8, 8])], ["y"],
          dict(w=rnd(4, 3, 3, 3), s=rnd(4), b=rnd(4), m=rnd(4), v=np.abs(rnd(4)) + np.float32(0.1), g=rnd(5, 64), c=rnd(5)), {"x": x})

    # A layer of a transformer, as exporters write it.
    nodes = [node("ReduceMean", ["x"], ["mean"], axes=[-1]), node("Sub", ["x", "mean"], ["apart"]), node("Pow", ["apart", "two"], ["square"]),
             node("ReduceMean", ["square"], ["variance"], axes=[-1]), node("Add", ["variance", "epsilon"], ["shifted"]),
             node("Sqrt", ["shifted"], ["deviation"]), node("Div", ["apart", "deviation"], ["even"]), node("Mul", ["even", "gamma"], ["scaled"]),
             node("Add", ["scaled", "beta"], ["normal"])]
    for each in "qkv":
        nodes += [node("MatMul", ["normal", f"w{each}"], [f"{each}0"]), node("Add", [f"{each}0", f"b{each}"], [f"{each}1"]),
                  node("Reshape", [f"{each}1", "heads"], [f"{each}2"]),
                  node("Transpose", [f"{each}2"], [f"{each}3"], perm=[0, 2, 3, 1] if each == "k" else [0, 2, 1, 3])]
    nodes += [node("MatMul", ["q3", "k3"], ["qk"]), node("Div", ["qk", "root"], ["scores"]), node("Softmax", ["scores"], ["weights"], axis=-1),
              node("MatMul", ["weights", "v3"], ["mixed"]), node("Transpose", ["mixed"], ["turned"], perm=[0, 2, 1, 3]),
              node("Reshape", ["turned", "whole"], ["joined"]), node("MatMul", ["joined", "wo"], ["o0"]), node("Add", ["o0", "bo"], ["o1"]),
              node("Add", ["o1", "x"], ["first"]), node("MatMul", ["first", "w1"], ["h0"]), node("Add", ["h0", "b1"], ["h1"]),
              node("Div", ["h1", "root2"], ["e0"]), node("Erf", ["e0"], ["e1"]), node("Add", ["e1", "one"], ["e2"]), node("Mul", ["h1", "e2"], ["e3"]),
              node("Mul", ["e3", "half"], ["act"]), node("MatMul", ["act", "w2"], ["f0"]), node("Add", ["f0", "b2"], ["f1"]),
              node("Add", ["f1", "first"], ["y"])]
    held = dict(two=np.float32(2), epsilon=np.float32(1e-5), gamma=rnd(16), beta=rnd(16), heads=np.int64([0, 0, 2, 8]), whole=np.int64([0, 0, 16]),
                root=np.float32(8 ** 0.5), root2=np.float32(2 ** 0.5), one=np.float32(1), half=np.float32(0.5), wo=rnd(16, 16), bo=rnd(16),
                w1=rnd(16, 32), b1=rnd(32), w2=rnd(32, 16), b2=rnd(16))
    held.update({f"w{each}": rnd(16, 16) for each in "qkv"}, **{f"b{each}": rnd(16) for each in "qkv"})
    model("transformer", nodes, [("x", ["batch", "steps", 16])], ["y"], held, {"x": rnd(2, 5, 16)})

    # A body that reads what lies around it, within another one.
    inner = helper.make_graph([node("Add", ["v", "bias"], ["w0"]), node("Mul", ["w0", "x"], ["w"])], "then", [], [value("w", TensorProto.FLOAT, None)])
    other = helper.make_graph([node("Neg", ["v"], ["w"])], "else", [], [value("w", TensorProto.FLOAT, None)])
    body = helper.make_graph(
        [node("If", ["keep"], ["next"], then_branch=inner, else_branch=other), node("Identity", ["c"], ["on"]), node("ReduceSum", ["next"], ["row"], keepdims=0)],
        "body", [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, []), value("v", TensorProto.FLOAT, None)],
        [value("on", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, None), value("row", TensorProto.FLOAT, None)])
    for keep in (True, False):
        model(f"loop {keep}", [node("Loop", ["n", "", "x"], ["y", "rows"], body=body)], [("x", [3]), ("n", []), ("keep", [])], ["y", "rows"],
              dict(bias=rnd(3)), {"x": rnd(3), "n": np.array(3), "keep": np.array(keep)})

    # 8 bits between real numbers.
    def quantised(name, scale, zero=128):
        return [node("QuantizeLinear", [name, f"{name}_s", f"{name}_z"], [f"{name}_q"]),
                node("DequantizeLinear", [f"{name}_q", f"{name}_s", f"{name}_z"], [f"{name}_d"])], {f"{name}_s": np.float32(scale), f"{name}_z": np.uint8(zero)}
    nodes, held = quantised("x", 0.01)
    more, constants = quantised("a", 0.05)
    held.update(constants, w_q=R.randint(-100, 100, (4, 3, 3, 3)).astype(np.int8), w_s=np.float32(0.01), w_z=np.int8(0),
                b=rnd(4), g_q=R.randint(-100, 100, (256, 5)).astype(np.int8), g_s=np.float32(0.01), g_z=np.int8(0), shape=np.int64([0, 256]))
    nodes += [node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"]), node("Conv", ["x_d", "w", "b"], ["c"], pads=[1] * 4), node("Relu", ["c"], ["a"]), *more,
              node("Reshape", ["a_d", "shape"], ["f"]), node("DequantizeLinear", ["g_q", "g_s", "g_z"], ["g"]), node("MatMul", ["f", "g"], ["y"])]
    model("quantised", nodes, [("x", [1, 3, 8, 8])], ["y"], held, {"x": x})

    # Text, and numbers of 64 bits.
    model("words", [node("Equal", ["words", "word"], ["same"]), node("Cast", ["same"], ["found"], to=TensorProto.INT64),
                    node("Mul", ["found", "factors"], ["y"])], [("words", [4])], ["y"],
          dict(word=np.array(["yes"], object), factors=np.int64([1, 20, 300, 1 << 40])), {"words": np.array(["no", "yes", "", "yes"], object)}, version=19)


def main():
    define()
    arrays, cases = {}, 0
    for name, (data, given) in MODELS.items():
        for level, option in LEVELS.items():
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "model.ort")
                options = onnxruntime.SessionOptions()
                options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, option)
                options.optimized_model_filepath = path
                options.add_session_config_entry("session.save_model_format", "ORT")
                onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"])
                saved = Path(path).read_bytes()
            plain = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, given)
            loaded = onnxruntime.InferenceSession(saved, providers=["CPUExecutionProvider"])
            for a, b in zip(plain, loaded.run(None, given)):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
            key = f"{name}, {level}"
            arrays[f"{key}/model"] = np.frombuffer(saved, np.uint8)
            for k, x in given.items():
                arrays[f"{key}/in/{k}"] = np.asarray(x, "U") if np.asarray(x).dtype == object else x
            for i, x in enumerate(plain):
                arrays[f"{key}/out/{i}"] = x
            cases += 1
    np.savez_compressed(ROOT / "tests/golden/graphs/ort.npz", **arrays)
    print(cases, "cases")


if __name__ == "__main__":
    main()
