#!/usr/bin/env python3
"""Writes tests/golden/graphs/coreml/*.npz: small Core ML programs with what they must give.

    python scripts/golden_coreml.py [CASE ...]

Needs coremltools 9 and torch.  Programs are built with coremltools' MIL builder and saved as model
packages.  What is expected is, in this order: what a case computes itself, with NumPy or PyTorch; what
coremltools' own value inference says of the operator with constant inputs.  Each archive holds for every
case: CASE/model, CASE/weights (bytes), CASE/in/NAME, CASE/out/NAME.
"""
import logging
import os
import shutil
import sys
import tempfile
import warnings
import zipfile

os.environ["TQDM_DISABLE"] = "1"
logging.disable(logging.CRITICAL)
warnings.filterwarnings("ignore")

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
import coremltools as ct
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Program, types

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(HERE, "tests/golden/graphs/coreml")
T = torch.from_numpy
I15, I16, I17, I18 = ct.target.iOS15, ct.target.iOS16, ct.target.iOS17, ct.target.iOS18
CASES = {}


def case(name, build, inputs, expect=None, opset=I15, states=None):
    assert name not in CASES, name
    CASES[name] = (build, inputs, expect, opset, states)


def rnd(*shape, seed=0, low=-2.0, high=2.0):
    # Values at two digits: what rounding does to them is the same everywhere.
    r = np.random.RandomState(seed + sum(shape))
    return np.round(r.uniform(low, high, shape), 2).astype(np.float32)


def ints(*values):
    return np.array(values, np.int32)


DTYPES = {np.dtype(np.float32): types.fp32, np.dtype(np.int32): types.int32, np.dtype(np.float16): types.fp16}


def build_program(build, inputs, opset, states):
    prog = Program()
    spec = {n: mb.placeholder(shape=v.shape, dtype=DTYPES[v.dtype]) for n, v in inputs.items()}
    for n, v in (states or {}).items():
        spec[n] = mb.state_tensor_placeholder(shape=v.shape, dtype=types.fp16)
    with Function(spec, opset_version=opset) as func:
        outs = build(**func.inputs)
        outs = list(outs) if isinstance(outs, (list, tuple)) else [outs]
        func.set_outputs(outs)
        prog.add_function("main", func)
    return prog, [o.name for o in outs]


def inferred(build, inputs, opset):
    with Function({}, opset_version=opset):
        consts = {n: mb.const(val=v) for n, v in inputs.items()}
        outs = build(**consts)
    outs = list(outs) if isinstance(outs, (list, tuple)) else [outs]
    vals = [o.val for o in outs]
    if any(v is None for v in vals):
        raise RuntimeError("no value inference; the case needs `expect`")
    return vals


def strip(spec):
    spec.description.metadata.Clear()
    for f in spec.mlProgram.functions.values():
        f.attributes.clear()
        for b in f.block_specializations.values():
            strip_block(b)
    spec.mlProgram.attributes.clear()


def strip_block(block):
    block.attributes.clear()
    for op in block.operations:
        if "name" in op.attributes:
            del op.attributes["name"]
        for b in op.blocks:
            strip_block(b)


def package_bytes(model):
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "m.mlpackage")
    model.save(path)
    data = os.path.join(path, "Data/com.apple.CoreML")
    spec = ct.utils.load_spec(path)
    strip(spec)
    raw = spec.SerializeToString(deterministic=True)
    weights = os.path.join(data, "weights/weight.bin")
    blob = open(weights, "rb").read() if os.path.exists(weights) else b""
    shutil.rmtree(folder)
    return raw, blob


def add(archive, name, array):
    import io
    buffer = io.BytesIO()
    np.save(buffer, array)
    # A fixed time: the archive is the same each time it is made.
    archive.writestr(zipfile.ZipInfo(name + ".npy", (2020, 1, 1, 0, 0, 0)), buffer.getvalue())


def write(archive, name):
    build, inputs, expect, opset, states = CASES[name]
    prog, _ = build_program(build, inputs, opset, states)
    prog.skip_all_passes = True
    model = ct.convert(prog, convert_to="mlprogram", minimum_deployment_target=opset,
                       compute_precision=ct.precision.FLOAT32, skip_model_load=True,
                       pass_pipeline=ct.PassPipeline.EMPTY)
    want = expect(**inputs, **(states or {})) if expect else inferred(build, inputs, opset)
    want = list(want) if isinstance(want, (list, tuple)) else [want]
    want = [w.detach().numpy() if isinstance(w, torch.Tensor) else np.asarray(w) for w in want]
    raw, blob = package_bytes(model)
    spec = model.get_spec()
    names = [o.name for o in spec.description.output] + [s.name for s in spec.description.state]
    add(archive, f"{name}/model", np.frombuffer(raw, np.uint8))
    if blob:
        add(archive, f"{name}/weights", np.frombuffer(blob, np.uint8))
    for n, v in inputs.items():
        add(archive, f"{name}/in/{n}", v)
    assert len(names) >= len(want), (names, len(want))
    for n, v in zip(names, want):
        if v.dtype == np.float16 or v.dtype == np.float64:
            v = v.astype(np.float32)
        if v.dtype == np.int64:
            v = v.astype(np.int32)
        add(archive, f"{name}/out/{n}", np.array(v, order="C"))


# --- element by element -------------------------------------------------------------------------------
x = rnd(2, 3)
pos = rnd(2, 3, low=0.1, high=2.0)
unit = rnd(2, 3, low=-0.9, high=0.9)
for op, v in [("abs", x), ("acos", unit), ("asin", unit), ("atan", x), ("atanh", unit), ("ceil", x), ("cos", x),
              ("cosh", x), ("exp", x), ("exp2", x), ("floor", x), ("identity", x), ("round", x), ("sign", x),
              ("sin", x), ("sinh", x), ("sqrt", pos), ("square", x), ("tan", unit), ("tanh", x), ("relu", x),
              ("relu6", 4 * x), ("sigmoid", x), ("softplus", x), ("softsign", x)]:
    case(op, lambda x, op=op: getattr(mb, op)(x=x), {"x": v})
case("erf", lambda x: mb.erf(x=x), {"x": x}, lambda x: torch.erf(T(x)))
case("silu", lambda x: mb.silu(x=x), {"x": x}, lambda x: F.silu(T(x)))
case("inverse", lambda x: mb.inverse(x=x, epsilon=0.1), {"x": pos}, lambda x: 1 / (x + np.float32(0.1)))
case("log", lambda x: mb.log(x=x), {"x": pos})
case("log_epsilon", lambda x: mb.log(x=x, epsilon=0.5), {"x": pos}, lambda x: np.log(x + 0.5))
case("rsqrt", lambda x: mb.rsqrt(x=x, epsilon=0.5), {"x": pos}, lambda x: 1 / np.sqrt(x + 0.5))
case("logical_not", lambda x: mb.cast(x=mb.logical_not(x=mb.cast(x=x, dtype="bool")), dtype="int32"),
     {"x": ints(0, 3, 1)}, lambda x: (x == 0).astype(np.int32))
for op in ["logical_and", "logical_or", "logical_xor"]:
    case(op, lambda x, y, op=op: mb.cast(x=getattr(mb, op)(x=mb.cast(x=x, dtype="bool"), y=mb.cast(x=y, dtype="bool")),
                                         dtype="int32"), {"x": ints(0, 0, 1, 1), "y": ints(0, 1, 0, 1)})
