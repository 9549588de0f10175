#!/usr/bin/env python3
"""Writes tests/golden/graphs/coreml/networks.npz: small Core ML neural networks with what they must give.

    python scripts/golden_coreml_networks.py [CASE ...]

Needs coremltools 9 and torch.  Networks are built with coremltools' NeuralNetworkBuilder; what is expected
is computed with NumPy or PyTorch from the definitions in NeuralNetwork.proto.
"""
import io
import os
import sys
import zipfile

import numpy as np

import golden_coreml as g
import torch
import torch.nn.functional as F
import coremltools as ct
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from coremltools.models.neural_network import quantization_utils

T, rnd = g.T, g.rnd
CASES = {}


def case(name, add, inputs, expect, out=None, five=False, n_out=1, finish=None):
    assert name not in CASES, name
    CASES[name] = (add, inputs, expect, out, five, n_out, finish)


def nd(name, add, inputs, expect, n_out=1):
    """A network whose arrays keep their rank."""
    case(name, add, inputs, expect, n_out=n_out)


def old(name, add, inputs, expect, n_out=1, finish=None):
    """One whose arrays have five axes."""
    case(name, add, inputs, expect, five=True, n_out=n_out, finish=finish)


def ones(method, ref, v, **kw):
    nd(method, lambda b, m=method: getattr(b, "add_" + m)("l", input_name="x", output_name="y", **kw), {"x": v}, lambda x: ref(x))


x, img, pos = rnd(2, 3), rnd(2, 5, 6), rnd(2, 3, low=0.1)
unit = rnd(2, 3, low=-.9, high=.9)
w, wb = rnd(4, 2, 3, 3, seed=2), rnd(4, seed=3)
hwio = lambda a: a.transpose(2, 3, 1, 0)


def conv(builder, **kw):
    args = dict(name="l", kernel_channels=2, output_channels=4, height=3, width=3, stride_height=1, stride_width=1, border_mode="valid",
                groups=1, W=hwio(w), b=wb, has_bias=True, input_name="x", output_name="y")
    args.update(kw)
    builder.add_convolution(**args)


n4 = lambda a: T(a)[None]
old("convolution", lambda b: conv(b), {"x": img}, lambda x: F.conv2d(n4(x), T(w), T(wb))[0])
old("convolution_same", lambda b: conv(b, border_mode="same", stride_height=2, stride_width=2), {"x": img}, lambda x: g.conv_same(x[None])[0])
old("convolution_pads", lambda b: conv(b, padding_top=1, padding_bottom=2, padding_left=0, padding_right=1, dilation_factors=[1, 2]), {"x": img},
    lambda x: F.conv2d(F.pad(n4(x), (0, 1, 1, 2)), T(w), T(wb), dilation=(1, 2))[0])
wg = rnd(4, 1, 3, 3, seed=5)
old("convolution_groups", lambda b: conv(b, groups=2, kernel_channels=1, W=hwio(wg), b=None, has_bias=False), {"x": img},
    lambda x: F.conv2d(n4(x), T(wg), groups=2)[0])
wd = rnd(2, 3, 3, 3, seed=6)
old("deconvolution", lambda b: conv(b, is_deconv=True, output_channels=3, W=wd.transpose(2, 3, 0, 1), b=rnd(3), stride_height=2, stride_width=2,
                                    padding_top=1, padding_bottom=1, padding_left=1, padding_right=1, output_shape=None), {"x": img},
    lambda x: F.conv_transpose2d(n4(x), T(wd), T(rnd(3)), stride=2, padding=1)[0])


def pool(b, kind, **kw):
    args = dict(name="l", height=2, width=2, stride_height=2, stride_width=2, layer_type=kind, padding_type="VALID", input_name="x", output_name="y")
    args.update(kw)
    b.add_pooling(**args)


old("pooling_max", lambda b: pool(b, "MAX"), {"x": img}, lambda x: F.max_pool2d(n4(x), 2)[0])
old("pooling_average", lambda b: pool(b, "AVERAGE", padding_top=1, padding_bottom=0, exclude_pad_area=True), {"x": img},
    lambda x: F.avg_pool2d(n4(x), 2, padding=(1, 0), count_include_pad=False)[0][:, :3])
old("pooling_average_zeros", lambda b: pool(b, "AVERAGE", padding_top=1, padding_bottom=0, exclude_pad_area=False), {"x": img},
    lambda x: F.avg_pool2d(F.pad(n4(x), (0, 0, 1, 0)), 2)[0])
old("pooling_l2", lambda b: pool(b, "L2"), {"x": img}, lambda x: F.lp_pool2d(n4(x), 2, 2)[0])
old("pooling_last", lambda b: pool(b, "MAX", padding_type="INCLUDE_LAST_PIXEL"), {"x": img}, lambda x: F.max_pool2d(n4(x), 2, ceil_mode=True)[0])
old("pooling_global", lambda b: pool(b, "AVERAGE", is_global=True), {"x": img}, lambda x: x.mean((1, 2), keepdims=True))
for kind, ref in [("RELU", lambda x: np.maximum(x, 0)), ("TANH", np.tanh), ("SIGMOID", g.sig), ("SOFTSIGN", lambda x: x / (1 + abs(x))),
                  ("SOFTPLUS", lambda x: np.log1p(np.exp(x)))]:
    old("activation_" + kind.lower(), lambda b, kind=kind: b.add_activation("l", kind, "x", "y"), {"x": img}, lambda x, ref=ref: ref(x))
