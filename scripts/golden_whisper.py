#!/usr/bin/env python3
"""Writes tests/golden/speech: a tiny random Whisper as Hugging Face and whisper.cpp keep one, and what
transformers makes of sounds with it.

Needs torch, transformers, tokenizers, safetensors and numpy (5.23.0 of transformers made what is
there).  The sounds are made of whole numbers, so that the tests make the same ones.
"""
import json
import os
import struct
import sys
import wave

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (GenerationConfig, WhisperConfig, WhisperFeatureExtractor,
                          WhisperForConditionalGeneration)

torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(__file__), "..", "tests", "golden", "speech")
TEXT = ("the quick brown fox jumps over the lazy dog and then it runs away into the dark forest "
        "where nobody has ever seen it again; she said that this was not what they wanted, but "
        "he went on. ") * 4
LANGUAGES = ("en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no "
             "th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw "
             "gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl "
             "mg as tt haw ln ha ba jw su").split()
TIMESTAMPS = 1501
WORDS = 300


def sound(seconds, seed):
    """Notes that slide, with noise: 16-bit samples by whole numbers only."""
    state, phase, out = seed, 0, []
    for i in range(int(seconds * 16000)):
        state = (state * 1103515245 + 12345) % (1 << 31)
        note = 200 + 37 * ((i // 4000 + seed) % 23) + (i % 4000) // 40
        phase = (phase + note) % 16000
        triangle = abs(phase - 8000) - 4000  # -4000..4000
        loud = 1 if (i // 16000 + seed) % 5 else 0
        out.append(triangle * loud + ((state >> 16) % 401 - 200))
    return np.array(out, dtype=np.int16)


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # In the order of GPT-2's ranks, as the real vocabularies are: bytes that print first.
    trainer = trainers.BpeTrainer(vocab_size=WORDS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([TEXT], trainer)
    assert tokenizer.get_vocab_size() == WORDS
    names = ["<|endoftext|>", "<|startoftranscript|>"] + [f"<|{code}|>" for code in LANGUAGES] + [
        "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>",
        "<|notimestamps|>"]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def make_model(tokenizer):
    eot = WORDS
    no_timestamps = tokenizer.token_to_id("<|notimestamps|>")
    size = no_timestamps + 1 + TIMESTAMPS
    # whisper.cpp's files do not say where the tokens that are no text lie: they are counted back.
    assert size - TIMESTAMPS - 8 - len(LANGUAGES) == eot
    config = WhisperConfig(
        vocab_size=size, num_mel_bins=80, d_model=32, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=128,
        decoder_ffn_dim=128, max_source_positions=1500, max_target_positions=96,
        pad_token_id=eot, bos_token_id=eot, eos_token_id=eot, decoder_start_token_id=eot + 1,
        suppress_tokens=None, begin_suppress_tokens=None)
    torch.manual_seed(17)
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "layer_norm" in name and name.endswith("weight"):
                value.copy_(1 + 0.2 * torch.randn_like(value))
            elif name.endswith("bias"):
                value.copy_(0.1 * torch.randn_like(value))
            elif "embed_positions" in name:
                value.copy_(0.3 * torch.randn_like(value))
            elif "embed_tokens" in name:
                value.copy_(1.5 * torch.randn_like(value))
            else:
                fan = value[0].numel()
                value.copy_(torch.randn_like(value) * (2.2 / fan ** 0.5))
    ids = {f"<|{code}|>": tokenizer.token_to_id(f"<|{code}|>") for code in LANGUAGES}
    generation = GenerationConfig.from_dict(dict(
        bos_token_id=eot, eos_token_id=eot, pad_token_id=eot, decoder_start_token_id=eot + 1,
        no_timestamps_token_id=no_timestamps, prev_sot_token_id=tokenizer.token_to_id("<|startofprev|>"),
        is_multilingual=True, lang_to_id=ids, max_length=96,
        task_to_id={"transcribe": tokenizer.token_to_id("<|transcribe|>"),
                    "translate": tokenizer.token_to_id("<|translate|>")},
        suppress_tokens=[1, 2, 7] + list(range(no_timestamps - 5, no_timestamps)),
        begin_suppress_tokens=[220, eot], max_initial_timestamp_index=50,
        alignment_heads=[[0, 1], [1, 0]], return_timestamps=False))
    model.generation_config = generation
    return model


def save_huggingface(folder, model, tokenizer):
    os.makedirs(folder, exist_ok=True)
    tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    state = {name: value.half().contiguous() for name, value in model.state_dict().items()
             if name != "proj_out.weight"}
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    config = model.config.to_dict()
    keep = ["model_type", "architectures", "vocab_size", "num_mel_bins", "d_model", "encoder_layers",
            "decoder_layers", "encoder_attention_heads", "decoder_attention_heads", "encoder_ffn_dim",
            "decoder_ffn_dim", "max_source_positions", "max_target_positions", "pad_token_id",
            "bos_token_id", "eos_token_id", "decoder_start_token_id", "activation_function"]
    config = {key: config[key] for key in keep if key in config}
    config["architectures"] = ["WhisperForConditionalGeneration"]
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
    generation = model.generation_config.to_dict()
    keep = ["eos_token_id", "decoder_start_token_id", "no_timestamps_token_id", "prev_sot_token_id",
            "is_multilingual", "lang_to_id", "task_to_id", "suppress_tokens", "begin_suppress_tokens",
            "max_initial_timestamp_index", "alignment_heads"]
    with open(os.path.join(folder, "generation_config.json"), "w") as f:
        json.dump({key: generation[key] for key in keep}, f)


RENAMED = [("model.", ""), (".layers.", ".blocks."), ("self_attn_layer_norm", "attn_ln"),
           ("encoder_attn_layer_norm", "cross_attn_ln"), ("final_layer_norm", "mlp_ln"),
           ("encoder.layer_norm", "encoder.ln_post"), ("decoder.layer_norm", "decoder.ln"),
           ("self_attn.", "attn."), ("encoder_attn.", "cross_attn."), ("q_proj", "query"),
           ("k_proj", "key"), ("v_proj", "value"), ("out_proj", "out"), ("fc1", "mlp.0"),
           ("fc2", "mlp.2"), ("embed_positions.weight", "positional_embedding"),
           ("embed_tokens", "token_embedding")]


def save_whisper_cpp(path, model, tokenizer, quantise=None):
    """The layout of convert-pt-to-ggml.py; quantise: None (f16) or gguf's Q8_0."""
    c = model.config
    bytes_of = {ch: b for b, ch in zip(*byte_table())}
    words = sorted((i, w) for w, i in tokenizer.get_vocab(with_added_tokens=False).items())
    with open(path, "wb") as f:
        f.write(struct.pack("<I", 0x67676D6C))
        f.write(struct.pack("<11i", c.vocab_size, c.max_source_positions, c.d_model,
                            c.encoder_attention_heads, c.encoder_layers, c.max_target_positions,
                            c.d_model, c.decoder_attention_heads, c.decoder_layers, c.num_mel_bins,
                            7 if quantise else 1))
        f.write(struct.pack("<2i", 80, 201))
        f.write(np.zeros((80, 201), dtype=np.float32).tobytes())
        f.write(struct.pack("<i", len(words)))
        for _, word in words:
            raw = bytes(bytes_of[ch] for ch in word)
            f.write(struct.pack("<i", len(raw)) + raw)
        for name, value in model.state_dict().items():
            if name == "proj_out.weight":
                continue
            for ours, theirs in RENAMED:
                name = name.replace(ours, theirs, 1)
            data = value.half().float().numpy()
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                data = data.reshape(-1, 1)
            kind, raw = 0, data.astype(np.float32).tobytes()
            if data.ndim > 1 and "positional" not in name and not name.endswith("bias"):
                if quantise and data.ndim == 2:
                    import gguf
                    kind = 8
                    raw = gguf.quants.quantize(data, gguf.GGMLQuantizationType.Q8_0).tobytes()
                else:
                    kind, raw = 1, data.astype(np.float16).tobytes()
            encoded = name.encode()
            f.write(struct.pack("<3i", data.ndim, len(encoded), kind))
            f.write(struct.pack(f"<{data.ndim}i", *reversed(data.shape)))
            f.write(encoded + raw)


def byte_table():
    printed = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars, extra = printed[:], 0
    for b in range(256):
        if b not in printed:
            printed.append(b)
            chars.append(256 + extra)
            extra += 1
    return printed, [chr(c) for c in chars]


def thin(values, step):
    return [round(float(v), 6) for v in values.reshape(-1)[::step]]


def golden(model, tokenizer):
    out = {"sounds": {}, "features": {}, "runs": []}
    for name, seconds, seed in [("short", 6.4, 3), ("long", 71.3, 5)]:
        out["sounds"][name] = {"seconds": seconds, "seed": seed}
    audio = {name: sound(s["seconds"], s["seed"]).astype(np.float32) / 32768
             for name, s in out["sounds"].items()}
    for bins in (80, 128):
        extractor = WhisperFeatureExtractor(feature_size=bins)
        mel = extractor(audio["short"], sampling_rate=16000, return_tensors="np").input_features[0]
        out["features"][str(bins)] = {"step": 997, "values": thin(mel.T, 997)}
    extractor = WhisperFeatureExtractor()
    short = extractor(audio["short"], sampling_rate=16000, return_tensors="pt").input_features
    start = model.generation_config.decoder_start_token_id
    ids = model.generation_config.lang_to_id
    with torch.no_grad():
        hidden = model.model.encoder(short).last_hidden_state[0]
        out["encoder"] = {"step": 487, "values": thin(hidden.numpy(), 487)}
        prompt = torch.tensor([[start, ids["<|de|>"], model.generation_config.task_to_id["transcribe"],
                                40, 41, 42]])
        logits = model(short, decoder_input_ids=prompt).logits[0]
        out["logits"] = {"prompt": prompt[0].tolist(), "step": 101, "values": thin(logits.numpy(), 101)}
        long = extractor(audio["long"], sampling_rate=16000, return_tensors="pt", truncation=False,
                         padding="longest", return_attention_mask=True)
        mask = torch.zeros((1, 3000), dtype=torch.long)
        mask[0, : len(audio["short"]) // 160] = 1
        sounds = {"short": dict(input_features=short, attention_mask=mask),
                  "long": dict(input_features=long.input_features, attention_mask=long.attention_mask)}
        for name, language, task, condition in [("short", "de", "transcribe", False),
                                                ("short", "fr", "translate", False),
                                                ("long", "fr", "translate", False),
                                                ("long", "de", "transcribe", True)]:
            made = model.generate(**sounds[name], language=language, task=task, return_timestamps=True,
                                  return_segments=True, condition_on_prev_tokens=condition,
                                  max_new_tokens=40, temperature=0.0)
            out["runs"].append({
                "sound": name, "language": language, "task": task, "condition": condition,
                "segments": [{"start": round(float(s["start"]), 3), "end": round(float(s["end"]), 3),
                              "tokens": s["tokens"].tolist()} for s in made["segments"][0]]})
        found = model.detect_language(short)
        out["language"] = tokenizer.id_to_token(int(found[0]))
    return out


def real_speech(path):
    """Features of a recording that is not ours; thinned, so that no sound can be made of them."""
    with wave.open(path) as file:
        assert file.getframerate() == 16000 and file.getnchannels() == 1
        audio = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
    mel = WhisperFeatureExtractor()(audio.astype(np.float32) / 32768, sampling_rate=16000,
                                    return_tensors="np", truncation=False,
                                    padding="longest").input_features[0]
    return {"step": 1009, "values": thin(mel.T, 1009)}


def main():
    os.makedirs(OUT, exist_ok=True)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    save_huggingface(os.path.join(OUT, "tiny"), model, tokenizer)
    # What the files hold is what transformers runs.
    model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    save_whisper_cpp(os.path.join(OUT, "ggml-tiny.bin"), model, tokenizer)
    save_whisper_cpp(os.path.join(OUT, "ggml-tiny-q8_0.bin"), model, tokenizer, quantise=True)
    with wave.open(os.path.join(OUT, "notes.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(sound(3, 7)[::2].tobytes())
    with open(os.path.join(OUT, "golden.json"), "w") as f:
        json.dump(golden(model, tokenizer), f)
    data = os.environ.get("HEARTH_DATA", os.path.join(OUT, "../../../../shared/data"))
    with open(os.path.join(OUT, "speech_features.json"), "w") as f:
        json.dump(real_speech(os.path.join(data, "models/audio/silero-vad/test.wav")), f)
    for run in json.load(open(os.path.join(OUT, "golden.json")))["runs"]:
        print(run["sound"], run["language"], run["condition"], len(run["segments"]),
              [len(s["tokens"]) for s in run["segments"]], run["segments"][-1]["end"])


if __name__ == "__main__":
    sys.exit(main())
