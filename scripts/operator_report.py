#!/usr/bin/env python3
"""Writes docs/formats/onnx-operators.md: operator_report.py GRAPHS_TEST [DATA].

Runs the ONNX project's node tests (folder DATA/conformance/onnx-backend, ../shared/data when left
out) and says for every operator how many of the tests that use it pass.  Operators are named as
Hearth reads them: in their newest form, with functions of the file written out.
"""
import collections
import os
import pathlib
import subprocess
import sys
import tempfile

HEAD = """# ONNX operators

Made by `python3 scripts/operator_report.py build/release/graphs_test` from the ONNX project's own tests (node, simple,
pytorch-operator). A test counts for every operator in it; operators are named in the form in which Hearth runs them, so
that a test of an older or composed operator counts for its parts. Operators that Hearth has and that no test here uses are
listed at the end.

{passed} of {total} tests pass; {outside} are of training, of preview domains or of pictures in formats that Hearth does not decode.

| operator | tests passed | of |
|---|---|---|
"""


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    root = pathlib.Path(__file__).resolve().parent.parent
    environment = dict(os.environ)
    if len(sys.argv) > 2:
        environment["HEARTH_DATA"] = sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.tsv"
        environment["HEARTH_ONNX_REPORT"] = str(report)
        subprocess.run([program, "-tc=the ONNX project's node tests hold"], check=True, cwd=root, env=environment,
                       stdout=subprocess.DEVNULL)
        rows = [line.split("\t") for line in report.read_text().splitlines()]
    passed, all_tests = collections.Counter(), collections.Counter()
    for name, result, *operators in rows:
        for operator in operators:
            all_tests[operator] += 1
            passed[operator] += result == "passed"
    counts = collections.Counter(result for _, result, *_ in rows)
    text = HEAD.format(passed=counts["passed"], total=len(rows), outside=counts["outside"])
    for operator in sorted(all_tests, key=str.lower):
        text += f"| {operator} | {passed[operator]} | {all_tests[operator]} |\n"
    known = subprocess.run([program, "-tc=the names of all operators*"], cwd=root, capture_output=True, text=True,
                           env=dict(environment, HEARTH_LIST_OPERATORS="1")).stdout
    rest = sorted({line[2:] for line in known.splitlines() if line.startswith("+ ")} - set(all_tests), key=str.lower)
    text += "\nWithout a test here: " + ", ".join(f"`{name}`" for name in rest) + ".\n"
    (root / "docs/formats/onnx-operators.md").write_text(text)
    print(f"{counts['passed']} of {len(rows)}; {len(all_tests)} operators with tests, {len(rest)} without")


main()
