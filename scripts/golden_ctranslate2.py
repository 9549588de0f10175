#!/usr/bin/env python3
"""Writes tests/golden/formats/quantised/ct2-*: the tiny llama of golden_quantised.py by CTranslate2's own
converter, and the logits that transformers gives for the weights they then hold; and tests/golden/speech/ct2-*: the
tiny Whisper beside them (golden_whisper.py), whose numbers golden.json there holds.

Needs torch, transformers, numpy, ctranslate2.  Run from the repository root.
"""

import copy
import pathlib

import torch
from ctranslate2.converters import transformers as converters

from golden_containers import fresh, write_logits
from golden_quantised import LINEAR, MODEL, STATE


def main():
    for kind in ("float16", "int8"):
        MODEL.load_state_dict(STATE)
        folder = fresh(f"ct2-{kind}")
        spec = converters.LlamaLoader().get_model_spec(copy.deepcopy(MODEL))
        spec.config.layer_norm_epsilon = MODEL.config.rms_norm_eps
        spec.register_vocabulary(["<unk>"] + [f"t{i}" for i in range(1, 64)])
        spec.validate()
        spec.optimize(quantization=kind)
        spec.save(str(folder))
        plain = {}
        if kind == "int8":
            for module in LINEAR + ["lm_head", "model.embed_tokens"]:
                weight = STATE[module + ".weight"]
                scale = 127 / weight.abs().amax(-1, keepdim=True)
                plain[module] = torch.round(weight * scale) / scale
        write_logits(folder, plain)
    speech = pathlib.Path("tests/golden/speech")
    for kind in ("float16", "int8"):
        converter = converters.TransformersConverter(str(speech / "tiny"), copy_files=["tokenizer.json"])
        converter.convert(str(speech / f"ct2-{kind}"), quantization=kind, force=True)


if __name__ == "__main__":
    main()