for kind, params, ref in [
    ("LEAKYRELU", [0.2], lambda x: np.where(x >= 0, x, 0.2 * x)), ("LINEAR", [2.0, -1.0], lambda x: 2 * x - 1),
    ("ELU", 0.7, lambda x: np.where(x >= 0, x, 0.7 * (np.exp(x) - 1))), ("THRESHOLDEDRELU", 0.4, lambda x: np.where(x >= 0.4, x, 0)),
    ("SCALED_TANH", [1.5, 0.7], lambda x: 1.5 * np.tanh(0.7 * x)), ("SIGMOID_HARD", [0.3, 0.4], lambda x: np.clip(0.3 * x + 0.4, 0, 1)),
    ("PRELU", np.float32([0.1, 0.3]), lambda x: np.where(x >= 0, x, np.float32([0.1, 0.3])[:, None, None] * x)),
    ("PARAMETRICSOFTPLUS", [np.float32([1, 2]), np.float32([0.5, 1.5])],
     lambda x: np.float32([1, 2])[:, None, None] * np.log1p(np.exp(np.float32([0.5, 1.5])[:, None, None] * x)))]:
    old("activation_" + kind.lower(), lambda b, kind=kind, params=params: b.add_activation("l", kind, "x", "y", params), {"x": img}, ref)
wi = rnd(4, 6)
old("innerProduct", lambda b: b.add_inner_product("l", wi, rnd(4), 6, 4, True, "x", "y"), {"x": rnd(6)}, lambda x: wi @ x + rnd(4))
old("innerProduct_image", lambda b: b.add_inner_product("l", rnd(3, 60), None, 60, 3, False, "x", "y"), {"x": img},
    lambda x: (rnd(3, 60) @ x.ravel()).reshape(3, 1, 1))
nd("innerProduct_nd", lambda b: b.add_inner_product("l", wi, rnd(4), 6, 4, True, "x", "y"), {"x": rnd(2, 6)}, lambda x: x @ wi.T + rnd(4))
nd("embedding", lambda b: b.add_embedding_nd("l", "x", "y", 5, 3, rnd(3, 5), rnd(3)), {"x": np.float32([[2], [0], [4]])},
   lambda x: rnd(3, 5).T[x[:, 0].astype(int)] + rnd(3))
old("embedding_old", lambda b: b.add_embedding("l", rnd(3, 5), rnd(3), 5, 3, True, "x", "y"), {"x": np.float32([3])},
    lambda x: rnd(3, 5)[:, 3] + rnd(3))
m, v = np.float32([.1, .2]), np.float32([1.5, .5])
old("batchnorm", lambda b: b.add_batchnorm("l", 2, np.float32([2, 3]), np.float32([-1, 1]), m, v, "x", "y", epsilon=1e-3), {"x": img},
    lambda x: F.batch_norm(n4(x), T(m), T(v), T(np.float32([2, 3])), T(np.float32([-1, 1])), eps=1e-3)[0])
def batch_statistics(b):
    b.add_batchnorm("l", 2, np.float32([2, 3]), np.float32([-1, 1]), input_name="x", output_name="y", compute_mean_var=True,
                    instance_normalization=True, epsilon=1e-3)
    b.nn_spec.layers[-1].batchnorm.instanceNormalization = False  # which the builder does not write


nd("batchnorm_batch", batch_statistics, {"x": rnd(3, 2, 4, 5)},
   lambda x: F.batch_norm(T(x), None, None, T(np.float32([2, 3])), T(np.float32([-1, 1])), True, 0, 1e-3))
old("instancenorm", lambda b: b.add_batchnorm("l", 2, np.float32([2, 3]), np.float32([-1, 1]), input_name="x", output_name="y",
                                             compute_mean_var=True, instance_normalization=True, epsilon=1e-3), {"x": img},
    lambda x: F.instance_norm(n4(x), weight=T(np.float32([2, 3])), bias=T(np.float32([-1, 1])), eps=1e-3)[0])
old("mvn", lambda b: b.add_mvn("l", "x", "y", across_channels=False, normalize_variance=True, epsilon=1e-3), {"x": img},
    lambda x: (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-3))
old("l2normalize", lambda b: b.add_l2_normalize("l", "x", "y", epsilon=0.1), {"x": img}, lambda x: x / np.sqrt((x * x).sum() + 0.1))
old("softmax", lambda b: b.add_softmax("l", "x", "y"), {"x": img}, lambda x: F.softmax(T(x), 0))
old("lrn", lambda b: b.add_lrn("l", "x", "y", alpha=0.2, beta=0.6, local_size=3, k=1.5), {"x": rnd(5, 2, 2)},
    lambda x: F.local_response_norm(n4(x), 3, 0.2, 0.6, 1.5)[0])
old("crop", lambda b: b.add_crop("l", 1, 2, 1, 0, [0, 0], ["x"], "y"), {"x": img}, lambda x: x[:, 1:, 1:-2])
for kind in ["constant", "reflection", "replication"]:
    old("padding_" + kind, lambda b, kind=kind: b.add_padding("l", left=1, right=2, top=0, bottom=1, value=0.5, input_name="x", output_name="y", padding_type=kind),
        {"x": img}, lambda x, kind=kind: np.pad(x, [(0, 0), (0, 1), (1, 2)], **({"constant_values": 0.5} if kind == "constant" else {}),
                                                mode={"constant": "constant", "reflection": "reflect", "replication": "edge"}[kind]))
old("upsample", lambda b: b.add_upsample("l", 2, 3, "x", "y", mode="NN"), {"x": img}, lambda x: x.repeat(2, 1).repeat(3, 2))
old("upsample_bilinear", lambda b: b.add_upsample("l", 2, 2, "x", "y", mode="BILINEAR"), {"x": img},
    lambda x: g.bilinear(x, g.grid("DEFAULT", 5, 10), g.grid("DEFAULT", 6, 12)))
old("upsample_corners", lambda b: b.add_upsample("l", 2, 2, "x", "y", mode="BILINEAR", linear_upsample_mode="ALIGN_CORNERS_FALSE"), {"x": img},
    lambda x: F.interpolate(n4(x), scale_factor=2, mode="bilinear", align_corners=False)[0])
for mode, ours in [("STRICT_ALIGN_ENDPOINTS_MODE", "STRICT_ALIGN_CORNERS"), ("UPSAMPLE_MODE", "DEFAULT"), ("ROI_ALIGN_MODE", "OFFSET_CORNERS")]:
    old("resizeBilinear_" + mode[:6].lower(), lambda b, mode=mode: b.add_resize_bilinear("l", "x", "y", 4, 8, mode=mode), {"x": img},
        lambda x, ours=ours: g.bilinear(x, g.grid(ours, 5, 4), g.grid(ours, 6, 8)))
