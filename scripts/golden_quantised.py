#!/usr/bin/env python3
"""Writes tests/golden/formats/quantised: one tiny llama, quantised as MLX and Hugging Face
checkpoints are, and the logits that transformers gives for the weights it then has.

Needs torch, transformers, safetensors, mlx (its own quantize and dequantize), compressed-tensors
(its packing) and bitsandbytes (its quantize_4bit).  GPTQ, AWQ, FP8 and ModelOpt are packed here, by
the layouts that the readers' sources name.  Run from the repository root.
"""
import json
import pathlib
import shutil

import mlx.core as mx
import numpy as np
import torch
import transformers
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/formats/quantised"
PROMPT = [30, 32, 48, 60, 2, 9, 52, 60, 15, 19, 55, 27, 17, 52, 16, 26, 41, 35, 5, 1, 55, 48, 53, 34]

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()


def make_model():
    config = transformers.LlamaConfig(
        hidden_size=64, intermediate_size=192, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=64, max_position_embeddings=256, head_dim=16,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=None, pad_token_id=None)
    model = transformers.LlamaForCausalLM(config).eval()
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=random)
            value = 1 + 0.2 * noise if "norm" in name else noise * (0.7 if "embed" in name else 1.3 / p.shape[-1] ** 0.5)
            p.copy_(value.to(torch.float16).to(torch.float32))
    return model


MODEL = make_model()
STATE = {k: v.detach().clone() for k, v in MODEL.state_dict().items()}
LINEAR = [n.removesuffix(".weight") for n in STATE if n.endswith("_proj.weight")]


def write(name, tensors, plain, scheme, npz=False):
    """tensors: what the file holds; plain: the weights it stands for (others as they are)."""
    folder = OUT / name
    folder.mkdir(parents=True)
    config = json.loads(MODEL.config.to_json_string())
    config.update({"architectures": ["LlamaForCausalLM"], **scheme})
    (folder / "config.json").write_text(json.dumps(config) + "\n")
    held = {k: v.to(torch.float16).contiguous() for k, v in STATE.items()}
    for module in plain:
        held.pop(module + ".weight", None)
    held.update({k: v.contiguous() for k, v in tensors.items()})
    if npz:
        np.savez(folder / "weights.npz", **{k: v.numpy() for k, v in held.items()})
    else:
        save_file(held, folder / "model.safetensors")
    state = dict(STATE)
    state.update({k + ".weight": v.to(torch.float32) for k, v in plain.items()})
    MODEL.load_state_dict(state)
    with torch.no_grad():
        logits = MODEL(torch.tensor([PROMPT])).logits[0]
    (folder / "logits.f32").write_bytes(logits.numpy().astype("<f4").tobytes())


