#!/usr/bin/env python3
"""Golden models: a tiny random model of every architecture, what Hugging Face makes of it, and the
same weights as GGUF.

Needs torch, transformers, gguf, safetensors, numpy.  Writes tests/golden/models/<name>/: the
Hugging Face folder (config.json, model.safetensors), model.gguf, golden.json (architecture,
versions, seed, prompt, greedy tokens or texts and vectors) and logits.f32 ([24, vocabulary] f32).

    scripts/golden_models.py [NAME ...]
"""

import json
import pathlib
import shutil
import sys

import gguf
import gguf.quants
import numpy
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "models"
PROMPT_TOKENS, NEW_TOKENS, MARGIN = 24, 64, 1e-3
VOCAB = 64
T = transformers

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


# ---- weights ------------------------------------------------------------------------------------


def randomise(model, seed):
    """Weights that make every part matter: a logit depends on norms, biases and positions."""
    random = torch.Generator().manual_seed(seed)
    # A tied model repeats its input unless its branches outweigh the embedding.
    gain = 4.0 if getattr(model.config, "tie_word_embeddings", False) else 1.3
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=random)
            if "norm" in name.lower() or "ln_" in name or "emb_ln" in name:
                base = 0.0 if name.endswith("bias") or plus_one(model) else 1.0
                value = base + 0.2 * noise
            elif name.endswith("bias") or name.endswith("sinks"):
                value = 0.3 * noise
            elif "embed" in name or "wte" in name or "wpe" in name:
                value = noise * (0.06 if plus_one(model) else 0.7)
            elif "lm_head" in name or "embed_out" in name:
                value = noise
            else:
                fan_in = p.shape[-1] if p.ndim == 2 else p.shape[1] if p.ndim == 3 else 16
                value = noise * gain / fan_in**0.5
            # Exact in half precision: the files compress, nothing else changes.
            p.copy_(value.to(torch.float16).to(torch.float32))


def plus_one(model):
    return model.config.model_type.startswith("gemma")


# ---- GGUF ---------------------------------------------------------------------------------------