for mode, ref in [("sqrt", np.sqrt), ("rsqrt", lambda a: 1 / np.sqrt(a + 1e-6)), ("inverse", lambda a: 1 / (a + 1e-6)), ("exp", np.exp), ("log", np.log),
                  ("abs", np.abs), ("power", lambda a: a ** 2.5), ("threshold", lambda a: np.maximum(a, 2.5))]:
    old("unary_" + mode, lambda b, mode=mode: b.add_unary("l", "x", "y", mode, alpha=2.5, shift=0.5, scale=2.0, epsilon=1e-6), {"x": np.abs(img)},
        lambda x, ref=ref: ref(2 * x + 0.5))
for mode, ref in [("ADD", lambda a, b: a + b), ("MULTIPLY", lambda a, b: a * b), ("AVE", lambda a, b: (a + b) / 2), ("MAX", np.maximum), ("MIN", np.minimum)]:
    old("elementwise_" + mode.lower(), lambda b, mode=mode: b.add_elementwise("l", ["x", "z"], "y", mode), {"x": img, "z": rnd(2, 5, 6, seed=9)},
        lambda x, z, ref=ref: ref(x, z))
old("elementwise_concat", lambda b: b.add_elementwise("l", ["x", "z"], "y", "CONCAT"), {"x": img, "z": rnd(3, 5, 6)}, lambda x, z: np.concatenate([x, z]))
old("elementwise_alpha", lambda b: b.add_elementwise("l", ["x"], "y", "ADD", alpha=1.5), {"x": img}, lambda x: x + 1.5)
old("dot", lambda b: b.add_elementwise("l", ["x", "z"], "y", "COS"), {"x": rnd(4), "z": rnd(4, seed=2)},
    lambda x, z: np.float32([x @ z / np.linalg.norm(x) / np.linalg.norm(z)]))
old("scale", lambda b: b.add_scale("l", np.float32([2, 3]).reshape(2, 1, 1), np.float32([1]), True, "x", "y", shape_scale=[2], shape_bias=[1]), {"x": img},
    lambda x: x * np.float32([2, 3])[:, None, None] + 1)
old("bias", lambda b: b.add_bias("l", np.float32([2, 3]), "x", "y", shape_bias=[2]), {"x": img}, lambda x: x + np.float32([2, 3])[:, None, None])
for mode, ref in [("sum", np.sum), ("avg", np.mean), ("prod", np.prod), ("max", np.max), ("min", np.min), ("sumsquare", lambda a, **k: np.sum(a * a, **k)),
                  ("L1", lambda a, **k: np.sum(abs(a), **k)), ("L2", lambda a, **k: np.sqrt(np.sum(a * a, **k))),
                  ("logsum", lambda a, **k: np.sum(np.log(a + 1e-6), **k))]:
    old("reduce_" + mode.lower(), lambda b, mode=mode: b.add_reduce("l", "x", "y", axis="HW", mode=mode), {"x": np.abs(img) + np.float32(.1)},
        lambda x, ref=ref: ref(x, axis=(1, 2), keepdims=True))
old("reduce_argmax", lambda b: b.add_reduce("l", "x", "y", axis="C", mode="argmax"), {"x": img}, lambda x: np.argmax(x, 0)[None])
old("loadConstant", lambda b: (b.add_load_constant("c", "c", rnd(2, 5, 6, seed=4), [2, 5, 6]), b.add_elementwise("l", ["x", "c"], "y", "ADD")), {"x": img},
    lambda x: x + rnd(2, 5, 6, seed=4))
old("reshape", lambda b: b.add_reshape("l", "x", "y", (3, 4, 5), 0), {"x": img}, lambda x: x.reshape(3, 4, 5))
old("reshape_last", lambda b: b.add_reshape("l", "x", "y", (3, 4, 5), 1), {"x": img}, lambda x: x.transpose(1, 2, 0).reshape(4, 5, 3).transpose(2, 0, 1))
old("flatten", lambda b: b.add_flatten("l", 0, "x", "y"), {"x": img}, lambda x: x.reshape(-1, 1, 1))
old("flatten_last", lambda b: b.add_flatten("l", 1, "x", "y"), {"x": img}, lambda x: x.transpose(1, 2, 0).reshape(-1, 1, 1))
old("permute", lambda b: b.add_permute("l", (0, 3, 1, 2), "x", "y"), {"x": img}, lambda x: x.transpose(2, 0, 1))
old("split", lambda b: b.add_split("l", "x", ["y", "y1"]), {"x": rnd(4, 2, 3)}, lambda x: [x[:2], x[2:]], n_out=2)
old("slice", lambda b: b.add_slice("l", "x", "y", axis="height", start_index=1, end_index=-1, stride=2), {"x": img}, lambda x: x[:, 1:-1:2])
old("reorganize_s2d", lambda b: b.add_reorganize_data("l", "x", "y", mode="SPACE_TO_DEPTH", block_size=2), {"x": rnd(2, 4, 6)},
    lambda x: x.reshape(2, 2, 2, 3, 2).transpose(2, 4, 0, 1, 3).reshape(8, 2, 3))
old("reorganize_d2s", lambda b: b.add_reorganize_data("l", "x", "y", mode="DEPTH_TO_SPACE", block_size=2), {"x": rnd(8, 2, 3)},
    lambda x: x.reshape(2, 2, 2, 2, 3).transpose(2, 3, 0, 4, 1).reshape(2, 4, 6))
two = rnd(1, 2, 1, 4, 4)
old("cropResize_images", lambda b: b.add_crop_resize("l", ["x", "r"], "y", target_height=3, target_width=2, mode="ALIGN_ENDPOINTS_MODE"),
    {"x": two, "r": np.float32([[1, 0, 2, 3], [0, 1, 3, 2]]).reshape(2, 1, 4, 1, 1)},
    lambda x, r: np.stack([g.bilinear(x[0], 1 + g.grid("ALIGN_CORNERS", 2, 3), g.grid("ALIGN_CORNERS", 4, 2)),
                           g.bilinear(x[0], g.grid("ALIGN_CORNERS", 4, 3), 1 + g.grid("ALIGN_CORNERS", 2, 2))]))