def to_torch(array):
    if array.dtype == mx.bfloat16:
        return torch.from_numpy(np.array(array.astype(mx.float32))).to(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def write_mlx(name, bits, group, mode="affine", dtype=mx.float16, overrides=None, npz=False):
    scheme = {"group_size": group, "bits": bits}
    if mode != "affine":
        scheme["mode"] = mode
    tensors, plain = {}, {}
    for module in LINEAR + ["lm_head", "model.embed_tokens"]:
        own = dict(group_size=group, bits=bits, mode=mode)
        changed = (overrides or {}).get(module.split(".")[-1], {})
        if changed is False:
            scheme[module] = False
            continue
        if changed:
            scheme[module] = changed
            own.update(changed)
        weight = mx.array(STATE[module + ".weight"].numpy()).astype(dtype)
        parts = mx.quantize(weight, **own)
        for part, suffix in zip(parts, ("weight", "scales", "biases")):
            tensors[f"{module}.{suffix}"] = to_torch(part)
        plain[module] = to_torch(mx.dequantize(*parts, dtype=mx.float32, **own) if mode != "affine"
                                 else mx.dequantize(parts[0], parts[1].astype(mx.float32),
                                                    parts[2].astype(mx.float32), **own))
    write(name, tensors, plain, {"quantization": scheme, "quantization_config": scheme}, npz)


def fit(weight, group, bits, symmetric):
    """Codes of [N, K] in groups along K, scales and zeros [N, K / group]."""
    n, k = weight.shape
    w = weight.reshape(n, k // group, group)
    top = 2**bits - 1
    if symmetric:
        scale = (w.abs().amax(-1) / (2 ** (bits - 1) - 1)).to(torch.float16).to(torch.float32)
        zero = torch.full_like(scale, 2 ** (bits - 1))
    else:
        low, high = w.amin(-1).clamp(max=0), w.amax(-1).clamp(min=0)
        scale = ((high - low) / top).to(torch.float16).to(torch.float32)
        zero = torch.round(-low / scale).clamp(0, top)
    codes = torch.round(w / scale[..., None] + zero[..., None]).clamp(0, top)
    plain = (codes - zero[..., None]) * scale[..., None]
    return codes.reshape(n, k).to(torch.int64), scale, zero.to(torch.int64), plain.reshape(n, k)


def pack_words(values, bits, order=None):
    """The last dimension in words of 32 bits, the low ones first."""
    per = 32 // bits
    order = order or list(range(per))
    v = values.reshape(*values.shape[:-1], -1, per)
    word = torch.zeros(v.shape[:-1], dtype=torch.int64)
    for j in range(per):
        word |= v[..., j] << (bits * order[j])
    return torch.where(word >= 2**31, word - 2**32, word).to(torch.int32)


def write_gptq(name, bits, symmetric, act_order=False, version=1):
    tensors, plain = {}, {}
    for i, module in enumerate(LINEAR):
        weight = STATE[module + ".weight"]
        order = torch.arange(weight.shape[1])
        if act_order:
            order = torch.randperm(weight.shape[1], generator=torch.Generator().manual_seed(i))
        codes, scale, zero, values = fit(weight[:, order], 32, bits, symmetric)
        back = torch.argsort(order)
        tensors[module + ".qweight"] = pack_words(codes[:, back].contiguous(), bits).t()
        # Words run along K, of which each holds several; torch packs the last dimension.
        tensors[module + ".qzeros"] = pack_words((zero - (1 if version == 1 else 0)).t().contiguous(), bits)
        tensors[module + ".scales"] = scale.t().to(torch.float16)
        tensors[module + ".g_idx"] = (back // 32).to(torch.int32)
        plain[module] = values[:, back]
    scheme = {"quant_method": "gptq", "bits": bits, "group_size": 32, "desc_act": act_order, "sym": symmetric}
    if version == 2:
        scheme["checkpoint_format"] = "gptq_v2"
    write(name, tensors, plain, {"quantization_config": scheme})


def write_awq(name):
    tensors, plain = {}, {}
    order = [0, 4, 1, 5, 2, 6, 3, 7]
    for module in LINEAR:
        codes, scale, zero, plain[module] = fit(STATE[module + ".weight"], 32, 4, False)
        tensors[module + ".qweight"] = pack_words(codes.t().contiguous(), 4, order)
        tensors[module + ".qzeros"] = pack_words(zero.t().contiguous(), 4, order)
        tensors[module + ".scales"] = scale.t().to(torch.float16)
    write(name, tensors, plain, {"quantization_config": {
        "quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}})


def write_fp8(name, block):
    tensors, plain = {}, {}
    for module in LINEAR:
        weight = STATE[module + ".weight"]
        n, k = weight.shape
        tile = (block, block) if block else (1, k)
        scale = torch.zeros(-(-n // tile[0]), -(-k // tile[1]))
        codes, values = torch.zeros(n, k).to(torch.float8_e4m3fn), torch.zeros(n, k)
        for i in range(scale.shape[0]):
            for j in range(scale.shape[1]):
                part = (slice(i * tile[0], (i + 1) * tile[0]), slice(j * tile[1], (j + 1) * tile[1]))
                scale[i, j] = weight[part].abs().max() / 448
                codes[part] = (weight[part] / scale[i, j]).to(torch.float8_e4m3fn)
                values[part] = codes[part].to(torch.float32) * scale[i, j]
        tensors[module + ".weight"], plain[module] = codes, values
        tensors[module + (".weight_scale_inv" if block else ".weight_scale")] = scale
    scheme = {"quant_method": "fp8", "weight_block_size": [block, block]} if block else {
        "quant_method": "compressed-tensors", "format": "float-quantized",
        "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}}}
    write(name, tensors, plain, {"quantization_config": scheme})


def write_compressed(name, bits, symmetric):
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
    tensors, plain = {}, {}
    for module in LINEAR:
        codes, scale, zero, plain[module] = fit(STATE[module + ".weight"], 32, bits, symmetric)
        middle = 2 ** (bits - 1)
        if name.endswith("bf16"):  # of fewer digits: the weights are those of the stored scales
            scale = scale.to(torch.bfloat16).to(torch.float32)
            plain[module] = (codes - middle) * scale.repeat_interleave(32, -1)
        tensors[module + ".weight_packed"] = pack_to_int32((codes - middle).to(torch.int8), bits)
        tensors[module + ".weight_scale"] = scale.to(torch.bfloat16 if name.endswith("bf16") else torch.float16)
        tensors[module + ".weight_shape"] = torch.tensor(codes.shape)
        if not symmetric:
            tensors[module + ".weight_zero_point"] = pack_to_int32((zero - middle).to(torch.int8), bits, packed_dim=0)
    write(name, tensors, plain, {"quantization_config": {
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "config_groups": {"group_0": {"weights": {"num_bits": bits, "type": "int", "symmetric": symmetric,
                                                  "strategy": "group", "group_size": 32}}}}})


def write_int8(name, bitsandbytes):
    tensors, plain = {}, {}
    for module in LINEAR:
        weight = STATE[module + ".weight"]
        most = weight.abs().amax(-1, keepdim=True)
        codes = torch.round(weight / most * 127)
        plain[module] = codes * most / 127
        tensors[module + ".weight"] = codes.to(torch.int8)
        if bitsandbytes:
            tensors[module + ".SCB"] = most[:, 0]
            tensors[module + ".weight_format"] = torch.tensor(0, dtype=torch.uint8)
        else:
            tensors[module + ".weight_scale"] = most / 127
    scheme = {"quant_method": "bitsandbytes", "load_in_8bit": True} if bitsandbytes else {
        "quant_method": "compressed-tensors", "format": "int-quantized",
        "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "int", "strategy": "channel"}}}}
    write(name, tensors, plain, {"quantization_config": scheme})


def write_four_bits(name, kind, nested):
    import bitsandbytes.functional as bnb
    tensors, plain = {}, {}
    for module in LINEAR:
        codes, state = bnb.quantize_4bit(STATE[module + ".weight"], quant_type=kind, compress_statistics=nested)
        tensors[module + ".weight"] = codes
        for key, value in state.as_dict(packed=True).items():
            tensors[f"{module}.weight.{key}"] = value
        plain[module] = bnb.dequantize_4bit(codes, state)
    write(name, tensors, plain, {"quantization_config": {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind}})


E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def write_nvfp4(name, modelopt):
    tensors, plain = {}, {}
    for module in LINEAR:
        weight = STATE[module + ".weight"]
        n, k = weight.shape
        whole = weight.abs().max() / (6 * 448)
        groups = weight.reshape(n, k // 16, 16)
        scale = (groups.abs().amax(-1) / 6 / whole).to(torch.float8_e4m3fn)
        step = (scale.to(torch.float32) * whole)[..., None]
        codes = ((groups / step)[..., None] - E2M1).abs().argmin(-1)
        plain[module] = (E2M1[codes] * step).reshape(n, k)
        flat = codes.reshape(n, k // 2, 2)
        tensors[module + (".weight" if modelopt else ".weight_packed")] = (flat[..., 0] | flat[..., 1] << 4).to(torch.uint8)
        tensors[module + ".weight_scale"] = scale
        tensors[module + (".weight_scale_2" if modelopt else ".weight_global_scale")] = (
            whole if modelopt else 1 / whole).reshape(1)
    scheme = {"quant_method": "modelopt", "quant_algo": "NVFP4"} if modelopt else {
        "quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized",
        "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "float"}}}}
    write(name, tensors, plain, {"quantization_config": scheme})


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for bits, group in ((2, 32), (3, 64), (4, 64), (5, 32), (6, 64), (8, 32)):
        write_mlx(f"mlx-affine{bits}", bits, group)
    write_mlx("mlx-bf16", 4, 32, dtype=mx.bfloat16)
    write_mlx("mlx-mixed", 4, 32, overrides={"down_proj": {"group_size": 64, "bits": 8},
                                             "v_proj": {"group_size": 32, "bits": 6}, "lm_head": False})
    write_mlx("mlx-npz", 4, 64, npz=True)
    for mode, bits, group in (("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32)):
        write_mlx(f"mlx-{mode}", bits, group, mode)
    write_gptq("gptq-sym", 4, True)
    write_gptq("gptq-order", 4, False, act_order=True)
    write_gptq("gptq-8-v2", 8, False, version=2)
    write_awq("awq")
    write_fp8("fp8-block", 128)
    write_fp8("fp8-channel", 0)
    write_compressed("packed-sym-bf16", 4, True)
    write_compressed("packed-zeros", 4, False)
    write_int8("int8-channel", False)
    write_int8("bnb-int8", True)
    write_four_bits("bnb-nf4", "nf4", False)
    write_four_bits("bnb-nf4-nested", "nf4", True)
    write_nvfp4("nvfp4", False)
    write_nvfp4("modelopt-nvfp4", True)
    (OUT / "prompt.json").write_text(json.dumps(PROMPT) + "\n")
    import golden_containers
    golden_containers.main()


if __name__ == "__main__":
    main()
