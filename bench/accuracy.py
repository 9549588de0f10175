#!/usr/bin/env python3
"""How close engines keep to f32: the mean KL divergence of their next-token distributions from those of the plain f32 path.

usage: accuracy.py MODEL.gguf... --bench build/release/logits_bench [--tables avx512,avx2] [--tiers accurate,exact,turbo]
                   [--peer NAME=PROGRAM]... [--positions 1000]

The text is random tokens, the same for all.  PROGRAM: bench/peer_logits.cpp built with a peer's library by whoever compares; one
thread, the peer's defaults otherwise.  The f32 path is the table `portable` with a cache of keys and values in f32.  Needs numpy.
"""
import argparse
import os
import random
import struct
import subprocess
import tempfile

import numpy


def logits_of(bench, model, tokens, out, *options):
    """Logits that a program writes."""
    subprocess.run([bench, model, tokens, out, *options], check=True)
    return numpy.fromfile(out, dtype=numpy.float32)


def log_softmax(logits):
    """Row by row, in f64."""
    logits = logits.astype(numpy.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - numpy.log(numpy.exp(logits).sum(axis=1, keepdims=True))


def divergence(wanted, got, vocabulary):
    """The mean over positions of KL(wanted || got), and its standard error."""
    values = []
    for first in range(0, wanted.size, 64 * vocabulary):
        p = log_softmax(wanted[first:first + 64 * vocabulary].reshape(-1, vocabulary))
        q = log_softmax(got[first:first + 64 * vocabulary].reshape(-1, vocabulary))
        values.append((numpy.exp(p) * (p - q)).sum(axis=1))
    values = numpy.concatenate(values)
    return values.mean(), values.std() / len(values) ** 0.5


def compare(model, options, folder):
    """One model's table."""
    path, out = os.path.join(folder, "tokens"), os.path.join(folder, "logits")
    random.seed(1)
    tokens = [random.randrange(3, 500) for _ in range(options.positions)]
    with open(path, "wb") as file:
        file.write(struct.pack(f"<{len(tokens)}i", *tokens))
    wanted = logits_of(options.bench, model, path, out, "--cpu", "portable", "--kv-type", "f32")
    vocabulary = wanted.size // len(tokens)
    print(f"\n{os.path.basename(model)}, {len(tokens)} positions, vocabulary {vocabulary}")
    for table in options.tables.split(","):
        for tier in options.tiers.split(","):
            got = logits_of(options.bench, model, path, out, "--cpu", table, "--tier", tier)
            print("| Hearth %s, %s | %.3e ± %.1e |" % (table, tier, *divergence(wanted, got, vocabulary)), flush=True)
    for peer in options.peer:
        name, program = peer.split("=", 1)
        got = logits_of(program, model, path, out)
        print("| %s | %.3e ± %.1e |" % (name, *divergence(wanted, got, vocabulary)), flush=True)


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--bench", default="build/release/logits_bench")
    parser.add_argument("--tables", default="avx512,avx2")
    parser.add_argument("--tiers", default="accurate,exact")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PROGRAM")
    parser.add_argument("--positions", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            compare(model, options, folder)


if __name__ == "__main__":
    main()
