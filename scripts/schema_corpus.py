#!/usr/bin/env python3
"""Compiles every JSON schema below a folder, such as a checkout of a public collection of them, and tells
how many can be held to, how long they took, and for what the others are refused.  Ends with 1 when one of
them crashes the program or takes over --patience seconds.  Needs Qwen 2's vocabulary in $HEARTH_DATA.

Usage: scripts/schema_corpus.py FOLDER [--program build/release/grammar_bench] [--patience 10]
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile


def schemas_below(folder):
    for path in sorted(pathlib.Path(folder).rglob("*.json")):
        try:
            schema = json.loads(path.read_bytes())
        except ValueError:
            continue
        if isinstance(schema, dict):
            yield {"name": path.stem.replace(" ", "_"), "schema": schema, "text": "x"}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder")
    options.add_argument("--program", default="build/release/grammar_bench")
    options.add_argument("--patience", type=float, default=10)
    wish = options.parse_args()
    cases = list(schemas_below(wish.folder))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(cases, file)
        file.flush()
        ran = subprocess.run([wish.program, file.name], capture_output=True, text=True)
    times, refused = [], collections.Counter()
    for line in ran.stdout.splitlines()[2:]:
        name, rest = line.split(None, 1)
        if compiled := re.match(r"\d+\s+([\d.]+)\s+\d+\s+[\d.]+\s+\d+\s+[\d.]+", rest):
            times.append((float(compiled.group(1)), name))
        else:
            refused[re.sub(r"'[^']*'|\d+", "_", re.sub(r"^#\S*:? ?", "", rest))[:60]] += 1
    times.sort()
    print(f"{len(cases)} schemas: {len(times)} compiled, {sum(refused.values())} refused by name")
    if times:
        print(f"milliseconds: median {times[len(times) // 2][0]}, 95 % {times[int(len(times) * .95)][0]}, "
              f"longest {times[-1][0]} ({times[-1][1]})")
    for reason, count in refused.most_common(12):
        print(f"  {count:4} {reason}")
    is_whole = ran.returncode == 0 and len(times) + sum(refused.values()) == len(cases)
    return 0 if is_whole and (not times or times[-1][0] <= wish.patience * 1000) else 1


if __name__ == "__main__":
    sys.exit(main())