def pair_rows(weight, heads):
    """Rows (i, i + half) of every head become neighbours: interleaved rotation."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def rope_of(config):
    rope = getattr(config, "rope_parameters", None) or {}
    return rope.get("full_attention", rope)


def llama3_divisors(config):
    rope = rope_of(config)
    dim = config.head_dim
    frequencies = 1.0 / rope["rope_theta"] ** (numpy.arange(0, dim, 2) / dim)
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    out = []
    for f in frequencies:
        wave = 2 * numpy.pi / f
        if wave < high:
            out.append(1.0)
        elif wave > low:
            out.append(rope["factor"])
        else:
            smooth = (rope["original_max_position_embeddings"] / wave - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"]
            )
            out.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return numpy.array(out, dtype=numpy.float32)


def common_keys(w, arch, c):
    w.add_context_length(getattr(c, "max_position_embeddings", None) or c.n_positions)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    hidden = getattr(c, "intermediate_size", None) or getattr(c, "n_inner", None)
    w.add_feed_forward_length(hidden or 4 * c.hidden_size)
    w.add_head_count(c.num_attention_heads)
    if getattr(c, "num_key_value_heads", None):
        w.add_head_count_kv(c.num_key_value_heads)
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    if head_dim * c.num_attention_heads != c.hidden_size:
        w.add_key_length(head_dim)
        w.add_value_length(head_dim)
    for name in ("rms_norm_eps",):
        if getattr(c, name, None):
            w.add_layer_norm_rms_eps(getattr(c, name))
    for name in ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"):
        if getattr(c, name, None):
            w.add_layer_norm_eps(getattr(c, name))
    rope = rope_of(c)
    if rope:
        if c.model_type != "gpt_neox":  # its converter leaves the base out
            w.add_rope_freq_base(rope["rope_theta"])
        share = rope.get("partial_rotary_factor", 1.0)
        w.add_rope_dimension_count(int(head_dim * share))
        scaling_keys(w, c, rope)
    w.add_vocab_size(c.vocab_size)
    experts = getattr(c, "num_local_experts", None) or getattr(c, "num_experts", None)
    if experts:
        w.add_expert_count(experts)
        w.add_expert_used_count(c.num_experts_per_tok)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)


def scaling_keys(w, c, rope):
    kind = rope.get("rope_type", "default")
    if kind == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    elif kind == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "beta_fast" in rope:
            w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
            w.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    elif kind == "longrope":
        original = rope["original_max_position_embeddings"]
        scale = c.max_position_embeddings / original
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_rope_scaling_attn_factors((1 + numpy.log(scale) / numpy.log(original)) ** 0.5)


def stack_experts(tensors, layers, experts, prefix, names):
    for i in range(layers):
        for name in names:
            parts = [tensors.pop(f"{prefix.format(i)}.{e}.{name}.weight") for e in range(experts)]
            # the form that the renaming table knows
            tensors[f"{prefix.format(i)}.{name}.weight"] = numpy.stack(parts)


def gpt_oss_names(tensors, layers):
    out = {}
    for name, value in tensors.items():
        if "mlp.experts." not in name:
            out[name] = value
            continue
        i = int(name.split(".")[2])
        kind = "bias" if name.endswith("_bias") else "weight"
        if kind == "weight":
            value = value.swapaxes(1, 2)
        if "gate_up_proj" in name:
            out[f"blk.{i}.ffn_gate_exps.{kind}"] = value[:, ::2]
            out[f"blk.{i}.ffn_up_exps.{kind}"] = value[:, 1::2]
        else:
            out[f"blk.{i}.ffn_down_exps.{kind}"] = value
    return out


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def gguf_tensors(spec, c, tensors):
    """Hugging Face tensors under their GGUF names, reordered as GGUF files have them."""
    arch, layers = spec["arch"], c.num_hidden_layers
    heads, kv_heads = c.num_attention_heads, getattr(c, "num_key_value_heads", None)
    tensors = dict(tensors)
    if c.model_type == "mixtral":
        stack_experts(tensors, layers, c.num_local_experts,
                      "model.layers.{}.block_sparse_moe.experts", ("w1", "w2", "w3"))
    if c.model_type in ("qwen2_moe", "qwen3_moe"):
        stack_experts(tensors, layers, c.num_experts, "model.layers.{}.mlp.experts",
                      ("gate_proj", "up_proj", "down_proj"))
    if c.model_type == "gpt_oss":
        tensors = gpt_oss_names(tensors, layers)
    names = gguf.get_tensor_name_map(arch, layers)
    out = {}
    for name, value in tensors.items():
        stem, _, last = name.rpartition(".")
        if name.startswith("blk."):
            out[name] = value
            continue
        if last == "sinks":
            stem, last = name, "weight"
        if c.model_type in ("bert", "roberta"):
            stem = stem.removeprefix("bert.").removeprefix("roberta.")
            if stem.endswith("position_embeddings") and c.model_type == "roberta":
                value = value[2:]
            head = {"pooler.dense": "cls", "classifier.dense": "cls", "classifier": "cls.output",
                    "classifier.out_proj": "cls.output"}
            if stem in head:
                if spec.get("rerank"):
                    out[f"{head[stem]}.{last}"] = value
                continue
        if c.model_type == "modernbert":
            stem = stem.removeprefix("model.")
            if stem == "classifier":
                out[f"cls.output.{last}"] = value
                continue
        if c.model_type in ("llama", "mistral", "mixtral", "smollm3", "granite"):
            if stem.endswith("q_proj"):
                value = pair_rows(value, heads)
            if stem.endswith("k_proj"):
                value = pair_rows(value, kv_heads)
        if c.model_type.startswith("gemma") and "norm" in stem:
            value = value + 1
        if c.model_type == "gpt2" and any(x in stem for x in ("c_attn", "c_proj", "c_fc")):
            value = value.T
        if c.model_type == "gpt_neox" and "query_key_value" in stem:
            value = value.reshape(heads, 3, c.hidden_size // heads, *value.shape[1:])
            value = value.swapaxes(0, 1).reshape(3 * c.hidden_size, *value.shape[3:])
        if value.ndim == 2 and value.shape[0] == 1 and spec.get("squeeze"):
            value = value[0]
        target = names.get_name(stem)
        if target is None:
            raise ValueError(f"{name}: no GGUF name")
        out[f"{target}.{last}"] = value
    if rope_of(c).get("rope_type") == "llama3":
        out["rope_freqs.weight"] = llama3_divisors(c)
    if rope_of(c).get("rope_type") == "longrope":
        out["rope_factors_long.weight"] = numpy.array(rope_of(c)["long_factor"], numpy.float32)
        out["rope_factors_short.weight"] = numpy.array(rope_of(c)["short_factor"], numpy.float32)
    return out


def write_gguf(spec, c, tensors, folder, quantised=None):
    arch_name = gguf.MODEL_ARCH_NAMES[spec["arch"]]
    w = gguf.GGUFWriter(folder / "model.gguf", arch_name)
    w.add_name(folder.name)
    common_keys(w, arch_name, c)
    for add in spec.get("keys", ()):
        add(w, c)
    for name, value in gguf_tensors(spec, c, tensors).items():
        if quantised and name in quantised:
            continue
        w.add_tensor(name, numpy.ascontiguousarray(value, dtype=numpy.float32))
    for name, value in (quantised or {}).items():
        w.add_tensor(name, value, raw_dtype=gguf.GGMLQuantizationType.MXFP4)
    finish(w)


# ---- mxfp4 --------------------------------------------------------------------------------------

E2M1 = numpy.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], numpy.float32)


def random_mxfp4(shape, seed):
    """Nibbles [..., 32 per block] and scales; their values as f32."""
    random = numpy.random.default_rng(seed)
    nibbles = random.integers(0, 16, size=(*shape[:-1], shape[-1] // 32, 32), dtype=numpy.uint8)
    scales = random.integers(122, 125, size=nibbles.shape[:-1], dtype=numpy.uint8)
    values = E2M1[nibbles] * numpy.exp2(scales.astype(numpy.float32) - 127)[..., None]
    return nibbles, scales, values.reshape(shape)


def make_mxfp4(model, tensors, folder, seed):
    """Puts random mxfp4 experts into the model; returns the stored forms of both containers."""
    hf, quantised = {}, {}
    for i, layer in enumerate(model.model.layers):
        experts = layer.mlp.experts
        for name, p in (("gate_up_proj", experts.gate_up_proj), ("down_proj", experts.down_proj)):
            e, k, n = p.shape
            nibbles, scales, values = random_mxfp4((e, n, k), seed + 7 * i + len(name))
            with torch.no_grad():
                p.copy_(torch.from_numpy(values).swapaxes(1, 2))
            stem = f"model.layers.{i}.mlp.experts.{name}"
            hf[stem + "_blocks"] = nibbles[..., 0::2] | nibbles[..., 1::2] << 4
            hf[stem + "_scales"] = scales
            told = convert_moe_packed_tensors(torch.from_numpy(hf[stem + "_blocks"]),
                                              torch.from_numpy(scales), dtype=torch.float32)
            assert torch.equal(told, p), f"{stem}: transformers reads other values"
            packed = numpy.concatenate(
                [scales[..., None], nibbles[..., :16] | nibbles[..., 16:] << 4], axis=-1
            ).reshape(e, n, -1)
            if name == "down_proj":
                quantised[f"blk.{i}.ffn_down_exps.weight"] = packed
            else:
                quantised[f"blk.{i}.ffn_gate_exps.weight"] = numpy.ascontiguousarray(packed[:, ::2])
                quantised[f"blk.{i}.ffn_up_exps.weight"] = numpy.ascontiguousarray(packed[:, 1::2])
    return hf, quantised


# ---- the architectures --------------------------------------------------------------------------

A = gguf.MODEL_ARCH
base = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
            bos_token_id=None, eos_token_id=None, pad_token_id=None)
one = {**base, "num_hidden_layers": 1}
encoder = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
               num_attention_heads=4, max_position_embeddings=64, pad_token_id=0)


def window(w, c):
    w.add_sliding_window(c.sliding_window or 0)


def granite_keys(w, c):
    w.add_embedding_scale(c.embedding_multiplier)
    w.add_attention_scale(c.attention_multiplier)
    w.add_residual_scale(c.residual_multiplier)
    w.add_logit_scale(c.logits_scaling)


def gemma_caps(w, c):
    w.add_attn_logit_softcapping(c.attn_logit_softcapping)
    w.add_final_logit_softcapping(c.final_logit_softcapping)


def expert_lengths(w, c):
    w.add_expert_feed_forward_length(c.moe_intermediate_size)
    if getattr(c, "shared_expert_intermediate_size", None):
        w.add_expert_shared_feed_forward_length(c.shared_expert_intermediate_size)


def modern_keys(w, c):
    w.add_sliding_window(c.local_attention)
    w.add_sliding_window_pattern(3)
    w.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    w.add_rope_freq_base_swa(c.rope_parameters["sliding_attention"]["rope_theta"])


def types_key(w, c):
    w.add_token_type_count(c.type_vocab_size)


def pooling_key(kind):
    return lambda w, c: w.add_pooling_type(kind)


SHORT = [1.0, 1.05, 1.1, 1.2, 1.3, 1.5]
LONG = [1.1, 1.3, 1.7, 2.5, 4.0, 6.0]


def longrope(original, count):
    return dict(rope_type="longrope", rope_theta=10000.0, short_factor=SHORT[:count],
                long_factor=LONG[:count], original_max_position_embeddings=original)


GENERATORS = {
    "llama": dict(arch=A.LLAMA, config=lambda: T.LlamaConfig(**base)),
    "llama-3": dict(arch=A.LLAMA, config=lambda: T.LlamaConfig(
        **{**one, "tie_word_embeddings": True}, head_dim=16, rope_parameters=dict(
            rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0,
            high_freq_factor=4.0, original_max_position_embeddings=64))),
    "llama-linear": dict(arch=A.LLAMA, config=lambda: T.LlamaConfig(
        **one, attention_bias=True,
        rope_parameters=dict(rope_type="linear", rope_theta=1000.0, factor=4.0))),
    "llama-yarn": dict(arch=A.LLAMA, config=lambda: T.LlamaConfig(
        **one, head_dim=16, rope_parameters=dict(
            rope_type="yarn", rope_theta=10000.0, factor=4.0,
            original_max_position_embeddings=64))),
    "llama-dynamic": dict(arch=None, config=lambda: T.LlamaConfig(
        **one, rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0))),
    "mistral": dict(arch=A.LLAMA, config=lambda: T.MistralConfig(
        **base, head_dim=16, sliding_window=12), keys=(window,)),
    "mixtral": dict(arch=A.LLAMA, config=lambda: T.MixtralConfig(
        **{**base, "intermediate_size": 16}, num_local_experts=4, num_experts_per_tok=2)),
    "qwen2": dict(arch=A.QWEN2, config=lambda: T.Qwen2Config(**base, tie_word_embeddings=True)),
    "qwen2moe": dict(arch=A.QWEN2MOE, config=lambda: T.Qwen2MoeConfig(
        **base, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
        shared_expert_intermediate_size=24), keys=(expert_lengths,),
        squeeze=True),
    "qwen3": dict(arch=A.QWEN3, config=lambda: T.Qwen3Config(
        **base, head_dim=16, tie_word_embeddings=True)),
    "qwen3moe": dict(arch=A.QWEN3MOE, config=lambda: T.Qwen3MoeConfig(
        **base, head_dim=8, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=16,
        norm_topk_prob=True), keys=(expert_lengths,)),
    "gemma": dict(arch=A.GEMMA, config=lambda: T.GemmaConfig(**one, head_dim=16)),
    "gemma2": dict(arch=A.GEMMA2, config=lambda: T.Gemma2Config(
        **base, head_dim=16, query_pre_attn_scalar=16, sliding_window=12,
        attn_logit_softcapping=3.0, final_logit_softcapping=10.0), keys=(window, gemma_caps)),
    "gemma3": dict(arch=A.GEMMA3, config=lambda: T.Gemma3TextConfig(
        **{**base, "num_hidden_layers": 6, "intermediate_size": 24}, head_dim=8, query_pre_attn_scalar=8,
        sliding_window=12, rope_parameters=dict(
            full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
            sliding_attention=dict(rope_type="default", rope_theta=1e4))), keys=(window,)),
    "phi3": dict(arch=A.PHI3, config=lambda: T.Phi3Config(
        **{**base, "original_max_position_embeddings": 128}, sliding_window=12,
        rope_parameters=longrope(128, 4)), keys=(window,)),
    "phi3-long": dict(arch=A.PHI3, context=256, config=lambda: T.Phi3Config(
        **{**one, "original_max_position_embeddings": 16}, rope_parameters=longrope(16, 4))),
    "phi4-mini": dict(arch=A.PHI3, config=lambda: T.Phi3Config(
        **{**one, "num_attention_heads": 2, "num_key_value_heads": 1,
           "original_max_position_embeddings": 128}, tie_word_embeddings=True,
        rope_parameters=dict(partial_rotary_factor=0.75, **longrope(128, 6))), keys=(window,)),
    "smollm3": dict(arch=A.SMOLLM3, config=lambda: T.SmolLM3Config(
        **{**base, "num_hidden_layers": 4, "intermediate_size": 24}, tie_word_embeddings=True)),
    "olmo2": dict(arch=A.OLMO2, config=lambda: T.Olmo2Config(**base)),
    "olmo3": dict(arch=A.OLMO2, config=lambda: T.Olmo3Config(
        **{**base, "num_hidden_layers": 4, "intermediate_size": 24}, sliding_window=12,
        rope_parameters=dict(
            full_attention=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32.0,
                                beta_slow=1.0, original_max_position_embeddings=64),
            sliding_attention=dict(rope_type="default", rope_theta=10000.0))),
        keys=(window, lambda w, c: w.add_sliding_window_pattern(
            [t == "sliding_attention" for t in c.layer_types]))),
    "granite": dict(arch=A.GRANITE, config=lambda: T.GraniteConfig(
        **base, embedding_multiplier=3.0, attention_multiplier=0.3, residual_multiplier=0.6,
        logits_scaling=0.5), keys=(granite_keys,)),
    "gpt-oss": dict(arch=A.GPT_OSS, config=lambda: T.GptOssConfig(
        **{**base, "intermediate_size": 16}, head_dim=8, num_local_experts=4,
        num_experts_per_tok=2, sliding_window=12, rope_parameters=dict(
            rope_type="yarn", rope_theta=150000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0,
            truncate=False, original_max_position_embeddings=64)),
        keys=(window, lambda w, c: w.add_expert_feed_forward_length(c.intermediate_size))),
    "gpt-oss-mxfp4": dict(arch=A.GPT_OSS, mxfp4=True, config=lambda: T.GptOssConfig(
        **{**base, "intermediate_size": 32}, head_dim=8, num_local_experts=4,
        num_experts_per_tok=2, sliding_window=12, rope_parameters=dict(
            rope_type="yarn", rope_theta=150000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0,
            truncate=False, original_max_position_embeddings=64)),
        keys=(window, lambda w, c: w.add_expert_feed_forward_length(c.intermediate_size))),
    "glm4": dict(arch=A.GLM4, config=lambda: T.Glm4Config(
        **base, head_dim=8, attention_bias=True,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))),
    "command-r": dict(arch=A.COMMAND_R, config=lambda: T.CohereConfig(
        **base, logit_scale=0.25, use_qk_norm=True),
        keys=(lambda w, c: w.add_logit_scale(c.logit_scale),)),
    "cohere2": dict(arch=A.COHERE2, config=lambda: T.Cohere2Config(
        **{**base, "num_hidden_layers": 4, "intermediate_size": 24}, logit_scale=0.25, sliding_window=12),
        keys=(window, lambda w, c: w.add_logit_scale(c.logit_scale))),
    "starcoder2": dict(arch=A.STARCODER2, config=lambda: T.Starcoder2Config(**base)),
    "gpt2": dict(arch=A.GPT2, config=lambda: T.GPT2Config(
        vocab_size=VOCAB, n_positions=96, n_embd=32, n_layer=2, n_head=4, n_inner=48, bos_token_id=None,
        eos_token_id=None)),
    "gptneox": dict(arch=A.GPTNEOX, config=lambda: T.GPTNeoXConfig(
        **{k: v for k, v in base.items() if k != "num_key_value_heads"},
        rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)),
        keys=(lambda w, c: w.add_parallel_residual(c.use_parallel_residual),)),
}

MEAN, CLS = gguf.PoolingType.MEAN, gguf.PoolingType.CLS
LAST, RANK = gguf.PoolingType.LAST, gguf.PoolingType.RANK

ENCODERS = {
    "bert": dict(arch=A.BERT, pooling="mean", normalise=True, model=T.BertModel,
                 config=lambda: T.BertConfig(**encoder), keys=(types_key, pooling_key(MEAN))),
    "bert-cls": dict(arch=A.BERT, pooling="cls", normalise=True, model=T.BertModel,
                     config=lambda: T.BertConfig(**{**encoder, "num_hidden_layers": 1}),
                     keys=(types_key, pooling_key(CLS))),
    "bert-rerank": dict(arch=A.BERT, rerank=True, squeeze=True, model=T.BertForSequenceClassification,
                        config=lambda: T.BertConfig(**{**encoder, "num_hidden_layers": 1},
                                                    num_labels=1),
                        keys=(types_key, pooling_key(RANK))),
    "roberta": dict(arch=A.BERT, pooling="mean", normalise=True, model=T.RobertaModel,
                    config=lambda: T.RobertaConfig(
                        **{**encoder, "num_hidden_layers": 1, "pad_token_id": 1,
                           "max_position_embeddings": 66}, type_vocab_size=1,
                        layer_norm_eps=1e-5),
                    keys=(types_key, pooling_key(MEAN))),
    "roberta-rerank": dict(arch=A.BERT, rerank=True, model=T.RobertaForSequenceClassification,
                           config=lambda: T.RobertaConfig(
                               **{**encoder, "num_hidden_layers": 1, "pad_token_id": 1,
                                  "max_position_embeddings": 66}, type_vocab_size=1,
                               layer_norm_eps=1e-5, num_labels=1),
                           keys=(types_key, pooling_key(RANK))),
    "nomic-bert": dict(arch=A.NOMIC_BERT, pooling="mean", normalise=True, model=T.NomicBertModel,
                       config=lambda: T.NomicBertConfig(**encoder),
                       keys=(types_key, pooling_key(MEAN))),
    "modern-bert": dict(arch=A.MODERN_BERT, pooling="mean", normalise=False, model=T.ModernBertModel,
                        config=lambda: T.ModernBertConfig(
                            **{**encoder, "num_hidden_layers": 4, "intermediate_size": 32}, local_attention=8,
                            bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2),
                        keys=(modern_keys, pooling_key(MEAN))),
    "modern-bert-rerank": dict(arch=A.MODERN_BERT, rerank=True,
                               model=T.ModernBertForSequenceClassification,
                               config=lambda: T.ModernBertConfig(
                                   **encoder, local_attention=8, bos_token_id=1, eos_token_id=2,
                                   cls_token_id=1, sep_token_id=2, num_labels=1),
                               keys=(modern_keys, pooling_key(RANK))),
    "qwen3-embedding": dict(arch=A.QWEN3, pooling="lasttoken", normalise=True, model=T.Qwen3Model,
                            config=lambda: T.Qwen3Config(
                                **{**base, "num_hidden_layers": 1}, head_dim=8,
                                tie_word_embeddings=True),
                            keys=(pooling_key(LAST),)),
}


# ---- making one ---------------------------------------------------------------------------------


def save(model, folder):
    if folder.exists():
        shutil.rmtree(folder)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return load_file(folder / "model.safetensors")


def greedy(model, prompt):
    """Tokens, logits of the prompt, and the smallest gap between first and second choice."""
    tokens, gap, first = list(prompt), float("inf"), None
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            logits = model(torch.tensor([tokens])).logits[0]
            if first is None:
                first = logits.numpy().copy()
            best = torch.topk(logits[-1], 2).values
            gap = min(gap, float((best[0] - best[1]) / logits.abs().max()))
            tokens.append(int(logits[-1].argmax()))
    return tokens[len(prompt):], first, gap


def versions():
    return {m.__name__: m.__version__ for m in (transformers, torch, numpy)}


def write_golden(folder, data):
    (folder / "golden.json").write_text(json.dumps(data) + "\n")


def make_generator(name, spec):
    config = spec["config"]()
    config._attn_implementation = "eager"
    folder = ROOT / name
    # The longest sequence decides the factors of longrope; a run that crosses them would be
    # recomputed by transformers, so each model stays on one side.
    for seed in range(1, 200):
        model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
        randomise(model, seed)
        hf, quantised = make_mxfp4(model, {}, folder, seed) if spec.get("mxfp4") else ({}, None)
        random = numpy.random.default_rng(seed)
        prompt = [int(t) for t in random.integers(0, VOCAB, PROMPT_TOKENS)]
        tokens, logits, gap = greedy(model, prompt)
        if gap > MARGIN and len(set(tokens)) >= spec.get("distinct", 10):
            break
    else:
        raise SystemExit(f"{name}: no seed with a margin")
    tensors = save(model, folder)
    if spec["arch"] is not None:
        write_gguf(spec, config, tensors, folder, quantised)
    if hf:
        for stem in hf:
            tensors.pop(stem.removesuffix("_blocks").removesuffix("_scales"), None)
        save_file({**tensors, **hf}, folder / "model.safetensors", metadata={"format": "pt"})
        config = json.loads((folder / "config.json").read_text())
        # As the published checkpoints say it.
        config["quantization_config"] = {
            "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                       "model.embed_tokens", "lm_head"],
            "quant_method": "mxfp4"}
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = rope
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    logits.astype("<f4").tofile(folder / "logits.f32")
    write_golden(folder, dict(
        kind="generator", architecture=architecture(spec), versions=versions(), seed=seed,
        margin=gap, context=spec.get("context", 0), prompt=prompt, greedy=tokens))
    print(name, "seed", seed, "margin", round(gap, 5), size(folder))


def architecture(spec):
    return "llama" if spec["arch"] is None else gguf.MODEL_ARCH_NAMES[spec["arch"]]


def size(folder):
    return f"{sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) // 1024} KiB"


def pooled(spec, hidden):
    if spec["pooling"] == "mean":
        vector = hidden.mean(0)
    else:
        vector = hidden[-1 if spec["pooling"] == "lasttoken" else 0]
    return vector / vector.norm() if spec["normalise"] else vector


def write_sentence_files(spec, folder):
    mode = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token",
            "lasttoken": "pooling_mode_lasttoken"}
    (folder / "1_Pooling").mkdir()
    config = {key: name == spec["pooling"] for name, key in mode.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config) + "\n")
    kinds = ["Transformer", "Pooling"] + (["Normalize"] if spec["normalise"] else [])
    modules = [dict(idx=i, name=str(i), path="", type=f"sentence_transformers.models.{kind}")
               for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules) + "\n")


def make_encoder(name, spec):
    config = spec["config"]()
    config._attn_implementation = "eager"
    folder = ROOT / name
    model = spec["model"](config).float().eval()
    randomise(model, seed=5)
    tensors = save(model, folder)
    random = numpy.random.default_rng(5)
    texts = [[int(t) for t in random.integers(3, VOCAB, n)] for n in (1, 5, 24, 40)]
    with torch.no_grad():
        if spec.get("rerank"):
            vectors = [[float(model(torch.tensor([t])).logits[0, 0])] for t in texts]
        else:
            vectors = [pooled(spec, model(torch.tensor([t])).last_hidden_state[0]).tolist()
                       for t in texts]
            write_sentence_files(spec, folder)
    write_gguf(spec, config, tensors, folder)
    write_golden(folder, dict(
        kind="reranker" if spec.get("rerank") else "embedder", architecture=architecture(spec),
        versions=versions(), seed=5, normalised_gguf=not spec.get("rerank"),
        texts=texts, vectors=vectors))
    print(name, size(folder))


def make_static_embed():
    """As scripts/builtin/embedder.py writes it: quantised vectors, no special tokens around a text."""
    folder = ROOT / "static-embed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    random = numpy.random.default_rng(5)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + [f"w{i}" for i in range(28)]
    kind = gguf.GGMLQuantizationType.Q4_0
    stored = gguf.quants.quantize(
        random.standard_normal((len(pieces), 32)).astype(numpy.float32), kind)
    table = gguf.quants.dequantize(stored, kind)
    w = gguf.GGUFWriter(folder / "model.gguf", "static-embed")
    w.add_name("static-embed")
    w.add_context_length(512)
    w.add_embedding_length(32)
    w.add_block_count(0)
    w.add_pooling_type(MEAN)
    w.add_tokenizer_model("bert")
    w.add_token_list(pieces)
    w.add_token_types([3] * 4 + [1] * 28)
    w.add_unk_token_id(1)
    w.add_uint32("tokenizer.ggml.cls_token_id", 2)
    w.add_sep_token_id(3)
    w.add_pad_token_id(0)
    w.add_add_bos_token(False)
    w.add_add_eos_token(False)
    w.add_tensor("token_embd.weight", stored, raw_dtype=kind)
    finish(w)
    texts = [[9], [5, 6, 7, 7, 1], [4, 30, 31]]
    vectors = []
    for text in texts:
        mean = table[text].mean(0)
        vectors.append((mean / numpy.linalg.norm(mean)).tolist())
    write_golden(folder, dict(kind="embedder", architecture="static-embed", versions=versions(),
                              seed=5, normalised_gguf=True, texts=texts, vectors=vectors))
    print("static-embed", size(folder))


def main(wanted):
    for name, spec in GENERATORS.items():
        if not wanted or name in wanted:
            make_generator(name, spec)
    for name, spec in ENCODERS.items():
        if not wanted or name in wanted:
            make_encoder(name, spec)
    if not wanted or "static-embed" in wanted:
        make_static_embed()


if __name__ == "__main__":
    main(sys.argv[1:])
