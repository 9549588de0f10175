#!/usr/bin/env python3
"""Writes a small BERT embedder and reranker as ONNX folders, as sentence-transformers lay them out.

  scripts/encoder_graphs.py OUT_FOLDER

Each folder gets expected.json: what transformers finds.  Needs torch, transformers and onnx (made
with 2.15, 5.23 and 1.23).  Deterministic.
"""
import json
import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *("##" + c for c in LETTERS)]
WORDS += ["cat", "dog", "small", "big", "the", "one", "two"]
PLACE = {word: i for i, word in enumerate(WORDS)}


class Named(torch.nn.Module):
    """The inputs by place, and the one output that the graph has."""

    def __init__(self, model, output):
        super().__init__()
        self.model, self.output = model, output

    def forward(self, ids, mask, types):
        return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types)[self.output]


def ids_of(words):
    return [PLACE[word] for word in words]


def export(model, output, folder):
    rows = {0: "batch_size", 1: "sequence_length"}
    axes = {"input_ids": rows, "attention_mask": rows, "token_type_ids": rows}
    axes[output] = rows if output == "last_hidden_state" else {0: "batch_size"}
    example = (torch.tensor([[2, 5, 6, 3]]), torch.ones(1, 4, dtype=torch.int64), torch.tensor([[0, 0, 1, 1]]))
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    torch.onnx.export(Named(model, output).eval(), example, str(folder / "onnx/model.onnx"), input_names=list(axes)[:3], output_names=[output], dynamic_axes=axes, opset_version=17, dynamo=False)


def write_text_side(folder, config, architecture):
    config = {**config.to_dict(), "architectures": [architecture], "num_labels": 1}
    config.update(id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    names = {"cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "pad": "[PAD]", "mask": "[MASK]"}
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    tokenizer.update({f"{key}_token": value for key, value in names.items()})
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))


def embedder(folder, model, config):
    export(model, "last_hidden_state", folder)
    write_text_side(folder, config, "BertModel")
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    kinds = ["Transformer", "Pooling", "Normalize"]
    modules = [{"idx": i, "name": str(i), "path": "", "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    expected = {}
    for words in (["the", "small", "cat"], ["dog"]):
        rows = model(input_ids=torch.tensor([[2, *ids_of(words), 3]])).last_hidden_state[0]
        mean = rows.mean(0)
        expected[" ".join(words)] = (mean / mean.norm()).tolist()
    (folder / "expected.json").write_text(json.dumps(expected))


def reranker(folder, model, config):
    export(model, "logits", folder)
    write_text_side(folder, config, "BertForSequenceClassification")
    expected = {}
    for query, text in ((["the", "cat"], ["small", "cat"]), (["the", "cat"], ["big", "dog", "two"])):
        first, second = [2, *ids_of(query), 3], [*ids_of(text), 3]
        types = torch.tensor([[0] * len(first) + [1] * len(second)])
        score = model(input_ids=torch.tensor([first + second]), token_type_ids=types).logits
        expected[" ".join(text)] = score[0].tolist()
    (folder / "expected.json").write_text(json.dumps({"query": "the cat", "scores": expected}))


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=40, num_labels=1)
    config._attn_implementation = "eager"
    models = ((embedder, BertModel(config, add_pooling_layer=False)), (reranker, BertForSequenceClassification(config)))
    for write, model in models:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.normal_(1.0 if "LayerNorm.weight" in name else 0.0, 0.4 if weight.dim() > 1 else 0.2)
            write(Path(sys.argv[1]) / write.__name__, model.eval(), config)


if __name__ == "__main__":
    main()
