#!/usr/bin/env python3
"""Encodes the same text with Hearth's tokenizer_bench and with its peers, one thread each, and
prints the ratios.  Needs a release build and, for the peers, the packages tokenizers, tiktoken and
sentencepiece.

Usage: scripts/bench_tokenizers.py [BENCH-PROGRAM]   (build/release/tokenizer_bench)
The data lies in $HEARTH_DATA or ../shared/data.
"""
import os
import re
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

DATA = os.environ.get("HEARTH_DATA", "../shared/data") + "/conformance/"
VOCABS = DATA + "tokenizer/"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def pieces_of(text):
    """About 4 KB each, cut before lines: some peers are faster on many short texts than on a long one."""
    pieces, size = [[]], 0
    for line in text.splitlines(keepends=True):
        if size > 4096:
            pieces.append([])
            size = 0
        pieces[-1].append(line)
        size += len(line)
    return ["".join(piece) for piece in pieces]


def speed(encode_all, text):
    """The better of the whole text and many pieces of it; encode_all takes a list of texts."""
    best = 1e9
    for texts in [text], pieces_of(text):
        for _ in range(3):
            start = time.thread_time()
            encode_all(texts)
            best = min(best, time.thread_time() - start)
    return len(text.encode()) / 1e6 / best


def hugging_face_bpe(vocab, merges, pre_tokenizer):
    from tokenizers import Tokenizer, models
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    return lambda texts: tokenizer.encode_batch_fast(texts, add_special_tokens=False)


def gguf_vocab(name):
    import gguf
    fields = gguf.GGUFReader(VOCABS + f"gguf/ggml-vocab-{name}.gguf").fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = fields["tokenizer.ggml.merges"].contents() if "tokenizer.ggml.merges" in fields else []
    return {token: i for i, token in enumerate(tokens)}, [tuple(merge.split(" ")) for merge in merges]


def qwen2():
    import json
    from tokenizers import Regex, pre_tokenizers
    vocab = json.load(open(VOCABS + "qwen2/vocab.json", encoding="utf-8"))
    lines = open(VOCABS + "qwen2/merges.txt", encoding="utf-8").read().split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    return hugging_face_bpe(vocab, merges, pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))


def gpt2():
    from tokenizers import pre_tokenizers
    vocab, merges = gguf_vocab("gpt-2")
    return hugging_face_bpe(vocab, merges, pre_tokenizers.ByteLevel(add_prefix_space=False))


def o200k():
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe
    from tiktoken_ext import openai_public
    pattern = "|".join(re.findall(r'r"""(.*?)"""', open(openai_public.__file__).read().split("def o200k_base")[1]
                                  .split("def ")[0]))
    encoding = tiktoken.Encoding("o200k", pat_str=pattern, special_tokens={},
                                 mergeable_ranks=load_tiktoken_bpe(VOCABS + "gpt-4o/o200k_base.tiktoken"))
    return lambda texts: [encoding.encode_ordinary(text) for text in texts]


def bert():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    vocab, _ = gguf_vocab("bert-bge")
    words = {(name[1:] if name.startswith("▁") else "##" + name): i for name, i in vocab.items()}
    words["[UNK]"] = vocab["[UNK]"]
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return lambda texts: tokenizer.encode_batch_fast(texts, add_special_tokens=False)


def sentencepiece_model(name):
    def make():
        import sentencepiece
        processor = sentencepiece.SentencePieceProcessor(model_file=VOCABS + f"sentencepiece/{name}.model")
        return lambda texts: [processor.encode(text) for text in texts]
    return make


PEERS = {"qwen2": ("tokenizers", qwen2), "o200k": ("tiktoken", o200k), "gpt-2": ("tokenizers", gpt2),
         "bert-bge": ("tokenizers", bert), "test_model": ("sentencepiece", sentencepiece_model("test_model")),
         "test_ja_model": ("sentencepiece", sentencepiece_model("test_ja_model"))}


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build/release/tokenizer_bench"
    path = DATA + "corpora/war-and-peace.txt"
    text = open(path, encoding="utf-8").read()
    print(f"{'vocabulary':16} {'hearth':>8} {'peer':>8}  ratio   (MB/s of processor time, one thread)")
    for line in subprocess.run([program, path], capture_output=True, text=True, check=True).stdout.splitlines():
        match = re.match(r"(\S+)\s+([\d.]+) MB/s", line)
        if not match:
            continue
        name, ours = match[1], float(match[2])
        if name not in PEERS:
            print(f"{name:16} {ours:8.1f}")
            continue
        peer, make = PEERS[name]
        try:
            theirs = speed(make(), text)
        except Exception as error:
            print(f"{name:16} {ours:8.1f}   {peer}: {error}")
            continue
        print(f"{name:16} {ours:8.1f} {theirs:8.1f}  {ours / theirs:5.1f}   {peer}")


main()
