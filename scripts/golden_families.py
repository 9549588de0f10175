#!/usr/bin/env python3
"""Golden models of the families whose GGUF files hold tensors that are taken apart, turned or
stacked: mixtures of experts, latents, recurrent layers.  As golden_models.py otherwise.

    scripts/golden_families.py [NAME ...]
"""

import json
import re
import sys

import gguf
import numpy
import torch
import transformers as T

from golden_models import (ROOT, VOCAB, architecture, finish, llama3_divisors, pair_rows, rope_of,
                           save, scaling_keys, size, versions, write_golden)

PROMPT_TOKENS, NEW_TOKENS, MARGIN = 24, 40, 1e-3
A = gguf.MODEL_ARCH
SIGMOID = gguf.ExpertGatingFuncType.SIGMOID
SOFTMAX = gguf.ExpertGatingFuncType.SOFTMAX


def randomise(model, seed):
    """Weights and buffers that make every part matter."""
    random = torch.Generator().manual_seed(seed)
    kind = model.config.model_type
    plus_one = kind.startswith(("gemma", "qwen3_next", "qwen3_5"))
    plus_one = plus_one and kind not in ("gemma3n_text", "gemma4_text")
    gain = 3.0 if model.config.tie_word_embeddings else 1.3
    held = dict(model.named_parameters())
    held |= {n: b for n, b in model.named_buffers()
             if n.endswith(("correction_bias", "expert_bias", "layer_scalar"))}
    with torch.no_grad():
        for name, p in held.items():
            noise = torch.randn(p.shape, generator=random)
            if "correction_bias" in name or "expert_bias" in name:
                value = 0.2 * noise
            elif "norm" in name.lower() or name.endswith("_scale") or name.endswith("router.scale"):
                value = (0.0 if plus_one and "linear_attn" not in name else 1.0) + 0.2 * noise
            elif name.endswith(("bias", "A_log", ".D", "layer_scalar")):
                value = 0.3 * noise + (1.0 if name.endswith("layer_scalar") else 0.0)
            elif "conv" in name and p.ndim == 3:
                value = noise / p.shape[-1]**0.5
            elif "embed" in name:
                value = noise * 0.7
            elif "lm_head" in name:
                value = noise
            else:
                value = noise * gain / p.shape[-1]**0.5
            p.copy_(value.to(torch.float16).to(torch.float32))


def greedy(model, prompt):
    """Tokens and logits of the prompt; None where first and second choice come too near."""
    tokens, first = list(prompt), None
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            logits = model(torch.tensor([tokens]), use_cache=False).logits[0]
            if first is None:
                first = logits.numpy().copy()
            best = torch.topk(logits[-1], 2).values
            if float((best[0] - best[1]) / logits.abs().max()) < MARGIN:
                return None
            tokens.append(int(logits[-1].argmax()))
    return tokens[len(prompt):], first


# ---- GGUF ----

EXPERT = {"gate_proj": "gate", "up_proj": "up", "down_proj": "down", "w1": "gate", "w3": "up",
          "w2": "down"}


def stacked(tensors):
    """One tensor for all experts of a layer."""
    out, parts = {}, {}
    for name, value in tensors.items():
        m = re.fullmatch(r"model\.layers\.(\d+)\..*experts\.(\d+)\.(\w+)\.weight", name)
        s = re.fullmatch(r"model\.altup_(unembed_)?projections\.(\d+)\.weight", name)
        if s:
            target = "altup_unembd_proj.weight" if s[1] else "altup_proj.weight"
            parts.setdefault(target, {})[int(s[2])] = value
        elif m:
            parts.setdefault(f"blk.{m[1]}.ffn_{EXPERT[m[3]]}_exps.weight", {})[int(m[2])] = value
        else:
            out[name] = value
    for name, by_expert in parts.items():
        out[name] = numpy.stack([by_expert[e] for e in sorted(by_expert)])
    return out


def fixed_names(i):
    """What converters rename or take apart themselves."""
    b = f"blk.{i}."
    return {
        "mlp.gate.wg.weight": b + "ffn_gate_inp.weight",
        "mlp.gate.e_score_correction_bias": b + "exp_probs_b.bias",
        "mlp.moe_statics.e_score_correction_bias": b + "exp_probs_b.bias",
        "block_sparse_moe.e_score_correction_bias": b + "exp_probs_b.bias",
        "feed_forward.expert_bias": b + "exp_probs_b.bias",
        "block_sparse_moe.output_linear.weight": b + "ffn_down_exps.weight",
        "mamba.dt_bias": b + "ssm_dt.bias",
        "mixer.dt_bias": b + "ssm_dt.bias",
        "linear_attn.dt_bias": b + "ssm_dt.bias",
    }


