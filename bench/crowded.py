#!/usr/bin/env python3
"""What becomes of Hearth's speed beside a program that keeps every core busy: its share is left, not a tenth.

usage: crowded.py MODEL.gguf [--hearth BINARY] [--threads 2] [--rounds 3] [--repeat 1]

Alone and beside as many busy loops as there are processors, in turn.  `of the clock` is tokens per second beside the
loops over those alone; `processor` is the same per second of processor time, which says whether work is lost to waiting
for threads that do not run: 1 is nothing lost.  A fair scheduler leaves half of the clock.  --repeat: a small model answers within
the few milliseconds that a scheduler gives to one program, and must answer often to be measured.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

BUSY = "while True: pass"


def run(options):
    """Tokens per second of the clock, reading and writing, and processor seconds of the whole process."""
    process = subprocess.Popen(
        [options.hearth, "bench", options.model, "--json", "--rounds", str(options.repeat), "--threads", str(options.threads),
         "--prompt-tokens", "128", "--gen-tokens", "48", "--speculate=false"], stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status != 0:
        sys.exit(f"{options.hearth} bench: ended with {status}")
    got = json.loads(out)
    return got["prefill_tokens_per_second"], got["decode_tokens_per_second"], usage.ru_utime + usage.ru_stime


def crowded(options):
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count())]
    try:
        return run(options)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--hearth", default="build/release/hearth")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    pairs = []
    for _ in range(options.rounds):
        pairs.append((run(options), crowded(options)))
        (prefill, decode, _), (prefill_with, decode_with, _) = pairs[-1]
        print(f"alone {prefill:.0f} and {decode:.1f} tokens/s, beside {prefill_with:.0f} and {decode_with:.1f}", flush=True)
    share = [statistics.median(beside[i] / alone[i] for alone, beside in pairs) for i in range(2)]
    work = statistics.median(alone[2] / beside[2] for alone, beside in pairs)
    print(f"of the clock: reading {share[0]:.2f}, writing {share[1]:.2f}; processor {work:.2f}")


main()