# recurrent: [steps, 1, channels, 1, 1]
H, I = 2, 3
W = [rnd(H, I, seed=k) for k in range(4)]
R = [rnd(H, H, seed=k + 9) for k in range(4)]
B = [rnd(H, seed=k + 20) for k in range(4)]


def lstm_ref(x, w=W, r=R, b=B, back=False, coupled=False, clip=50):
    h = c = np.zeros(H, np.float32)
    ys = []
    for t in (x[::-1] if back else x):
        i, f, o, z = [wk @ t + rk @ h + bk for wk, rk, bk in zip(w, r, b)]
        c = np.clip((1 - g.sig(i) if coupled else g.sig(f)) * c + g.sig(i) * np.tanh(z), -clip, clip)
        h = g.sig(o) * np.tanh(c)
        ys.append(h)
    return np.stack(ys[::-1] if back else ys)


five = lambda a: a[:, None, :, None, None]
steps = rnd(4, 1, 3, 1, 1)
old("uniDirectionalLSTM", lambda b: b.add_unilstm("l", R, W, B, H, I, ["x"], ["y"], output_all=True, inner_activation="SIGMOID"), {"x": steps},
    lambda x: five(lstm_ref(x[:, 0, :, 0, 0])))
old("uniDirectionalLSTM_last", lambda b: b.add_unilstm("l", R, W, B, H, I, ["x"], ["y"], output_all=False, inner_activation="SIGMOID", reverse_input=True),
    {"x": steps}, lambda x: five(lstm_ref(x[:, 0, :, 0, 0], back=True)[:1]))
old("uniDirectionalLSTM_coupled", lambda b: b.add_unilstm("l", R, W, B, H, I, ["x"], ["y"], output_all=True, inner_activation="SIGMOID",
                                                          coupled_input_forget_gate=True), {"x": steps},
    lambda x: five(lstm_ref(x[:, 0, :, 0, 0], coupled=True)))
old("uniDirectionalLSTM_clip", lambda b: b.add_unilstm("l", R, W, B, H, I, ["x"], ["y"], output_all=True, inner_activation="SIGMOID",
                                                       cell_clip_threshold=.2), {"x": steps},
    lambda x: five(lstm_ref(x[:, 0, :, 0, 0], clip=.2)))
W2, R2, B2 = [a + np.float32(.1) for a in W], [a - np.float32(.2) for a in R], [a * 2 for a in B]
old("biDirectionalLSTM", lambda b: b.add_bidirlstm("l", R, W, B, R2, W2, B2, H, I, ["x"], ["y"], output_all=True, inner_activation="SIGMOID"), {"x": steps},
    lambda x: five(np.concatenate([lstm_ref(x[:, 0, :, 0, 0]), lstm_ref(x[:, 0, :, 0, 0], W2, R2, B2, True)], 1)))


def gru_ref(x):
    h, ys = np.zeros(H, np.float32), []
    for t in x:
        z, r = g.sig(W[0] @ t + R[0] @ h + B[0]), g.sig(W[1] @ t + R[1] @ h + B[1])
        o = np.tanh(W[2] @ t + R[2] @ (r * h) + B[2])
        h = (1 - z) * o + z * h
        ys.append(h)
    return np.stack(ys)


old("gru", lambda b: b.add_gru("l", R[:3], W[:3], B[:3], H, I, ["x"], ["y"], output_all=True, inner_activation="SIGMOID"), {"x": steps},
    lambda x: five(gru_ref(x[:, 0, :, 0, 0])))


def rnn_ref(x):
    h = np.zeros(H, np.float32)
    for t in x:
        h = np.maximum(W[0] @ t + R[0] @ h + B[0], 0)
    return h[None]


old("simpleRecurrent", lambda b: b.add_simple_rnn("l", R[0], W[0], B[0], H, I, "RELU", ["x"], ["y"], output_all=False), {"x": steps},
    lambda x: five(rnn_ref(x[:, 0, :, 0, 0])))
old("sequenceRepeat", lambda b: b.add_sequence_repeat("l", 3, "x", "y"), {"x": steps}, lambda x: np.tile(x, (3, 1, 1, 1, 1)))
# any rank
for op, ref, val in [("ceil", np.ceil, x), ("floor", np.floor, x), ("sign", np.sign, x), ("round", np.round, x), ("exp2", np.exp2, x), ("sin", np.sin, x),
                     ("cos", np.cos, x), ("tan", np.tan, unit), ("asin", np.arcsin, unit), ("acos", np.arccos, unit), ("atan", np.arctan, x),
                     ("sinh", np.sinh, x), ("cosh", np.cosh, x), ("tanh", np.tanh, x), ("asinh", np.arcsinh, x), ("acosh", np.arccosh, pos + 1),
                     ("atanh", np.arctanh, unit)]:
    ones(op, ref, val)
ones("erf", lambda a: torch.erf(T(a)), x)
ones("gelu", lambda a: F.gelu(T(a), approximate="tanh"), x, mode="TANH_APPROXIMATION")
ones("clip", lambda a: np.clip(a, -.5, 1), x, min_value=-.5, max_value=1.0)
ones("clamped_relu", lambda a: np.minimum(np.where(a >= 0, a, .5 * a), 1), x, alpha=.5, beta=1.0)
z = rnd(2, 3, seed=3)
for op, ref in [("equal", np.equal), ("not_equal", np.not_equal), ("less_than", np.less), ("greater_than", np.greater)]:
    nd(op, lambda b, op=op: getattr(b, "add_" + op)("l", ["x", "z"], "y"), {"x": np.round(x), "z": np.round(z)}, lambda x, z, ref=ref: ref(x, z).astype(np.float32))
