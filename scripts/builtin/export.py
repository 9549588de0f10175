"""Writes a checkpoint as GGUF: `python export.py CHECKPOINT_DIR OUT.gguf`."""

import argparse
import json
from pathlib import Path

import gguf
import torch
from gguf import quants

from corpus import CONTROL
from model import Shape

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
KIND = gguf.GGMLQuantizationType.Q8_0
SHARPNESS = 3  # a program that samples at temperature 1 gets what would be temperature 1/3


def add_sizes(writer, shape):
    """The sizes of the model, by the names that GGUF has for `llama`."""
    writer.add_name("builtin")
    writer.add_description("Hearth's built-in chat model: Hearth's commands, small talk, simple sums, unit conversion")
    writer.add_license("apache-2.0")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)


def add_tokenizer(writer, path):
    """The byte-level pieces, their merges, the control tokens and the chat template."""
    model = json.loads(path.read_text())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(pieces)
    writer.add_token_types([gguf.TokenType.CONTROL if piece in CONTROL else gguf.TokenType.NORMAL for piece in pieces])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(pieces.index("<|im_end|>"))
    writer.add_pad_token_id(pieces.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    writer.add_float32("general.sampling.temp", 0.0)  # the likeliest answer, unless the user asks for another temperature


def add_tensors(writer, weights):
    """Matrices as Q8_0, gains as they are. The rotary pairs are neighbours already, as GGUF's `llama` wants them."""
    for name, weight in weights.items():
        values = weight.float().numpy() * (SHARPNESS if name == "output_norm.weight" else 1)
        if weight.ndim == 2:
            writer.add_tensor(name, quants.quantize(values, KIND), raw_dtype=KIND)
        else:
            writer.add_tensor(name, values)


def export(folder, out):
    """Writes the checkpoint of a folder."""
    state = torch.load(folder / "checkpoint.pt")
    writer = gguf.GGUFWriter(out, "llama")
    add_sizes(writer, Shape(**state["shape"]))
    add_tokenizer(writer, folder / "tokenizer.json")
    add_tensors(writer, state["model"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"step {state['step']}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    export(arguments.folder, arguments.out)
