#!/usr/bin/env python3
"""The graph engine beside ONNX Runtime: bench_graphs.py GRAPHS_BENCH [THREADS [ROUNDS]].

Builds graphs of the shapes of MobileNetV2, ResNet-18 and MiniLM with random weights, runs each with
both in turn (same file, same threads, 15 runs a round) and prints milliseconds and their ratio.  Needs the
Python packages onnx, onnxruntime and numpy.
"""
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


class Net:
    def __init__(self, shape, kind=TensorProto.FLOAT):
        self.nodes, self.weights, self.count = [], [], 0
        self.input = helper.make_tensor_value_info("x", kind, shape)
        self.random = np.random.default_rng(1)

    def weight(self, *shape):
        name = f"w{len(self.weights)}"
        scale = 1 / np.sqrt(max(1, int(np.prod(shape[1:]))))
        self.weights.append(numpy_helper.from_array((self.random.standard_normal(shape) * scale).astype(np.float32), name))
        return name

    def ints(self, *values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def scalar(self, value):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def op(self, kind, *inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(kind, list(inputs), [f"v{self.count}"], **attributes))
        return f"v{self.count}"

    def conv(self, x, inputs, outputs, kernel, stride=1, group=1):
        pad = kernel // 2
        return self.op("Conv", x, self.weight(outputs, inputs // group, kernel, kernel), self.weight(outputs),
                       kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=group)

    def save(self, path, last):
        out = helper.make_tensor_value_info(last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "bench", [self.input], [out], self.weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def mobilenet(path):
    n = Net([1, 3, 224, 224])
    low, high = n.scalar(0), n.scalar(6)
    relu6 = lambda x: n.op("Clip", x, low, high)
    x, channels = relu6(n.conv("x", 3, 32, 3, 2)), 32
    for expand, outputs, times, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                           (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(times):
            wide, step, before = channels * expand, stride if i == 0 else 1, x
            if expand != 1:
                x = relu6(n.conv(x, channels, wide, 1))
            x = relu6(n.conv(x, wide, wide, 3, step, wide))
            x = n.conv(x, wide, outputs, 1)
            if step == 1 and channels == outputs:
                x = n.op("Add", x, before)
            channels = outputs
    x = n.op("GlobalAveragePool", relu6(n.conv(x, 320, 1280, 1)))
    n.save(path, n.op("Gemm", n.op("Flatten", x), n.weight(1000, 1280), n.weight(1000), transB=1))


def resnet(path):
    n = Net([1, 3, 224, 224])
    x = n.op("Relu", n.conv("x", 3, 64, 7, 2))
    x, channels = n.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 64
    for outputs, stride in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]:
        side = x if stride == 1 and channels == outputs else n.conv(x, channels, outputs, 1, stride)
        y = n.conv(n.op("Relu", n.conv(x, channels, outputs, 3, stride)), outputs, outputs, 3)
        x, channels = n.op("Relu", n.op("Add", y, side)), outputs
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    n.save(path, n.op("Gemm", x, n.weight(1000, 512), n.weight(1000), transB=1))


def minilm(path, tokens=128, dim=384, heads=12, layers=6):
    n = Net([1, tokens], TensorProto.INT64)
    x = n.op("Gather", n.weight(3000, dim), "x")
    split, joined = n.ints(0, 0, heads, dim // heads), n.ints(0, 0, dim)
    dense = lambda x, a, b: n.op("Add", n.op("MatMul", x, n.weight(a, b)), n.weight(b))
    norm = lambda x: n.op("LayerNormalization", x, n.weight(dim), n.weight(dim), axis=-1)
    for _ in range(layers):
        q, k, v = (n.op("Transpose", n.op("Reshape", dense(x, dim, dim), split), perm=p)
                   for p in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
        s = n.op("Softmax", n.op("Div", n.op("MatMul", q, k), n.scalar(np.sqrt(dim // heads))), axis=-1)
        y = n.op("Reshape", n.op("Transpose", n.op("MatMul", s, v), perm=[0, 2, 1, 3]), joined)
        x = norm(n.op("Add", dense(y, dim, dim), x))
        h = dense(x, dim, 4 * dim)
        gate = n.op("Add", n.op("Erf", n.op("Div", h, n.scalar(np.sqrt(2)))), n.scalar(1))
        x = norm(n.op("Add", dense(n.op("Mul", n.op("Mul", h, gate), n.scalar(0.5)), 4 * dim, dim), x))
    n.save(path, x)


def reference(path, threads):
    """A function that runs the graph n times; milliseconds of each, and of processor time per run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {i.name: np.ones(i.shape, np.int64 if "int64" in i.type else np.float32) for i in session.get_inputs()}

    def run(n):
        times = []
        for _ in range(2):
            session.run(None, feed)
        used = time.process_time()
        for _ in range(n):
            start = time.perf_counter()
            session.run(None, feed)
            times.append((time.perf_counter() - start) * 1e3)
        return times, (time.process_time() - used) * 1e3 / n
    return run


def ours(bench, path, threads, n):
    """The fastest and the median run, and processor time per run, in milliseconds."""
    return [float(x) for x in subprocess.run([bench, str(path), str(threads), str(n)], check=True, capture_output=True,
                                             text=True).stdout.split()]


def main():
    bench, threads, rounds = sys.argv[1], int((sys.argv + ["1"])[2]) if len(sys.argv) > 2 else 1, 5
    if len(sys.argv) > 3:
        rounds = int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        for build in (mobilenet, resnet, minilm):
            path = pathlib.Path(folder) / f"{build.__name__}.onnx"
            build(path)
            run = reference(path, threads)
            table = []
            for _ in range(rounds):  # in turn: whatever else runs meets both
                times, used = run(15)
                table.append((min(times), statistics.median(times), used, *ours(bench, path, threads, 15)))
            fast, middle, used, our_fast, our_middle, our_used = zip(*table)
            print(f"{build.__name__:<10} {threads} threads: fastest {min(our_fast):7.2f} ms, ONNX Runtime {min(fast):7.2f}, "
                  f"ratio {min(fast) / min(our_fast):.2f}; median {statistics.median(our_middle):7.2f}, {statistics.median(middle):7.2f}, "
                  f"{statistics.median(middle) / statistics.median(our_middle):.2f}; processor time {statistics.median(our_used):7.2f}, "
                  f"{statistics.median(used):7.2f}, {statistics.median(used) / statistics.median(our_used):.2f}", flush=True)


main()