for op in ["add", "sub", "mul", "real_div", "floor_div", "mod", "maximum", "minimum"]:
    case(op, lambda x, y, op=op: getattr(mb, op)(x=x, y=y), {"x": x + np.float32(0.0137), "y": rnd(1, 3, seed=5)})
for op in ["add", "sub", "mul", "floor_div", "mod", "maximum"]:
    case(op + "_int", lambda x, y, op=op: getattr(mb, op)(x=x, y=y), {"x": ints(7, -7, 7, -7), "y": ints(2, 2, -3, -3)})
case("pow", lambda x, y: mb.pow(x=x, y=y), {"x": pos, "y": x})
for op in ["equal", "not_equal", "greater", "greater_equal", "less", "less_equal"]:
    case(op, lambda x, y, op=op: mb.cast(x=getattr(mb, op)(x=x, y=y), dtype="int32"),
         {"x": ints(1, 2, 3), "y": ints(2, 2, 2)})
case("clamped_relu", lambda x: mb.clamped_relu(x=x, alpha=0.5, beta=1.0), {"x": x},
     lambda x: np.minimum(np.where(x >= 0, x, 0.5 * x), 1.0))
case("clip", lambda x: mb.clip(x=x, alpha=-0.5, beta=1.0), {"x": x})
case("elu", lambda x: mb.elu(x=x, alpha=0.7), {"x": x})
for mode in ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"]:
    case("gelu_" + mode[:4].lower(), lambda x, mode=mode: mb.gelu(x=x, mode=mode), {"x": x},
         lambda x, mode=mode: {"EXACT": lambda: F.gelu(T(x)), "TANH_APPROXIMATION": lambda: F.gelu(T(x), approximate="tanh"),
                               "SIGMOID_APPROXIMATION": lambda: T(x) * torch.sigmoid(1.702 * T(x))}[mode]())
case("leaky_relu", lambda x: mb.leaky_relu(x=x, alpha=0.1), {"x": x})
case("linear_activation", lambda x: mb.linear_activation(x=x, alpha=2.0, beta=-1.0), {"x": x})
case("prelu", lambda x: mb.prelu(x=x, alpha=np.float32([0.1, 0.2, 0.3])), {"x": rnd(1, 3, 2, 2)})
case("scaled_tanh", lambda x: mb.scaled_tanh(x=x, alpha=1.5, beta=0.7), {"x": x})
case("sigmoid_hard", lambda x: mb.sigmoid_hard(x=x, alpha=0.3, beta=0.4), {"x": x})
case("softplus_parametric", lambda x: mb.softplus_parametric(x=x, alpha=np.float32([1, 2, 3]), beta=np.float32([0.5, 1, 1.5])),
     {"x": rnd(1, 3, 2, 2)})
case("threshold", lambda x: mb.threshold(x=x, alpha=0.3), {"x": x})
case("thresholded_relu", lambda x: mb.thresholded_relu(x=x, alpha=0.4), {"x": x}, lambda x: np.where(x >= 0.4, x, 0))
case("softmax", lambda x: mb.softmax(x=x, axis=1), {"x": rnd(2, 4, 3)})
case("cast_to_int", lambda x: mb.cast(x=x, dtype="int32"), {"x": x}, lambda x: np.trunc(x).astype(np.int32))
case("cast_to_half", lambda x: mb.cast(x=mb.cast(x=x, dtype="fp16"), dtype="fp32"), {"x": x}, lambda x: x)
case("select", lambda c, a, b: mb.select(cond=mb.cast(x=c, dtype="bool"), a=a, b=b),
     {"c": ints(1, 0, 1), "a": rnd(2, 3), "b": rnd(2, 3, seed=9)}, lambda c, a, b: np.where(c != 0, a, b))
case("cumsum", lambda x: mb.cumsum(x=x, axis=1), {"x": rnd(2, 4)}, lambda x: np.cumsum(x, 1))
case("cumsum_back", lambda x: mb.cumsum(x=x, axis=0, exclusive=True, reverse=True), {"x": rnd(3, 2)},
     lambda x: np.flip(np.cumsum(np.flip(x, 0), 0), 0) - x)
case("quantize", lambda x: mb.cast(x=mb.quantize(input=x, scale=np.float32(0.1), zero_point=np.uint8(20), output_dtype="uint8"), dtype="int32"),
     {"x": x}, lambda x: np.clip(np.round(x / np.float32(0.1)) + 20, 0, 255).astype(np.int32), I17)
case("dequantize", lambda x: mb.dequantize(input=mb.quantize(input=x, scale=np.float32([0.1, 0.2, 0.3]), axis=1, output_dtype="int8"),
                                           scale=np.float32([0.1, 0.2, 0.3]), axis=1),
     {"x": x}, lambda x: np.round(x / np.float32([0.1, 0.2, 0.3])) * np.float32([0.1, 0.2, 0.3]), I17)
for op in ["reduce_l1_norm", "reduce_l2_norm", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum",
           "reduce_sum_square", "reduce_log_sum_exp"]:
    case(op, lambda x, op=op: getattr(mb, op)(x=x, axes=[0, -1], keep_dims=True), {"x": rnd(2, 3, 2)})
case("reduce_log_sum", lambda x: mb.reduce_log_sum(x=x, axes=[1], keep_dims=False), {"x": pos})
case("reduce_all", lambda x: mb.reduce_sum(x=x), {"x": x}, lambda x: x.sum())
case("reduce_argmax", lambda x: mb.reduce_argmax(x=x, axis=1), {"x": x}, lambda x: np.argmax(x, 1))
case("reduce_argmin", lambda x: mb.reduce_argmin(x=x, axis=0, keep_dims=True), {"x": x}, lambda x: np.argmin(x, 0, keepdims=True))

# --- shapes -------------------------------------------------------------------------------------------
case("reshape", lambda x: mb.reshape(x=x, shape=[3, -1]), {"x": rnd(2, 6)})
case("reshape_zero", lambda x: mb.reshape(x=x, shape=[0, 3, -1]), {"x": rnd(2, 6, 1)}, lambda x: x.reshape(2, 3, 2))
case("reshape_computed", lambda x, y: mb.reshape(x=x, shape=mb.shape(x=y)), {"x": rnd(2, 6), "y": rnd(3, 4)},
     lambda x, y: x.reshape(3, 4))
case("reshape_like", lambda x, y: mb.reshape_like(x=x, ref_tensors=(y, x), begins=(0, 1), ends=(2, 0), end_masks=(False, True)),
     {"x": rnd(6, 5), "y": rnd(2, 3, 4)}, lambda x, y: x.reshape(2, 3, 5), I16)
case("transpose", lambda x: mb.transpose(x=x, perm=[-1, 0, 1]), {"x": rnd(2, 3, 4)})
case("expand_dims", lambda x: mb.expand_dims(x=x, axes=[0, -1]), {"x": x})
case("squeeze", lambda x: mb.squeeze(x=x, axes=[0, 2]), {"x": rnd(1, 3, 1, 2)})
case("squeeze_all", lambda x: mb.squeeze(x=x), {"x": rnd(1, 3, 1, 2)})
case("flatten2d", lambda x: mb.flatten2d(x=x, axis=2), {"x": rnd(2, 3, 4)}, lambda x: x.reshape(6, 4))
case("shape", lambda x: mb.shape(x=x), {"x": rnd(2, 3, 4)}, lambda x: np.int32(x.shape))
case("concat", lambda x, y: mb.concat(values=[x, y], axis=1), {"x": x, "y": rnd(2, 2)})
case("concat_interleave", lambda x, y: mb.concat(values=[x, y], axis=1, interleave=True),
     {"x": rnd(1, 2, 3), "y": rnd(1, 2, 3, seed=7)}, lambda x, y: np.stack([x, y], 2).reshape(1, 4, 3))
