#!/usr/bin/env python3
"""Writes tests/golden/graphs/microfrontend.npz: what TFLite Micro's own interpreter makes of sounds, window after window,
with the feature extractor of its micro_speech example (every signal operator in it); and tests/golden/graphs/framer.npz:
frames of streams, run after run.

    python scripts/golden_microfrontend.py MODEL.tflite

MODEL.tflite: audio_preprocessor_int8.tflite of the example.  Members: model, frames [n, 480], features [n, 40].
framer.npz: CASE/model, CASE/RUN/in/0, CASE/RUN/out/N; frames that are not whole are zeros.
Needs numpy, flatbuffers and tflite-micro.
"""
import sys
from pathlib import Path

import numpy as np
from flatbuffers import flexbuffers
from tflite_micro.python.tflite_micro import runtime

from golden_litert import File, Graph

ROOT = Path(__file__).resolve().parent.parent


def framers():
    arrays, random = {}, np.random.RandomState(5)
    for name, size, step, prefill, chunk, rows in (("filled", 5, 2, True, 2, 1), ("waiting", 5, 2, False, 2, 1), ("waiting long", 7, 2, False, 4, 2),
                                                   ("whole", 3, 3, False, 6, 1), ("filled rows", 6, 3, True, 6, 2)):
        file = File()
        g = Graph(file, "main")
        b = flexbuffers.Builder()
        b.MapFromElements({"frame_size": size, "frame_step": step, "prefill": prefill})
        x = g.input("x", [rows, chunk], 7)
        g.outputs = [g.tensor([rows, chunk // step, size], 7, "frames"), g.tensor([], 6, "valid")]
        g.nodes.append({0: ("u32", file.code("SignalFramer")), 1: ("i32s", [x]), 2: ("i32s", g.outputs), 5: ("bytes", bytes(b.Finish()))})
        data = file.write([])
        interpreter = runtime.Interpreter.from_bytes(data)
        arrays[f"{name}/model"] = np.frombuffer(data, np.uint8)
        for run in range(6):
            given = random.randint(-999, 999, (rows, chunk)).astype(np.int16)
            interpreter.set_input(given, 0)
            interpreter.invoke()
            arrays[f"{name}/{run}/in/0"] = given
            frames, valid = interpreter.get_output(0).copy(), interpreter.get_output(1).copy()
            for f in range(chunk // step):  # it leaves memory as it was where a frame is not whole
                if not prefill and run * chunk + (f + 1) * step < size:
                    frames[:, f] = 0
            arrays[f"{name}/{run}/out/0"], arrays[f"{name}/{run}/out/1"] = frames, valid
    np.savez_compressed(ROOT / "tests/golden/graphs/framer.npz", **arrays)


def main():
    framers()
    data = Path(sys.argv[1]).read_bytes()
    random = np.random.RandomState(4)
    time = np.arange(480) / 16000
    loudness = (0, 1, 3, 30, 300, 3000, 30000, 32767)
    frames = [np.clip(a * np.sin(2 * np.pi * f * time) + random.normal(0, n, 480), -32768, 32767)
              for a, f, n in zip(loudness, (100, 440, 990, 3000, 60, 2000, 7000, 440), (0, 0, 1, 9, 200, 40, 900, 30000))]
    frames = np.array(frames + frames[::-1]).astype(np.int16)
    interpreter = runtime.Interpreter.from_bytes(data)
    features = []
    for frame in frames:
        interpreter.set_input(frame.reshape(1, 480), 0)
        interpreter.invoke()
        features.append(interpreter.get_output(0).reshape(-1))
    np.savez_compressed(ROOT / "tests/golden/graphs/microfrontend.npz", model=np.frombuffer(data, np.uint8), frames=frames,
                        features=np.array(features))
    print(np.array(features)[:4])


if __name__ == "__main__":
    main()
