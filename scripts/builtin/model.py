"""A small Llama: RMS norm, rotary attention on interleaved pairs (as GGUF's `llama` has it), SwiGLU, tied embeddings."""

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """The sizes of the model."""

    vocabulary: int = 1536
    width: int = 192
    layers: int = 6
    heads: int = 6
    inner: int = 576
    context: int = 1024
    theta: float = 10000.0
    epsilon: float = 1e-5

    def as_dict(self):
        """The sizes for a checkpoint."""
        return asdict(self)


def rotation(length, size, theta):
    """Cosines and sines of the rotary positions."""
    frequency = theta ** (-torch.arange(0, size, 2) / size)
    angle = torch.outer(torch.arange(length), frequency)
    return angle.cos(), angle.sin()


def rotate(x, cosine, sine):
    """Turns neighbouring pairs of the last axis by their position."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2)


class Norm(nn.Module):
    """Root mean square normalisation with a learned gain."""

    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class Block(nn.Module):
    """Attention and a gated feed-forward network; the names of the parts are GGUF's."""

    def __init__(self, shape):
        super().__init__()
        self.heads = shape.heads
        self.attn_norm, self.ffn_norm = (Norm(shape.width, shape.epsilon) for _ in range(2))
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (nn.Linear(shape.width, shape.width, bias=False) for _ in range(4))
        self.ffn_gate, self.ffn_up = (nn.Linear(shape.width, shape.inner, bias=False) for _ in range(2))
        self.ffn_down = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x, cosine, sine):
        h = self.attn_norm(x)
        q, k, v = (part(h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.attn_q, self.attn_k, self.attn_v))
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(h.transpose(1, 2).flatten(-2))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Llama(nn.Module):
    """The whole model; `forward` gives the last hidden states, `logits` their scores."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape.width, shape.epsilon)
        cosine, sine = rotation(shape.context, shape.width // shape.heads, shape.theta)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)
        self.apply(self.begin)
        for block in self.blk:
            for part in (block.attn_output, block.ffn_down):
                nn.init.normal_(part.weight, std=0.02 / (2 * shape.layers) ** 0.5)

    @staticmethod
    def begin(part):
        """Initial weights."""
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.in_features ** -0.5 / 2)
        if isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=0.05)

    def forward(self, tokens):
        cosine, sine = self.cosine[: tokens.shape[1]], self.sine[: tokens.shape[1]]
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, cosine, sine)
        return self.output_norm(x)

    def logits(self, hidden):
        """Scores over the vocabulary, by the tied embedding."""
        return F.linear(hidden, self.token_embd.weight)