case("stack", lambda x, y: mb.stack(values=[x, y], axis=1), {"x": x, "y": rnd(2, 3, seed=3)})
case("split", lambda x: mb.split(x=x, num_splits=2, axis=1), {"x": rnd(2, 4)})
case("split_sizes", lambda x: mb.split(x=x, split_sizes=[1, 3], axis=-1), {"x": rnd(2, 4)})
case("tile", lambda x: mb.tile(x=x, reps=[2, 1]), {"x": x})
for mode in ["constant", "reflect", "replicate"]:
    case("pad_" + mode, lambda x, mode=mode: mb.pad(x=x, pad=[1, 2, 2, 1], mode=mode, constant_val=0.5), {"x": rnd(1, 3, 4)},
         lambda x, mode=mode: np.pad(x, [(0, 0), (1, 2), (2, 1)], **({"mode": "constant", "constant_values": 0.5} if mode == "constant"
                                                                     else {"mode": {"reflect": "reflect", "replicate": "edge"}[mode]})))
case("reverse", lambda x: mb.reverse(x=x, axes=[1]), {"x": x})
case("reverse_sequence", lambda x: mb.reverse_sequence(x=x, lengths=[2, 3, 1], seq_axis=1, batch_axis=0), {"x": rnd(3, 4)},
     lambda x: np.stack([np.concatenate([r[:n][::-1], r[n:]]) for r, n in zip(x, [2, 3, 1])]))
case("slice_by_index", lambda x: mb.slice_by_index(x=x, begin=[0, 1, 0], end=[2, 4, 3], stride=[1, 2, 1],
                                                   begin_mask=[True, False, False], end_mask=[False, False, True]), {"x": rnd(2, 5, 3)},
     lambda x: x[:2, 1:4:2, 0:])
case("slice_by_index_squeeze", lambda x: mb.slice_by_index(x=x, begin=[-1, 1, 0], end=[0, 2, 3], squeeze_mask=[True, False, False]),
     {"x": rnd(2, 5, 3)}, lambda x: x[-1, 1:2, 0:3])
case("slice_by_index_back", lambda x: mb.slice_by_index(x=x, begin=[1, -1], end=[0, -4], stride=[-1, -1], end_mask=[True, False]),
     {"x": rnd(2, 5)}, lambda x: x[1::-1, -1:-4:-1])
case("slice_computed", lambda x, n: mb.slice_by_index(x=x, begin=mb.concat(values=[n, [0]], axis=0), end=[0, 2], end_mask=[True, False]),
     {"x": rnd(4, 3), "n": ints(2)}, lambda x, n: x[2:, 0:2])
case("slice_by_size", lambda x: mb.slice_by_size(x=x, begin=[1, 0], size=[1, -1]), {"x": rnd(3, 4)})
case("slice_by_size_computed", lambda x, n: mb.slice_by_size(x=x, begin=n, size=[1, 2]), {"x": rnd(3, 4), "n": ints(1, 2)},
     lambda x, n: x[1:2, 2:4])
case("slice_update", lambda x, u: mb.slice_update(x=x, update=u, begin=[0, 1], end=[0, 3], begin_mask=[True, False], end_mask=[True, False]),
     {"x": rnd(2, 4), "u": rnd(2, 2, seed=8)}, lambda x, u: np.concatenate([x[:, :1], u, x[:, 3:]], 1), I18)
case("space_to_batch", lambda x: mb.space_to_batch(x=x, block_shape=[2, 2], paddings=[[1, 1], [0, 0]]), {"x": rnd(1, 2, 2, 4)},
     lambda x: np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0)]).reshape(1, 2, 2, 2, 2, 2).transpose(3, 5, 0, 1, 2, 4).reshape(4, 2, 2, 2))
case("batch_to_space", lambda x: mb.batch_to_space(x=x, block_shape=[2, 2], crops=[[0, 1], [1, 0]]), {"x": rnd(4, 2, 2, 2)},
     lambda x: x.reshape(2, 2, 1, 2, 2, 2).transpose(2, 3, 4, 0, 5, 1).reshape(1, 2, 4, 4)[:, :, 0:3, 1:4])
case("depth_to_space", lambda x: mb.depth_to_space(x=x, block_size=2), {"x": rnd(1, 8, 2, 3)},
     lambda x: x.reshape(1, 2, 2, 2, 2, 3).transpose(0, 3, 4, 1, 5, 2).reshape(1, 2, 4, 6))
case("space_to_depth", lambda x: mb.space_to_depth(x=x, block_size=2), {"x": rnd(1, 2, 4, 6)},
     lambda x: x.reshape(1, 2, 2, 2, 3, 2).transpose(0, 3, 5, 1, 2, 4).reshape(1, 8, 2, 3))
case("pixel_shuffle", lambda x: mb.pixel_shuffle(x=x, upscale_factor=2), {"x": rnd(1, 8, 2, 3)}, lambda x: F.pixel_shuffle(T(x), 2))
case("pixel_unshuffle", lambda x: mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)), {"x": rnd(1, 2, 4, 6)},
     lambda x: F.pixel_unshuffle(T(x), 2), I16)
case("sliding_windows", lambda x: mb.sliding_windows(x=x, axis=1, size=3, stride=2), {"x": rnd(2, 7)},
     lambda x: np.stack([x[:, i:i + 3] for i in (0, 2, 4)], 1))
case("crop", lambda x: mb.crop(x=x, crop_height=[1, 0], crop_width=[0, 2]), {"x": rnd(1, 2, 4, 5)}, lambda x: x[:, :, 1:, :-2])
case("band_part", lambda x: mb.band_part(x=x, lower=1, upper=0), {"x": rnd(2, 4, 4)})
case("band_part_upper", lambda x: mb.band_part(x=x, lower=-1, upper=1), {"x": rnd(4, 3)})
case("fill", lambda n: mb.fill(shape=n, value=1.5), {"n": ints(2, 3)}, lambda n: np.full((2, 3), 1.5, np.float32))
case("fill_like", lambda x: mb.fill_like(ref_tensor=x, value=2), {"x": x}, lambda x: np.full(x.shape, 2, np.int32), I16)
case("range_1d", lambda x: mb.range_1d(start=0, end=mb.gather(x=mb.shape(x=x), indices=1), step=2), {"x": rnd(2, 5)},
     lambda x: ints(0, 2, 4))

# --- indices ------------------------------------------------------------------------------------------
case("gather", lambda x, i: mb.gather(x=x, indices=i, axis=1), {"x": rnd(2, 4, 2), "i": ints(3, 0)}, lambda x, i: np.take(x, i, 1))
case("gather_batch", lambda x, i: mb.gather(x=x, indices=i, axis=2, batch_dims=1),
     {"x": rnd(2, 3, 4), "i": np.int32([[1, 0], [3, 2]])},
     lambda x, i: np.stack([np.take(a, k, 1) for a, k in zip(x, i)]), I16)
case("gather_along_axis", lambda x, i: mb.gather_along_axis(x=x, indices=i, axis=1), {"x": rnd(2, 4), "i": np.int32([[0, 3], [1, 1]])},
     lambda x, i: np.take_along_axis(x, i, 1))
