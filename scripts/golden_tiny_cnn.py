#!/usr/bin/env python3
"""Writes one tiny convolutional network in every format of graphs, to tests/golden/graphs/tiny_cnn.

    python scripts/golden_tiny_cnn.py onnx | tflite | coreml | executorch

One format at a time, since their tools do not live together: onnx (1.23), tensorflow (2.21), coremltools (9), executorch
(1.5) with its torch.  The weights are the same everywhere; what they must give is computed here by plain loops and written
as expected.npz with the inputs.  Deterministic.
"""
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent.parent / "tests/golden/graphs/tiny_cnn"
R = np.random.RandomState(5)


def rnd(*shape):
    return np.round(R.uniform(-0.6, 0.6, shape), 2).astype(np.float32)


# A stem, one kernel for each channel, one place at a time, a dense layer.
STEM, STEM_BIAS = rnd(8, 3, 3, 3), rnd(8)
DEEP, DEEP_BIAS = rnd(8, 1, 3, 3), rnd(8)
POINT, POINT_BIAS = rnd(16, 8, 1, 1), rnd(16)
DENSE, DENSE_BIAS = rnd(5, 16) * 3, rnd(5)
INPUTS = [rnd(1, 3, 12, 12) for _ in range(4)]


def convolved(x, w, b, stride, groups):
    pad = w.shape[2] // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    side = (x.shape[1] - w.shape[2]) // stride + 1
    each = w.shape[1]
    y = np.zeros((len(w), side, side))
    for f in range(len(w)):
        first = f // (len(w) // groups) * each
        for i in range(side):
            for j in range(side):
                window = x[first:first + each, i * stride:i * stride + w.shape[2], j * stride:j * stride + w.shape[3]]
                y[f, i, j] = (window * w[f]).sum() + b[f]
    return y


def expected(x):
    y = np.maximum(convolved(x[0].astype(np.float64), STEM, STEM_BIAS, 1, 1), 0)
    y = np.clip(convolved(y, DEEP, DEEP_BIAS, 1, 8), 0, 6)
    y = np.maximum(convolved(y, POINT, POINT_BIAS, 1, 1), 0).mean((1, 2))
    y = np.exp(DENSE @ y + DENSE_BIAS)
    return (y / y.sum())[None].astype(np.float32)


def write_onnx():
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = {n: numpy_helper.from_array(w, n) for n, w in dict(
        w1=STEM, b1=STEM_BIAS, w2=DEEP, b2=DEEP_BIAS, w3=POINT, b3=POINT_BIAS, w4=DENSE, b4=DENSE_BIAS,
        low=np.float32(0), high=np.float32(6)).items()}
    node = helper.make_node
    conv = lambda i, x, w, side, group: node("Conv", [x, f"w{w}", f"b{w}"], [f"c{w}"], pads=[side] * 4, group=group)
    nodes = [conv(1, "x", 1, 1, 1), node("Relu", ["c1"], ["r1"]), conv(2, "r1", 2, 1, 8),
             node("Clip", ["c2", "low", "high"], ["r2"]), conv(3, "r2", 3, 0, 1), node("Relu", ["c3"], ["r3"]),
             node("GlobalAveragePool", ["r3"], ["p"]), node("Flatten", ["p"], ["f"]),
             node("Gemm", ["f", "w4", "b4"], ["g"], transB=1), node("Softmax", ["g"], ["y"])]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "tiny", [info("x", TensorProto.FLOAT, [1, 3, 12, 12])],
                              [info("y", TensorProto.FLOAT, [1, 5])], list(weights.values()))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), OUT / "tiny.onnx")
    arrays = {f"in/{i}": x for i, x in enumerate(INPUTS)} | {f"out/{i}": expected(x) for i, x in enumerate(INPUTS)}
    np.savez_compressed(OUT / "expected.npz", **arrays)


