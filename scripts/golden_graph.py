#!/usr/bin/env python3
"""Writes tests/golden/graphs/small.onnx: y = softmax(relu(x * W) * V) of a row of four numbers.

Needs the Python packages onnx and numpy.  Weights are whole numbers, so that anybody can say what comes out:
x = [1, 1, 1, 1] gives scores [2, 4, 0] before the softmax.
"""
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

W = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
V = np.array([[1, 2, -1], [0, 0, 1]], np.float32)

graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "W"], ["sums"]), helper.make_node("Relu", ["sums"], ["kept"]),
     helper.make_node("MatMul", ["kept", "V"], ["scores"]), helper.make_node("Softmax", ["scores"], ["y"], axis=-1)],
    "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
    [numpy_helper.from_array(W, "W"), numpy_helper.from_array(V, "V")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="hearth")
onnx.checker.check_model(model)
path = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/graphs/small.onnx"
path.write_bytes(model.SerializeToString())
print(path, len(path.read_bytes()))
