"""Trains the built-in chat model: `python train.py --out DIR --steps N [--resume FILE]`.

Conversations are drawn afresh all the time and packed one behind the other into rows, as the turns of a longer talk
would be; only the assistant's words are learned. Of most written answers only the opening is kept: it holds the choice
of the answer, and the rest is soon known by heart. Matrices are trained by Muon, the rest by AdamW.
"""

import argparse
import json
import math
import re
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional as F

from corpus import Corpus, render, train_tokenizer
from model import Llama, Shape

TOKENS = 2048
OPENING = 10
COMPUTED = re.compile(r" |-?\d|Half|A (third|quarter)|The square")
IGNORED = -100


class Packer:
    """Packs conversations into rows of tokens and targets."""

    def __init__(self, corpus, tokenizer, length, cut):
        self.corpus, self.tokenizer, self.length, self.cut, self.waiting = corpus, tokenizer, length, cut, None

    def encode(self):
        """The tokens and targets of one conversation."""
        tokens, targets = [], []
        for text, learned in render(self.corpus.draw()):
            ids = self.tokenizer.encode(text).ids
            if learned and not COMPUTED.match(text) and self.corpus.rng.random() < self.cut:
                ids = ids[:OPENING]
            tokens += ids
            targets += ids if learned else [IGNORED] * len(ids)
        return tokens[: self.length], targets[1 : self.length] + [IGNORED]

    def row(self):
        """One row filled with whole conversations."""
        tokens, targets = [], []
        while True:
            item = self.waiting or self.encode()
            self.waiting = None
            if len(tokens) + len(item[0]) > self.length:
                self.waiting = item
                break
            tokens, targets = tokens + item[0], targets + item[1]
        missing = self.length - len(tokens)
        return tokens + [0] * missing, targets + [IGNORED] * missing

    def batch(self):
        """Tokens and targets of a step."""
        return tuple(torch.tensor(part) for part in zip(*(self.row() for _ in range(TOKENS // self.length))))


def orthogonal(gradient, steps=4):
    """An approximately orthogonal matrix in the gradient's direction (Newton-Schulz iteration)."""
    x = gradient / (gradient.norm() + 1e-7)
    turned = x.shape[0] > x.shape[1]
    x = x.T if turned else x
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if turned else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, for matrices."""

    def __init__(self, parameters, rate, momentum=0.95, decay=0.02):
        super().__init__(parameters, {"lr": rate, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p].setdefault("momentum", torch.zeros_like(p))
                state.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(state, group["momentum"]))
                scale = max(1, p.shape[0] / p.shape[1]) ** 0.5
                p.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)


def make_optimizers(model, rate):
    """Muon for the blocks' matrices, AdamW for embeddings and gains."""
    matrices = [p for p in model.blk.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim < 2 or p is model.token_embd.weight]
    return [Muon(matrices, rate), torch.optim.AdamW(others, lr=rate / 8, betas=(0.9, 0.98), weight_decay=0.0)]


def fall(done):
    """The rate's fall, a cosine down to a fiftieth."""
    return 0.02 + 0.98 * (1 + math.cos(math.pi * min(1, done))) / 2


def loss_of(model, logits, batch):
    """The mean cross entropy of the assistant's words."""
    tokens, targets = batch
    hidden = model(tokens)
    learned = targets != IGNORED
    return F.cross_entropy(logits(hidden[learned]), targets[learned])


def save(path, model, optimizers, step):
    """Writes a checkpoint, complete or not at all."""
    state = {"shape": model.shape.as_dict(), "model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step}
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


def train(arguments):
    """The training loop."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    pieces = arguments.out / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(pieces)) if pieces.exists() else train_tokenizer(pieces)
    model = Llama(Shape(tokenizer.get_vocab_size(), arguments.width, arguments.layers, arguments.width // 32, 3 * arguments.width))
    optimizers = make_optimizers(model, arguments.rate)
    start = resume(arguments.resume, model, optimizers) if arguments.resume else 0
    mixture = json.loads(arguments.mixture) if arguments.mixture else None
    packer = Packer(Corpus(arguments.seed + start, mixture), tokenizer, arguments.row, arguments.cut)
    run = torch.compile(model) if arguments.compile else model
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    began, lap, mean = time.time(), time.time(), 0.0
    for step in range(start, arguments.steps):
        share = (time.time() - began) / (60 * arguments.minutes) if arguments.minutes else (step - start) / (arguments.steps - start)
        factor = min(1, (step - start + 1) / arguments.warm_up) * fall(arguments.done + (1 - arguments.done) * share)
        for optimizer, rate in zip(optimizers, (arguments.rate, arguments.rate / 8)):
            optimizer.param_groups[0]["lr"] = rate * factor
        loss = loss_of(run, model.logits, packer.batch())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        mean += loss.item()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1} loss {mean / 50:.4f} {50 * TOKENS / (time.time() - lap):.0f} tokens/s {time.time() - began:.0f} s", flush=True)
            mean, lap = 0.0, time.time()
        ended = step + 1 == arguments.steps or arguments.minutes and share > 1
        if (step + 1) % 100 == 0 or ended:
            save(arguments.out / "checkpoint.pt", model, optimizers, step + 1)
        if ended:
            break


def resume(path, model, optimizers):
    """Takes up a checkpoint and gives the step it was written at."""
    state = torch.load(path)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"]):
        optimizer.load_state_dict(saved)
    return state["step"]


def main():
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--minutes", type=float, help="end after this time, however many steps it gave")
    parser.add_argument("--done", type=float, default=0.0, help="share of the rate's fall that lies behind, to go on with it")
    parser.add_argument("--warm-up", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--mixture", help="JSON object of weights, to replace the usual mixture")
    parser.add_argument("--width", type=int, default=Shape.width)
    parser.add_argument("--layers", type=int, default=Shape.layers)
    parser.add_argument("--row", type=int, default=128, help="tokens in a row")
    parser.add_argument("--cut", type=float, default=0.75, help="share of written answers of which only the opening is learned")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
