#!/usr/bin/env python3
"""Writes tests/golden/graphs/executorch/keywords.npz: what a keyword spotter is given for a recording.

    python scripts/golden_keywords.py [DATA]

From the shared data (../shared/data when left out): the recording no_1000ms.wav as 49 rows of 10 mel
cepstral coefficients (windows of 640 samples every 320, 40 bands from 20 to 4000 Hz, decibels), and what
the network of executorch/KeywordSpotting/model.pth says of them in single precision.
"""
import os
import sys
import wave

import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RATE, WINDOW, HOP, BANDS = 16000, 640, 320, 40


def bands():
    # Equally far apart on O'Shaughnessy's mel scale.
    mel = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (20, 4000)), BANDS + 2)
    at, f = 700 * (10 ** (mel / 2595) - 1), np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    rise = (f[None] - at[:-2, None]) / (at[1:-1] - at[:-2])[:, None]
    fall = (at[2:, None] - f[None]) / (at[2:] - at[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall))


def coefficients(samples):
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.stack([samples[i * HOP : i * HOP + WINDOW] * window for i in range(1 + (len(samples) - WINDOW) // HOP)])
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 @ bands().T
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    turn = np.cos(np.pi / BANDS * (np.arange(BANDS)[None] + 0.5) * np.arange(10)[:, None]) * np.sqrt(2 / BANDS)
    turn[0] /= np.sqrt(2)
    return (decibels @ turn.T).astype(np.float32)


def spotter(weights, x):
    def norm(x, name):
        return F.batch_norm(x, *(weights[f"{name}.{n}"] for n in ("running_mean", "running_var", "weight", "bias")))

    x = F.relu(norm(F.conv2d(x, weights["feature_extractor.0.weight"], stride=2, padding=(5, 1)), "feature_extractor.1"))
    for i in range(4, 8):
        at = f"feature_extractor.{i}"
        x = F.relu(norm(F.conv2d(x, weights[f"{at}.depthwise.weight"], padding=1, groups=64), f"{at}.depthwise_bn"))
        x = F.relu(norm(F.conv2d(x, weights[f"{at}.pointwise.weight"]), f"{at}.pointwise_bn"))
    return F.linear(x.mean((2, 3)), weights["classifier.weight"], weights["classifier.bias"])


def main():
    data = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "../shared/data")
    with wave.open(os.path.join(data, "models/audio/tflm-micro-speech/testdata/no_1000ms.wav")) as f:
        samples = np.frombuffer(f.readframes(f.getnframes()), np.int16).astype(np.float64) / 32768
    x = coefficients(np.pad(samples, (0, max(0, RATE - len(samples))))[:RATE]).reshape(1, 1, 49, 10)
    weights = torch.load(os.path.join(data, "models/executorch/KeywordSpotting/model.pth"), weights_only=True)
    says = spotter(weights, torch.from_numpy(x)).numpy()
    print(np.round(says, 2), says.argmax())
    np.savez(os.path.join(HERE, "tests/golden/graphs/executorch/keywords.npz"), heard=x, said=says)


if __name__ == "__main__":
    main()
