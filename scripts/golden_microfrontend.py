#!/usr/bin/env python3
"""Writes tests/golden/graphs/microfrontend.npz: what TFLite Micro's own interpreter makes of sounds, window after window,
with the feature extractor of its micro_speech example (every signal operator in it); and tests/golden/graphs/streams.npz: streams
that go through its other operators piece by piece.

    python scripts/golden_microfrontend.py MODEL.tflite

MODEL.tflite: audio_preprocessor_int8.tflite of the example.  Members: model, frames [n, 480], features [n, 40].
streams.npz: CASE/model, CASE/RUN/in/0, CASE/RUN/out/N; what is not whole yet is zeros.
Needs numpy, flatbuffers and tflite-micro.
"""
import sys
from pathlib import Path

import numpy as np
from flatbuffers import flexbuffers
from tflite_micro.python.tflite_micro import runtime

from golden_litert import File, Graph

ROOT = Path(__file__).resolve().parent.parent


I16, F32, BOOL = 7, 0, 6


def streams():
    """CASE: operator, options, shape that comes in, shapes and kinds that come out, which runs of it are whole."""
    random, arrays = np.random.RandomState(5), {}

    def case(name, code, options, shape, outs, runs=6, kind=I16, mend=None):
        file = File()
        g = Graph(file, "main")
        b = flexbuffers.Builder()
        b.MapFromElements(options)
        x = g.input("x", list(shape), kind)
        g.outputs = [g.tensor(list(s), k, f"out{i}") for i, (s, k) in enumerate(outs)]
        g.nodes.append({0: ("u32", file.code(code)), 1: ("i32s", [x]), 2: ("i32s", g.outputs), 5: ("bytes", bytes(b.Finish()))})
        data = file.write([])
        interpreter = runtime.Interpreter.from_bytes(data)
        arrays[f"{name}/model"] = np.frombuffer(data, np.uint8)
        for run in range(runs):
            given = random.randint(-30000, 30000, shape).astype(np.int16 if kind == I16 else np.float32)
            interpreter.set_input(given, 0)
            interpreter.invoke()
            got = [interpreter.get_output(i).copy() for i in range(len(outs))]
            if mend:
                mend(run, got)
            arrays[f"{name}/{run}/in/0"] = given
            arrays.update({f"{name}/{run}/out/{i}": x for i, x in enumerate(got)})

    for name, size, step, prefill, chunk, rows in (("filled", 5, 2, True, 2, 1), ("waiting", 5, 2, False, 2, 1), ("waiting long", 7, 2, False, 4, 2),
                                                   ("whole", 3, 3, False, 6, 1), ("filled rows", 6, 3, True, 6, 2)):
        def zeros(run, got):  # it leaves memory as it was where a frame is not whole
            for f in range(chunk // step):
                if not prefill and run * chunk + (f + 1) * step < size:
                    got[0][:, f] = 0
        case("frames " + name, "SignalFramer", {"frame_size": size, "frame_step": step, "prefill": prefill}, (rows, chunk),
             [((rows, chunk // step, size), I16), ((), BOOL)], mend=zeros)
    for length in (3, 9):
        case(f"delay {length}", "SignalDelay", {"delay_length": length}, (2, 5), [((2, 5), I16)])
    for kind, what in ((I16, 7), (F32, 0)):
        case(f"overlap {what}", "SignalOverlapAdd", {"T": what, "frame_step": 2}, (2, 3, 5), [((2, 6), kind)], kind=kind)
    for left, right, step in ((2, 1, 1), (1, 0, 2), (0, 2, 3)):
        def nothing(run, got):
            if not got[1]:
                got[0][:] = 0
        case(f"stack {left} {right} {step}", "SignalStacker", {"num_channels": 4, "stacker_left_context": left, "stacker_right_context": right,
                                                              "stacker_step": step}, (4,), [((4 * (left + right + 1),), I16), ((), BOOL)], runs=9, mend=nothing)
    np.savez_compressed(ROOT / "tests/golden/graphs/streams.npz", **arrays)


def main():
    streams()
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