case("gather_nd", lambda x, i: mb.gather_nd(x=x, indices=i), {"x": rnd(2, 3, 2), "i": np.int32([[0, 1], [1, 2]])},
     lambda x, i: x[tuple(i.T)])
for mode in ["update", "add", "sub", "mul", "div", "max", "min"]:
    def scatter_ref(data, updates, mode=mode):
        out = data.copy()
        f = {"update": lambda a, b: b, "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum,
             "min": np.minimum}[mode]
        for k, i in enumerate([2, 0]):
            out[:, i] = f(out[:, i], updates[:, k])
        return out
    case("scatter_" + mode, lambda data, updates, mode=mode: mb.scatter(data=data, indices=[2, 0], updates=updates, axis=1, mode=mode),
         {"data": rnd(2, 3), "updates": rnd(2, 2, seed=4, low=0.5)}, scatter_ref)
case("scatter_along_axis", lambda data, updates: mb.scatter_along_axis(data=data, indices=[[1, 0, 1]], updates=updates, axis=0, mode="update"),
     {"data": rnd(2, 3), "updates": rnd(1, 3, seed=4)},
     lambda data, updates: np.stack([[data[0, 0], updates[0, 1], data[0, 2]], [updates[0, 0], data[1, 1], updates[0, 2]]]))
case("scatter_nd", lambda data, updates: mb.scatter_nd(data=data, indices=[[0, 2], [1, 0]], updates=updates, mode="add"),
     {"data": rnd(2, 3), "updates": rnd(2, seed=4)},
     lambda data, updates: data + np.float32([[0, 0, updates[0]], [updates[1], 0, 0]]))
case("topk", lambda x: mb.topk(x=x, k=2, axis=1), {"x": rnd(2, 5)},
     lambda x: [np.sort(x, 1)[:, ::-1][:, :2], np.argsort(-x, 1)[:, :2]])
case("topk_up", lambda x: mb.topk(x=x, k=3, axis=-1, ascending=True), {"x": rnd(2, 5)},
     lambda x: [np.sort(x, 1)[:, :3], np.argsort(x, 1)[:, :3]])
case("argsort", lambda x: mb.argsort(x=x, axis=1, ascending=True), {"x": rnd(2, 5)}, lambda x: np.argsort(x, 1))
case("non_zero", lambda x: mb.non_zero(x=x), {"x": np.float32([[0, 1], [2, 0]])}, lambda x: np.argwhere(x))
case("one_hot", lambda i: mb.one_hot(indices=i, one_hot_vector_size=4, axis=-1, on_value=2, off_value=-1), {"i": ints(1, 3, 0)},
     lambda i: np.where(np.arange(4) == i[:, None], 2, -1))
boxes = np.float32([[[1, 1, 2, 2], [1.1, 1, 2, 2], [5, 5, 1, 1], [1, 1.2, 2, 2], [9, 9, 1, 1]]])
scores = np.float32([[[0.9, 0.1], [0.2, 0.8], [0.7, 0.1], [0.85, 0.2], [0.05, 0.1]]])
case("non_maximum_suppression", lambda boxes, scores: mb.non_maximum_suppression(
    boxes=boxes, scores=scores, iou_threshold=0.5, score_threshold=0.2, max_boxes=4), {"boxes": boxes, "scores": scores},
     lambda boxes, scores: [np.concatenate([boxes[:, [0, 2]], np.zeros((1, 2, 4), np.float32)], 1),
                            np.concatenate([scores[:, [0, 2]], np.zeros((1, 2, 2), np.float32)], 1), np.int32([[0, 2, -1, -1]]), ints(2)])
case("non_maximum_suppression_class", lambda boxes, scores: mb.non_maximum_suppression(
    boxes=boxes, scores=scores, iou_threshold=0.5, score_threshold=0.2, max_boxes=3, per_class_suppression=True),
     {"boxes": boxes, "scores": scores},
     lambda boxes, scores: [boxes[:, [0, 1, 2]], scores[:, [0, 1, 2]], np.int32([[0, 1, 2]]), ints(3)])

# --- layers -------------------------------------------------------------------------------------------
img = rnd(1, 2, 5, 6)
w = rnd(4, 2, 3, 3, seed=2)
bias = rnd(4, seed=3)


def same(a, k, s, d=1):
    out = -(-a // s)
    total = max((out - 1) * s + (k - 1) * d + 1 - a, 0)
    return total // 2, total - total // 2


def conv_same(x):
    (t, b), (l, r) = same(5, 3, 2), same(6, 3, 2)
    return F.conv2d(F.pad(T(x), (l, r, t, b)), T(w), T(bias), stride=2)


case("conv_valid", lambda x: mb.conv(x=x, weight=w, bias=bias, pad_type="valid"), {"x": img}, lambda x: F.conv2d(T(x), T(w), T(bias)))
case("conv_same", lambda x: mb.conv(x=x, weight=w, bias=bias, strides=[2, 2], pad_type="same"), {"x": img}, conv_same)
case("conv_custom", lambda x: mb.conv(x=x, weight=rnd(4, 1, 3, 3), pad_type="custom", pad=[1, 0, 2, 1], dilations=[1, 2], groups=2),
     {"x": img}, lambda x: F.conv2d(F.pad(T(x), (2, 1, 1, 0)), T(rnd(4, 1, 3, 3)), dilation=(1, 2), groups=2))
case("conv_same_lower", lambda x: mb.conv(x=x, weight=w, strides=[2, 2], pad_type="same_lower"), {"x": img},
     lambda x: F.conv2d(F.pad(T(x), (1, 0, 1, 1)), T(w), stride=2), I16)
case("conv_1d", lambda x: mb.conv(x=x, weight=rnd(3, 2, 2), pad_type="valid"), {"x": rnd(1, 2, 6)}, lambda x: F.conv1d(T(x), T(rnd(3, 2, 2))))
case("conv_3d", lambda x: mb.conv(x=x, weight=rnd(3, 2, 2, 2, 2), pad_type="valid"), {"x": rnd(1, 2, 3, 3, 3)},
     lambda x: F.conv3d(T(x), T(rnd(3, 2, 2, 2, 2))))
case("conv_dynamic", lambda x, w: mb.conv(x=x, weight=w, pad_type="valid"), {"x": img, "w": w}, lambda x, w: F.conv2d(T(x), T(w)), I17)
wt = rnd(2, 3, 3, 3, seed=6)
case("conv_transpose", lambda x: mb.conv_transpose(x=x, weight=wt, bias=rnd(3), strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1]),
     {"x": img}, lambda x: F.conv_transpose2d(T(x), T(wt), T(rnd(3)), stride=2, padding=1))
case("conv_transpose_shape", lambda x: mb.conv_transpose(x=x, weight=wt, strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1],
                                                         output_shape=[1, 3, 10, 12]),
     {"x": img}, lambda x: F.conv_transpose2d(T(x), T(wt), stride=2, padding=1, output_padding=1))
case("conv_transpose_same", lambda x: mb.conv_transpose(x=x, weight=wt, strides=[2, 2], pad_type="same"), {"x": img},
     lambda x: F.conv_transpose2d(T(x), T(wt), stride=2)[:, :, :10, :12])
