#!/usr/bin/env python3
"""Golden models whose files hold a layer that guesses a further token (multi-token prediction), and
what Hugging Face's MtpModel makes of it.

Writes tests/golden/mtp/<name>/: model.gguf, the Hugging Face folder, golden.json (prompt; text: the
prompt and the tokens that the guesses are made behind), logits.f32 (of the trunk, [24, vocabulary])
and guesses.f32 ([25, vocabulary]): row p - 1 is behind token p of the text, beside what the trunk
made of the row before; the last row is made from the guess before it.  `right` is a model whose
layer is always right, as nothing but the last token counts in it.

    scripts/golden_mtp.py [NAME ...]
"""

import copy
import json
import pathlib
import sys

import gguf
import numpy
import torch
import transformers as T
from safetensors.numpy import save_file
from transformers.cache_utils import MtpCache
from transformers.modeling_layers import MtpModel

from golden_families import FAMILIES, common_keys, gguf_tensors, randomise
from golden_models import VOCAB, save, size, versions, write_golden

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "mtp"
PROMPT_TOKENS = 24


def is_apart(config):
    """Qwen3-Next and Qwen 3.5 name the layer's tensors "mtp.", and transformers does not load them."""
    return config.model_type.startswith(("qwen3_next", "qwen3_5"))


def guessing_model(config, seed):
    if is_apart(config):
        config.num_mtp_layers, config.mtp_layer_types = 1, ["full_attention"]
    model = T.AutoModelForCausalLM.from_config(config).float().eval()
    mtp = MtpModel(model, 1).float().eval()
    randomise(mtp, seed + 1000)
    randomise(model, seed)  # the embedding and the output matrix, which both share, too
    return model, mtp


def always_right(model, mtp):
    """Nothing is added to the stream, and the layer reads the token alone."""
    with torch.no_grad():
        for module in (model.model.layers, mtp.layers):
            for name, p in module.named_parameters():
                if name.endswith("down_proj") or name.endswith(("o_proj.weight", "down_proj.weight")):
                    p.zero_()
        layer = mtp.layers[0]
        dim = model.config.hidden_size
        layer.eh_proj.weight.copy_(torch.cat([torch.eye(dim), torch.zeros(dim, dim)], dim=1))
        layer.enorm.weight.fill_(1.0)
        layer.post_norm.weight.copy_(model.model.norm.weight)


def layer_tensors(config, mtp):
    """The layer under the names of published checkpoints, behind the trunk's last."""
    out = {}
    apart = is_apart(config)
    stem = "mtp.layers.0." if apart else f"model.layers.{config.num_hidden_layers}."
    for name, value in mtp.layers[0].state_dict().items():
        value = value.numpy()
        part = name.removeprefix("mtp_block.")
        part = {"post_norm.weight": "shared_head.norm.weight"}.get(part, part)
        own = part.removesuffix(".weight")
        if apart and own in APART:
            out[f"mtp.{APART[own]}.weight"] = value
        elif part == "mlp.experts.gate_up_proj":
            for e, matrix in enumerate(value):
                gate, up = numpy.split(matrix, 2)
                out[f"{stem}mlp.experts.{e}.gate_proj.weight"] = gate
                out[f"{stem}mlp.experts.{e}.up_proj.weight"] = up
        elif part == "mlp.experts.down_proj":
            for e, matrix in enumerate(value):
                out[f"{stem}mlp.experts.{e}.down_proj.weight"] = matrix
        else:
            out[stem + part] = value
    return {name: numpy.ascontiguousarray(value) for name, value in out.items()}


NEXTN = {"enorm": "enorm", "hnorm": "hnorm", "eh_proj": "eh_proj",
         "shared_head.norm": "shared_head_norm"}
APART = {"enorm": "pre_fc_norm_embedding", "hnorm": "pre_fc_norm_hidden", "eh_proj": "fc",
         "shared_head.norm": "norm"}


