#!/usr/bin/env python3
"""Writes all node tests that the ONNX project's Python package defines, and its converted PyTorch ones, as folders that
graphs_test runs:

    python scripts/onnx_node_tests.py FOLDER
    HEARTH_DATA=FOLDER build/release/graphs_test -tc="the ONNX project's node tests hold"

Needs numpy and onnx (1.23 defines 1,884 node tests).  Their inputs are drawn anew each time.
"""
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases


def proto(value, info):
    """A test's value as the message that its graph wants."""
    kind = info.type.WhichOneof("value")
    if kind == "map_type":
        made = numpy_helper.from_dict(value)
    elif kind == "sequence_type":
        made = numpy_helper.from_list(value)
    elif kind == "optional_type":
        made = numpy_helper.from_optional(value)
    else:
        made = value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value))
    made.name = info.name
    return made.SerializeToString()


def main():
    root = Path(sys.argv[1]) / "conformance/onnx-backend"
    cases = collect_testcases(None)
    for case in cases:
        folder = root / "node" / case.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(case.model.SerializeToString())
        for i, (inputs, outputs) in enumerate(case.data_sets):
            data = folder / f"test_data_set_{i}"
            data.mkdir(exist_ok=True)
            for what, values, infos in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
                for k, value in enumerate(values):
                    (data / f"{what}_{k}.pb").write_bytes(proto(value, infos[k]))
    converted = Path(onnx.__file__).parent / "backend/test/data"
    for name, to in (("pytorch-converted", "simple"), ("pytorch-operator", "pytorch-operator"), ("simple", "simple")):
        shutil.copytree(converted / name, root / to, dirs_exist_ok=True)
    print(len(cases), "node tests")


main()
