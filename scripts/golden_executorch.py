#!/usr/bin/env python3
"""Writes tests/golden/graphs/executorch/*.npz.gz: small ExecuTorch programs with what they must give.

    python scripts/golden_executorch.py [ARCHIVE ...]

Needs executorch 1.5 and the torch it goes with.  Every program is exported, run by ExecuTorch's own
runtime and held to what PyTorch says of the module.  Each archive holds for every case CASE/model
(bytes) and, call after call with the state kept, CASE/in/CALL/INPUT and CASE/out/CALL/OUTPUT;
CASE/method where it is not the first one, CASE/data/NAME for files beside the program.
"""
import gzip
import io
import logging
import math
import os
import sys
import tempfile
import warnings
import zipfile

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(1)
import executorch.kernels.quantized  # noqa: F401  the operators' shapes
import torch.ao.quantization.fx._decomposed  # noqa: F401
from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge, to_edge_transform_and_lower
from executorch.exir.passes.init_mutable_pass import InitializedMutableBufferPass
from executorch.runtime import Runtime

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(HERE, "tests/golden/graphs/executorch")
CASES = {"operators": {}, "programs": {}, "xnnpack": {}, "custom": {}}
RUNTIME = None


class Wrap(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, *x):
        return self.f(*x)


def rnd(*shape, seed=0, low=-2.0, high=2.0):
    # Values at two digits: what rounding does to them is the same everywhere.
    r = np.random.RandomState(seed + sum(shape) + len(shape))
    return torch.from_numpy(np.round(r.uniform(low, high, shape), 2).astype(np.float32))


def ints(*shape, low=-5, high=6, dtype=torch.int64, seed=0):
    r = np.random.RandomState(seed + sum(shape))
    return torch.from_numpy(r.randint(low, high, shape)).to(dtype)


def case(archive, name, module, *calls, **options):
    assert name not in CASES[archive], name
    if not isinstance(module, nn.Module):
        module = Wrap(module)
    calls = [c if isinstance(c, tuple) else (c,) for c in calls]
    CASES[archive][name] = (module.eval().requires_grad_(False), calls, options)


def op(name, f, *inputs, **options):
    case("operators", name, f, tuple(inputs), **options)


def numpy_of(t):
    if isinstance(t, (int, float, bool)):
        t = torch.tensor(t)
    t = t.detach().contiguous()
    return t.float().numpy() if t.dtype in (torch.bfloat16,) else t.numpy()


def flat(x):
    return [y for each in x for y in flat(each)] if isinstance(x, (list, tuple)) else [x]


def partitioners(kind):
    from executorch.backends.xnnpack.partition.config.xnnpack_config import ConfigPrecisionType
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    if kind == "dynamic":
        return [XnnpackPartitioner(config_precisions=ConfigPrecisionType.DYNAMIC_QUANT, per_op_mode=True), XnnpackPartitioner()]
    return [XnnpackPartitioner()]


def quantised(module, inputs, kind, calibrate):
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    per_channel = not kind.endswith("tensor")
    q = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(
        is_per_channel=per_channel, is_dynamic=kind.startswith("dynamic")))
    captured = torch.export.export(module, inputs, strict=False).module()
    prepared = prepare_pt2e(captured, q)
    for c in calibrate:
        prepared(*c)
    return convert_pt2e(prepared)


def export(module, calls, o):
    inputs = calls[0]
    if o.get("quantise"):
        module = quantised(module, inputs, o["quantise"], calls)
    program = torch.export.export(module, inputs, dynamic_shapes=o.get("shapes"), strict=False)
    methods = {"forward": program}
    for name, (other, example) in o.get("methods", {}).items():
        methods[name] = torch.export.export(other.eval(), example, strict=False)
    edge = EdgeCompileConfig(_check_ir_validity=False, _skip_dim_order=o.get("skip_dim_order", False), preserve_ops=[])
    if o.get("xnnpack"):
        made = to_edge_transform_and_lower(methods, partitioner=partitioners(o.get("quantise", "")), compile_config=edge,
                                           constant_methods=o.get("constants"))
    else:
        made = to_edge(methods, compile_config=edge, constant_methods=o.get("constants"))
    passes = [InitializedMutableBufferPass(o["init"])] if o.get("init") else []
    config = ExecutorchBackendConfig(passes=passes, external_constants=o.get("external", False),
                                     extract_delegate_segments=o.get("segments", True))
    return made.to_executorch(config)


