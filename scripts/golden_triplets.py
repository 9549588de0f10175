#!/usr/bin/env python3
"""Writes tests/golden/vectors/triplets.bin: what PyTorch makes of the learned index's training.

An autoencoder 10-12-8-12-10 (the encoder's outputs of length one) is trained for 25 steps of Adam
on the sum of torch.nn.TripletMarginLoss(margin 0.2) and a tenth of the mean squared error.  Weights
and triplets come from the sequence of next_uniform() in src/vectors/learned/network.cpp, so they
are not stored.  Record: u32 steps; for each step f32 triplet loss and f32 mean squared error; u32
count and f32 parameters after the last step, in the order of Autoencoder::parameters().
"""
import pathlib
import struct

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
INPUTS, HIDDEN, OUTPUTS, ROWS, STEPS = 10, 12, 8, 16, 25


class Sequence:
    def __init__(self, seed):
        self.seed = seed

    def next(self):
        self.seed = (self.seed * 6364136223846793005 + 1442695040888963407) % 2**64
        high = self.seed >> 32
        return (high - 2**32 if high >= 2**31 else high) * 2.0**-31

    def tensor(self, *shape, scale=1.0):
        values = [self.next() for _ in range(torch.Size(shape).numel())]
        return torch.tensor(values, dtype=torch.float32).reshape(shape) * torch.tensor(scale)


def layer(sequence, inputs, outputs):
    result = torch.nn.Linear(inputs, outputs)
    reach = torch.tensor(1.0) / torch.sqrt(torch.tensor(float(inputs)))
    with torch.no_grad():
        result.weight.copy_(sequence.tensor(outputs, inputs, scale=reach.item()))
        result.bias.copy_(sequence.tensor(outputs, scale=reach.item()))
    return result


def main():
    torch.set_num_threads(1)
    weights = Sequence(7)
    sizes = [(INPUTS, HIDDEN), (HIDDEN, OUTPUTS), (OUTPUTS, HIDDEN), (HIDDEN, INPUTS)]
    layers = torch.nn.ModuleList([layer(weights, *size) for size in sizes])
    data = Sequence(8)
    anchors, positives, negatives = (data.tensor(ROWS, INPUTS) for _ in range(3))
    triplet = torch.nn.TripletMarginLoss(margin=0.2)
    adam = torch.optim.Adam(layers.parameters(), lr=0.001)
    out = [struct.pack("<I", STEPS)]
    for _ in range(STEPS):
        x = torch.cat([anchors, positives, negatives])
        hidden = torch.relu(layers[0](x))
        codes = torch.nn.functional.normalize(layers[1](hidden))
        back = layers[3](torch.relu(layers[2](codes)))
        near = triplet(*codes.split(ROWS))
        error = torch.nn.functional.mse_loss(back, x)
        out.append(struct.pack("<ff", near.item(), error.item()))
        adam.zero_grad()
        (near + 0.1 * error).backward()
        adam.step()
    values = torch.cat([p.detach().flatten() for p in layers.parameters()])
    out.append(struct.pack(f"<I{len(values)}f", len(values), *values.tolist()))
    path = ROOT / "tests/golden/vectors/triplets.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(out))
    print(f"{path}: torch {torch.__version__}")


if __name__ == "__main__":
    main()
