#!/usr/bin/env python3
"""How soon the program answers: whole processes, medians.

usage: startup.py [BINARY [ROUNDS]]
Prints the time of `hearth --version`, and from starting `hearth run builtin` to its first byte.
"""
import statistics
import subprocess
import sys
import time


def version(binary):
    start = time.perf_counter()
    subprocess.run([binary, "--version"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def first_byte(binary):
    start = time.perf_counter()
    with subprocess.Popen([binary, "run", "builtin", "How do I serve a model?"],
                          stdout=subprocess.PIPE) as process:
        process.stdout.read(1)
        elapsed = time.perf_counter() - start
        process.stdout.read()
    return elapsed


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "build/release/hearth"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    for name, measure in (("hearth --version", version), ("first token of hearth run builtin", first_byte)):
        measure(binary)  # warms the page cache
        times = sorted(measure(binary) * 1e3 for _ in range(rounds))
        print(f"{name}: median {statistics.median(times):.1f} ms "
              f"(of {rounds}; least {times[0]:.1f}, most {times[-1]:.1f})")


if __name__ == "__main__":
    main()