def make(name, module, calls, o):
    global RUNTIME
    if RUNTIME is None:
        RUNTIME = Runtime.get()
    made = export(module, calls, o)
    entries = {"model": np.frombuffer(made.buffer, np.uint8)}
    method = o.get("method", "forward")
    if method != "forward":
        entries["method"] = np.frombuffer(method.encode(), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.pte")
        with open(path, "wb") as f:
            f.write(made.buffer)
        data = None
        if o.get("external"):
            made.write_tensor_data_to_file(folder)
            for each in sorted(os.listdir(folder)):
                if each.endswith(".ptd"):
                    data = os.path.join(folder, each)
                    entries["data/" + each] = np.frombuffer(open(data, "rb").read(), np.uint8)
        runner = None
        if o.get("runtime", True):
            if data:
                from executorch.extension.pybindings.portable_lib import _load_for_executorch
                loaded = _load_for_executorch(path, data)
                runner = lambda x: loaded.run_method(method, x)  # noqa: E731
            else:
                loaded = RUNTIME.load_program(path).load_method(method)
                runner = loaded.execute
        eager = o["methods"][method][0] if method != "forward" else module
        if o.get("quantise") or o.get("quantise_by"):
            eager = None
        for k, x in enumerate(calls):
            expected = flat(eager(*[v.clone() if torch.is_tensor(v) else v for v in flat(x)])) if eager is not None else None
            got = flat(runner([v for v in flat(x) if torch.is_tensor(v) or o.get("numbers")])) if runner else expected
            got = [g.clone() if torch.is_tensor(g) else g for g in got]
            if expected is not None and o.get("compare", True):
                for a, b in zip(expected, got):
                    a, b = numpy_of(a).astype(np.float64), numpy_of(b).astype(np.float64)
                    assert a.shape == b.shape, (name, a.shape, b.shape)
                    if not np.allclose(a, b, rtol=o.get("rtol", 1e-3), atol=o.get("atol", 1e-4), equal_nan=True):
                        print("  differs from PyTorch:", name, float(np.nanmax(np.abs(a - b))), flush=True)
            for i, v in enumerate(v for v in flat(x) if torch.is_tensor(v)):
                entries[f"in/{k}/input_{i}"] = numpy_of(v)
            for i, v in enumerate(got):
                entries[f"out/{k}/output_{i}"] = numpy_of(v)
    return entries


def write(archive, wanted):
    entries, failed = {}, []
    for name, (module, calls, o) in CASES[archive].items():
        try:
            for key, array in make(name, module, calls, o).items():
                entries[f"{name}/{key}"] = array
        except Exception as e:  # noqa: BLE001
            failed.append(name)
            print("  FAILED", name, repr(e)[:400].replace("\n", " "), flush=True)
    path = os.path.join(OUT, archive + ".npz.gz")
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as z:
        for key, array in sorted(entries.items()):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.array(array), version=(1, 0))
            info = zipfile.ZipInfo(key + ".npy", (1980, 1, 1, 0, 0, 0))
            z.writestr(info, data.getvalue())
    with open(path, "wb") as f:
        f.write(gzip.compress(whole.getvalue(), 9, mtime=0))
    print(archive, len(CASES[archive]) - len(failed), "cases", os.path.getsize(path), "bytes", "failed:", failed, flush=True)


# ---- operators, one program each ----------------------------------------------------------------
A = torch.ops.aten
x23, y23 = rnd(2, 3), rnd(2, 3, seed=7)
x234, img = rnd(2, 3, 4), rnd(1, 4, 6, 7)
for n in ("abs ceil cos cosh exp floor neg round sigmoid sign sin sinh tan tanh trunc relu expm1 erf "
          "isinf isnan logical_not reciprocal atan asinh").split():
    op(n, getattr(torch, n), x23)
for n in "acos asin atanh".split():
    op(n, getattr(torch, n), rnd(2, 3, low=-0.9, high=0.9))
for n in "log log10 log1p log2 sqrt rsqrt".split():
    op(n, getattr(torch, n), rnd(2, 3, low=0.1, high=3))
op("acosh", torch.acosh, rnd(2, 3, low=1.1, high=3))
op("abs_int", torch.abs, ints(2, 3))
op("neg_int", torch.neg, ints(2, 3, dtype=torch.int32))
op("sqrt_int", torch.sqrt, ints(2, 3, low=0, high=9))
op("bitwise_not_int", torch.bitwise_not, ints(2, 3))
op("bitwise_not_bool", torch.bitwise_not, x23 > 0)
op("clone", lambda x: x.clone() + 0, x23)
op("to_copy_int", lambda x: x.to(torch.int64), x23)
op("to_copy_bool", lambda x: x.to(torch.bool), torch.tensor([0.0, 0.5, -1]))
op("to_copy_half", lambda x: x.to(torch.float16).to(torch.float32), x23)
for n in "add sub mul maximum minimum".split():
    op(n, getattr(torch, n), x23, rnd(3, seed=3))
