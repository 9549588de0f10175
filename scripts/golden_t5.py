#!/usr/bin/env python3
"""Golden T5 models: tiny random encoder-decoders, plain and gated, and an encoder alone with a dense
head behind its mean (Sentence-T5), what Hugging Face makes of them, and the same weights as GGUF.

Writes tests/golden/t5/<name>/: config.json, model.safetensors, model.gguf, golden.json (the text's
tokens, those that are written) and logits.f32 ([written, vocabulary] f32); of the encoder alone the
texts' tokens and vectors.  GGUF files have no dense heads: `headless` are the vectors without.

    scripts/golden_t5.py [NAME ...]
"""

import json
import pathlib
import shutil
import sys

import gguf
import numpy
import torch
import transformers as T

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "t5"
VOCAB, TEXT_TOKENS, NEW_TOKENS, MARGIN = 64, 40, 10, 3e-4

torch.set_num_threads(1)
T.logging.set_verbosity_error()
T.logging.disable_progress_bar()

base = dict(vocab_size=VOCAB, d_model=16, d_kv=4, num_heads=3, d_ff=12, num_layers=2,
            num_decoder_layers=3, relative_attention_num_buckets=8,
            relative_attention_max_distance=128, dropout_rate=0.0, decoder_start_token_id=0,
            eos_token_id=1, pad_token_id=0, n_positions=64)
MODELS = {"gated": dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
          "plain": dict(feed_forward_proj="relu", tie_word_embeddings=True)}


def randomise(model, seed):
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=random)
            if "layer_norm" in name:
                value = 1.0 + 0.2 * noise
            elif "shared" in name and model.config.tie_word_embeddings:
                value = 2 * noise
            elif "relative_attention_bias" in name or "shared" in name or "lm_head" in name:
                value = noise
            else:
                value = noise / p.shape[-1]**0.5
            p.copy_(value.to(torch.float16).to(torch.float32))


def greedy(model, text):
    """Written tokens and their logits; None where first and second choice come too near."""
    written, logits = [], None
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            logits = model(input_ids=torch.tensor([text]),
                           decoder_input_ids=torch.tensor([[0] + written])).logits[0]
            best = torch.topk(logits[-1], 2)
            if float((best.values[0] - best.values[1]) / logits.abs().max()) < MARGIN:
                return None
            written.append(int(best.indices[0]))
    return written, logits.numpy()


PARTS = {"SelfAttention.q": "attn_q", "SelfAttention.k": "attn_k", "SelfAttention.v": "attn_v",
         "SelfAttention.o": "attn_o", "SelfAttention.relative_attention_bias": "attn_rel_b",
         "EncDecAttention.q": "cross_attn_q", "EncDecAttention.k": "cross_attn_k",
         "EncDecAttention.v": "cross_attn_v", "EncDecAttention.o": "cross_attn_o",
         "DenseReluDense.wi": "ffn_up", "DenseReluDense.wi_0": "ffn_gate",
         "DenseReluDense.wi_1": "ffn_up", "DenseReluDense.wo": "ffn_down"}
WHOLE = {"shared": "token_embd", "lm_head": "output", "encoder.final_layer_norm": "enc.output_norm",
         "decoder.final_layer_norm": "dec.output_norm"}


def gguf_name(name):
    stem = name.removesuffix(".weight")
    if stem in WHOLE:
        return WHOLE[stem] + ".weight"
    side, _, block, _, layer, part = stem.split(".", 5)
    decodes = side == "decoder"
    if part == "layer_norm":
        kinds = ["attn_norm", "cross_attn_norm", "ffn_norm"] if decodes else ["attn_norm", "ffn_norm"]
        own = kinds[int(layer)]
    else:
        own = PARTS[part]
    return f"{side[:3]}.blk.{block}.{own}.weight"