def halves(value, axis=0):
    return numpy.split(value, 2, axis=axis)


def taken_apart(c, i, part, value):
    """{name: value} of what is several tensors, or another shape, in GGUF; None: as it is."""
    b = f"blk.{i}."
    kind = c.model_type
    if part == "block_sparse_moe.input_linear.weight":
        gate, up = halves(value, 1)
        return {b + "ffn_gate_exps.weight": gate, b + "ffn_up_exps.weight": up}
    if part.startswith("shared_mlp."):
        end = "" if not c.num_local_experts else "_shexp"
        if "output_linear" in part:
            return {b + f"ffn_down{end}.weight": value}
        gate, up = halves(value)
        return {b + f"ffn_gate{end}.weight": gate, b + f"ffn_up{end}.weight": up}
    if part == "feed_forward.experts.gate_up_proj":
        gate, up = halves(value, 2)
        return {b + "ffn_gate_exps.weight": gate.swapaxes(1, 2),
                b + "ffn_up_exps.weight": up.swapaxes(1, 2)}
    if part == "feed_forward.experts.down_proj":
        return {b + "ffn_down_exps.weight": value.swapaxes(1, 2)}
    if part == "self_attn.kv_b_proj.weight":
        heads = value.reshape(c.num_attention_heads, c.qk_nope_head_dim + c.v_head_dim, -1)
        keys, values = heads[:, :c.qk_nope_head_dim], heads[:, c.qk_nope_head_dim:]
        return {b + "attn_k_b.weight": keys.swapaxes(1, 2), b + "attn_v_b.weight": values}
    if kind.startswith(("ministral3", "granitemoe")) and part.endswith(("q_proj.weight", "k_proj.weight")):
        heads = c.num_attention_heads if "q_proj" in part else c.num_key_value_heads
        name = "attn_q" if "q_proj" in part else "attn_k"
        return {b + name + ".weight": pair_rows(value, heads)}
    if part.endswith(("conv1d.weight", "conv.conv.weight")):
        name = "shortconv.conv" if kind.startswith("lfm2") else "ssm_conv1d"
        return {b + name + ".weight": tiled_channels(c, value[:, 0])}
    if part.endswith("A_log"):
        value = -numpy.exp(value)
        if "linear_attn" not in part:
            value = value[:, None]
        return {b + "ssm_a": tiled(c, value, 1)}
    if part.endswith(("mamba.D", "mixer.D")):
        return {b + "ssm_d": value[:, None]}
    if part in ("mamba.norm.weight", "mixer.norm.weight"):
        groups = getattr(c, "mamba_n_groups", None) or c.n_groups
        return {b + "ssm_norm.weight": value.reshape(groups, -1)}
    if part.startswith(("router.", "experts.")):
        return {b + {"router.proj.weight": "ffn_gate_inp.weight", "router.scale": "ffn_gate_inp.scale",
                     "router.per_expert_scale": "ffn_down_exps.scale",
                     "experts.gate_up_proj": "ffn_gate_up_exps.weight",
                     "experts.down_proj": "ffn_down_exps.weight"}[part]: value}
    if part == "altup.correct_output_scale":
        return {b + "altup_correct_scale.weight": value}
    if part == "layer_scalar":
        return {b + "layer_output_scale.weight": value}
    if part.startswith("linear_attn."):
        return delta(c, b, part, value)
    return falcon(c, b, part, value) if kind == "falcon_h1" else None