op("add_alpha", lambda x, y: torch.add(x, y, alpha=2.5), x23, y23)
op("sub_alpha", lambda x, y: torch.sub(x, y, alpha=3), ints(2, 3), ints(2, 3, seed=2))
op("add_scalar", lambda x: A.add.Scalar(x, 1.5, 2), x23)
op("add_int_float", torch.add, ints(2, 3), x23)
op("mul_scalar", lambda x: A.mul.Scalar(x, 3), ints(2, 3))
op("rsub", lambda x: torch.rsub(x, 2.5), x23)
op("div", torch.div, x23, rnd(2, 3, low=0.5, high=2))
op("div_int", torch.div, ints(2, 3), ints(2, 3, low=1, high=5))
op("div_floor", lambda x, y: torch.div(x, y, rounding_mode="floor"), x23, rnd(2, 3, low=0.3, high=1))
op("div_trunc", lambda x, y: torch.div(x, y, rounding_mode="trunc"), x23, rnd(2, 3, low=0.3, high=1))
op("div_trunc_int", lambda x, y: torch.div(x, y, rounding_mode="trunc"), ints(3, 4), ints(3, 4, low=1, high=4))
op("div_scalar_mode", lambda x: A.div.Scalar_mode(x, 0.7, rounding_mode="floor"), x23)
op("floor_divide", torch.floor_divide, ints(3, 4), ints(3, 4, low=1, high=4))
op("fmod", torch.fmod, x23, rnd(2, 3, low=0.3, high=1))
op("fmod_scalar", lambda x: torch.fmod(x, 0.7), x23)
op("remainder", torch.remainder, x23, rnd(2, 3, low=0.3, high=1))
op("remainder_scalar", lambda x: torch.remainder(x, 3), ints(3, 4), runtime=False)
op("atan2", torch.atan2, torch.tensor([[1., -1, 1, -1, 0, 0, 2]]), torch.tensor([[1., 1, -1, -1, 1, -1, 0]]))
op("pow_tensor_scalar", lambda x: torch.pow(x, 2), x23)
op("pow_tensor_scalar_half", lambda x: torch.pow(x, 0.5), rnd(2, 3, low=0.1, high=3))
op("pow_tensor_tensor", torch.pow, rnd(2, 3, low=0.1, high=3), y23)
op("pow_scalar", lambda x: torch.pow(2.0, x), x23)
for n in "eq ne lt le gt ge".split():
    op(n, getattr(torch, n), ints(3, 4, low=0, high=3), ints(3, 4, low=0, high=3, seed=4))
    op(n + "_scalar", lambda x, n=n: getattr(torch, n)(x, 0.5), x23)
op("lt_int_float", torch.lt, ints(2, 3), x23)
for n in "bitwise_and bitwise_or bitwise_xor".split():
    op(n, getattr(torch, n), ints(3, 4), ints(3, 4, seed=4))
    op(n + "_scalar", lambda x, n=n: getattr(torch, n)(x, 3), ints(3, 4))
op("bitwise_and_bool", torch.bitwise_and, x23 > 0, y23 > 0)
op("bitwise_left_shift", torch.bitwise_left_shift, ints(3, 4), ints(3, 4, low=0, high=4))
op("bitwise_right_shift", torch.bitwise_right_shift, ints(3, 4, low=-90, high=90), ints(3, 4, low=0, high=4))
op("bitwise_left_shift_scalar", lambda x: torch.bitwise_left_shift(x, 2), ints(3, 4))
op("bitwise_right_shift_scalar", lambda x: torch.bitwise_right_shift(x, 1), ints(3, 4))
for n in "logical_and logical_or logical_xor".split():
    op(n, getattr(torch, n), ints(3, 4, low=0, high=2), ints(3, 4, low=0, high=2, seed=4))