case("linear", lambda x: mb.linear(x=x, weight=rnd(4, 3), bias=rnd(4)), {"x": x}, lambda x: F.linear(T(x), T(rnd(4, 3)), T(rnd(4))))
case("linear_3d", lambda x: mb.linear(x=x, weight=rnd(4, 3)), {"x": rnd(2, 2, 3)}, lambda x: F.linear(T(x), T(rnd(4, 3))))
case("matmul", lambda x, y: mb.matmul(x=x, y=y, transpose_y=True), {"x": rnd(2, 3, 4), "y": rnd(5, 4)}, lambda x, y: x @ y.T)
case("matmul_tx", lambda x, y: mb.matmul(x=x, y=y, transpose_x=True), {"x": rnd(4, 3), "y": rnd(4, 2)}, lambda x, y: x.T @ y)
case("einsum", lambda x, y: mb.einsum(values=(x, y), equation="nchw,nwhu->nchu"), {"x": rnd(1, 2, 3, 4), "y": rnd(1, 4, 3, 2)},
     lambda x, y: np.einsum("nchw,nwhu->nchu", x, y))
case("einsum_3d", lambda x, y: mb.einsum(values=(x, y), equation="abc,cbd->abd"), {"x": rnd(2, 3, 4), "y": rnd(4, 3, 2)},
     lambda x, y: np.einsum("abc,cbd->abd", x, y))
case("avg_pool", lambda x: mb.avg_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="custom", pad=[1, 1, 0, 0]), {"x": img},
     lambda x: F.avg_pool2d(F.pad(T(x), (0, 0, 1, 1)), 2, 2))
case("avg_pool_exclude", lambda x: mb.avg_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="custom", pad=[1, 1, 0, 0],
                                               exclude_padding_from_average=True), {"x": img},
     lambda x: F.avg_pool2d(T(x), 2, 2, padding=(1, 0), count_include_pad=False))
case("avg_pool_same", lambda x: mb.avg_pool(x=x, kernel_sizes=[3, 3], strides=[1, 1], pad_type="same", exclude_padding_from_average=True),
     {"x": img}, lambda x: F.avg_pool2d(T(x), 3, 1, padding=1, count_include_pad=False))
case("max_pool", lambda x: mb.max_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="valid"), {"x": img}, lambda x: F.max_pool2d(T(x), 3, 2))
case("max_pool_ceil", lambda x: mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", ceil_mode=True), {"x": img},
     lambda x: F.max_pool2d(T(x), 2, 2, ceil_mode=True))
case("max_pool_1d", lambda x: mb.max_pool(x=x, kernel_sizes=[2], strides=[1], pad_type="same"), {"x": rnd(1, 2, 5)},
     lambda x: F.max_pool1d(F.pad(T(x), (0, 1), value=-9), 2, 1))
case("max_pool_3d", lambda x: mb.max_pool(x=x, kernel_sizes=[2, 2, 2], strides=[1, 1, 1], pad_type="valid"), {"x": rnd(1, 2, 3, 3, 3)},
     lambda x: F.max_pool3d(T(x), 2, 1))
case("l2_pool", lambda x: mb.l2_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid"), {"x": img}, lambda x: F.lp_pool2d(T(x), 2, 2))
case("batch_norm", lambda x: mb.batch_norm(x=x, mean=np.float32([0.1, 0.2]), variance=np.float32([1.5, 0.5]), gamma=np.float32([2, 3]),
                                           beta=np.float32([-1, 1]), epsilon=1e-3), {"x": img},
     lambda x: F.batch_norm(T(x), T(np.float32([0.1, 0.2])), T(np.float32([1.5, 0.5])), T(np.float32([2, 3])), T(np.float32([-1, 1])), eps=1e-3))
case("batch_norm_plain", lambda x: mb.batch_norm(x=x, mean=np.float32([0.1, 0.2]), variance=np.float32([1.5, 0.5])), {"x": img},
     lambda x: F.batch_norm(T(x), T(np.float32([0.1, 0.2])), T(np.float32([1.5, 0.5]))))
case("instance_norm", lambda x: mb.instance_norm(x=x, gamma=np.float32([2, 3]), beta=np.float32([-1, 1]), epsilon=1e-3), {"x": img},
     lambda x: F.instance_norm(T(x), weight=T(np.float32([2, 3])), bias=T(np.float32([-1, 1])), eps=1e-3))
case("layer_norm", lambda x: mb.layer_norm(x=x, axes=[-1], gamma=rnd(4), beta=rnd(4, seed=1), epsilon=1e-3), {"x": rnd(2, 3, 4)},
     lambda x: F.layer_norm(T(x), [4], T(rnd(4)), T(rnd(4, seed=1)), 1e-3))
case("layer_norm_axes", lambda x: mb.layer_norm(x=x, axes=[1], gamma=rnd(3), epsilon=1e-3), {"x": rnd(2, 3, 4)},
     lambda x: (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3) * rnd(3)[:, None])
case("layer_norm_plain", lambda x: mb.layer_norm(x=x, axes=[-2, -1]), {"x": rnd(2, 3, 4)}, lambda x: F.layer_norm(T(x), [3, 4]))
case("l2_norm", lambda x: mb.l2_norm(x=x, epsilon=0.1), {"x": img}, lambda x: x / np.sqrt((x * x).sum((1, 2, 3), keepdims=True) + 0.1))
case("local_response_norm", lambda x: mb.local_response_norm(x=x, size=3, alpha=0.2, beta=0.6, k=1.5), {"x": rnd(1, 5, 2, 2)},
     lambda x: F.local_response_norm(T(x), 3, 0.2, 0.6, 1.5))
q, k, v = rnd(1, 2, 3, 4), rnd(1, 2, 5, 4, seed=1), rnd(1, 2, 5, 3, seed=2)
case("scaled_dot_product_attention", lambda q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v), {"q": q, "k": k, "v": v},
     lambda q, k, v: F.scaled_dot_product_attention(T(q), T(k), T(v)), I18)
case("scaled_dot_product_attention_mask", lambda q, k, v, m: mb.scaled_dot_product_attention(query=q, key=k, value=v, attn_mask=m),
     {"q": q, "k": k, "v": v, "m": rnd(1, 1, 3, 5)}, lambda q, k, v, m: F.scaled_dot_product_attention(T(q), T(k), T(v), T(m)), I18)
case("scaled_dot_product_attention_3d", lambda q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v),
     {"q": q[0], "k": k[0], "v": v[0]}, lambda q, k, v: F.scaled_dot_product_attention(T(q), T(k), T(v)), I18)
case("random_uniform", lambda x: mb.floor(x=mb.add(x=mb.random_uniform(shape=[2, 3], low=0.25, high=0.75), y=x)), {"x": np.zeros((2, 3), np.float32)},
     lambda x: np.zeros((2, 3), np.float32))
case("random_normal", lambda x: mb.add(x=mb.random_normal(shape=[2, 3], mean=4.0, stddev=0.0), y=x), {"x": x}, lambda x: x + 4)
case("random_bernoulli", lambda x: mb.add(x=mb.random_bernoulli(shape=[2, 3], prob=1.0), y=x), {"x": x}, lambda x: x + 1)
case("random_categorical", lambda x: mb.random_categorical(x=x, mode="logits", size=2), {"x": np.float32([[-99, 50, -99], [-99, -99, 50]])},
     lambda x: np.float32([[1, 1], [2, 2]]))

# --- images -------------------------------------------------------------------------------------------
case("upsample_nearest_neighbor", lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3), {"x": rnd(1, 2, 2, 3)},
     lambda x: x.repeat(2, 2).repeat(3, 3))