def falcon(c, b, part, value):
    """Matrices times the multipliers that config.json holds."""
    gate, down = c.mlp_multipliers
    factors = {"self_attn.q_proj": ("attn_q", c.attention_in_multiplier),
               "self_attn.k_proj": ("attn_k", c.attention_in_multiplier * c.key_multiplier),
               "self_attn.v_proj": ("attn_v", c.attention_in_multiplier),
               "self_attn.o_proj": ("attn_output", c.attention_out_multiplier),
               "mamba.out_proj": ("ssm_out", c.ssm_out_multiplier),
               "feed_forward.gate_proj": ("ffn_gate", gate),
               "feed_forward.down_proj": ("ffn_down", down)}
    stem = part.rpartition(".")[0]
    if stem == "pre_ff_layernorm":
        return {b + "ffn_norm.weight": value}
    if stem in factors:
        name, factor = factors[stem]
        return {b + name + ".weight": value * factor}
    if stem == "mamba.in_proj":
        keys = c.mamba_n_groups * c.mamba_d_state
        widths = [c.mamba_d_ssm, c.mamba_d_ssm, keys, keys, c.mamba_n_heads]
        rows = numpy.repeat(c.ssm_multipliers, widths)[:, None] * c.ssm_in_multiplier
        return {b + "ssm_in.weight": value * rows}
    return None