nd("less_alpha", lambda b: b.add_less_than("l", ["x"], "y", alpha=.3), {"x": x}, lambda x: (x < .3).astype(np.float32))
for mode, ref in [("AND", np.logical_and), ("OR", np.logical_or), ("XOR", np.logical_xor)]:
    nd("logical_" + mode.lower(), lambda b, mode=mode: b.add_logical("l", ["x", "z"], "y", mode), {"x": np.float32([0, 0, 1, 1]), "z": np.float32([0, 1, 0, 1])},
       lambda x, z, ref=ref: ref(x, z).astype(np.float32))
for op, ref in [("add", np.add), ("subtract", np.subtract), ("multiply", np.multiply), ("divide", np.divide), ("max", np.maximum), ("min", np.minimum),
                ("mod", np.mod), ("floor_div", np.floor_divide)]:
    nd(op + "_broadcastable", lambda b, op=op: getattr(b, f"add_{op}_broadcastable")("l", ["x", "z"], "y"), {"x": x + np.float32(.0137), "z": z[:1]},
       lambda x, z, ref=ref: ref(x, z))
nd("pow_broadcastable", lambda b: b.add_pow_broadcastable("l", ["x", "z"], "y"), {"x": pos, "z": z}, lambda x, z: np.power(x, z))
nd("where", lambda b: b.add_where_broadcastable("l", ["c", "x", "z"], "y"), {"c": np.float32([[1, 0, 1]]), "x": x, "z": z}, lambda c, x, z: np.where(c != 0, x, z))
nd("tile", lambda b: b.add_tile("l", "x", "y", reps=[2, 1]), {"x": x}, lambda x: np.tile(x, (2, 1)))
nd("stack", lambda b: b.add_stack("l", ["x", "z"], "y", axis=1), {"x": x, "z": z}, lambda x, z: np.stack([x, z], 1))
nd("gather", lambda b: b.add_gather("l", ["x", "i"], "y", axis=1), {"x": x, "i": np.float32([2, 0])}, lambda x, i: x[:, [2, 0]])
nd("gather_nd", lambda b: b.add_gather_nd("l", ["x", "i"], "y"), {"x": x, "i": np.float32([[0, 2], [1, 1]])}, lambda x, i: x[[0, 1], [2, 1]])
nd("gather_along_axis", lambda b: b.add_gather_along_axis("l", ["x", "i"], "y", axis=1), {"x": x, "i": np.float32([[2], [0]])},
   lambda x, i: np.take_along_axis(x, i.astype(int), 1))
nd("scatter", lambda b: b.add_scatter("l", ["x", "i", "u"], "y", axis=1, mode="SUB"), {"x": x, "i": np.float32([2, 0]), "u": rnd(2, 2)},
   lambda x, i, u: x - np.stack([u[:, 1], 0 * u[:, 0], u[:, 0]], 1))
nd("softmax_nd", lambda b: b.add_softmax_nd("l", "x", "y", axis=0), {"x": x}, lambda x: F.softmax(T(x), 0))
nd("reverse", lambda b: b.add_reverse("l", "x", "y", reverse_dim=[False, True]), {"x": x}, lambda x: x[:, ::-1])
nd("split_nd", lambda b: b.add_split_nd("l", "x", ["y", "y1"], axis=1, split_sizes=[1, 2]), {"x": x}, lambda x: [x[:, :1], x[:, 1:]], n_out=2)
nd("concat_nd", lambda b: b.add_concat_nd("l", ["x", "z"], "y", axis=1, interleave=True), {"x": x, "z": z}, lambda x, z: np.stack([x, z], 2).reshape(2, 6))
nd("transpose", lambda b: b.add_transpose("l", (2, 0, 1), "x", "y"), {"x": img}, lambda x: x.transpose(2, 0, 1))
nd("slice_static", lambda b: b.add_slice_static("l", "x", "y", begin_ids=[0, 1, 5], end_ids=[2, 0, -5], strides=[1, 2, -2],
                                               begin_masks=[True, False, False], end_masks=[False, True, False]), {"x": img}, lambda x: x[:2, 1::2, 5:-5:-2])
nd("slice_squeeze", lambda b: b.add_slice_static("l", "x", "y", begin_ids=[-1, 1, 0], end_ids=[0, 3, 2], strides=[1, 1, 1], begin_masks=[False] * 3,
                                                end_masks=[False] * 3, squeeze_masks=[True, False, False]), {"x": img}, lambda x: x[-1, 1:3, 0:2])
nd("slice_dynamic", lambda b: b.add_slice_dynamic("l", ["x", "i"], "y", end_ids=[2, 4, 5], strides=[1, 1, 1], begin_masks=[False] * 3, end_masks=[False] * 3),
   {"x": img, "i": np.float32([0, 1, 2])}, lambda x, i: x[:2, 1:4, 2:5])
nd("slice_dynamic_strides", lambda b: b.add_slice_dynamic("l", ["x", "i", "e", "s"], "y", begin_masks=[True, False, False], end_masks=[False, True, False],
                                                          squeeze_masks=[False] * 3),
   {"x": img, "i": np.float32([1, 3, 5]), "e": np.float32([2, 0, -5]), "s": np.float32([1, -2, -2])}, lambda x, i, e, s: x[:2, 3::-2, 5:-5:-2])
nd("slice_dynamic_masks", lambda b: b.add_slice_dynamic("l", ["x", "i", "e", "s", "bm", "em"], "y", squeeze_masks=[True, False, False]),
   {"x": img, "i": np.float32([-1, 3, 5]), "e": np.float32([2, 4, 3]), "s": np.float32([1, 2, 1]), "bm": np.float32([0, 1, 1]), "em": np.float32([0, 1, 0])},
   lambda x, i, e, s, bm, em: x[-1, ::2, :3])
nd("sliding_windows", lambda b: b.add_sliding_windows("l", "x", "y", axis=1, window_size=3, step=2), {"x": rnd(2, 7)},
   lambda x: np.stack([x[:, i:i + 3] for i in (0, 2, 4)], 1))