case("upsample_bilinear", lambda x: mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=2, align_corners=True), {"x": rnd(1, 2, 3, 3)},
     lambda x: F.interpolate(T(x), scale_factor=2, mode="bilinear", align_corners=True))
case("upsample_bilinear_half", lambda x: mb.upsample_bilinear(x=x, scale_factor_height=2.6, scale_factor_width=1.5, align_corners=False),
     {"x": rnd(1, 2, 3, 4)}, lambda x: F.interpolate(T(x), size=(7, 6), mode="bilinear", align_corners=False))
case("resize_nearest_neighbor", lambda x: mb.resize_nearest_neighbor(x=x, target_size_height=5, target_size_width=3), {"x": rnd(1, 2, 3, 6)},
     lambda x: F.interpolate(T(x), size=(5, 3), mode="nearest"))


def grid(mode, n, out):
    i = np.arange(out)
    if mode == "STRICT_ALIGN_CORNERS":
        p = i * (n - 1) / (out - 1)
    elif mode == "ALIGN_CORNERS":
        p = i * (n - 1) / (out - 1) if out > 1 else np.array([(n - 1) / 2])
    elif mode == "DEFAULT":
        p = i * (n - n / out) / (out - 1)
    elif mode == "OFFSET_CORNERS":
        d = max(1, n - 1) / out
        p = 0.5 * d + i * d
    else:
        p = i * n / out + 0.5 * n / out - 0.5
    return np.clip(p, 0, n - 1)


def bilinear(x, ys, xs):
    def one(x, p, axis):
        lo = np.floor(p).astype(int)
        hi = np.minimum(lo + 1, x.shape[axis] - 1)
        f = (p - lo).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        return np.take(x, lo, axis) * (1 - f) + np.take(x, hi, axis) * f
    return one(one(x, ys, x.ndim - 2), xs, x.ndim - 1).astype(np.float32)


for mode in ["STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"]:
    case("resize_bilinear_" + mode[:5].lower(),
         lambda x, mode=mode: mb.resize_bilinear(x=x, target_size_height=5, target_size_width=2, sampling_mode=mode), {"x": rnd(1, 2, 3, 4)},
         lambda x, mode=mode: bilinear(x, grid(mode, 3, 5), grid(mode, 4, 2)))
case("resize_bilinear_one", lambda x: mb.resize_bilinear(x=x, target_size_height=1, target_size_width=1, sampling_mode="ALIGN_CORNERS"),
     {"x": rnd(1, 2, 3, 4)}, lambda x: bilinear(x, np.array([1.0]), np.array([1.5])))
case("resize", lambda x, n: mb.resize(x=x, shape=n, resized_dims=np.uint32(2), interpolation_mode="LINEAR", sampling_mode="UNALIGN_CORNERS"),
     {"x": rnd(1, 2, 3, 4), "n": ints(1, 5, 0)}, lambda x, n: bilinear(x, grid("U", 3, 5), grid("U", 4, 4)), I17)
ramp = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
for mode in ["ALIGN_CORNERS", "OFFSET_CORNERS", "UNALIGN_CORNERS"]:
    case("crop_resize_" + mode[:5].lower(), lambda x, mode=mode: mb.crop_resize(
        x=x, roi=np.float32([[1, 0, 2, 3]]).reshape(1, 1, 4, 1, 1), target_height=3, target_width=2, sampling_mode=mode), {"x": ramp},
         lambda x, mode=mode: bilinear(x, 1 + grid(mode, 2, 3) if mode != "UNALIGN_CORNERS" else 1 + (np.arange(3) + .5) * 2 / 3 - .5,
                                       grid(mode, 4, 2))[None])
case("crop_resize_boxes", lambda x: mb.crop_resize(
    x=x, boxes=np.float32([[0, 0, 1 / 3, 1 / 3], [1 / 3, 0, 1, 4 / 3]]), box_indices=ints(1, 0), target_height=2, target_width=2,
    normalized_coordinates=True, sampling_mode="ALIGN_CORNERS", pad_value=-1.0), {"x": np.concatenate([ramp, 10 * ramp])},
     lambda x: np.float32([[[[10, 20], [50, 60]]], [[[5, -1], [13, -1]]]]), I17)
case("crop_resize_invert", lambda x: mb.crop_resize(
    x=x, roi=np.float32([[0, 2, 2, 1, 1]]).reshape(1, 1, 5, 1, 1), target_height=2, target_width=2, sampling_mode="ALIGN_CORNERS"), {"x": ramp},
     lambda x: np.float32([11, 10, 7, 6]).reshape(1, 1, 1, 2, 2))
case("affine", lambda x, m: mb.affine(x=x, transform_matrix=m, output_height=3, output_width=4, sampling_mode="bilinear", padding_mode="constant",
                                      padding_value=0.0, coordinates_mode="normalized_minus_one_to_one", align_corners=True),
     {"x": rnd(2, 1, 4, 5), "m": np.float32([[0.8, 0.1, 0.2, -0.1, 1.1, 0.0]])},
     lambda x, m: F.grid_sample(T(x), F.affine_grid(T(m).reshape(1, 2, 3).repeat(2, 1, 1), [2, 1, 3, 4], align_corners=True), align_corners=True))
g = rnd(1, 3, 4, 2, low=-1.5, high=1.5)
for pad, ref in [("border", "border"), ("reflection", "reflection"), ("constant", "zeros")]:
    for mode in ["bilinear", "nearest"]:
        case(f"resample_{pad}_{mode}", lambda x, g, pad=pad, mode=mode: mb.resample(
            x=x, coordinates=g, sampling_mode=mode, padding_mode=pad, padding_value=0.0, coordinates_mode="normalized_minus_one_to_one",
            align_corners=True), {"x": rnd(1, 2, 4, 5), "g": g},
             lambda x, g, ref=ref, mode=mode: F.grid_sample(T(x), T(g), mode=mode, padding_mode=ref, align_corners=True))
case("resample_symmetric", lambda x, g: mb.resample(x=x, coordinates=g, sampling_mode="bilinear", padding_mode="symmetric", padding_value=0.0,
                                                    coordinates_mode="normalized_minus_one_to_one", align_corners=False),
     {"x": rnd(1, 2, 4, 5), "g": g}, lambda x, g: F.grid_sample(T(x), T(g), padding_mode="reflection", align_corners=False))
case("resample_pixels", lambda x, g: mb.resample(x=x, coordinates=g, sampling_mode="bilinear", padding_mode="border", padding_value=0.0,
                                                 coordinates_mode="unnormalized", align_corners=True),
     {"x": ramp, "g": np.float32([[[[0.5, 0], [2, 1.5]]]])}, lambda x, g: np.float32([1.5, 9]).reshape(1, 1, 1, 2))

# --- recurrent ----------------------------------------------------------------------------------------
sig = lambda a: 1 / (1 + np.exp(-a))


def lstm_ref(x, h, c, wi, wh, b, reverse=False, clip=np.inf):
    ys = []
    for t in (reversed(range(len(x))) if reverse else range(len(x))):
        i, f, o, z = np.split(x[t] @ wi.T + h @ wh.T + b, 4, -1)
        c = np.clip(sig(f) * c + sig(i) * np.tanh(z), -clip, clip)
        h = sig(o) * np.tanh(c)
        ys.append(h)
    if reverse:
        ys = ys[::-1]
    return np.stack(ys), h, c


