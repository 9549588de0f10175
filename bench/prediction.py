#!/usr/bin/env python3
"""How close predictions come: `hearth info --benchmark` and `hearth bench` in turn, for each model.

usage: prediction.py MODEL.gguf... [--hearth BINARY] [--processors 0,1] [--rounds 3]

Decoding is counted in processor time (a run of 56 tokens less one of 8), so that other programs on the machine
count as little as can be; the threads of a run share the named processors.  Figures of each round stand beside
each other: a pair has seen the same machine.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--hearth", default="build/release/hearth")
    parser.add_argument("--processors", default="0,1")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = len(options.processors.split(","))

    with tempfile.TemporaryDirectory() as home:
        world = {**os.environ, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}

        def start(*words):
            command = ["taskset", "-c", options.processors, options.hearth, *words]
            return subprocess.Popen(command, env=world, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

        def processor_seconds(model, tokens):
            process = start("bench", model, "--rounds", "1", "--prompt-tokens", "8", "--gen-tokens", str(tokens),
                            "--speculate=false")
            process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
            if status != 0:
                raise SystemExit(f"{model}: bench ended with {status}")
            return usage.ru_utime

        for model in options.models:
            expected, reached = [], []
            for _ in range(options.rounds):
                start("info", "--benchmark", "--json").communicate()
                shown = json.loads(start("show", model, "--json").communicate()[0])
                expected.append(shown["expected_tokens_per_second"])
                seconds = (processor_seconds(model, 56) - processor_seconds(model, 8)) / threads
                reached.append(48 / seconds)
            shares = [a / b for a, b in zip(reached, expected)]
            print(f"{os.path.basename(model)}: expected {statistics.median(expected):.1f} tokens/s, "
                  f"reached {statistics.median(reached):.1f}; pairs {' '.join(f'{s:.2f}' for s in shares)}, "
                  f"median {statistics.median(shares):.2f}", flush=True)


main()