def tiled(c, value, dim, axis=0):
    """Value heads of every key head one after the other, to the first of all, the second, ..."""
    if not c.model_type.startswith("qwen3_5"):
        return value
    groups = c.linear_num_key_heads
    value = numpy.moveaxis(value, axis, 0)
    shape = value.shape
    value = value.reshape(groups, c.linear_num_value_heads // groups, dim, *shape[1:])
    return numpy.moveaxis(value.swapaxes(0, 1).reshape(shape), 0, axis)


def tiled_channels(c, value):
    if not c.model_type.startswith("qwen3_5"):
        return value
    keys = 2 * c.linear_num_key_heads * c.linear_key_head_dim
    return numpy.concatenate([value[:keys], tiled(c, value[keys:], c.linear_value_head_dim)])


def delta(c, b, part, value):
    groups, width = c.linear_num_key_heads, c.linear_key_head_dim
    values = c.linear_num_value_heads * c.linear_value_head_dim
    if part.endswith("in_proj_qkvz.weight"):
        own = value.reshape(groups, -1, value.shape[-1])
        cuts = numpy.cumsum([width, width, values // groups])
        q, k, v, z = (x.reshape(-1, value.shape[-1]) for x in numpy.split(own, cuts, axis=1))
        return {b + "attn_qkv.weight": numpy.concatenate([q, k, v]), b + "attn_gate.weight": z}
    if part.endswith("in_proj_ba.weight"):
        return {b + "ssm_ba.weight": value}
    if part.endswith("in_proj_qkv.weight"):
        return {b + "attn_qkv.weight": tiled_channels(c, value)}
    if part.endswith("in_proj_z.weight"):
        return {b + "attn_gate.weight": tiled(c, value, c.linear_value_head_dim)}
    if part.endswith("in_proj_a.weight"):
        return {b + "ssm_alpha.weight": tiled(c, value, 1)}
    if part.endswith("in_proj_b.weight"):
        return {b + "ssm_beta.weight": tiled(c, value, 1)}
    if part.endswith("dt_bias"):
        return {b + "ssm_dt.bias": tiled(c, value, 1)}
    if part.endswith("out_proj.weight"):
        return {b + "ssm_out.weight": tiled(c, value, c.linear_value_head_dim, 1)}
    return None


def whole_tensor(c, name, value):
    if c.model_type == "falcon_h1" and name in ("model.embed_tokens.weight", "lm_head.weight"):
        is_head = name.startswith("lm_head")
        factor = c.lm_head_multiplier if is_head else c.embedding_multiplier
        return {"output.weight" if is_head else "token_embd.weight": value * factor}
    return None


def gguf_tensors(spec, c, tensors):
    names = gguf.get_tensor_name_map(spec["arch"], c.num_hidden_layers)
    plus_one = c.model_type.startswith(("qwen3_next", "qwen3_5"))
    out = {}
    for name, value in stacked(tensors).items():
        if name.startswith(("blk.", "altup")):
            out[name] = value
            continue
        whole = whole_tensor(c, name, value)
        if whole is not None:
            out |= whole
            continue
        m = re.fullmatch(r"(?:model|backbone)\.layers\.(\d+)\.(.*)", name)
        if m:
            apart = taken_apart(c, int(m[1]), m[2], value)
            if apart is not None:
                out |= apart
                continue
            fixed = fixed_names(int(m[1])).get(m[2])
            if fixed is not None:
                out[fixed] = value.reshape(-1) if fixed.endswith("exp_probs_b.bias") else value
                continue
        stem, _, last = name.rpartition(".")
        if plus_one and "norm" in stem and "linear_attn" not in stem:
            value = value + 1
        target = names.get_name(stem)
        if target is None:
            raise ValueError(f"{name}: no GGUF name")
        if stem.endswith("shared_expert_gate"):
            value = value[0]
        out[f"{target}.{last}"] = value
    if rope_of(c).get("rope_type") == "llama3":
        out["rope_freqs.weight"] = llama3_divisors(c)
    if c.model_type == "gemma4_text":  # half the pairs of the larger heads turn not at all
        turning = int(rope_of(c)["partial_rotary_factor"] * 16 // 2)
        out["rope_freqs.weight"] = numpy.array([1.0] * turning + [1e30] * (8 - turning))
    return out


def write_gguf(spec, c, tensors, folder):
    arch = gguf.MODEL_ARCH_NAMES[spec["arch"]]
    w = gguf.GGUFWriter(folder / "model.gguf", arch)
    w.add_name(folder.name)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_vocab_size(c.vocab_size)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    if "plain" not in spec:
        common_keys(w, spec, c)
    for add in spec.get("keys", ()):
        add(w, c)
    for name, value in gguf_tensors(spec, c, tensors).items():
        w.add_tensor(name, numpy.ascontiguousarray(value, dtype=numpy.float32))
    finish(w)


def common_keys(w, spec, c):
    w.add_context_length(c.max_position_embeddings)
    w.add_feed_forward_length(spec.get("hidden", lambda c: c.intermediate_size)(c))
    w.add_head_count(c.num_attention_heads)
    w.add_layer_norm_rms_eps(getattr(c, "rms_norm_eps", None) or c.norm_eps)
    if "latent" in spec:
        return
    w.add_head_count_kv(spec.get("kv_heads", lambda c: c.num_key_value_heads)(c))
    if c.model_type == "gemma4_text":
        return
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    rope = rope_of(c)
    w.add_rope_freq_base(rope["rope_theta"])
    if spec.get("turns", True):
        w.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    scaling_keys(w, c, rope)


# ---- the families ----

base = dict(vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=256,
            bos_token_id=None, eos_token_id=None, pad_token_id=None)
headless = {name: value for name, value in base.items() if name != "head_dim"}


def experts(w, c):
    w.add_expert_count(getattr(c, "num_local_experts", None) or c.num_experts)
    w.add_expert_used_count(c.num_experts_per_tok)


def expert_length(w, c):
    w.add_expert_feed_forward_length(c.moe_intermediate_size)


def shared_length(w, c):
    w.add_expert_shared_feed_forward_length(c.shared_expert_intermediate_size)


def conv_length(w, c):
    w.add_shortconv_l_cache(c.conv_L_cache)


def sigmoid(w, c):
    w.add_expert_gating_func(SIGMOID)


def deepseek_experts(w, c):
    w.add_expert_count(c.n_routed_experts)
    w.add_expert_used_count(c.num_experts_per_tok)
    w.add_expert_feed_forward_length(c.moe_intermediate_size)
    w.add_expert_shared_count(c.n_shared_experts)
    w.add_leading_dense_block_count(c.first_k_dense_replace)
    w.add_expert_weights_scale(c.routed_scaling_factor)
    w.add_expert_weights_norm(c.norm_topk_prob)
    if c.n_group:
        w.add_expert_group_count(c.n_group)
        w.add_expert_group_used_count(c.topk_group)


def latent(w, c):
    w.add_head_count_kv(1)
    if c.q_lora_rank:
        w.add_q_lora_rank(c.q_lora_rank)
    w.add_kv_lora_rank(c.kv_lora_rank)
    w.add_key_length(c.kv_lora_rank + c.qk_rope_head_dim)
    w.add_value_length(c.kv_lora_rank)
    w.add_key_length_mla(c.qk_nope_head_dim + c.qk_rope_head_dim)
    w.add_value_length_mla(c.v_head_dim)
    w.add_rope_dimension_count(c.qk_rope_head_dim)
    rope = rope_of(c)
    w.add_rope_freq_base(rope["rope_theta"])
    scaling_keys(w, c, rope)
    if "mscale_all_dim" in rope:
        w.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])


def granite(w, c):
    w.add_embedding_scale(c.embedding_multiplier)
    w.add_attention_scale(c.attention_multiplier)
    w.add_residual_scale(c.residual_multiplier)
    w.add_logit_scale(c.logits_scaling)
    if getattr(c, "shared_intermediate_size", None) and c.num_local_experts:
        w.add_expert_shared_feed_forward_length(c.shared_intermediate_size)


def ssm(w, c):
    w.add_ssm_conv_kernel(c.mamba_d_conv)
    w.add_ssm_state_size(c.mamba_d_state)
    w.add_ssm_group_count(c.mamba_n_groups)
    w.add_ssm_time_step_rank(c.mamba_n_heads)
    w.add_ssm_inner_size(c.mamba_n_heads * c.mamba_d_head)


def delta_keys(w, c):
    w.add_ssm_conv_kernel(c.linear_conv_kernel_dim)
    w.add_ssm_state_size(c.linear_key_head_dim)
    w.add_ssm_group_count(c.linear_num_key_heads)
    w.add_ssm_time_step_rank(c.linear_num_value_heads)
    w.add_ssm_inner_size(c.linear_value_head_dim * c.linear_num_value_heads)
    w.add_full_attention_interval(2)


def ernie(w, c):
    w.add_expert_count(c.moe_num_experts)
    w.add_expert_used_count(c.moe_k)
    w.add_interleave_moe_layer_step(c.moe_layer_interval)
    w.add_leading_dense_block_count(c.moe_layer_start_index)
    w.add_expert_feed_forward_length(c.moe_intermediate_size)
    w.add_expert_shared_count(c.moe_num_shared_experts)
    w.add_expert_shared_feed_forward_length(c.intermediate_size // c.num_key_value_heads)


def hunyuan_moe(w, c):
    w.add_expert_shared_feed_forward_length(c.intermediate_size)
    w.add_expert_feed_forward_length(c.intermediate_size)
    w.add_expert_count(c.num_experts)
    w.add_expert_used_count(c.moe_topk)
    w.add_expert_shared_count(1)


def windows(w, c):
    w.add_sliding_window(c.sliding_window)
    w.add_sliding_window_pattern([t == "sliding_attention" for t in c.layer_types])


def llama4(w, c):
    w.add_interleave_moe_layer_step(c.interleave_moe_layer_step)
    w.add_expert_feed_forward_length(c.intermediate_size)
    w.add_sliding_window(c.attention_chunk_size)
    w.add_attn_temperature_length(c.floor_scale)


def bare_ssm(w, c):
    w.add_ssm_conv_kernel(c.conv_kernel)
    w.add_ssm_state_size(getattr(c, "ssm_state_size", None) or c.state_size)
    w.add_ssm_group_count(c.n_groups)
    heads = getattr(c, "mamba_num_heads", None) or c.num_heads
    w.add_ssm_time_step_rank(heads)
    w.add_ssm_inner_size(heads * (getattr(c, "mamba_head_dim", None) or c.head_dim))
    w.add_layer_norm_rms_eps(c.layer_norm_epsilon)
    if c.model_type == "mamba2":
        w.add_context_length(2**20)
        w.add_feed_forward_length(0)
        w.add_head_count(0)


def nemotron(w, c):
    w.add_context_length(c.max_position_embeddings)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv([c.num_key_value_heads if t == "full_attention" else 0
                         for t in c.layers_block_type])
    w.add_feed_forward_length([c.intermediate_size if t == "mlp" else 0
                               for t in c.layers_block_type])
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)


def gemma4(w, c):
    windows(w, c)
    w.add_key_length(16)
    w.add_value_length(16)
    w.add_key_length_swa(8)
    w.add_value_length_swa(8)
    w.add_rope_dimension_count(16)
    w.add_rope_dimension_count_swa(8)
    w.add_rope_freq_base(c.rope_parameters["full_attention"]["rope_theta"])
    w.add_rope_freq_base_swa(c.rope_parameters["sliding_attention"]["rope_theta"])
    w.add_shared_kv_layers(c.num_kv_shared_layers)
    w.add_embedding_length_per_layer_input(c.hidden_size_per_layer_input)
    if c.final_logit_softcapping:
        w.add_final_logit_softcapping(c.final_logit_softcapping)


def gemma3n(w, c):
    windows(w, c)
    w.add_rope_freq_base_swa(c.rope_parameters["sliding_attention"]["rope_theta"])
    w.add_shared_kv_layers(c.num_kv_shared_layers)
    w.add_embedding_length_per_layer_input(c.hidden_size_per_layer_input)
    w.add_altup_active_idx(c.altup_active_idx)
    w.add_altup_num_inputs(c.altup_num_inputs)
    normal = torch.distributions.normal.Normal(0, 1)
    w.add_activation_sparsity_scale([normal.icdf(torch.tensor(share, dtype=torch.float64)).item()
                                     for share in c.activation_sparsity_pattern])


def only(kind):
    """Key and value heads of the layers of a kind; none of the others."""
    return lambda c: [c.num_key_value_heads if t == kind else 0 for t in c.layer_types]


YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0,
            original_max_position_embeddings=16)
DELTA = dict(linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8,
             linear_value_head_dim=6, layer_types=["linear_attention", "full_attention"])
MAMBA = dict(mamba_n_heads=4, mamba_d_state=8, mamba_d_head=8, mamba_n_groups=2, mamba_expand=2)
ROUTED = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=8,
              shared_expert_intermediate_size=12)
