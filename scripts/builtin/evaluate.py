"""Measures the exported models as a program would run them: dequantised weights, greedy decoding.

`python evaluate.py chat FILE.gguf [--ask QUESTION] [--drawn N]` and `python evaluate.py embed FILE.gguf`.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import gguf
import jinja2
import torch
from gguf import quants
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from torch.nn import functional as F

import phrases
from corpus import PARAPHRASES, TESTS, UNSEEN, Corpus
from embedder import Embedder, score_triples
from model import Llama, Shape, rotate

TRIPLES = TESTS.parent / "triples.jsonl"
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


class Chat:
    """A chat model read from GGUF alone."""

    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        shape = Shape(vocabulary=self.number("vocab_size"), width=self.number("embedding_length"), layers=self.number("block_count"),
                      heads=self.number("attention.head_count"), inner=self.number("feed_forward_length"), context=self.number("context_length"),
                      theta=self.number("rope.freq_base"), epsilon=self.number("attention.layer_norm_rms_epsilon"))
        self.model = Llama(shape).eval()
        self.model.load_state_dict({tensor.name: torch.tensor(quants.dequantize(tensor.data, tensor.tensor_type)) for tensor in self.reader.tensors})
        self.tokenizer = self.read_tokenizer()
        self.template = jinja2.Template(self.content("tokenizer.chat_template"))
        self.end = self.content("tokenizer.ggml.eos_token_id")

    def content(self, key):
        """The value of a key."""
        return self.reader.get_field(key).contents()

    def number(self, key):
        """The value of a key of the architecture."""
        return self.content(f"llama.{key}")

    def read_tokenizer(self):
        """The tokenizer, built from the file's pieces and merges."""
        pieces = self.content("tokenizer.ggml.tokens")
        merges = [tuple(merge.split(" ")) for merge in self.content("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        tokenizer.decoder = decoders.ByteLevel()
        kinds = self.content("tokenizer.ggml.token_type")
        tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece, kind in zip(pieces, kinds) if kind == gguf.TokenType.CONTROL])
        return tokenizer

    def answer(self, messages, limit=120):
        """The greedy answer to a conversation."""
        tokens = self.tokenizer.encode(self.template.render(messages=messages, add_generation_prompt=True)).ids
        made, state = [], [None] * len(self.model.blk)
        with torch.inference_mode():
            while len(made) < limit:
                following = self.step(tokens, state)
                if following == self.end:
                    break
                made.append(following)
                tokens = [following]
        return self.tokenizer.decode(made)

    def step(self, tokens, state):
        """The likeliest token after some new ones, with keys and values kept in `state`."""
        model = self.model
        before = state[0][0].shape[2] if state[0] else 0
        places = slice(before, before + len(tokens))
        cosine, sine = model.cosine[places], model.sine[places]
        x = model.token_embd(torch.tensor([tokens]))
        for index, block in enumerate(model.blk):
            h = block.attn_norm(x)
            q, k, v = (part(h).unflatten(-1, (block.heads, -1)).transpose(1, 2) for part in (block.attn_q, block.attn_k, block.attn_v))
            q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
            if state[index]:
                k, v = torch.cat((state[index][0], k), 2), torch.cat((state[index][1], v), 2)
            state[index] = (k, v)
            h = F.scaled_dot_product_attention(q, k, v, is_causal=len(tokens) > 1)
            x = x + block.attn_output(h.transpose(1, 2).flatten(-2))
            h = block.ffn_norm(x)
            x = x + block.ffn_down(F.silu(block.ffn_gate(h)) * block.ffn_up(h))
        return model.logits(model.output_norm(x[:, -1])).argmax().item()

    def ask(self, question):
        """The answer to a single question."""
        return self.answer([{"role": "user", "content": question}])


def passes(answer, check):
    """Whether an answer holds all of the one list and one of the other."""
    text = " ".join(answer.lower().split())
    found = [piece.lower() in text for piece in check["any_of"]]
    return all(piece.lower() in text for piece in check["all_of"]) and (any(found) or not found)


def read_lines(path):
    """The records of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def score_questions(chat, path):
    """Questions whose answers must hold certain pieces: the test's own, or the ones written after the training text."""
    checks = read_lines(path)
    right = 0
    for check in checks:
        answer = chat.ask(check["question"])
        right += passes(answer, check)
        if not passes(answer, check):
            print("MISS", check["question"], "->", answer)
    print(f"{path.name}: {right} of {len(checks)}")


def score_paraphrases(chat):
    """Hand-written wordings that were never trained on: the answer must be the block's own, to the letter."""
    blocks = phrases.read_blocks(phrases.TEXT / "hearth.txt") + phrases.read_blocks(phrases.TEXT / "smalltalk.txt")
    answers = {block.name: block.answer for block in blocks}
    answers["beyond"] = phrases.read_beyond(phrases.TEXT / "beyond.txt")[3]
    checks = read_lines(PARAPHRASES)
    right = 0
    for check in checks:
        answer = chat.ask(check["question"])
        right += answer == answers[check["block"]]
        if answer != answers[check["block"]]:
            print("MISS", check["block"], "|", check["question"], "->", answer)
    print(f"paraphrases: {right} of {len(checks)}")


def score_drawn(chat, count):
    """Questions drawn from the wordings held out, and fresh sums and units."""
    corpus, right = Corpus(4242), Counter()
    for kind in ("hearth", "smalltalk", "beyond", "sums", "units"):
        for _ in range(count):
            question, answer = corpus.pair(kind, held_out=kind not in ("sums", "units"))
            given = chat.ask(question)
            right[kind] += given == answer
            if given != answer:
                print("MISS", kind, "|", question, "->", given, "| not", answer)
    print("drawn:", {kind: f"{right[kind]} of {count}" for kind in ("hearth", "smalltalk", "beyond", "sums", "units")})


def main():
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("chat", "embed"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--ask", nargs="*")
    parser.add_argument("--drawn", type=int, default=0)
    parser.add_argument("--questions", type=Path, nargs="*", default=[TESTS, UNSEEN])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.model == "embed":
        right, misses, margin = score_triples(Embedder(arguments.file).embed, TRIPLES)
        print(f"triples: {right} of {len(margin)}, mean margin {margin.mean():.3f}", *misses, sep="\n")
        return
    chat = Chat(arguments.file)
    if arguments.ask:
        for question in arguments.ask:
            print(question, "->", chat.ask(question))
        return
    for path in arguments.questions:
        score_questions(chat, path)
    score_paraphrases(chat)
    if arguments.drawn:
        score_drawn(chat, arguments.drawn)


if __name__ == "__main__":
    main()
