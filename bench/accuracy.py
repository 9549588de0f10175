#!/usr/bin/env python3
"""How close engines keep to f32: the mean KL divergence of their next-token distributions from those of the plain f32 path.

usage: accuracy.py MODEL.gguf... --bench build/release/logits_bench [--tables avx512,avx2] [--tiers accurate,exact,turbo]
                   [--llama LIBLLAMA.so] [--positions 1000]

The text is random tokens, the same for all.  LIBLLAMA.so: a peer's shared library (llama.cpp), built by whoever compares; it is
called through ctypes with llama-cpp-python's declarations (pip install llama-cpp-python), 1 thread, its defaults otherwise.
Needs numpy.
"""
import argparse
import os
import random
import struct
import subprocess
import sys
import tempfile

import numpy


def hearth(bench, model, tokens, out, *options):
    """Logits of our own engine."""
    subprocess.run([bench, model, tokens, out, *options], check=True)
    return numpy.fromfile(out, dtype=numpy.float32)


def llama(library, model, tokens):
    """Logits of llama.cpp."""
    os.environ["LLAMA_CPP_LIB_PATH"] = os.path.dirname(library)
    import llama_cpp  # only where it is asked for
    llama_cpp.llama_backend_init()
    loaded = llama_cpp.llama_load_model_from_file(model.encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = len(tokens) + 8, 512, 512
    params.n_threads = params.n_threads_batch = 1
    context = llama_cpp.llama_new_context_with_model(loaded, params)
    vocabulary = llama_cpp.llama_n_vocab(llama_cpp.llama_model_get_vocab(loaded))
    rows = []
    for first in range(0, len(tokens), 128):
        part = tokens[first:first + 128]
        batch = llama_cpp.llama_batch_init(len(part), 0, 1)
        batch.n_tokens = len(part)
        for i, token in enumerate(part):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, first + i, 1, 1
            batch.seq_id[i][0] = 0
        if llama_cpp.llama_decode(context, batch) != 0:
            sys.exit("llama_decode failed")
        for i in range(len(part)):
            rows.append(numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (vocabulary,)).copy())
        llama_cpp.llama_batch_free(batch)
    return numpy.concatenate(rows)


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
    wanted = hearth(options.bench, model, path, out, "--cpu", "portable", "--f32-cache")
    vocabulary = wanted.size // len(tokens)
    print(f"\n{os.path.basename(model)}, {len(tokens)} positions, vocabulary {vocabulary}")
    for table in options.tables.split(","):
        for tier in options.tiers.split(","):
            got = hearth(options.bench, model, path, out, "--cpu", table, "--tier", tier)
            print("| Hearth %s, %s | %.3e ± %.1e |" % (table, tier, *divergence(wanted, got, vocabulary)), flush=True)
    if options.llama:
        print("| llama.cpp | %.3e ± %.1e |" % divergence(wanted, llama(options.llama, model, tokens), vocabulary), flush=True)


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--bench", default="build/release/logits_bench")
    parser.add_argument("--tables", default="avx512,avx2")
    parser.add_argument("--tiers", default="accurate,exact")
    parser.add_argument("--llama")
    parser.add_argument("--positions", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            compare(model, options, folder)


if __name__ == "__main__":
    main()