LATENT = {**headless, "num_key_value_heads": 4,
          "kv_lora_rank": 12, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 7,
          "moe_intermediate_size": 8, "first_k_dense_replace": 1}

FAMILIES = {
    "olmoe": dict(arch=A.OLMOE, keys=(experts,), config=lambda: T.OlmoeConfig(
        **{**headless, "intermediate_size": 8},
        num_experts=4, num_experts_per_tok=2)),
    "ernie4_5": dict(arch=A.ERNIE4_5, config=lambda: T.Ernie4_5Config(**base)),
    "ernie4_5_moe": dict(arch=A.ERNIE4_5_MOE, keys=(ernie,), config=lambda: T.Ernie4_5_MoeConfig(
        **{**headless, "intermediate_size": 32},
        moe_num_experts=4, moe_k=2, moe_intermediate_size=8, moe_layer_start_index=1)),
    "exaone4": dict(arch=A.EXAONE4, keys=(windows,), config=lambda: T.Exaone4Config(
        **{**headless, "num_hidden_layers": 4},
        sliding_window=12, sliding_window_pattern=4)),
    "hunyuan": dict(arch=A.HUNYUAN_DENSE, config=lambda: T.HunYuanDenseV1Config(**base)),
    "hunyuan-moe": dict(arch=A.HUNYUAN_MOE, keys=(hunyuan_moe,),
                        config=lambda: T.HunYuanMoEV1Config(
                            **{**base, "intermediate_size": 8}, num_experts=4, moe_topk=2)),
    "seed-oss": dict(arch=A.SEED_OSS, config=lambda: T.SeedOssConfig(**base)),
    "glm4-moe": dict(arch=A.GLM4_MOE, keys=(deepseek_experts, sigmoid),
                     config=lambda: T.Glm4MoeConfig(
                         **base, n_routed_experts=4, num_experts_per_tok=2,
                         moe_intermediate_size=8, first_k_dense_replace=1, use_qk_norm=True,
                         attention_bias=True, routed_scaling_factor=1.5)),
    "granitemoe": dict(arch=A.GRANITE_MOE, keys=(experts, granite),
                       config=lambda: T.GraniteMoeSharedConfig(
                           **{**base, "intermediate_size": 8}, num_local_experts=4, num_experts_per_tok=2,
                           shared_intermediate_size=12, embedding_multiplier=2.0,
                           attention_multiplier=0.3, residual_multiplier=0.6,
                           logits_scaling=0.5)),
    "dots1": dict(arch=A.DOTS1, keys=(deepseek_experts, sigmoid), config=lambda: T.Dots1Config(
        **base, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=8,
        first_k_dense_replace=1, n_shared_experts=2, routed_scaling_factor=1.5)),
    "minimax-m2": dict(arch=A.MINIMAXM2, keys=(experts, sigmoid), config=lambda: T.MiniMaxM2Config(
        **{**base, "intermediate_size": 8}, num_local_experts=4, num_experts_per_tok=2,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))),
    "llama4": dict(arch=A.LLAMA4, hidden=lambda c: c.intermediate_size_mlp, keys=(experts, llama4),
                   config=lambda: T.Llama4TextConfig(
                       **{**base, "num_hidden_layers": 4, "intermediate_size": 8},
                       intermediate_size_mlp=20, num_local_experts=4, num_experts_per_tok=1,
                       attention_chunk_size=10, interleave_moe_layer_step=2, floor_scale=8)),
    "ministral3": dict(arch=A.MISTRAL3, keys=(
        lambda w, c: w.add_rope_scaling_yarn_log_mul(rope_of(c)["mscale_all_dim"]),
        lambda w, c: w.add_attn_temperature_scale(rope_of(c)["llama_4_scaling_beta"])),
        config=lambda: T.Ministral3Config(**base, rope_parameters=dict(
            **YARN, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1))),
    "deepseek2": dict(arch=A.DEEPSEEK2, latent=True, keys=(
        latent, deepseek_experts, lambda w, c: w.add_expert_gating_func(SOFTMAX)),
        config=lambda: T.DeepseekV2Config(
            **LATENT, q_lora_rank=None, n_routed_experts=4, n_shared_experts=2,
            num_experts_per_tok=2, topk_method="greedy", routed_scaling_factor=1.5,
            rope_parameters=dict(**YARN, mscale=0.707, mscale_all_dim=0.707))),
    "deepseek3": dict(arch=A.DEEPSEEK2, latent=True, keys=(latent, deepseek_experts, sigmoid),
                      config=lambda: T.DeepseekV3Config(
                          **LATENT, q_lora_rank=10, n_routed_experts=8, n_group=4, topk_group=2,
                          n_shared_experts=1, num_experts_per_tok=3,
                          rope_parameters=dict(**YARN, mscale=1.0, mscale_all_dim=1.0))),
    "lfm2": dict(arch=A.LFM2, hidden=lambda c: 32, kv_heads=only("full_attention"), keys=(
        conv_length,), config=lambda: T.Lfm2Config(
            **{**headless, "num_hidden_layers": 3,
               "intermediate_size": 40}, block_multiple_of=16,
            layer_types=["conv", "full_attention", "conv"])),
    "lfm2-moe": dict(arch=A.LFM2MOE, kv_heads=only("full_attention"), keys=(
        conv_length, experts, expert_length, sigmoid,
        lambda w, c: w.add_leading_dense_block_count(c.num_dense_layers)),
        config=lambda: T.Lfm2MoeConfig(
            **{**headless, "num_hidden_layers": 3},
            layer_types=["conv", "full_attention", "conv"], num_experts=4, num_experts_per_tok=2,
            moe_intermediate_size=8, num_dense_layers=1)),
    "granite-hybrid": dict(
        arch=A.GRANITE_HYBRID, turns=False, kv_heads=only("full_attention"),
        keys=(experts, granite, ssm), config=lambda: T.GraniteMoeHybridConfig(
            **{**headless, "intermediate_size": 8},
            layer_types=["mamba", "attention"], num_local_experts=4, num_experts_per_tok=2,
            shared_intermediate_size=12, **MAMBA, position_embedding_type="nope",
            embedding_multiplier=2.0, attention_multiplier=0.3, residual_multiplier=0.6,
            logits_scaling=0.5)),
    "granite-hybrid-dense": dict(
        arch=A.GRANITE_HYBRID, kv_heads=only("full_attention"),
        hidden=lambda c: c.shared_intermediate_size, keys=(granite, ssm),
        config=lambda: T.GraniteMoeHybridConfig(
            **headless,
            layer_types=["attention", "mamba"], num_local_experts=0, num_experts_per_tok=0,
            shared_intermediate_size=24, **MAMBA, position_embedding_type="rope")),
    "mamba2": dict(arch=A.MAMBA2, plain=True, keys=(bare_ssm,), config=lambda: T.Mamba2Config(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, state_size=8, num_heads=4,
        head_dim=8, expand=2, n_groups=2, bos_token_id=None, eos_token_id=None,
        pad_token_id=None)),
    "nemotron-h": dict(
        arch=A.NEMOTRON_H, plain=True, keys=(bare_ssm, nemotron), config=lambda: T.NemotronHConfig(
            **{k: v for k, v in base.items() if k != "num_hidden_layers"}, mamba_num_heads=4,
            mamba_head_dim=8, ssm_state_size=8, n_groups=2,
            layers_block_type=["linear_attention", "full_attention", "mlp"])),
    "gemma4": dict(arch=A.GEMMA4, hidden=lambda c: [24, 24, 24, 48, 48], kv_heads=lambda c: [
        2, 2, 1, 2, 1], keys=(gemma4,), config=lambda: T.Gemma4TextConfig(
            **{**base, "num_hidden_layers": 5}, global_head_dim=16, num_global_key_value_heads=1,
            attention_k_eq_v=True, hidden_size_per_layer_input=6,
            vocab_size_per_layer_input=VOCAB, sliding_window=12, num_kv_shared_layers=2,
            use_double_wide_mlp=True, final_logit_softcapping=10.0, layer_types=[
                "sliding_attention", "sliding_attention", "full_attention", "sliding_attention",
                "full_attention"])),
    "gemma3n": dict(arch=A.GEMMA3N, keys=(gemma3n,), config=lambda: T.Gemma3nTextConfig(
        **{**base, "num_hidden_layers": 4, "intermediate_size": [8, 8, 8, 8], "head_dim": 4},
        hidden_size_per_layer_input=4, vocab_size_per_layer_input=60, laurel_rank=2,
        sliding_window=12, num_kv_shared_layers=2, activation_sparsity_pattern=[0.6, 0.0, 0.8, 0.0],
        layer_types=["sliding_attention", "full_attention"] * 2)),
    "falcon-h1": dict(arch=A.FALCON_H1, keys=(ssm,), config=lambda: T.FalconH1Config(
        **{**base, "intermediate_size": 8, "head_dim": 4}, mamba_d_ssm=16, mamba_n_heads=4,
        mamba_d_head=4, mamba_d_state=8, mamba_n_groups=2, mamba_rms_norm=True,
        mamba_norm_before_gate=False, embedding_multiplier=1.5, lm_head_multiplier=0.5,
        key_multiplier=0.7, attention_in_multiplier=1.3, attention_out_multiplier=0.8,
        ssm_in_multiplier=0.9, ssm_out_multiplier=1.2, mlp_multipliers=[0.8, 1.4],
        ssm_multipliers=[0.7, 1.1, 0.9, 1.2, 0.6])),
    "gemma4-moe": dict(arch=A.GEMMA4, kv_heads=lambda c: [2, 1], keys=(
        gemma4, lambda w, c: w.add_expert_count(c.num_experts),
        lambda w, c: w.add_expert_used_count(c.top_k_experts), expert_length),
        config=lambda: T.Gemma4TextConfig(
            **base, global_head_dim=16, num_global_key_value_heads=1, attention_k_eq_v=True,
            hidden_size_per_layer_input=0, sliding_window=12, enable_moe_block=True, num_experts=4,
            top_k_experts=2, moe_intermediate_size=8,
            layer_types=["sliding_attention", "full_attention"])),
    "qwen3-next": dict(arch=A.QWEN3NEXT, keys=(
        experts, expert_length, delta_keys, shared_length),
        config=lambda: T.Qwen3NextConfig(**base, **DELTA, **ROUTED)),
    "qwen35": dict(arch=A.QWEN35, keys=(delta_keys,),
                   config=lambda: T.Qwen3_5TextConfig(**base, **DELTA)),
    "qwen35-moe": dict(arch=A.QWEN35MOE, keys=(
        experts, expert_length, delta_keys, shared_length),
        config=lambda: T.Qwen3_5MoeTextConfig(**base, **DELTA, **ROUTED)),
}


def make(name, spec):
    config = spec["config"]()
    config._attn_implementation = "eager"
    folder = ROOT / name
    for seed in range(1, 300):
        model = T.AutoModelForCausalLM.from_config(config).float().eval()
        randomise(model, seed)
        random = numpy.random.default_rng(seed)
        prompt = [int(t) for t in random.integers(0, VOCAB, PROMPT_TOKENS)]
        told = greedy(model, prompt)
        if told is not None and len(set(told[0])) >= 8:
            break
    else:
        raise SystemExit(f"{name}: no seed with a margin")
    tokens, logits = told
    tensors = save(model, folder)
    write_gguf(spec, config, tensors, folder)
    logits.astype("<f4").tofile(folder / "logits.f32")
    write_golden(folder, dict(kind="generator", architecture=architecture(spec),
                              versions=versions(), seed=seed, margin=MARGIN, context=0,
                              prompt=prompt, greedy=tokens))
    print(name, "seed", seed, size(folder), flush=True)


if __name__ == "__main__":
    for name, spec in FAMILIES.items():
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            make(name, spec)