wi, wh, lb = rnd(8, 3, seed=1), rnd(8, 2, seed=2), rnd(8, seed=3)
for direction in ["forward", "reverse"]:
    case("lstm_" + direction, lambda x, h, c, direction=direction: mb.lstm(
        x=x, initial_h=h, initial_c=c, weight_ih=wi, weight_hh=wh, bias=lb, direction=direction, output_sequence=True),
         {"x": rnd(4, 2, 3), "h": rnd(2, 2), "c": rnd(2, 2, seed=5)},
         lambda x, h, c, direction=direction: lstm_ref(x, h, c, wi, wh, lb, direction == "reverse"))
wi2, wh2, lb2 = rnd(8, 3, seed=11), rnd(8, 2, seed=12), rnd(8, seed=13)


def lstm_both(x, h, c):
    a, b = lstm_ref(x, h[:, :2], c[:, :2], wi, wh, lb), lstm_ref(x, h[:, 2:], c[:, 2:], wi2, wh2, lb2, True)
    return [np.concatenate([p, q], -1) for p, q in zip(a, b)]


case("lstm_bidirectional", lambda x, h, c: mb.lstm(
    x=x, initial_h=h, initial_c=c, weight_ih=wi, weight_hh=wh, bias=lb, weight_ih_back=wi2, weight_hh_back=wh2, bias_back=lb2,
    direction="bidirectional", output_sequence=True), {"x": rnd(4, 2, 3), "h": rnd(2, 4), "c": rnd(2, 4, seed=5)}, lstm_both)
case("lstm_last", lambda x, h, c: mb.lstm(x=x, initial_h=h, initial_c=c, weight_ih=wi, weight_hh=wh, bias=lb),
     {"x": rnd(4, 2, 3), "h": rnd(2, 2), "c": rnd(2, 2, seed=5)},
     lambda x, h, c: [lstm_ref(x, h, c, wi, wh, lb)[0][-1:], *lstm_ref(x, h, c, wi, wh, lb)[1:]])


case("lstm_clip", lambda x, h, c: mb.lstm(x=x, initial_h=h, initial_c=c, weight_ih=wi, weight_hh=wh, bias=lb, clip=np.float32(.3)),
     {"x": rnd(4, 2, 3), "h": rnd(2, 2), "c": rnd(2, 2, seed=5)},
     lambda x, h, c: [lstm_ref(x, h, c, wi, wh, lb, clip=.3)[0][-1:], *lstm_ref(x, h, c, wi, wh, lb, clip=.3)[1:]])


def gru_ref(x, h, after):
    ys = []
    ri, oi, zi = np.split(wi[:6], 3)
    rh, oh, zh = np.split(wh[:6], 3)
    br, bo, bz = np.split(lb[:6], 3)
    for t in range(len(x)):
        r, z = sig(x[t] @ ri.T + h @ rh.T + br), sig(x[t] @ zi.T + h @ zh.T + bz)
        o = np.tanh(x[t] @ oi.T + ((r * (h @ oh.T) if after else (r * h) @ oh.T)) + bo)
        h = (1 - z) * o + z * h
        ys.append(h)
    return np.stack(ys), h


case("gru", lambda x, h: mb.gru(x=x, initial_h=h, weight_ih=wi[:6], weight_hh=wh[:6], bias=lb[:6], output_sequence=True),
     {"x": rnd(4, 2, 3), "h": rnd(2, 2)}, lambda x, h: gru_ref(x, h, False))
case("gru_reset_after", lambda x, h: mb.gru(x=x, initial_h=h, weight_ih=wi[:6], weight_hh=wh[:6], input_bias=lb[:6], bias=np.zeros(6, np.float32),
                                            output_sequence=True, reset_after=True),
     {"x": rnd(4, 2, 3), "h": rnd(2, 2)}, lambda x, h: gru_ref(x, h, True), I18)


def rnn_ref(x, h):
    for t in range(len(x)):
        h = np.maximum(x[t] @ wi[:2].T + h @ wh[:2].T + lb[:2], 0)
    return h[None], h


case("rnn", lambda x, h: mb.rnn(x=x, initial_h=h, weight_ih=wi[:2], weight_hh=wh[:2], bias=lb[:2], activation="relu"),
     {"x": rnd(4, 2, 3), "h": rnd(2, 2)}, rnn_ref)

# --- control ------------------------------------------------------------------------------------------
case("cond", lambda x, c: mb.cond(pred=mb.cast(x=mb.squeeze(x=c), dtype="bool"), _true_fn=lambda: mb.add(x=x, y=1.0),
                                  _false_fn=lambda: mb.mul(x=x, y=x)), {"x": x, "c": ints(1)}, lambda x, c: x + 1)
case("cond_false", lambda x, c: mb.cond(pred=mb.cast(x=mb.squeeze(x=c), dtype="bool"), _true_fn=lambda: mb.add(x=x, y=1.0),
                                        _false_fn=lambda: mb.mul(x=x, y=x)), {"x": x, "c": ints(0)}, lambda x, c: x * x)
case("while_loop", lambda a, b: mb.while_loop(_cond=lambda a, b: mb.less(x=mb.reduce_mean(x=a, axes=[0, 1]), y=mb.reduce_mean(x=b, axes=[0, 1])),
                                              _body=lambda a, b: (mb.add(x=a, y=np.float32(1)), b), loop_vars=(a, b)),
     {"a": np.ones((1, 2), np.float32), "b": 3.5 * np.ones((1, 2), np.float32)}, lambda a, b: [np.full((1, 2), 4, np.float32), b])


def lists(x):
    ls = mb.make_list(init_length=2, dynamic_length=True, elem_shape=(3,), dtype="fp32")
    ls = mb.list_write(ls=ls, index=0, value=mb.gather(x=x, indices=1))
    ls = mb.list_scatter(ls=ls, indices=[1, 2], value=x)
    return mb.list_gather(ls=ls, indices=[2, 0, 1]), mb.list_read(ls=ls, index=1), mb.list_length(ls=ls)


case("lists", lists, {"x": x}, lambda x: [x[[1, 1, 0]], x[0], np.int32(3)])


def counter(x, count):
    now = mb.read_state(input=count)
    new = mb.add(x=mb.cast(x=now, dtype="fp32"), y=x)
    kept = mb.coreml_update_state(state=count, value=mb.cast(x=new, dtype="fp16"))
    return mb.mul(x=mb.cast(x=kept, dtype="fp32"), y=2.0)


case("states", counter, {"x": x}, lambda x, count: [2 * x, x], I18, {"count": np.zeros((2, 3), np.float16)})

# --- weights kept small -------------------------------------------------------------------------------
case("constexpr_affine_dequantize", lambda x: mb.add(x=x, y=mb.constexpr_affine_dequantize(
    quantized_data=np.uint8([[1, 2, 250], [4, 5, 6]]), zero_point=np.uint8([2, 3]), scale=np.float32([0.5, 0.25]), axis=0)), {"x": x},
     lambda x: x + (np.float32([[1, 2, 250], [4, 5, 6]]) - [[2], [3]]) * [[0.5], [0.25]], I16)
case("constexpr_cast", lambda x: mb.add(x=x, y=mb.constexpr_cast(source_val=np.float16([[1, 2, 3], [4, 5, 6]]), output_dtype="fp32")), {"x": x},
     lambda x: x + [[1, 2, 3], [4, 5, 6]], I16)


def bits(values, n):
    flat = [(v >> b) & 1 for v in values for b in range(n)]
    return np.packbits(flat, bitorder="little")