op("where", torch.where, x23 > 0, x23, y23)
op("where_mixed", lambda c, x: torch.where(c, x, 0), x23 > 0, x23)
op("clamp", lambda x: torch.clamp(x, -0.5, 1), x23)
op("clamp_min", lambda x: torch.clamp(x, min=0), ints(2, 3))
op("clamp_tensor", lambda x, y: torch.clamp(x, min=y), x23, y23)
op("hardtanh", lambda x: F.hardtanh(x, -0.7, 0.9), x23)
op("relu6", F.relu6, x23 * 5)
op("leaky_relu", lambda x: F.leaky_relu(x, 0.2), x23)
op("elu", lambda x: F.elu(x, 1.3), x23)
op("selu", F.selu, x23)
op("gelu", F.gelu, x23)
op("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), x23)
op("silu", F.silu, x23)
op("hardswish", F.hardswish, x23)
op("softplus", F.softplus, x23)
op("mish", F.mish, x23)
op("glu", lambda x: F.glu(x, 1), rnd(2, 6))
op("logit", lambda x: torch.logit(x, 0.1), rnd(2, 3, low=0.01, high=0.99))
op("logit_none", lambda x: torch.logit(x), rnd(2, 3, low=0.01, high=0.99))
op("masked_fill", lambda x, m: x.masked_fill(m, 7.0), x23, y23 > 0)
op("prelu", lambda x, w: F.prelu(x, w), x234, torch.tensor([0.1, 0.2, 0.3]))
# reductions
op("sum_all", torch.sum, x234)
op("sum_dims", lambda x: torch.sum(x, (0, 2), keepdim=True), x234)
op("sum_int", lambda x: torch.sum(x, 1), ints(2, 3, dtype=torch.int32))
op("sum_bool", lambda x: torch.sum(x > 0, 1), x23)
op("mean_all", torch.mean, x234)
op("mean_dim", lambda x: torch.mean(x, (1,)), x234)
op("amax", lambda x: torch.amax(x, (1,), True), x234)
op("amin", lambda x: torch.amin(x, (0, 2)), x234)
op("any", lambda x: torch.any(x > 1.5), x23)
op("any_dim", lambda x: torch.any(x > 1, 1), x23)
op("any_dims", lambda x: A.any.dims(x > 1, [0, 1], True), x23)
op("all_dim", lambda x: torch.all(x > -1, 1), x23)
op("argmax", lambda x: torch.argmax(x, 1), x234)
op("argmax_all", torch.argmax, x234)
op("argmin", lambda x: torch.argmin(x, -1, True), x234)
op("max_dim", lambda x: torch.max(x, 1), x234)
op("min_dim", lambda x: torch.min(x, 0, True), x234)
op("max_all", torch.max, x234)
op("min_all", torch.min, x234)
op("prod", torch.prod, x23)
op("prod_dim", lambda x: torch.prod(x, 1), x23)
op("var", lambda x: torch.var(x, 1), x234)
op("var_correction", lambda x: torch.var(x, (0, 2), correction=0, keepdim=True), x234)
op("var_mean", lambda x: torch.var_mean(x, (1,), correction=1), x234)
op("cumsum", lambda x: torch.cumsum(x, 1), x234)
op("cumsum_int", lambda x: torch.cumsum(x, 0), ints(3, 4, dtype=torch.int32))
op("norm", lambda x: torch.linalg.vector_norm(x, 2, 1), x234)
# shapes
op("view", lambda x: (x + 1).view(4, 6) * 2, x234)
op("view_minus", lambda x: (x + 1).reshape(-1, 2).abs(), x234)
op("permute", lambda x: x.permute(2, 0, 1), x234)
op("transpose", lambda x: x.transpose(-1, 0), x234)
op("t", lambda x: x.t(), x23)
op("unsqueeze", lambda x: x.unsqueeze(-1) + 1, x23)
op("squeeze", lambda x: x.squeeze(1) + 1, rnd(2, 1, 3))
op("squeeze_dims", lambda x: torch.squeeze(x, (0, 2)) + 1, rnd(1, 2, 1, 3))
op("expand", lambda x: x.expand(4, 2, -1), rnd(2, 1))
op("slice", lambda x: x[:, 1:], x234)
op("slice_step", lambda x: x[:, :, 0:4:2], x234)
op("slice_negative", lambda x: x[:, :, -3:-1], x234)
op("select", lambda x: x[:, -1], x234)
op("narrow", lambda x: torch.narrow_copy(x, 2, 1, 2), x234)
op("split", lambda x: torch.split(x, 3, 2), x234)
op("split_sizes", lambda x: torch.split(x, [1, 3], 2), x234)
op("chunk", lambda x: torch.chunk(x, 2, 2), x234)
op("unbind", lambda x: torch.unbind(x, 1), x234)
op("cat", lambda x, y: torch.cat([x, y, x], -1), x23, rnd(2, 2))
op("cat_empty", lambda x, y: torch.cat([x, y], 0), x23, torch.zeros(0, 3))
op("stack", lambda x, y: torch.stack([x, y], 1), x23, y23)
op("repeat", lambda x: x.repeat(2, 1, 3), x23)
op("flip", lambda x: torch.flip(x, (0, -1)), x234)
op("roll", lambda x: torch.roll(x, (1, -2), (0, 2)), x234)
op("repeat_interleave", lambda r: A.repeat_interleave.Tensor(r, output_size=5), torch.tensor([2, 0, 3]))
op("diagonal", lambda x: torch.diagonal(x, 1, 1, 2).clone(), rnd(2, 3, 4))
op("as_strided", lambda x: torch.as_strided(x, (3, 2), (2, 3), 1).clone(), rnd(4, 4))
op("unfold", lambda x: x.unfold(1, 3, 2).clone(), rnd(2, 8))
op("tril", lambda x: torch.tril(x, 1), rnd(4, 4))
op("triu", lambda x: torch.triu(x), rnd(4, 4))
op("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), rnd(1, 8, 2, 3))
op("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), rnd(1, 2, 4, 6))
op("pad_constant", lambda x: F.pad(x, (1, 2, 0, 1), value=3.5), x234)
op("pad_negative", lambda x: F.pad(x, (-1, 2)), x234, runtime=False)
op("pad_reflect1d", lambda x: F.pad(x, (1, 2), mode="reflect"), x234)
op("pad_reflect2d", lambda x: F.pad(x, (1, 2, 3, 1), mode="reflect"), img)
op("pad_reflect3d", lambda x: F.pad(x, (1, 2, 1, 1, 1, 0), mode="reflect"), rnd(1, 2, 3, 4, 5))
op("pad_replicate1d", lambda x: F.pad(x, (1, 2), mode="replicate"), x234)
op("pad_replicate2d", lambda x: F.pad(x, (1, 2, 3, 1), mode="replicate"), img)
op("pad_replicate3d", lambda x: F.pad(x, (1, 2, 1, 1, 1, 0), mode="replicate"), rnd(1, 2, 3, 4, 5))
op("slice_scatter", lambda x, y: torch.slice_scatter(x, y, 1, 1, 3), rnd(3, 4), rnd(3, 2))
op("select_scatter", lambda x, y: torch.select_scatter(x, y, 1, 2), rnd(3, 4), rnd(3))
# indices
op("embedding", lambda w, i: F.embedding(i, w), rnd(5, 3), ints(2, 4, low=0, high=5))
op("gather", lambda x, i: torch.gather(x, 1, i), rnd(3, 4), ints(3, 2, low=0, high=4))
op("index_one", lambda x, i: x[i], rnd(4, 3), ints(2, 2, low=0, high=4))
op("index_two", lambda x, i, j: x[i, j], rnd(4, 3), ints(3, low=0, high=4), ints(3, low=-3, high=3))
op("index_middle", lambda x, i: x[:, i], rnd(2, 4, 3), ints(5, low=0, high=4))
op("index_apart", lambda x, i, j: x[i, :, j], rnd(4, 2, 3), ints(3, low=0, high=4), ints(3, low=0, high=3))
op("index_put", lambda x, i, v: torch.index_put(x, (i,), v), rnd(4, 3), torch.tensor([0, 2]), rnd(2, 3))
op("index_put_accumulate", lambda x, i, v: torch.index_put(x, (i,), v, True), rnd(4, 3), torch.tensor([0, 2, 2]), rnd(3, 3))
op("index_put_second", lambda x, i, v: A.index_put(x, [None, i], v), rnd(4, 3), torch.tensor([0, 2]), rnd(4, 2))
op("index_put_mask", lambda x, m, v: torch.index_put(x, (m,), v), rnd(4, 3), rnd(4, 3) > 0, torch.tensor(9.0))
op("index_select", lambda x, i: torch.index_select(x, 1, i), rnd(3, 4), torch.tensor([3, 0, 0]))
op("scatter", lambda x, i, s: torch.scatter(x, 1, i, s), rnd(3, 4), torch.tensor([[0, 2], [1, 3], [3, 0]]), rnd(3, 2))
op("scatter_value", lambda x, i: torch.scatter(x, 1, i, 5.0), rnd(3, 4), torch.tensor([[0, 2], [1, 3], [3, 0]]))
op("scatter_add", lambda x, i, s: torch.scatter_add(x, 1, i, s), rnd(3, 4), torch.tensor([[0, 0], [1, 3], [3, 3]]), rnd(3, 2))
op("masked_scatter", lambda x, m, s: torch.masked_scatter(x, m, s), rnd(3, 4), rnd(3, 4, seed=1) > 0, rnd(12))
op("masked_select", torch.masked_select, rnd(3, 4), rnd(3, 4, seed=1) > 0)
op("nonzero", torch.nonzero, rnd(3, 4) > 0, runtime=False)
op("topk", lambda x: torch.topk(x, 2, 1), rnd(3, 5))
op("topk_smallest", lambda x: torch.topk(x, 2, 0, False), rnd(4, 3))
# new tensors
op("arange", lambda x: x + torch.arange(3), x23)
op("arange_start", lambda x: x + torch.arange(1, 7, 2.0), x23)
op("full", lambda x: x + torch.full((2, 3), 2.5), x23)
op("full_like", lambda x: torch.full_like(x, 4) * x, x23)
op("ones", lambda x: A.ones([2, 3]) + x, x23)
op("zeros", lambda x: A.zeros([2, 3]) + x, x23)
op("fill", lambda x: A.fill.Scalar(x, 3), x23)
op("fill_tensor", lambda x, v: A.fill.Tensor(x, v), x23, torch.tensor(1.5))
op("scalar_tensor", lambda x: x * A.scalar_tensor(3.5), x23)
# layers
op("mm", torch.mm, x23, rnd(3, 4))
op("bmm", torch.bmm, x234, rnd(2, 4, 5))
op("matmul_broadcast", torch.matmul, x234, rnd(4, 2))
op("addmm", lambda b, x, y: torch.addmm(b, x, y, beta=0.5, alpha=2), rnd(4), x23, rnd(3, 4))
op("softmax", lambda x: torch.softmax(x, 1), x234)
op("log_softmax", lambda x: torch.log_softmax(x, -1), x234)
op("layer_norm", lambda x, w, b: F.layer_norm(x, (3, 4), w, b, 1e-5), x234, rnd(3, 4), rnd(3, 4, seed=5))
op("layer_norm_plain", lambda x: F.layer_norm(x, (4,)), x234)
op("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), img, rnd(4), rnd(4, seed=3))
op("batch_norm", nn.BatchNorm2d(4), img)
op("batch_norm_legit", lambda x, w, b: F.batch_norm(x, None, None, w, b, True), img, rnd(4), rnd(4, seed=3))
op("instance_norm", nn.InstanceNorm2d(4), img)
op("rms_norm", lambda x, w: F.rms_norm(x, (4,), w, 1e-5), x234, rnd(4))
for n, m, i in (("conv2d", nn.Conv2d(4, 6, 3, 2, 1), img), ("conv2d_groups", nn.Conv2d(4, 4, 3, 1, (0, 2), groups=4, bias=False), img),
                ("conv2d_dilated", nn.Conv2d(4, 2, 2, dilation=2), img), ("conv1d", nn.Conv1d(3, 2, 3, padding=1), x234),
                ("conv_transpose2d", nn.ConvTranspose2d(4, 3, 3, 2, 1, 1), img), ("conv_transpose1d", nn.ConvTranspose1d(3, 2, 3, 2), x234),
                ("conv_transpose_groups", nn.ConvTranspose2d(4, 4, 3, 2, groups=2), img),
                ("max_pool2d", nn.MaxPool2d(3, 2, 1), img), ("max_pool2d_ceil", nn.MaxPool2d(2, 2, ceil_mode=True), img),
                ("max_pool2d_dilated", nn.MaxPool2d(2, 1, dilation=2), img),
                ("max_pool2d_indices", nn.MaxPool2d(2, 2, return_indices=True), img),
                ("avg_pool2d", nn.AvgPool2d(3, 2, 1), img), ("avg_pool2d_exclude", nn.AvgPool2d(3, 2, 1, count_include_pad=False), img),
                ("avg_pool2d_ceil", nn.AvgPool2d(2, 2, ceil_mode=True), img),
                ("avg_pool2d_divisor", nn.AvgPool2d(2, 2, divisor_override=3), img), ("avg_pool1d", nn.AvgPool1d(2), x234),
                ("adaptive_avg_pool2d", nn.AdaptiveAvgPool2d((3, 2)), img), ("adaptive_avg_pool2d_one", nn.AdaptiveAvgPool2d(1), img),
                ("upsample_nearest", nn.UpsamplingNearest2d(size=(9, 10)), img), ("upsample_nearest_scale", nn.Upsample(scale_factor=2), img),
                ("upsample_bilinear", nn.Upsample(size=(9, 10), mode="bilinear"), img),
                ("upsample_bilinear_scale", nn.Upsample(scale_factor=1.5, mode="bilinear"), img),
                ("upsample_bilinear_corners", nn.Upsample(size=(9, 10), mode="bilinear", align_corners=True), img)):
    torch.manual_seed(1)
    op(n, m, i)
op("upsample_bilinear_aa", lambda x: A._upsample_bilinear2d_aa(x, [3, 4], False, None, None), img)
op("grid_sample", lambda x, g: F.grid_sample(x, g, align_corners=False), img, rnd(1, 3, 3, 2, low=-1.2, high=1.2))
op("grid_sample_border", lambda x, g: F.grid_sample(x, g, padding_mode="border", align_corners=True), img, rnd(1, 3, 3, 2, low=-1.2, high=1.2))
op("grid_sample_nearest", lambda x, g: F.grid_sample(x, g, mode="nearest", align_corners=False), img, rnd(1, 3, 3, 2, low=-0.9, high=0.9))
op("cdist", lambda x, y: A._cdist_forward(x, y, 2.0, None), rnd(3, 4), rnd(2, 4))
op("cdist_one", lambda x, y: A._cdist_forward(x, y, 1.0, None), rnd(3, 4), rnd(2, 4))
op("cdist_three", lambda x, y: A._cdist_forward(x, y, 3.0, None), rnd(3, 4), rnd(2, 4))
op("pdist", lambda x: A._pdist_forward(x, 2.0), rnd(4, 3))
op("dropout", lambda x: A.native_dropout(x, 0.5, False), x23)
op("half_linear", lambda x, w: F.linear(x, w), x23.half(), rnd(4, 3).half(), atol=1e-2, rtol=1e-2)
op("bfloat_add", lambda x: (x.bfloat16() * 1.5).float(), x23)
op("double", lambda x: x * 3 + torch.sin(x), x23.double())

# ---- whole programs ------------------------------------------------------------------------------


class Mlp(nn.Module):
    def __init__(self, n=8):
        super().__init__()
        self.a, self.b = nn.Linear(n, 12), nn.Linear(12, 5)

    def forward(self, x):
        return torch.softmax(self.b(F.gelu(self.a(x))), -1)


class Cnn(nn.Module):
    def __init__(self, grouped=True):
        super().__init__()
        self.a, self.na = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.d, self.p = nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.Conv2d(8, 8, 1)
        self.nd, self.f = nn.BatchNorm2d(8), nn.Linear(8, 4)
        for n in (self.na, self.nd):
            nn.init.uniform_(n.running_mean, -0.2, 0.2)
            nn.init.uniform_(n.running_var, 0.5, 1.5)

    def forward(self, x):
        x = F.relu(self.na(self.a(x)))
        x = x + F.relu6(self.nd(self.p(self.d(x))))
        x = F.max_pool2d(x, 2)
        return self.f(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.LSTMCell(4, 6)

    def forward(self, x, h, c):
        return self.c(x, (h, c))


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("sum", torch.zeros(3))
        self.register_buffer("calls", torch.ones(1))

    def forward(self, x):
        self.sum.add_(x)
        self.calls.add_(1)
        return self.sum * self.calls


class Cache(nn.Module):
    """One attention block whose keys and values stay."""

    def __init__(self, dim=8, heads=2, most=8):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.heads, self.dim, self.most = heads, dim // heads, most
        self.register_buffer("keys", torch.zeros(1, heads, most, dim // heads))
        self.register_buffer("values", torch.zeros(1, heads, most, dim // heads))
        self.register_buffer("mask", torch.tril(torch.ones(most, most, dtype=torch.bool)), persistent=False)

    def forward(self, x, at):
        b, s, _ = x.shape
        q, k, v = (m(x).view(b, s, self.heads, self.dim).transpose(1, 2) for m in (self.q, self.k, self.v))
        self.keys[:, :, at] = k
        self.values[:, :, at] = v
        y = F.scaled_dot_product_attention(q, self.keys, self.values, attn_mask=self.mask[at])
        return self.o(y.transpose(1, 2).reshape(b, s, -1))


class Rms(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = nn.Parameter(torch.ones(n) + 0.1 * torch.randn(n))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.w


class Llama(nn.Module):
    """A tiny llama with its cache, as ExecuTorch's examples write one."""

    def __init__(self, vocabulary=32, dim=16, heads=4, kv=2, layers=2, most=16, custom=False):
        super().__init__()
        self.e, self.n, self.out = nn.Embedding(vocabulary, dim), Rms(dim), nn.Linear(dim, vocabulary, bias=False)
        self.heads, self.kv, self.d, self.custom = heads, kv, dim // heads, custom
        make = lambda a, b: nn.ModuleList(nn.Linear(a, b, bias=False) for _ in range(layers))  # noqa: E731
        self.q, self.k, self.v, self.o = make(dim, dim), make(dim, kv * self.d), make(dim, kv * self.d), make(dim, dim)
        self.gate, self.up, self.down = make(dim, 32), make(dim, 32), make(32, dim)
        self.n1, self.n2 = nn.ModuleList(Rms(dim) for _ in range(layers)), nn.ModuleList(Rms(dim) for _ in range(layers))
        shape = (1, most, kv, self.d) if custom else (1, kv, most, self.d)
        for i in range(layers):
            self.register_buffer(f"k{i}", torch.zeros(shape))
            self.register_buffer(f"v{i}", torch.zeros(shape))
        t = torch.outer(torch.arange(most).float(), 1.0 / 10000 ** (torch.arange(0, self.d, 2).float() / self.d))
        self.register_buffer("cos", t.cos(), persistent=False)
        self.register_buffer("sin", t.sin(), persistent=False)
        self.register_buffer("mask", torch.tril(torch.ones(most, most, dtype=torch.bool)), persistent=False)

    def rope(self, x, at):
        a, b = x.reshape(*x.shape[:-1], -1, 2).unbind(-1)
        if self.custom:
            n = x.shape[1]
            p = at[-1].item()
            torch._check_is_size(p)
            torch._check(p + n <= self.cos.shape[0])
            c, s = (t.narrow(0, p, n).view(1, n, 1, -1) for t in (self.cos, self.sin))
        else:
            c, s = (t[at].view(1, x.shape[1], 1, -1) for t in (self.cos, self.sin))
        return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(3)

    def forward(self, tokens, at):
        x = self.e(tokens)
        n = tokens.shape[1]
        for i in range(len(self.q)):
            y = self.n1[i](x)
            q = self.rope(self.q[i](y).view(1, n, self.heads, self.d), at)
            k = self.rope(self.k[i](y).view(1, n, self.kv, self.d), at)
            v = self.v[i](y).view(1, n, self.kv, self.d)
            keys, values = getattr(self, f"k{i}"), getattr(self, f"v{i}")
            if self.custom:
                p = at[-1].item()
                torch._check_is_size(p)
                torch._check(p + n <= self.cos.shape[0])
                torch.ops.llama.update_cache(k, keys, p)
                torch.ops.llama.update_cache(v, values, p)
                z = torch.ops.llama.custom_sdpa(q, keys, values, p, None, 0.0, True)
                z = z.reshape(1, n, -1)
            else:
                keys[:, :, at] = k.transpose(1, 2)
                values[:, :, at] = v.transpose(1, 2)
                r = self.heads // self.kv
                z = F.scaled_dot_product_attention(q.transpose(1, 2), keys.repeat_interleave(r, 1), values.repeat_interleave(r, 1), attn_mask=self.mask[at])
                z = z.transpose(1, 2).reshape(1, n, -1)
            x = x + self.o[i](z)
            y = self.n2[i](x)
            x = x + self.down[i](F.silu(self.gate[i](y)) * self.up[i](y))
        return self.out(self.n(x))


class Cond(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x * 2 + 1, lambda x: torch.sin(x), (x,)) - 1


class Nested(nn.Module):
    def forward(self, x, y):
        def inner(x, y):
            return torch.cond(y.sum() > 0, lambda x, y: x + y, lambda x, y: x - y, (x, y))
        return torch.cond(x.sum() > 0, inner, lambda x, y: x * y, (x, y))


class Mapped(nn.Module):
    def forward(self, x, y):
        from functorch.experimental.control_flow import map
        return map(lambda a, b: a * b + 1, x, y)


def fresh(cls, *a, seed=0, **k):
    torch.manual_seed(seed)
    return cls(*a, **k)


def steps(n, dim=None):
    return [((rnd(1, 1, dim, seed=i) if dim else ints(1, 1, low=0, high=32, seed=i)), torch.tensor([i])) for i in range(n)]


p8, image = rnd(2, 8), rnd(1, 3, 16, 16)
Dim = torch.export.Dim
case("programs", "mlp", fresh(Mlp), p8)
case("programs", "mlp_inline", fresh(Mlp), p8, segments=False)
case("programs", "mlp_external", fresh(Mlp), p8, external=True)
class Numbers(nn.Module):
    """What is computed of a size that is known when the program runs."""

    def forward(self, x):
        n = x.shape[0]
        return x * torch.sym_ite(torch.sym_not(n > 3), n + 2, n) + torch.sym_int(n / 2)


class MoreNumbers(nn.Module):
    def forward(self, x):
        n = x.shape[0]
        third = torch.sym_float(n) / 3
        least = torch.sym_min(n % 4, torch.sym_max(n // 2, 2))
        chosen = [torch.sym_ite(test, n * 2, -n) for test in (n >= 2, n <= 3, n < 4, n - 1 == 1)]
        return x * least + sum(chosen) + math.ceil(third) + round(third) + torch.sym_int(third)


case("programs", "sym_more_numbers", MoreNumbers(), p8, rnd(5, 8), rnd(1, 8), shapes=({0: Dim("n", min=1, max=7)},))
case("programs", "sym_numbers", Numbers(), p8, rnd(5, 8), rnd(1, 8), shapes=({0: Dim("n", min=1, max=7)},))
case("programs", "mlp_dynamic", fresh(Mlp), p8, rnd(5, 8), rnd(1, 8), shapes=({0: Dim("n", min=1, max=7)},))
case("programs", "cnn", fresh(Cnn), image)
case("programs", "lstm", fresh(Lstm), (rnd(2, 4), rnd(2, 6), rnd(2, 6, seed=1)))
case("programs", "counter", fresh(Counter), rnd(3), rnd(3, seed=1), rnd(3, seed=2), init=["sum", "calls"])
case("programs", "cache", fresh(Cache), *steps(4, 8))
case("programs", "llama", fresh(Llama), *steps(6))
case("programs", "cond", Cond(), torch.ones(3), -torch.ones(3))
case("programs", "cond_nested", Nested(), (torch.ones(3), rnd(3)), (torch.ones(3), -torch.ones(3)), (-torch.ones(3), rnd(3)))
case("programs", "map", Mapped(), (rnd(4, 3), rnd(3)))
case("programs", "methods_first", fresh(Mlp), (p8,), methods={"twice": (Wrap(lambda x: x * 2), (p8,))},
     constants={"get_vocab_size": 32, "use_kv_cache": True, "temperature": 0.5})
case("programs", "methods_second", fresh(Mlp), (p8,), methods={"twice": (Wrap(lambda x: x * 2), (p8,))}, method="twice")
for kind in ("static", "static_tensor"):
    case("programs", f"mlp_{kind}", fresh(Mlp), p8, rnd(2, 8, seed=3), quantise=kind)
    case("programs", f"cnn_{kind}", fresh(Cnn), image, quantise=kind)
case("programs", "mlp_dynamic_quantised", fresh(Mlp), p8, rnd(2, 8, seed=3), quantise="dynamic")


def main():
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import golden_executorch_more as more
    more.add(case, rnd, ints, fresh, sys.modules[__name__])
    names = sys.argv[1:] or list(CASES)
    for archive in names:
        write(archive, None)


if __name__ == "__main__":
    main()