def write_gguf(c, tensors, folder, arch="t5"):
    w = gguf.GGUFWriter(folder / "model.gguf", arch)
    w.add_name(folder.name)
    w.add_context_length(c.n_positions)
    w.add_embedding_length(c.d_model)
    w.add_feed_forward_length(c.d_ff)
    w.add_block_count(c.num_layers)
    w.add_decoder_block_count(c.num_decoder_layers)
    w.add_head_count(c.num_heads)
    w.add_key_length(c.d_kv)
    w.add_value_length(c.d_kv)
    w.add_layer_norm_rms_eps(c.layer_norm_epsilon)
    w.add_relative_attn_buckets_count(c.relative_attention_num_buckets)
    w.add_decoder_start_token_id(c.decoder_start_token_id)
    w.add_vocab_size(c.vocab_size)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    for name, value in tensors.items():
        w.add_tensor(gguf_name(name), numpy.ascontiguousarray(value, dtype=numpy.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make(name, options):
    from safetensors.numpy import load_file
    folder = ROOT / name
    config = T.T5Config(**base, **options)
    for seed in range(1, 400):
        model = T.T5ForConditionalGeneration(config).float().eval()
        if not options["tie_word_embeddings"]:
            config.tie_word_embeddings = model.config.tie_word_embeddings = False
            model.lm_head.weight = torch.nn.Parameter(torch.empty(VOCAB, config.d_model))
        randomise(model, seed)
        random = numpy.random.default_rng(seed)
        text = [int(t) for t in random.integers(2, VOCAB, TEXT_TOKENS)] + [1]
        told = greedy(model, text)
        if told is not None and len(set(told[0])) >= 2 and 1 not in told[0]:
            break
    else:
        raise SystemExit(f"{name}: no seed with a margin")
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_gguf(config, load_file(folder / "model.safetensors"), folder)
    told[1].astype("<f4").tofile(folder / "logits.f32")
    with torch.no_grad():
        hidden = model.encoder(torch.tensor([text])).last_hidden_state[0].mean(0)
    (folder / "golden.json").write_text(json.dumps(dict(
        versions=dict(transformers=T.__version__, torch=torch.__version__), seed=seed, text=text,
        written=told[0], mean=[round(float(x), 6) for x in hidden / hidden.norm()])) + "\n")
    print(name, "seed", seed, flush=True)


def make_embedder(name="embedder"):
    from safetensors.numpy import load_file, save_file
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    config = T.T5Config(**base, feed_forward_proj="gated-gelu", tie_word_embeddings=True)
    model = T.T5EncoderModel(config).float().eval()
    randomise(model, 3)
    model.save_pretrained(folder)
    random = numpy.random.default_rng(3)
    head = (random.standard_normal((12, base["d_model"])) / 4).astype(numpy.float16)
    (folder / "2_Dense").mkdir()
    save_file({"linear.weight": head.astype(numpy.float32)}, folder / "2_Dense/model.safetensors")
    (folder / "2_Dense/config.json").write_text(json.dumps(dict(
        in_features=base["d_model"], out_features=12, bias=False,
        activation_function="torch.nn.modules.linear.Identity")) + "\n")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(dict(pooling_mode_mean_tokens=True)) + "\n")
    kinds = ["Transformer", "Pooling", "Dense", "Normalize"]
    (folder / "modules.json").write_text(json.dumps([
        dict(idx=i, name=str(i), path=f"{i}_{kind}" if 0 < i < 3 else "",
             type=f"sentence_transformers.models.{kind}")
        for i, kind in enumerate(kinds)]) + "\n")
    write_gguf(config, load_file(folder / "model.safetensors"), folder, "t5encoder")
    texts = [[int(t) for t in random.integers(2, VOCAB, n)] + [1] for n in (1, 7, 40)]
    vectors, headless = [], []
    for text in texts:
        with torch.no_grad():
            mean = model(torch.tensor([text])).last_hidden_state[0].mean(0).numpy()
        made = head.astype(numpy.float32) @ mean
        vectors.append((made / numpy.linalg.norm(made)).tolist())
        headless.append((mean / numpy.linalg.norm(mean)).tolist())
    (folder / "golden.json").write_text(json.dumps(dict(
        versions=dict(transformers=T.__version__, torch=torch.__version__), texts=texts,
        vectors=vectors, headless=headless)) + "\n")
    print(name, flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2 or "embedder" in sys.argv[1:]:
        make_embedder()
    for name, options in MODELS.items():
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            make(name, options)
