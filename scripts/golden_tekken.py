#!/usr/bin/env python3
"""Tekken vocabularies with the ids that mistral-common gives for some texts.

    scripts/golden_tekken.py [OUT]

Needs mistral-common and tiktoken.  Cuts the tokenizer of Mistral Nemo, which mistral-common brings
along (Apache 2.0), to its first 900 tokens, and writes OUT/v3.json as such files are,
OUT/v7.json with its special tokens listed, and OUT/golden.json; there also conversations as every
version lays them out.
"""
import importlib.metadata
import importlib.resources
import json
import pathlib
import sys
import tempfile

from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy, SpecialTokens
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
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


def call(id, name, arguments):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}}


CONVERSATION = [
    {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi  there"},
    {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": "", "tool_calls": [call("abcdefghi", "weather", {"city": "Zürich"}), call("bbbbbbbbb", "time", {})]},
    {"role": "tool", "tool_call_id": "abcdefghi", "name": "weather", "content": "rain"},
    {"role": "tool", "tool_call_id": "bbbbbbbbb", "name": "time", "content": "noon"},
    {"role": "assistant", "content": "It rains."}, {"role": "user", "content": "Thanks"}]
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}},
    {"type": "function", "function": {"name": "time", "description": "Now", "parameters": {"type": "object", "properties": {}}}}]


def conversations(version):
    """As a whole tokenizer of that version lays them out; v11 and later need more special tokens."""
    data = json.loads((importlib.resources.files("mistral_common") / "data" / "tekken_240718.json").read_text())
    data["config"]["version"] = version
    usual = [str(getattr(t["token_str"], "value", t["token_str"])) for t in Tekkenizer.DEPRECATED_SPECIAL_TOKENS]
    names = usual + [t.value for t in SpecialTokens if t.value not in usual]
    data["special_tokens"] = [{"rank": i, "token_str": name, "is_control": True} for i, name in enumerate(names)]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tekken.json"
        path.write_text(json.dumps(data))
        tokenizer = MistralTokenizer.from_file(str(path))
    prompts = []
    for count, tools in ((2, None), (4, TOOLS), (7, TOOLS), (9, TOOLS), (9, None)):
        request = ChatCompletionRequest.from_openai(messages=CONVERSATION[:count], tools=tools)
        tokens = tokenizer.encode_chat_completion(request).tokens
        prompts.append({"messages": count, "tools": tools is not None,
                        "prompt": tokenizer.decode(tokens, special_token_policy=SpecialTokenPolicy.KEEP)})
    return {"version": version, "prompts": prompts}


OUT.mkdir(parents=True, exist_ok=True)
cases = [write("v3", 40, False, "v3"), write("v7", 24, True, "v7")]
(OUT / "golden.json").write_text(json.dumps(
    {"mistral-common": importlib.metadata.version("mistral-common"), "cases": cases,
     "messages": CONVERSATION, "tools": TOOLS,
     "conversations": [conversations(version) for version in ("v3", "v7", "v11", "v13")]}) + "\n")
