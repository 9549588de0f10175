"""The cases of golden_executorch.py that need XNNPACK, quantised and custom operators."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def add(case, rnd, ints, fresh, main):
    xnnpack(case, rnd, ints, fresh, main)
    custom(case, rnd, ints, fresh, main)


class Conv(nn.Module):
    def __init__(self, layer, after=None):
        super().__init__()
        self.layer, self.after = layer, after or nn.Identity()

    def forward(self, x):
        return self.after(self.layer(x))


def xnnpack(case, rnd, ints, fresh, main):
    image, x, p8 = rnd(1, 4, 8, 9), rnd(2, 8), rnd(2, 8, seed=3)

    def xnn(name, module, *calls, **options):
        case("xnnpack", name, module, *calls, xnnpack=True, **options)

    for name, f in (("add", lambda a, b: a + b), ("sub_relu", lambda a, b: F.relu(a - b)), ("mul", lambda a, b: a * b),
                    ("div", lambda a, b: a / (b * b + 1)), ("maximum", torch.maximum), ("minimum", torch.minimum)):
        xnn(name, f, (x, p8))
    for name, f in (("sigmoid", torch.sigmoid), ("floor", torch.floor), ("ceil", torch.ceil), ("neg", torch.neg), ("square", lambda a: a.pow(2)),
                    ("sqrt", lambda a: torch.sqrt(a.abs())), ("rsqrt", lambda a: torch.rsqrt(a.abs() + 1)), ("hardswish", F.hardswish),
                    ("leaky_relu", lambda a: F.leaky_relu(a, 0.3)), ("elu", lambda a: F.elu(a, 1.2)), ("exp", torch.exp),
                    ("log", lambda a: torch.log(a.abs() + 1)), ("gelu", F.gelu), ("tanh", torch.tanh), ("sin", torch.sin), ("cos", torch.cos),
                    ("softmax", lambda a: torch.softmax(a, -1)), ("clamp", lambda a: torch.clamp(a, -1, 0.5)), ("hardtanh", F.hardtanh),
                    ("slice", lambda a: a[:, 2:6] + 1), ("cat", lambda a: torch.cat([a, a + 1, a * 2, -a, a, a.abs()], 1)),
                    ("view", lambda a: (a + 1).view(4, 4) * 2), ("permute", lambda a: (a * 2).permute(1, 0) + 1), ("pad", lambda a: F.pad(a, (1, 2), value=0.5))):
        xnn(name, f, x)
    for name, layer in (("conv", nn.Conv2d(4, 6, 3, 2, 1)), ("conv_relu", None), ("conv_depthwise", nn.Conv2d(4, 8, 3, 1, 1, groups=4)),
                        ("conv_grouped", nn.Conv2d(4, 6, 3, groups=2)), ("conv_transpose", nn.ConvTranspose2d(4, 3, 3, 2, 1, 1)),
                        ("conv_transpose_grouped", nn.ConvTranspose2d(4, 6, 3, 2, groups=2)), ("max_pool", nn.MaxPool2d(3, 2, 1)),
                        ("max_pool_ceil", nn.MaxPool2d(2, 2, ceil_mode=True)), ("avg_pool", nn.AvgPool2d(2, 2)), ("global_avg", nn.AdaptiveAvgPool2d(1)),
                        ("prelu", nn.PReLU(4, 0.2)), ("bilinear", nn.Upsample(size=(11, 12), mode="bilinear")),
                        ("bilinear_corners", nn.Upsample(size=(11, 12), mode="bilinear", align_corners=True)), ("batch_norm", nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)))):
        torch.manual_seed(2)
        xnn(name, nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU6()) if layer is None else layer, image)
    xnn("conv1d", fresh(nn.Conv1d, 4, 6, 3, padding=1), rnd(1, 4, 9))
    xnn("max_dim", lambda a: torch.max(a + 0.0, 3, keepdim=True), image)
    xnn("bmm", torch.bmm, (rnd(2, 3, 4), rnd(2, 4, 5)))
    xnn("linear", fresh(nn.Linear, 8, 5), x)
    xnn("linear_no_bias", fresh(nn.Linear, 8, 5, bias=False), rnd(2, 3, 8))
    xnn("addmm", lambda b, a, w: torch.addmm(b, a, w), (rnd(5), x, rnd(8, 5)))
    xnn("mlp", fresh(main.Mlp), x)
    xnn("mlp_inline", fresh(main.Mlp), x, segments=False)
    xnn("cnn", fresh(main.Cnn), rnd(1, 3, 16, 16))
    xnn("mlp_shapes", fresh(main.Mlp), x, rnd(5, 8), shapes=({0: torch.export.Dim("n", min=1, max=7)},))
    xnn("channels_last", nn.Sequential(fresh(nn.Conv2d, 4, 6, 3)), image.to(memory_format=torch.channels_last))
    xnn("cache", fresh(main.Cache), *main.steps(4, 8))
    xnn("llama", fresh(main.Llama), *main.steps(6))
    for kind in ("static", "static_tensor"):
        xnn(f"mlp_{kind}", fresh(main.Mlp), x, p8, quantise=kind)
        xnn(f"cnn_{kind}", fresh(main.Cnn), rnd(1, 3, 16, 16), quantise=kind)
    xnn("mlp_dynamic", fresh(main.Mlp, 32), rnd(2, 32), rnd(2, 32, seed=3), quantise="dynamic")
    xnn("mlp_dynamic_tensor", fresh(main.Mlp, 32), rnd(2, 32), quantise="dynamic_tensor")
    for group in (0, 32):
        xnn(f"four_bits_{group}", four_bits(fresh(nn.Linear, 64, 12), group), rnd(3, 64), quantise_by="torchao", quantise=None)


def four_bits(layer, group):
    """8-bit activations by rows, 4-bit weights by channels or groups."""
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, PerAxis, PerGroup, quantize_
    from torchao.utils import unwrap_tensor_subclass
    model = nn.Sequential(layer)
    quantize_(model, Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=PerGroup(group) if group else PerAxis(0)))
    return unwrap_tensor_subclass(model)


class Sdpa(nn.Module):
    def __init__(self, f, heads=2, most=8, dim=4):
        super().__init__()
        self.f = f
        self.register_buffer("keys", torch.zeros(1, most, heads, dim))
        self.register_buffer("values", torch.zeros(1, most, heads, dim))

    def forward(self, q, k, v, at):
        p = at.item()
        torch._check_is_size(p)
        torch._check(p + q.shape[1] <= self.keys.shape[1])
        return self.f(self, q, k, v, p)


def custom(case, rnd, ints, fresh, main):
    import executorch.extension.llm.custom_ops.custom_ops  # noqa: F401
    L, Q = torch.ops.llama, torch.ops.quantized_decomposed

    def one(name, f, *inputs, **options):
        case("custom", name, f, tuple(inputs), **options)

    x = rnd(2, 3, 8)
    one("quantize_per_tensor", lambda a: Q.quantize_per_tensor(a, 0.0213, 3, -128, 127, torch.int8), x)
    one("quantize_per_tensor_narrow", lambda a: Q.quantize_per_tensor(a, 0.0117, 100, 10, 200, torch.uint8), x)
    one("quantize_per_tensor_i32", lambda a: Q.quantize_per_tensor(a, 0.00113, 0, -2147483648, 2147483647, torch.int32), x)
    one("dequantize_per_tensor", lambda a: Q.dequantize_per_tensor(a, 0.0213, 3, -128, 127, torch.int8), ints(2, 3, low=-128, high=128, dtype=torch.int8))
    one("quantize_tensors", lambda a, s, z: Q.quantize_per_tensor.tensor(a, s, z, -128, 127, torch.int8), x, torch.tensor([0.0213], dtype=torch.float64), torch.tensor([3]))
    one("quantize_per_channel", lambda a, s, z: Q.quantize_per_channel(a, s, z, 1, -128, 127, torch.int8), x, torch.tensor([0.0213, 0.0307, 0.0513]).double(), torch.tensor([0, 4, -7]))
    one("dequantize_per_channel", lambda a, s, z: Q.dequantize_per_channel(a, s, z, 0, -128, 127, torch.int8), ints(3, 4, low=-128, high=128, dtype=torch.int8),
        torch.tensor([0.0213, 0.0307, 0.0513]), torch.tensor([0, 4, -7]))
    one("choose_qparams", lambda a: Q.choose_qparams.tensor(a, -128, 127, 1e-6, torch.int8), x)
    one("per_token", lambda a: (lambda s: Q.dequantize_per_token(Q.quantize_per_token(a, s[0], s[1], -128, 127, torch.int8), s[0], s[1], -128, 127, torch.int8, torch.float32))(
        Q.choose_qparams_per_token_asymmetric(a, torch.int8)), x)
    one("embedding_byte", lambda w, s, i: Q.embedding_byte(w, s, None, -128, 127, i), ints(5, 8, low=-128, high=128, dtype=torch.int8), rnd(5, low=0.01, high=0.1), ints(2, 3, low=0, high=5))
    one("embedding_byte_groups", lambda w, s, z, i: Q.embedding_byte(w, s, z, -128, 127, i), ints(5, 8, low=-128, high=128, dtype=torch.int8), rnd(5, 2, low=0.01, high=0.1),
        ints(5, 2, low=-3, high=4).float(), ints(2, 3, low=0, high=5))
    one("embedding_4bit", lambda w, s, i: Q.embedding_4bit(w, s, None, -8, 7, i), ints(5, 4, low=0, high=256, dtype=torch.uint8), rnd(5, 2, low=0.01, high=0.1), ints(2, 3, low=0, high=5))
    one("embedding_2bit", lambda w, s, i: Q.embedding_2bit(w, s, None, -2, 1, i), ints(5, 4, low=0, high=256, dtype=torch.uint8), rnd(5, low=0.01, high=0.1), ints(2, 3, low=0, high=5))
    calls = [(rnd(1, 1, 4, 4, seed=i), rnd(1, 1, 2, 4, seed=i + 9), rnd(1, 1, 2, 4, seed=i + 20), torch.tensor(i)) for i in range(3)]
    prompt = [(rnd(1, 3, 4, 4), rnd(1, 3, 2, 4, seed=3), rnd(1, 3, 2, 4, seed=6), torch.tensor(0)),
              (rnd(1, 3, 4, 4, seed=8), rnd(1, 3, 2, 4, seed=9), rnd(1, 3, 2, 4, seed=2), torch.tensor(3))]

    def step(m, q, k, v, p):
        L.update_cache(k, m.keys, p)
        L.update_cache(v, m.values, p)
        return L.custom_sdpa(q, m.keys, m.values, p, None, 0.0, True)

    case("custom", "sdpa", Sdpa(step), *calls)
    case("custom", "sdpa_prompt", Sdpa(step), *prompt)
    case("custom", "sdpa_with_kv_cache", Sdpa(lambda m, q, k, v, p: L.sdpa_with_kv_cache(q, k, v, m.keys, m.values, p, q.shape[1], None, 0, True)), *calls)

    def masked(m, q, k, v, p):
        L.update_cache(k, m.keys, p)
        L.update_cache(v, m.values, p)
        return L.custom_sdpa(q, m.keys, m.values, p, torch.zeros(q.shape[1], 8) - 0.25 * torch.arange(8), 0.0, False, 0.4)

    case("custom", "sdpa_masked", Sdpa(masked), *calls)

    def indexed(m, q, k, v, p):
        at = torch.tensor([[2]])
        L.update_cache_with_indices(k, m.keys, p, at)
        return m.keys + 0

    case("custom", "update_cache_with_indices", Sdpa(indexed), *calls[:1])
    case("custom", "llama", fresh(main.Llama, custom=True), *main.steps(5))
    for name, scalar in (("gated_delta_rule", False), ("gated_delta_rule_scalar", True)):
        decay = rnd(1, 2, 5, low=0.3, high=0.99) if scalar else rnd(1, 2, 5, 4, low=0.3, high=0.99)
        one(name, lambda *a: L.gated_delta_rule(*a), rnd(1, 4, 5, 4), rnd(1, 2, 5, 4, seed=2), rnd(1, 2, 5, 3, seed=3), decay,
            rnd(1, 2, 5, low=0.1, high=0.9), rnd(1, 2, 4, 3, seed=5))
    one("channelwise_gated_delta_rule", lambda *a: L.channelwise_gated_delta_rule(*a), rnd(1, 4, 5, 4), rnd(1, 2, 5, 4, seed=2),
        rnd(1, 2, 5, 3, seed=3), rnd(1, 2, 5, 4, low=0.3, high=0.99), rnd(1, 2, 5, low=0.1, high=0.9), rnd(1, 2, 4, 3, seed=5))
    one("hadamard", lambda a: L.fast_hadamard_transform(a), rnd(3, 16))