nd("topk", lambda b: b.add_topk("l", ["x"], ["y", "y1"], k=2, axis=1), {"x": rnd(2, 5)}, lambda x: [-np.sort(-x, 1)[:, :2], np.argsort(-x, 1)[:, :2]], n_out=2)
nd("argmax", lambda b: b.add_argmax("l", "x", "y", axis=1, keepdims=False), {"x": x}, lambda x: np.argmax(x, 1))
nd("argmin", lambda b: b.add_argmin("l", "x", "y", axis=0, keepdims=True), {"x": x}, lambda x: np.argmin(x, 0, keepdims=True))
nd("argsort", lambda b: b.add_argsort("l", "x", "y", axis=1, descending=True), {"x": x}, lambda x: np.argsort(-x, 1))
nd("batched_matmul", lambda b: b.add_batched_mat_mul("l", ["x", "z"], "y", transpose_b=True), {"x": rnd(2, 3, 4), "z": rnd(2, 5, 4)},
   lambda x, z: x @ z.transpose(0, 2, 1))
nd("batched_matmul_weights", lambda b: b.add_batched_mat_mul("l", ["x"], "y", weight_matrix_rows=3, weight_matrix_columns=4, W=rnd(3, 4), bias=rnd(4)),
   {"x": x}, lambda x: x @ rnd(3, 4) + rnd(4))
nd("get_shape", lambda b: b.add_get_shape("l", "x", "y"), {"x": img}, lambda x: np.float32(x.shape))
nd("load_constant_nd", lambda b: (b.add_load_constant_nd("c", "c", rnd(3), (3,)), b.add_add_broadcastable("l", ["x", "c"], "y")), {"x": x}, lambda x: x + rnd(3))
nd("fill_like", lambda b: b.add_fill_like("l", "x", "y", value=2.0), {"x": x}, lambda x: np.full_like(x, 2))
nd("fill_dynamic", lambda b: b.add_fill_dynamic("l", "x", "y", value=2.0), {"x": np.float32([2, 3])}, lambda x: np.full((2, 3), 2, np.float32))
nd("broadcast_static", lambda b: b.add_broadcast_to_static("l", "x", "y", output_shape=[4, 2, 3]), {"x": x}, lambda x: np.broadcast_to(x, (4, 2, 3)))
nd("broadcast_like", lambda b: b.add_broadcast_to_like("l", ["x", "z"], "y"), {"x": x[:1], "z": z}, lambda x, z: np.broadcast_to(x, (2, 3)))
nd("squeeze", lambda b: b.add_squeeze("l", "x", "y", axes=[0]), {"x": rnd(1, 3, 2)}, lambda x: x[0])
nd("expand_dims", lambda b: b.add_expand_dims("l", "x", "y", axes=[0, -1]), {"x": x}, lambda x: x[None, ..., None])
nd("flatten_to_2d", lambda b: b.add_flatten_to_2d("l", "x", "y", axis=-1), {"x": img}, lambda x: x.reshape(10, 6))
nd("reshape_like", lambda b: b.add_reshape_like("l", ["x", "z"], "y"), {"x": rnd(6), "z": z}, lambda x, z: x.reshape(2, 3))
nd("reshape_static", lambda b: b.add_reshape_static("l", "x", "y", output_shape=(3, -1)), {"x": img}, lambda x: x.reshape(3, 20))
nd("reshape_dynamic", lambda b: b.add_reshape_dynamic("l", ["x", "i"], "y"), {"x": img, "i": np.float32([4, 15])}, lambda x, i: x.reshape(4, 15))
nd("rank_preserving_reshape", lambda b: b.add_rank_preserving_reshape("l", "x", "y", output_shape=(5, 0, -1)), {"x": rnd(5, 3, 4)}, lambda x: x)
nd("constant_pad", lambda b: b.add_constant_pad("l", ["x"], "y", value=.5, pad_to_given_output_size_mode=False, pad_amounts=[0, 1, 2, 0]), {"x": x},
   lambda x: np.pad(x, [(0, 1), (2, 0)], constant_values=.5))
nd("constant_pad_size", lambda b: b.add_constant_pad("l", ["x"], "y", value=.5, pad_to_given_output_size_mode=True, pad_amounts=[0, 4, 5, 0]), {"x": x},
   lambda x: np.pad(x, [(0, 2), (2, 0)], constant_values=.5))
nd("constant_pad_computed", lambda b: b.add_constant_pad("l", ["x", "a"], "y", value=.5, pad_to_given_output_size_mode=False),
   {"x": x, "a": np.float32([0, 1, 2, 0])}, lambda x, a: np.pad(x, [(0, 1), (2, 0)], constant_values=.5))
nd("constant_pad_computed_size", lambda b: b.add_constant_pad("l", ["x", "a"], "y", value=.5, pad_to_given_output_size_mode=True),
   {"x": x, "a": np.float32([0, 4, 5, 0])}, lambda x, a: np.pad(x, [(0, 2), (2, 0)], constant_values=.5))
for op, ref in [("sum", np.sum), ("mean", np.mean), ("prod", np.prod), ("max", np.max), ("min", np.min), ("l1", lambda a, **k: np.sum(abs(a), **k)),
                ("l2", lambda a, **k: np.sqrt(np.sum(a * a, **k))), ("sumsquare", lambda a, **k: np.sum(a * a, **k)),
                ("logsum", lambda a, **k: np.log(np.sum(a, **k))), ("logsumexp", lambda a, **k: np.log(np.sum(np.exp(a), **k)))]:
    nd("reduce_any_" + op, lambda b, op=op: getattr(b, "add_reduce_" + op)("l", "x", "y", axes=[0, -1], keepdims=True), {"x": np.abs(img) + np.float32(.1)},
       lambda x, ref=ref: ref(x, axis=(0, 2), keepdims=True))
