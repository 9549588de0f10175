#!/usr/bin/env python3
"""Hearth beside its peers: the same GGUF files, the same machine, interleaved; medians and their spread.

usage: compare.py MODEL.gguf... [--peer NAME=FOLDER]... [--threads 1,2] [--prompts 128,512,2048] [--gen 128]
                  [--depth 4096] [--streams 1,4,16,32] [--rounds 3] [--hearth BINARY] [--cpu TABLE] [--cpu-time]
                  [--json FILE]

FOLDER holds a peer's llama-bench and, for streams, llama-batched-bench (llama.cpp and its forks), built by whoever
compares.  Every figure is tokens per second of the whole machine's clock, except the last two rows: seconds of a process
that loads the model and gives one token, and its peak resident memory in MB.  --cpu-time: for a machine that others use too,
tokens per second of processor time, from the difference of a run and one twice as long, so that neither loading nor waiting counts.  Models of real shapes without a download:
scripts/synth_model.py.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time


def run(command):
    """A process's output and seconds.  A failed one says why and ends the comparison."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: ended with {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout, done.stderr, elapsed


def peak_megabytes(command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    return usage.ru_maxrss / 1024


def processor_seconds(command):
    """Of a process and its threads."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status != 0:
        sys.exit(f"{' '.join(command)}: ended with {status}")
    return usage.ru_utime + usage.ru_stime


def per_processor_second(command_of, tokens, rate):
    """Tokens per second of processor time; command_of(n): a run of n times rate tokens."""
    return tokens * rate / (processor_seconds(command_of(2 * tokens)) - processor_seconds(command_of(tokens)))


class Hearth:
    def __init__(self, binary, table):
        self.name, self.binary, self.table = "hearth", binary, ["--cpu", table] if table else []

    def command(self, model, threads, prompt, gen, depth=0, streams=1):
        return [self.binary, "bench", model, "--json", "--rounds", "1", "--threads", str(threads), *self.table,
                "--prompt-tokens", str(prompt), "--gen-tokens", str(gen), "--depth", str(depth), "--streams", str(streams),
                "--speculate=false"]

    def bench(self, *arguments):
        out, _, _ = run(self.command(*arguments))
        return json.loads(out)

    def prefill_command(self, model, threads, prompt):
        return self.command(model, threads, prompt, 2)

    def decode_command(self, model, threads, gen, depth):
        return self.command(model, threads, 8, gen, depth)

    def batched_command(self, model, threads, gen, streams):
        return self.command(model, threads, 16, gen, 0, streams)

    def prefill(self, model, threads, prompt):
        return self.bench(model, threads, prompt, 2)["prefill_tokens_per_second"]

    def decode(self, model, threads, gen, depth):
        return self.bench(model, threads, 8, gen, depth)["decode_tokens_per_second"]

    def batched(self, model, threads, gen, streams):
        return self.bench(model, threads, 16, gen, 0, streams)["decode_tokens_per_second"]

    def one_token(self, model, threads):
        return [self.binary, "run", model, "a", "--raw", "--max-tokens", "1", "--threads", str(threads), *self.table]


class LlamaBench:
    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        help_text = subprocess.run([f"{folder}/llama-bench", "--help"], capture_output=True, text=True, check=False)
        self.has_depth = "--n-depth" in help_text.stdout + help_text.stderr
        self.no_warmup = ["--no-warmup"] if "--no-warmup" in help_text.stdout + help_text.stderr else ["-w", "0"]

    def bench(self, model, threads, *arguments):
        out, _, _ = run([f"{self.folder}/llama-bench", "-m", model, "-t", str(threads), "-r", "1", "-o", "json",
                         *arguments])
        return json.loads(out[out.index("["):])[-1]["avg_ts"]

    def command(self, model, threads, *arguments):
        return [f"{self.folder}/llama-bench", "-m", model, "-t", str(threads), "-r", "1", "-o", "json", *self.no_warmup,
                *arguments]

    def prefill_command(self, model, threads, prompt):
        return self.command(model, threads, "-p", str(prompt), "-n", "0", *(["-ub", str(min(prompt, 512))]))

    def decode_command(self, model, threads, gen, depth):
        deep = ["-d", str(depth)] if depth > 0 else []
        return self.command(model, threads, "-p", "0", "-n", str(gen), *deep)

    def batched_command(self, model, threads, gen, streams):
        return [f"{self.folder}/llama-batched-bench", "-m", model, "-t", str(threads), "-c", str(streams * (gen + 32)),
                "-npp", "16", "-ntg", str(gen), "-npl", str(streams)]

    def prefill(self, model, threads, prompt):
        return self.bench(model, threads, "-p", str(prompt), "-n", "0")

    def decode(self, model, threads, gen, depth):
        if depth == 0:
            return self.bench(model, threads, "-p", "0", "-n", str(gen))
        if self.has_depth:
            return self.bench(model, threads, "-p", "0", "-n", str(gen), "-d", str(depth))
        # A prompt and its answer in one figure: what twice the answer takes longer.
        once, twice = (self.bench(model, threads, "-p", "0", "-n", "0", "-gp", f"{depth},{n}") for n in (gen, 2 * gen))
        return gen / ((depth + 2 * gen) / twice - (depth + gen) / once)

    def batched(self, model, threads, gen, streams):
        out, err, _ = run([f"{self.folder}/llama-batched-bench", "-m", model, "-t", str(threads), "-c",
                           str(streams * (gen + 32)), "-npp", "16", "-ntg", str(gen), "-npl", str(streams)])
        # Its table: PP | TG | B | N_KV | T_PP | S_PP | T_TG | S_TG | T | S
        row = re.findall(r"^\|((?:\s*[\d.]+\s*\|){9,})", out + err, re.MULTILINE)[-1]
        return float(row.split("|")[7])

    def one_token(self, model, threads):
        return [f"{self.folder}/llama-bench", "-m", model, "-t", str(threads), "-r", "1", "-p", "1", "-n", "0",
                *self.no_warmup]


def figures(options):
    """What is measured: a name and how an engine is asked for it."""
    if options.cpu_time:
        yield from figures_by_processor(options)
        return
    for prompt in options.prompts:
        yield f"pp{prompt}", lambda e, m, t, n=prompt: e.prefill(m, t, n)
    for depth in dict.fromkeys([0, *options.depth]):
        yield f"tg{options.gen} @ {depth}", lambda e, m, t, d=depth: e.decode(m, t, options.gen, d)
    for streams in options.streams:
        yield f"{streams} streams", lambda e, m, t, n=streams: e.batched(m, t, options.gen, n)
    yield "load to first token, s", lambda e, m, t: run(e.one_token(m, t))[2]
    yield "peak memory, MB", lambda e, m, t: peak_megabytes(e.one_token(m, t))


def figures_by_processor(options):
    """The same by processor time."""
    for prompt in options.prompts:
        yield f"pp{prompt}", lambda e, m, t, n=prompt: per_processor_second(lambda k: e.prefill_command(m, t, k), n, 1)
    for depth in dict.fromkeys([0, *options.depth]):
        yield (f"tg{options.gen} @ {depth}",
               lambda e, m, t, d=depth: per_processor_second(lambda k: e.decode_command(m, t, k, d), options.gen, 1))
    for streams in options.streams:
        yield (f"{streams} streams",
               lambda e, m, t, n=streams: per_processor_second(lambda k: e.batched_command(m, t, k, n), options.gen, n))
    yield "load to first token, s", lambda e, m, t: processor_seconds(e.one_token(m, t))
    yield "peak memory, MB", lambda e, m, t: peak_megabytes(e.one_token(m, t))


def ceilings(binary, threads):
    """The machine's own peaks, of the benchmark of kernels beside the binary."""
    bench = os.path.join(os.path.dirname(binary), "matmul_bench")
    if not os.path.exists(bench):
        return []
    out, _, _ = run([bench, "--threads", str(threads), "--types", "none"])
    return [line for line in out.splitlines() if "peak " in line]


def compare(model, threads, engines, options):
    rows = []
    for name, measure in figures(options):
        values = {engine.name: [] for engine in engines}
        for _ in range(options.rounds):
            for engine in engines:
                values[engine.name].append(measure(engine, model, threads))
        rows.append({"model": os.path.basename(model), "threads": threads, "figure": name, "values": values})
        print_row(rows[-1], engines)
    return rows


def print_row(row, engines):
    ours = statistics.median(row["values"]["hearth"])
    cells = []
    for engine in engines:
        values = row["values"][engine.name]
        middle = statistics.median(values)
        cells.append(f"{middle:9.{2 if middle < 10 else 1}f} ±{(max(values) - min(values)) / 2 / middle:4.0%}")
    ratios = [f"{ours / statistics.median(row['values'][e.name]):5.2f}x" for e in engines[1:]]
    print(f"| {row['figure']:24} | " + " | ".join(cells + ratios) + " |", flush=True)


def numbers(text):
    return [int(part) for part in text.split(",") if part]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--hearth", default="build/release/hearth")
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--prompts", type=numbers, default=[128, 512, 2048])
    parser.add_argument("--gen", type=int, default=128)
    parser.add_argument("--depth", type=numbers, default=[4096])
    parser.add_argument("--streams", type=numbers, default=[1, 4, 16, 32])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", default="", help="Hearth's kernel table")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    engines = [Hearth(options.hearth, options.cpu)] + [LlamaBench(*peer.split("=", 1)) for peer in options.peer]
    rows = []
    for threads in options.threads:
        for line in ceilings(options.hearth, threads):
            print(line)
        for model in options.models:
            print(f"\n{os.path.basename(model)}, {threads} thread(s), medians of {options.rounds}")
            names = [engine.name for engine in engines]
            print("| figure | " + " | ".join(names + [f"against {name}" for name in names[1:]]) + " |")
            print("|---" * (2 * len(names)) + "|")
            rows += compare(model, threads, engines, options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
