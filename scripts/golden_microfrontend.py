#!/usr/bin/env python3
"""Writes tests/golden/graphs/microfrontend.npz: what TFLite Micro's own interpreter makes of sounds, window after window,
with the feature extractor of its micro_speech example (every signal operator in it).

    python scripts/golden_microfrontend.py MODEL.tflite

MODEL.tflite: audio_preprocessor_int8.tflite of the example.  Members: model, frames [n, 480], features [n, 40].
Needs numpy and tflite-micro.
"""
import sys
from pathlib import Path

import numpy as np
from tflite_micro.python.tflite_micro import runtime

ROOT = Path(__file__).resolve().parent.parent


def main():
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