nd("where_nonzero", lambda b: b.add_where_nonzero("l", "x", "y"), {"x": np.float32([[0, 1], [2, 0]])}, lambda x: np.argwhere(x))
nd("band_part", lambda b: b.add_matrix_band_part("l", "x", "y", num_lower=1, num_upper=0), {"x": rnd(4, 4)}, lambda x: np.tril(x) - np.tril(x, -2))
nd("lower_triangular", lambda b: b.add_lower_triangular("l", "x", "y", k=-1), {"x": rnd(4, 4)}, lambda x: np.tril(x, -1))
nd("upper_triangular", lambda b: b.add_upper_triangular("l", "x", "y", k=1), {"x": rnd(4, 4)}, lambda x: np.triu(x, 1))
nd("layer_normalization", lambda b: b.add_layer_normalization("l", "x", "y", (6,), rnd(6), rnd(6, seed=1), eps=1e-3), {"x": img},
   lambda x: F.layer_norm(T(x), [6], T(rnd(6)), T(rnd(6, seed=1)), 1e-3))
nd("nms", lambda b: b.add_nms("l", ["boxes", "scores"], ["y", "y1", "y2", "y3"], iou_threshold=.5, score_threshold=.2, max_boxes=4),
   {"boxes": g.boxes, "scores": g.scores},
   lambda boxes, scores: [np.concatenate([boxes[:, [0, 2]], np.zeros((1, 2, 4), np.float32)], 1),
                          np.concatenate([scores[:, [0, 2]], np.zeros((1, 2, 2), np.float32)], 1), np.float32([[0, 2, -1, -1]]), np.float32([2])], n_out=4)
nd("one_hot", lambda b: b.add_one_hot("l", ["x"], "y", one_hot_vector_size=4, axis=-1, on_value=2., off_value=-1.), {"x": np.float32([1, 3, 0])},
   lambda x: np.where(np.arange(4) == x[:, None], 2, -1).astype(np.float32))
nd("cumsum", lambda b: b.add_cumsum("l", ["x"], "y", axis=1, reverse=False, exclusive=True), {"x": x}, lambda x: np.cumsum(x, 1) - x)
nd("range_static", lambda b: (b.add_range_static("r", "r", None, 3, 0, 1), b.add_add_broadcastable("l", ["x", "r"], "y")), {"x": x}, lambda x: x + np.arange(3))
nd("conv3d", lambda b: b.add_convolution3d("l", 2, 3, 2, 2, 2, rnd(3, 2, 2, 2, 2), rnd(3), True, input_name="x", output_name="y", stride_depth=1, stride_height=1,
                                          stride_width=1, padding_mode="valid"), {"x": rnd(1, 2, 3, 3, 3)},
   lambda x: F.conv3d(T(x), T(rnd(3, 2, 2, 2, 2)), T(rnd(3))))
nd("pool3d", lambda b: b.add_pooling3d("l", "x", "y", "MAX", 2, 2, 2, 1, 1, 1, padding_mode="valid"), {"x": rnd(1, 2, 3, 3, 3)}, lambda x: F.max_pool3d(T(x), 2, 1))
nd("global_pool3d", lambda b: b.add_global_pooling3d("l", "x", "y", "AVERAGE"), {"x": rnd(1, 2, 3, 3, 3)}, lambda x: x.mean((2, 3, 4), keepdims=True))
big = rnd(8, 6)


# networks within networks
def within(network):
    return NeuralNetworkBuilder(nn_spec=network)


def line(b, x, y, scale=1.0, more=0.0):
    """y = scale * x + more"""
    b.add_activation(f"{x}-{y}", "LINEAR", x, y, [scale, more])


def put(b, x, y):
    b.add_copy(f"{x}>{y}", x, y)


def total(b, x, y):
    b.add_reduce_sum(f"sum {x}", x, y, axes=[], keepdims=False, reduce_all=True)


def branch_both(b):
    total(b, "x", "s")
    b.add_greater_than("positive", ["s"], "c", alpha=0.0)
    layer = b.add_branch("l", "c")
    yes, no = within(layer.branch.ifBranch), within(layer.branch.elseBranch)
    line(yes, "x", "y", 2, 1)
    no.add_multiply_broadcastable("square", ["x", "x"], "y")


def branch_one(b):
    put(b, "x", "y")
    layer = b.add_branch("l", "c")
    yes = within(layer.branch.ifBranch)
    line(yes, "x", "t", 1, 5)
    put(yes, "t", "y")


for name, sign in [("branch", 1), ("branch_else", -1)]:
    nd(name, branch_both, {"x": sign * pos}, lambda x: 2 * x + 1 if x.sum() > 0 else x * x)
for name, c in [("branch_one", 1), ("branch_none", 0)]:
    nd(name, branch_one, {"x": x, "c": np.float32([c])}, lambda x, c: x + 5 * c)


def loop_for(b, most=3, **kw):
    put(b, "x", "y")
    layer = b.add_loop("l", max_iterations=most, **kw)
    turn = within(layer.loop.bodyNetwork)
    line(turn, "y", "t", 2, 1)
    put(turn, "t", "y")
    return layer


def loop_while(b, most=0):
    layer = loop_for(b, most, condition="c")
    test = within(layer.loop.conditionNetwork)
    total(test, "y", "s")
    test.add_less_than("small", ["s"], "c", alpha=100.0)


def doubled(a, turns, least=None):
    while turns and (least is None or a.sum() < least):
        a, turns = 2 * a + 1, turns - 1
    return a


nd("loop_for", loop_for, {"x": x}, lambda x: doubled(x, 3))
nd("loop_input", lambda b: loop_for(b, 0, input_name="n"), {"x": x, "n": np.float32([4])}, lambda x, n: doubled(x, 4))
nd("loop_while", loop_while, {"x": pos}, lambda x: doubled(x, 99, 100))
nd("loop_joint", lambda b: loop_while(b, 2), {"x": pos}, lambda x: doubled(x, 2, 100))


