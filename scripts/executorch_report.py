#!/usr/bin/env python3
"""Writes docs/formats/executorch-operators.md: executorch_report.py GRAPHS_TEST.

Runs the ExecuTorch tests and says for every operator that Hearth knows which of them use it.
"""
import collections
import os
import pathlib
import subprocess
import sys
import tempfile

HEAD = """# ExecuTorch operators

Made by `python3 scripts/executorch_report.py build/release/graphs_test` from programs that `scripts/golden_executorch.py` exports and
runs with ExecuTorch itself. A program counts for every operator in it.

{passed} of {total} programs give what ExecuTorch or PyTorch gives.

| operator | programs passed | of | among them |
|---|---|---|---|
"""


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    root = pathlib.Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.tsv"
        subprocess.run([program, "-tc=*ExecuTorch*,*XNNPACK*,*language models*"], cwd=root, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, HEARTH_EXECUTORCH_REPORT=str(report)))
        rows = [line.split("\t") for line in report.read_text().splitlines()]
    known = [row[1] for row in rows if row[0] == "+"]
    cases = [row for row in rows if row[0] != "+"]
    passed, of = collections.Counter(), collections.defaultdict(list)
    for archive, name, result, *operators in cases:
        for each in operators:
            of[each].append(f"{archive}/{name}")
            passed[each] += result == "passed"
    text = HEAD.format(passed=sum(row[2] == "passed" for row in cases), total=len(cases))
    tested = sorted((name for name in known if of[name]), key=str.lower)
    for name in tested:
        text += f"| {name} | {passed[name]} | {len(of[name])} | {', '.join(sorted(of[name], key=lambda n: (len(n), n))[:2])} |\n"
    rest = sorted((name for name in known if not of[name]), key=str.lower)
    text += "\nWithout a program here: " + ", ".join(f"`{name}`" for name in rest) + ".\n"
    (root / "docs/formats/executorch-operators.md").write_text(text)
    print(f"{len(tested)} operators with programs, {len(rest)} without")


main()
