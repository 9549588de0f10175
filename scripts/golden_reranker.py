#!/usr/bin/env python3
"""Writes a tiny cross-encoder of random weights as a Hugging Face folder, with the scores that transformers
gives to a query and four texts: golden_reranker.py [FOLDER]

Needs torch and transformers; tests/golden/reranker holds what it wrote.
"""
import json
import pathlib
import sys

import tokenizers
import torch
import transformers

SEED = 14  # of those whose scores lie well apart
WORDS = ("a the is in of on and to cat dog sofa tax income due may june refund weeks six sleeps "
         "runs rain sun mountain river pass renew ticket train bread oven music piano green red "
         "house garden winter summer book reads pays bank letter").split()


def tokenizer(folder):
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]) + "\n")
    return transformers.BertTokenizerFast(tokenizer_object=wordpiece(folder), do_lower_case=True,
                                          model_max_length=64)


def wordpiece(folder):
    vocabulary = {word: i for i, word in enumerate((folder / "vocab.txt").read_text().split())}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return made


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/reranker")
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    encode = tokenizer(folder)
    model = transformers.BertForSequenceClassification(transformers.BertConfig(
        vocab_size=len(WORDS) + 4, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64, num_labels=1, pad_token_id=0,
        initializer_range=0.5))
    model.eval()
    model.save_pretrained(folder)
    encode.save_pretrained(folder)
    query = "renew pass"
    texts = ["the train is in the garden and the sun runs",
             "renew the ticket on the train",
             "to renew the pass the bank reads a letter",
             "the pass in the mountain is green"]
    with torch.no_grad():
        scores = [model(**encode(query, text, return_tensors="pt")).logits.item() for text in texts]
    (folder / "golden.json").write_text(json.dumps(
        {"versions": {"torch": torch.__version__, "transformers": transformers.__version__},
         "seed": SEED, "query": query, "texts": texts, "scores": scores}, indent=1) + "\n")
    print(scores)


if __name__ == "__main__":
    main()