def write_gguf(spec, config, tensors, folder):
    whole = copy.deepcopy(config)
    whole.num_hidden_layers += 1
    w = gguf.GGUFWriter(folder / "model.gguf", gguf.MODEL_ARCH_NAMES[spec["arch"]])
    w.add_name(folder.name)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(whole.num_hidden_layers)
    w.add_nextn_predict_layers(1)
    w.add_vocab_size(config.vocab_size)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    common_keys(w, spec, config)
    for add in spec["keys"]:
        add(w, config)
    own, usual = {}, {}
    behind = f"model.layers.{config.num_hidden_layers}."
    back = {f"mtp.{theirs}.weight": f"{behind}{ours}.weight" for ours, theirs in APART.items()}
    for name, value in tensors.items():
        name = back.get(name, name.replace("mtp.layers.0.", behind))
        stem = name.removeprefix(behind).removesuffix(".weight")
        if name.startswith(behind) and stem in NEXTN:
            if is_apart(config) and value.ndim == 1:  # norms are held less one
                value = value + 1
            own[f"blk.{config.num_hidden_layers}.nextn.{NEXTN[stem]}.weight"] = value
        else:
            usual[name] = value
    for name, value in (gguf_tensors(spec, whole, usual) | own).items():
        w.add_tensor(name, numpy.ascontiguousarray(value, dtype=numpy.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def guesses(model, mtp, text):
    """Logits of the trunk; of the layer behind every token but the first, and behind its last guess."""
    ids = torch.tensor([text])
    with torch.no_grad():
        told = model(ids[:, :-1], use_cache=False, output_hidden_states=True)
        cache = MtpCache(config=model.config.get_mtp_config())
        places = torch.arange(1, len(text))[None]
        made = mtp.forward_layer(0, told.hidden_states[-1], places, cache, input_ids=ids[:, 1:])
        logits = model.lm_head(made)
        last = logits[:, -1:].argmax(-1)
        made = mtp.forward_layer(0, made[:, -1:], places[:, -1:] + 1, cache, input_ids=last)
        logits = torch.cat([logits, model.lm_head(made)], dim=1)
    return told.logits[0].numpy(), logits[0].numpy(), int(last)


def make(name, family, is_right=False, seed=7):
    spec = FAMILIES[family]
    config = spec["config"]()
    config._attn_implementation = "eager"
    folder = ROOT / name
    model, mtp = guessing_model(config, seed)
    if is_right:
        always_right(model, mtp)
    random = numpy.random.default_rng(seed)
    text = [int(t) for t in random.integers(0, VOCAB, PROMPT_TOKENS + 1)]
    trunk, guessed, last = guesses(model, mtp, text)
    tensors = save(model, folder) | layer_tensors(config, mtp)
    write_gguf(spec, config, tensors, folder)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if is_apart(config):
        published_config(folder)
    if is_right:
        (folder / "model.safetensors").unlink()
        (folder / "config.json").unlink()
    trunk.astype("<f4").tofile(folder / "logits.f32")
    guessed.astype("<f4").tofile(folder / "guesses.f32")
    write_golden(folder, dict(versions=versions(), seed=seed, prompt=text[:PROMPT_TOKENS],
                              text=text + [last]))
    print(name, size(folder), flush=True)


def published_config(folder):
    """As published: Qwen 3.5 counts the layer under a key of its own, Qwen3-Next does not."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key in ("num_mtp_layers", "mtp_layer_types"):
        config.pop(key)
    if config["model_type"].startswith("qwen3_5"):
        config["mtp_num_hidden_layers"] = 1
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


MODELS = {
    "deepseek3": dict(family="deepseek3"),
    "glm4-moe": dict(family="glm4-moe"),
    "qwen3-next": dict(family="qwen3-next"),
    "qwen35": dict(family="qwen35"),
    "qwen35-moe": dict(family="qwen35-moe"),
    "right": dict(family="glm4-moe", is_right=True),
}

if __name__ == "__main__":
    ROOT.mkdir(parents=True, exist_ok=True)
    for name, spec in MODELS.items():
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            make(name, **spec)