def loop_stops(b, how):
    """Adds 1, 2, 3, ... and leaves the turn, or the loop, at 3."""
    line(b, "x", "i", 0, 0)
    put(b, "x", "y")
    layer = b.add_loop("l", max_iterations=6)
    turn = within(layer.loop.bodyNetwork)
    line(turn, "i", "next", 1, 1)
    put(turn, "next", "i")
    turn.add_equal("three", ["i"], "c", alpha=3.0)
    turn.add_reduce_max("any", "c", "any", axes=[], keepdims=False, reduce_all=True)
    yes = within(turn.add_branch("b", "any").branch.ifBranch)
    getattr(yes, how)("stop")
    turn.add_add_broadcastable("add", ["y", "i"], "t")
    put(turn, "t", "y")


nd("loop_break", lambda b: loop_stops(b, "add_loop_break"), {"x": x}, lambda x: x + 1 + 2)
nd("loop_continue", lambda b: loop_stops(b, "add_loop_continue"), {"x": x}, lambda x: x + 1 + 2 + 4 + 5 + 6)


def loop_grows(b):
    put(b, "x", "y")
    turn = within(b.add_loop("l", max_iterations=2).loop.bodyNetwork)
    turn.add_concat_nd("more", ["y", "x"], "t", axis=0)
    put(turn, "t", "y")


def loop_within(b):
    put(b, "x", "y")
    turn = within(b.add_loop("l", max_iterations=2).loop.bodyNetwork)
    inner = within(turn.add_loop("m", max_iterations=3).loop.bodyNetwork)
    line(inner, "y", "t", 1, 1)
    put(inner, "t", "y")
    line(turn, "y", "u", 2, 0)
    put(turn, "u", "y")


def loop_leaves(b):
    """What a turn is the first to write is read afterwards."""
    turn = within(b.add_loop("l", max_iterations=2).loop.bodyNetwork)
    line(turn, "x", "t", 3, 0)
    line(b, "t", "y", 1, 1)


nd("loop_grows", loop_grows, {"x": x}, lambda x: np.concatenate([x] * 3))
nd("loop_within", loop_within, {"x": x}, lambda x: ((x + 3) * 2 + 3) * 2)
nd("loop_leaves", loop_leaves, {"x": x}, lambda x: 3 * x + 1)


def quantised(spec, bits, mode):
    model = ct.models.MLModel(spec, skip_model_load=True)
    return quantization_utils.quantize_weights(model, bits, mode)


for bits, mode in [(8, "linear"), (4, "linear"), (3, "linear"), (8, "linear_lut"), (2, "linear_lut"), (16, "linear")]:
    old(f"weights_{mode}{bits}", lambda b: b.add_inner_product("l", big, rnd(8), 6, 8, True, "x", "y"), {"x": rnd(6)}, None,
        finish=lambda spec, bits=bits, mode=mode: quantised(spec, bits, mode))


def dequantised(spec):
    """W and b of the first layer, by the definition in NeuralNetwork.proto."""
    p = spec.neuralNetwork.layers[0].innerProduct

    def values(q, n, rows):
        if len(q.floatValue):
            return np.array(q.floatValue, np.float32)
        if len(q.float16Value):
            return np.frombuffer(q.float16Value, np.float16).astype(np.float32)
        bits = q.quantization.numberOfBits
        raw = np.unpackbits(np.frombuffer(q.rawValue, np.uint8))[:n * bits].reshape(n, bits)
        codes = raw @ (1 << np.arange(bits)[::-1])
        if q.quantization.WhichOneof("QuantizationType") == "lookupTableQuantization":
            return np.array(q.quantization.lookupTableQuantization.floatValue, np.float32)[codes]
        lin = q.quantization.linearQuantization
        return (codes.reshape(rows, -1) * np.float32(lin.scale)[:, None] + np.float32(lin.bias)[:, None]).ravel()

    return values(p.weights, 48, 8).reshape(8, 6), values(p.bias, 8, 1)


def write(archive, name):
    add, inputs, expect, out, five, n_out, finish = CASES[name]
    ins = [(n, datatypes.Array(*v.shape)) for n, v in inputs.items()]
    outs = [("y" if i == 0 else f"y{i}", None) for i in range(n_out)]
    builder = NeuralNetworkBuilder(ins, outs, disable_rank5_shape_mapping=not five)
    add(builder)
    spec = builder.spec
    # Outputs of no declared shape: what comes out is what the layers say.
    for o in spec.description.output:
        o.type.multiArrayType.ClearField("shape")
        o.type.multiArrayType.dataType = ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    for i in spec.description.input:
        i.type.multiArrayType.dataType = ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    if finish:
        model = finish(spec)
        spec = model if not hasattr(model, "get_spec") else model.get_spec()
    spec.description.metadata.Clear()
    if expect is None:
        ww, bb = dequantised(spec)
        want = [ww @ inputs["x"] + bb]
    else:
        want = expect(**inputs)
    want = list(want) if isinstance(want, (list, tuple)) else [want]
    want = [a.detach().numpy() if isinstance(a, torch.Tensor) else np.asarray(a) for a in want]
    g.add(archive, f"{name}/model", np.frombuffer(spec.SerializeToString(deterministic=True), np.uint8))
    for n, a in inputs.items():
        g.add(archive, f"{name}/in/{n}", a)
    if five:  # of five axes only the channels are left where the others are one
        want = [a.ravel() if a.shape[-2:] == (1, 1) and max(a.shape[:-3], default=1) == 1 else a for a in want]
    for (n, _), a in zip(outs, want):
        g.add(archive, f"{name}/out/{n}", np.array(a, np.float32, order="C"))


def main():
    only = sys.argv[1:]
    failed = []
    path = os.path.join(g.OUT, "networks.npz")
    with zipfile.ZipFile(path if not only else "/dev/null", "w", zipfile.ZIP_STORED) as archive:
        for name in CASES:
            if only and name not in only:
                continue
            try:
                write(archive, name)
            except Exception as e:  # noqa: all of them are shown
                failed.append(f"{name}: {type(e).__name__}: {str(e)[:300]}")
    print(len(CASES) - len(failed), "cases;", os.path.getsize(path), "bytes; coremltools", ct.__version__)
    for line in failed:
        print(line)


if __name__ == "__main__":
    main()