def write_tflite():
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([1, 12, 12, 3], tf.float32)])
    def tiny(x):
        last = lambda w: tf.constant(w.transpose(2, 3, 1, 0))
        x = tf.nn.relu(tf.nn.conv2d(x, last(STEM), 1, "SAME") + STEM_BIAS)
        x = tf.nn.relu6(tf.nn.depthwise_conv2d(x, tf.constant(DEEP.transpose(2, 3, 0, 1)), [1] * 4, "SAME") + DEEP_BIAS)
        x = tf.nn.relu(tf.nn.conv2d(x, last(POINT), 1, "SAME") + POINT_BIAS)
        return tf.nn.softmax(tf.matmul(tf.reduce_mean(x, [1, 2]), DENSE.T) + DENSE_BIAS)

    def converter():
        return tf.lite.TFLiteConverter.from_concrete_functions([tiny.get_concrete_function()], tiny)
    (OUT / "tiny.tflite").write_bytes(converter().convert())
    whole = converter()
    whole.optimizations = [tf.lite.Optimize.DEFAULT]
    whole.representative_dataset = lambda: ([x.transpose(0, 2, 3, 1)] for x in INPUTS)
    whole.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    (OUT / "tiny_int8.tflite").write_bytes(whole.convert())


def write_coreml():
    import shutil

    import coremltools as ct
    from coremltools.converters.mil import Builder as mb
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, 12, 12))], opset_version=ct.target.iOS16)
    def tiny(x):
        x = mb.relu(x=mb.conv(x=x, weight=STEM, bias=STEM_BIAS, pad_type="same"))
        x = mb.relu6(x=mb.conv(x=x, weight=DEEP, bias=DEEP_BIAS, pad_type="same", groups=8))
        x = mb.relu(x=mb.conv(x=x, weight=POINT, bias=POINT_BIAS, pad_type="valid"))
        x = mb.reduce_mean(x=x, axes=[2, 3])
        return mb.softmax(x=mb.linear(x=x, weight=DENSE, bias=DENSE_BIAS), name="y")
    package = OUT / "tiny.mlpackage"
    shutil.rmtree(package, ignore_errors=True)
    ct.convert(tiny, convert_to="mlprogram", compute_precision=ct.precision.FLOAT32,
               minimum_deployment_target=ct.target.iOS16).save(str(package))

    b = NeuralNetworkBuilder([("x", datatypes.Array(3, 12, 12))], [("y", datatypes.Array(5))])

    def conv(name, w, bias, x, groups, mode):
        b.add_convolution(name, w.shape[1], len(w), w.shape[2], w.shape[3], 1, 1, mode, groups, w.transpose(2, 3, 1, 0), bias,
                          True, input_name=x, output_name=name)
    conv("c1", STEM, STEM_BIAS, "x", 1, "same")
    b.add_activation("r1", "RELU", "c1", "r1")
    conv("c2", DEEP, DEEP_BIAS, "r1", 8, "same")
    b.add_activation("r2", "RELU", "c2", "r2")
    b.add_unary("n2", "r2", "n2", "threshold", alpha=-6, scale=-1)  # max(-x, -6)
    b.add_elementwise("m2", ["n2"], "m2", "MULTIPLY", alpha=-1)
    conv("c3", POINT, POINT_BIAS, "m2", 1, "valid")
    b.add_activation("r3", "RELU", "c3", "r3")
    b.add_pooling("p", 1, 1, 1, 1, "AVERAGE", "VALID", "r3", "p", is_global=True)
    b.add_flatten("f", 0, "p", "f")
    b.add_inner_product("d", DENSE, DENSE_BIAS, 16, 5, True, "f", "d")
    b.add_softmax("s", "d", "y")
    (OUT / "tiny.mlmodel").write_bytes(b.spec.SerializeToString())


def write_executorch():
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge, to_edge_transform_and_lower

    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, w in dict(w1=STEM, b1=STEM_BIAS, w2=DEEP, b2=DEEP_BIAS, w3=POINT, b3=POINT_BIAS, w4=DENSE,
                                b4=DENSE_BIAS).items():
                self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(w)))

        def forward(self, x):
            f = torch.nn.functional
            x = f.relu(f.conv2d(x, self.w1, self.b1, padding=1))
            x = f.relu6(f.conv2d(x, self.w2, self.b2, padding=1, groups=8))
            x = f.relu(f.conv2d(x, self.w3, self.b3))
            return f.softmax(f.linear(x.mean((2, 3)), self.w4, self.b4), -1)

    exported = torch.export.export(Tiny().eval(), (torch.from_numpy(INPUTS[0]),), strict=True)
    (OUT / "tiny.pte").write_bytes(to_edge(exported).to_executorch().buffer)
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    (OUT / "tiny_xnnpack.pte").write_bytes(lowered.to_executorch().buffer)


OUT.mkdir(parents=True, exist_ok=True)
{"onnx": write_onnx, "tflite": write_tflite, "coreml": write_coreml, "executorch": write_executorch}[sys.argv[1]]()
