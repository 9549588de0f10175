#!/usr/bin/env python3
"""Tekken vocabularies with the ids that mistral-common gives for some texts.

    scripts/golden_tekken.py [OUT]

Needs mistral-common and tiktoken.  Cuts the tokenizer of Mistral Nemo, which mistral-common brings
along (Apache 2.0), to its first 900 tokens, and writes OUT/v3.json as such files are,
OUT/v7.json with its special tokens listed, and OUT/golden.json.
"""
import importlib.metadata
import importlib.resources
import json
import pathlib
import sys

from mistral_common.tokens.tokenizers.tekken import Tekkenizer

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                   pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tekken")
TOKENS = 900
TEXTS = ["Hello, world!", "The quick brown fox jumps over 13 lazy dogs.", "  two  spaces\n\n\tand tabs\r\n",
         "HTTPServer's don'T CamelCase", "def f(x):\n    return x**2 # 1234567", "naïve café, Zürich; 東京 привет",
         "emoji \U0001f600\U0001f468\u200d\U0001f469", "a\u0301 e\u0301", "[INST] hi [/INST]</s>", "", " ", "\x00\x7f"]


def write(name, special, listed, version):
    whole = json.loads((importlib.resources.files("mistral_common") / "data" / "tekken_240718.json").read_text())
    data = {"config": dict(whole["config"], num_vocab_tokens=TOKENS, default_vocab_size=TOKENS - 150 + special,
                           default_num_special_tokens=special, version=version),
            "vocab": whole["vocab"][:TOKENS]}
    if listed:
        tokens = [dict(t, token_str=str(getattr(t["token_str"], "value", t["token_str"])))
                  for t in Tekkenizer.DEPRECATED_SPECIAL_TOKENS]
        data["special_tokens"] = tokens
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(data, ensure_ascii=True, separators=(",", ":")) + "\n")
    tokenizer = Tekkenizer.from_file(path)
    return {"file": path.name, "size": tokenizer.n_words, "bos": tokenizer.bos_id, "eos": tokenizer.eos_id,
            "names": {str(i): tokenizer.id_to_piece(i) for i in (0, 3, 19, special - 1)},
            "texts": TEXTS, "ids": [tokenizer.encode(text, bos=True, eos=False) for text in TEXTS]}


OUT.mkdir(parents=True, exist_ok=True)
cases = [write("v3", 40, False, "v3"), write("v7", 24, True, "v7")]
(OUT / "golden.json").write_text(json.dumps(
    {"mistral-common": importlib.metadata.version("mistral-common"), "cases": cases}) + "\n")
