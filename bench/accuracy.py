#!/usr/bin/env python3
"""How close engines keep to f32: the mean KL divergence of their next-token distributions from those of the plain f32 path.

usage: accuracy.py MODEL.gguf... --bench build/release/logits_bench [--tables avx512,avx2] [--tiers accurate,exact,turbo]
                   [--peer NAME=PROGRAM]... [--positions 1000] [--texts 1]

The texts are random tokens, the same for all; positions are those of all together.  Beside every peer: by how much the first of ours is
nearer, position by position, with the standard error of that.  PROGRAM: bench/peer_logits.cpp built with a peer's library by whoever compares; one
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


def divergences(wanted, got, vocabulary):
    """KL(wanted || got) of every position."""
    values = []
    for first in range(0, wanted.size, 64 * vocabulary):
        p = log_softmax(wanted[first:first + 64 * vocabulary].reshape(-1, vocabulary))
        q = log_softmax(got[first:first + 64 * vocabulary].reshape(-1, vocabulary))
        values.append((numpy.exp(p) * (p - q)).sum(axis=1))
    return numpy.concatenate(values)


def mean_of(values):
    """The mean and its standard error."""
    return values.mean(), values.std() / len(values) ** 0.5


def compare(model, options, folder):
    """One model's table."""
    out = os.path.join(folder, "logits")
    length = options.positions // options.texts
    random.seed(1)
    paths = []
    for text in range(options.texts):
        paths.append(os.path.join(folder, f"tokens-{text}"))
        with open(paths[-1], "wb") as file:
            file.write(struct.pack(f"<{length}i", *(random.randrange(3, 500) for _ in range(length))))
    wanted = [logits_of(options.bench, model, path, out, "--cpu", "portable", "--kv-type", "f32") for path in paths]
    vocabulary = wanted[0].size // length
    print(f"\n{os.path.basename(model)}, {length * options.texts} positions, vocabulary {vocabulary}")

    def measure(bench, *more):
        return numpy.concatenate([divergences(logits, logits_of(bench, model, path, out, *more), vocabulary)
                                  for path, logits in zip(paths, wanted)])

    first = None
    for table in options.tables.split(","):
        for tier in options.tiers.split(","):
            ours = measure(options.bench, "--cpu", table, "--tier", tier)
            first = ours if first is None else first
            print("| Hearth %s, %s | %.3e ± %.1e |" % (table, tier, *mean_of(ours)), flush=True)
    for peer in options.peer:
        name, program = peer.split("=", 1)
        try:
            theirs = measure(program)
        except subprocess.CalledProcessError as error:
            print(f"| {name} | ends with {error.returncode} |", flush=True)
            continue
        print("| %s | %.3e ± %.1e | ours is %.3f of it, nearer by %.2e ± %.1e |" %
              (name, *mean_of(theirs), first.mean() / theirs.mean(), *mean_of(theirs - first)), flush=True)


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--bench", default="build/release/logits_bench")
    parser.add_argument("--tables", default="avx512,avx2")
    parser.add_argument("--tiers", default="accurate,exact")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PROGRAM")
    parser.add_argument("--positions", type=int, default=1000)
    parser.add_argument("--texts", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            compare(model, options, folder)


if __name__ == "__main__":
    main()