case("constexpr_lut_to_dense_16", lambda x: mb.add(x=x, y=mb.constexpr_lut_to_dense(
    indices=bits([0, 1, 3, 2, 2, 1], 2), lut=np.float32([10, 20, 30, 40]), shape=np.uint32([2, 3]))), {"x": x},
     lambda x: x + [[10, 20, 40], [30, 30, 20]], I16)
case("constexpr_sparse_to_dense_16", lambda x: mb.add(x=x, y=mb.constexpr_sparse_to_dense(
    nonzero_data=np.float32([5, 6, 7]), mask=bits([1, 0, 0, 1, 1, 0], 1), shape=np.uint32([2, 3]))), {"x": x},
     lambda x: x + [[5, 0, 0], [6, 7, 0]], I16)
i4, u1, u2, u3, u4, u6 = (types.nptype_from_builtin(t) for t in (types.int4, types.uint1, types.uint2, types.uint3, types.uint4, types.uint6))


def small(values, t):
    return np.array(values).astype(t)


case("constexpr_blockwise_shift_scale", lambda x: mb.add(x=x, y=mb.constexpr_blockwise_shift_scale(
    data=small([[-8, 2, 3, 7], [4, -5, 6, 1]], i4), scale=np.float32([[0.5, 0.25], [1, 2]]), offset=small([[1, 0], [0, -2]], i4))),
     {"x": rnd(2, 4)}, lambda x: x + (np.float32([[-8, 2, 3, 7], [4, -5, 6, 1]]) - [[1, 1, 0, 0], [0, 0, -2, -2]]) * [[.5, .5, .25, .25], [1, 1, 2, 2]],
     I18)
case("constexpr_blockwise_shift_scale_8", lambda x: mb.add(x=x, y=mb.constexpr_blockwise_shift_scale(
    data=np.int8(np.arange(24).reshape(4, 6) - 12), scale=np.float32([[0.5], [0.25]]))),
     {"x": rnd(4, 6)}, lambda x: x + (np.arange(24).reshape(4, 6) - 12) * np.float32([[.5], [.5], [.25], [.25]]), I18)
lut = np.float32([1, 5, 9, 13, 2, 10, 18, 26]).reshape(2, 1, 4, 1)
case("constexpr_lut_to_dense", lambda x: mb.add(x=x, y=mb.constexpr_lut_to_dense(
    indices=small([[2, 3], [3, 0], [1, 0], [3, 0], [2, 1], [0, 3]], u2), lut=lut)), {"x": rnd(6, 2)},
     lambda x: x + [[9, 13], [13, 1], [5, 1], [26, 2], [18, 10], [2, 26]], I18)
case("constexpr_lut_to_dense_6", lambda x: mb.add(x=x, y=mb.constexpr_lut_to_dense(
    indices=small(np.arange(24).reshape(4, 6) * 7 % 64, u6), lut=np.arange(64, dtype=np.float32).reshape(1, 1, 64, 1))), {"x": rnd(4, 6)},
     lambda x: x + np.arange(24).reshape(4, 6) * 7 % 64, I18)
case("constexpr_lut_to_dense_3", lambda x: mb.add(x=x, y=mb.constexpr_lut_to_dense(
    indices=small(np.arange(24).reshape(4, 6) % 8, u3), lut=np.arange(8, dtype=np.float32).reshape(1, 1, 8, 1))), {"x": rnd(4, 6)},
     lambda x: x + np.arange(24).reshape(4, 6) % 8, I18)
vec = np.float32([[1, 2, 3], [4, 5, 6]]).reshape(1, 1, 1, 2, 3)
for axis in (1, 2):
    case(f"constexpr_lut_to_dense_vector{axis}", lambda x, axis=axis: mb.add(x=x, y=mb.constexpr_lut_to_dense(
        indices=small([[[0, 0], [1, 0]], [[1, 1], [0, 0]]], u1), lut=vec, vector_axis=axis)), {"x": np.zeros((2, 6, 2) if axis == 1 else (2, 2, 6), np.float32)},
         lambda x, axis=axis: np.float32([[[1, 1], [2, 2], [3, 3], [4, 1], [5, 2], [6, 3]], [[4, 4], [5, 5], [6, 6], [1, 1], [2, 2], [3, 3]]]) if axis == 1 else
         np.float32([[[1, 2, 3, 1, 2, 3], [4, 5, 6, 1, 2, 3]], [[4, 5, 6, 4, 5, 6], [1, 2, 3, 1, 2, 3]]]), I18)
mask = small([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]], u1)
case("constexpr_sparse_to_dense", lambda x: mb.add(x=x, y=mb.constexpr_sparse_to_dense(
    nonzero_data=np.float32(np.arange(1, 10)), mask=mask)), {"x": rnd(4, 4)},
     lambda x: x + [[1, 2, 0, 0], [3, 4, 5, 0], [0, 0, 6, 7], [8, 9, 0, 0]], I18)


def sparse_scaled(x):
    m, d = mb.constexpr_sparse_blockwise_shift_scale(data_mask=mask, nonzero_data=np.int8([10, 11, 3, 4, 5, 6, 7, 8, 9]),
                                                     scale=np.float32([[0.1, 0.2, 0.3, 0.4]]), offset=np.int8([[1, 2, 3, 4]]))
    return mb.add(x=x, y=mb.constexpr_sparse_to_dense(nonzero_data=d, mask=m))


case("constexpr_sparse_blockwise_shift_scale", sparse_scaled, {"x": rnd(4, 4)},
     lambda x: x + np.float32([[0.9, 1.8, 0, 0], [0.2, 0.4, 0.6, 0], [0, 0, 0.9, 1.2], [0.7, 1.4, 0, 0]]), I18)


def sparse_lut(x, axis):
    im = small([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]], u1)
    table = np.float32([2, 3]).reshape(1, 1, 2, 1) if axis is None else np.float32([[2, 20], [3, 30]]).reshape(1, 1, 2, 2)
    args = {} if axis is None else {"vector_axis": axis}
    m, d = mb.constexpr_lut_to_sparse(indices_mask=im, indices_nonzero_data=small([0, 1, 1, 0, 1, 1, 0, 0, 1], u1), lut=table, **args)
    return mb.add(x=x, y=mb.constexpr_sparse_to_dense(nonzero_data=d, mask=m))


dense = np.float32([[2, 3, 0, 0, 0, 0], [3, 2, 0, 0, 0, 3], [0, 3, 2, 0, 2, 0], [0, 0, 0, 3, 0, 0]])
case("constexpr_lut_to_sparse", lambda x: sparse_lut(x, None), {"x": rnd(4, 6)}, lambda x: x + dense, I18)
case("constexpr_lut_to_sparse_vector", lambda x: sparse_lut(x, 0), {"x": rnd(8, 6)},
     lambda x: x + np.stack([dense, 10 * dense], 1).reshape(8, 6), I18)


def main():
    os.makedirs(OUT, exist_ok=True)
    only = sys.argv[1:]
    failed = []
    path = os.path.join(OUT, "operators.npz")
    with zipfile.ZipFile(path if not only else "/dev/null", "w", zipfile.ZIP_STORED) as archive:
        for name in CASES:
            if only and name not in only:
                continue
            try:
                write(archive, name)
            except Exception as e:  # noqa: all of them are shown
                failed.append(f"{name}: {type(e).__name__}: {str(e)[:300]}")
    print(len(CASES) - len(failed), "cases;", os.path.getsize(path) if not only else "", "bytes; coremltools", ct.__version__)
    for line in failed:
        print(line)


if __name__ == "__main__":
    main()
