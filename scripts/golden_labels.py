#!/usr/bin/env python3
"""Writes tests/golden/graphs/labelled.tflite: a network that says which colour a picture of 2 by 2 points has most of, with
its labels and what its pictures become, as TensorFlow Lite Support packs them into a file.

    python scripts/golden_labels.py

Needs numpy and flatbuffers.  Source: TFLite, schema.fbs; TensorFlow Lite Support, metadata_schema.fbs.
"""
import io
import zipfile
from pathlib import Path

import flatbuffers

from golden_litert import File, Graph, put

ROOT = Path(__file__).resolve().parent.parent
MEAN, NORMALIZATION, AXIS_LABELS = 40, 1, 2


def metadata():
    b = flatbuffers.Builder(1024)
    normalisation = {0: ("u8", NORMALIZATION), 1: ("table", {0: ("f32s", [127.5]), 1: ("f32s", [127.5])})}
    image = {0: ("text", "image"), 4: ("tables", [normalisation])}
    labels = {0: ("text", "colours.txt"), 2: ("i8", AXIS_LABELS)}
    result = {0: ("text", "probability"), 6: ("tables", [labels])}
    root = put(b, {0: ("text", "Colours"), 1: ("text", "Names the colour."), 4: ("text", "Hearth"),
                   3: ("tables", [{2: ("tables", [image]), 3: ("tables", [result])}])})
    b.Finish(root, file_identifier=b"M001")
    return bytes(b.Output())


def main():
    file = File()
    g = Graph(file, "main")
    image = g.input("image", [1, 2, 2, 3])
    axes = g.ints(1, 2)
    mean = g.tensor([1, 3], name="score")
    g.nodes.append({0: ("u32", file.code(MEAN)), 1: ("i32s", [image, axes]), 2: ("i32s", [mean]), 3: ("u8", 27),
                    4: ("table", {0: ("bool", False)})})
    g.outputs = [mean]
    file.metadata["TFLITE_METADATA"] = metadata()
    whole = io.BytesIO(file.write([]))
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("colours.txt", (1980, 1, 1, 0, 0, 0)), "red\r\ngreen\r\nblue\r\n", zipfile.ZIP_DEFLATED)
    (ROOT / "tests/golden/graphs/labelled.tflite").write_bytes(whole.getvalue())


if __name__ == "__main__":
    main()
