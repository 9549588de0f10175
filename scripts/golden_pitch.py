#!/usr/bin/env python3
"""Writes tests/golden/graphs/basic_pitch.npz: one window of basic-pitch's own test recording as the network is
given it, and the part of the published output that comes of it.

    python scripts/golden_pitch.py DATA_FOLDER        (../shared/data/models/audio/basic-pitch)

Needs numpy and soxr, with which the recording is brought to 22,050 Hz as librosa does it; onnxruntime, to check.
Source: spotify/basic-pitch, inference.py: windows of 43,844 samples, 30 frames of 256 in common, of which 15 are
dropped at each end.
"""
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime
import soxr

SAMPLES, FRAME, COMMON, WINDOW = 43844, 256, 30, 2


def main():
    folder = Path(sys.argv[1])
    with wave.open(str(folder / "tests/resources/vocadito_10.wav")) as file:
        rate = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    sound = soxr.resample(sound, rate, 22050, quality="HQ").astype(np.float32)
    sound = np.concatenate([np.zeros(COMMON * FRAME // 2, np.float32), sound])
    step = SAMPLES - COMMON * FRAME
    window = sound[WINDOW * step:WINDOW * step + SAMPLES]
    golden = np.load(folder / "tests/resources/vocadito_10/model_output.npz", allow_pickle=True)["arr_0"].item()
    session = onnxruntime.InferenceSession(str(folder / "nmp.onnx"), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: window.reshape(1, -1, 1)})
    half = COMMON // 2
    arrays = {"window": window.reshape(1, -1, 1)}
    for name, part in golden.items():
        for got in outputs:
            frames = got.shape[1] - COMMON
            wanted = part[WINDOW * frames:(WINDOW + 1) * frames]
            if got.shape[2] == part.shape[1]:
                away = np.abs(got[0, half:-half] - wanted).max()
                print(f"{name}: {away:.1e} from what is published")
        arrays[name] = part[WINDOW * frames:(WINDOW + 1) * frames]
    np.savez_compressed(Path(__file__).resolve().parent.parent / "tests/golden/graphs/basic_pitch.npz", **arrays)


main()
