"""Draws conversations for training: Hearth, small talk, sums, units and honest refusals.

`python corpus.py` prints a few; `python corpus.py --tokenizer FILE` trains the tokenizer.
"""

import argparse
import hashlib
import json
import re
from pathlib import Path

import phrases
import sums
import units

TESTS = Path(__file__).parents[2] / "tests" / "builtin" / "questions.jsonl"
PARAPHRASES = phrases.TEXT / "paraphrases.jsonl"
UNSEEN = phrases.TEXT / "unseen.jsonl"
MIXTURE = {"hearth": 34, "smalltalk": 16, "beyond": 4, "sums": 15, "units": 13, "dialogue": 3, "drill": 15}
PLAIN = {"sums", "units"}
SYSTEM_SHARE, SECOND_TURN_SHARE, HELD_OUT = 0.1, 0.1, 25
PIECES = 1536
STATEMENT = re.compile(r"(-?\d[^=,a-z]*|.*?)( =| is about| is)( .*)")
COLUMNS = re.compile(r"\d+ [-+] \d+: ")
UNFIT = re.compile(r".* than |\d+% of \d+ is|\d+ [-+] .*, |.* and |.*remainder")
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


class Neighbours:
    """Finds wordings that share most of their words with one of some others."""

    def __init__(self, wordings):
        sets = [words for words in map(self.words, wordings) if len(words) > 3]
        self.bits = {word: 1 << place for place, word in enumerate(sorted(frozenset().union(*sets)))}
        self.others = [(len(words), sum(self.bits[word] for word in words)) for words in sets]

    @staticmethod
    def words(wording):
        """The words of a wording, without the full stops behind them."""
        return frozenset(word.strip(".") for word in wording.split())

    def has_near(self, wording):
        """Whether three words in five, of all that occur in either, are the same."""
        words = self.words(wording)
        mask = sum(self.bits.get(word, 0) for word in words)
        return any(8 * (mask & other).bit_count() >= 3 * (len(words) + count) for count, other in self.others)


class Corpus:
    """An endless source of conversations, the same for the same seed."""

    def __init__(self, seed, mixture=None):
        self.rng = phrases.seeded(seed)
        self.mixture = mixture or MIXTURE
        self.hearth = phrases.read_blocks(phrases.TEXT / "hearth.txt")
        self.smalltalk = phrases.read_blocks(phrases.TEXT / "smalltalk.txt")
        self.beyond = phrases.read_beyond(phrases.TEXT / "beyond.txt")
        self.dialogues = phrases.read_dialogues(phrases.TEXT / "dialogues.txt")
        self.forbidden = set().union(*map(read_wordings, (TESTS, PARAPHRASES, UNSEEN)))
        self.neighbours = Neighbours(self.forbidden)
        self.weights = {kind: [block.weight() for block in blocks] for kind, blocks in (("hearth", self.hearth), ("smalltalk", self.smalltalk))}

    def draw(self):
        """One conversation as a list of messages."""
        messages = []
        if self.rng.random() < SYSTEM_SHARE:
            messages.append({"role": "system", "content": self.rng.choice(phrases.SYSTEM)})
        messages += self.turn()
        while self.rng.random() < SECOND_TURN_SHARE:
            messages += self.turn()
        return messages

    def turn(self):
        """A question with its answer; a whole dialogue now and then."""
        kind = self.rng.choices(list(self.mixture), self.mixture.values())[0]
        if kind == "dialogue":
            return self.dialogue()
        if kind == "drill":
            return [{"role": "assistant", "pieces": self.drill()}]
        question, answer = self.pair(kind)
        return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]

    def pair(self, kind, held_out=False):
        """A question and answer of a kind, from the wordings to train on or from those held out."""
        while True:
            question, answer = self.raw_pair(kind)
            base = phrases.normalise(question)
            question = phrases.dress(question, self.rng, plain=kind in PLAIN)
            if kind not in PLAIN and is_held_out(base) != held_out:
                continue
            dressed = phrases.normalise(question)
            if not {base, dressed} & self.forbidden and (kind in PLAIN or not self.neighbours.has_near(dressed)):
                return question, answer

    def raw_pair(self, kind):
        """A question before it is dressed, and its answer."""
        if kind == "sums":
            return sums.ask(self.rng)
        if kind == "units":
            return units.ask(self.rng)
        if kind == "beyond":
            return phrases.ask_beyond(self.beyond, self.rng)
        blocks = self.hearth if kind == "hearth" else self.smalltalk
        block = self.rng.choices(blocks, self.weights[kind])[0]
        question = phrases.ask(block, self.rng)
        if block.names:
            name = phrases.pick_name(self.rng)
            return question.replace("{name}", name), block.answer.replace("{name}", name)
        return question, block.answer

    def drill(self):
        """Many short statements of arithmetic and units, of which only the results are learned."""
        pieces = []
        while len(pieces) < 20:
            text = sums.statement(self.rng) if self.rng.random() < 0.6 else units.ask(self.rng)[1]
            if COLUMNS.match(text):
                expression, steps = text.split(":", 1)
                pieces += [(expression + ":", False), (steps + "\n", True)]
                continue
            match = STATEMENT.fullmatch(text)
            if match and not UNFIT.match(text):
                pieces += [(match[1] + match[2], False), (match[3] + "\n", True)]
        return pieces

    def dialogue(self):
        """One of the written dialogues, with its questions varied."""
        messages = []
        for role, pattern in self.rng.choice(self.dialogues):
            text = phrases.expand(pattern, self.rng) if role == "user" else pattern
            text = phrases.dress(text, self.rng, plain=True) if role == "user" else text
            messages.append({"role": role, "content": text})
        return messages


def read_wordings(path):
    """The normalised questions of a file, none of which may be trained on."""
    if not path.exists():
        return set()
    return {phrases.normalise(json.loads(line)["question"]) for line in path.read_text().splitlines()}


def is_held_out(question):
    """Whether a wording belongs to the part that only measures."""
    return hashlib.md5(question.encode()).digest()[0] % HELD_OUT == 0


def render(messages):
    """Pieces of a conversation in ChatML, each with whether it is to be learned."""
    pieces = []
    for message in messages:
        pieces.append((f"<|im_start|>{message['role']}\n", False))
        if "pieces" in message:
            pieces += message["pieces"] + [("<|im_end|>", False)]
        else:
            pieces.append((f"{message['content']}<|im_end|>", message["role"] == "assistant"))
        pieces.append(("\n", False))
    return pieces


def train_tokenizer(path, conversations=60000):
    """Trains the byte-level BPE tokenizer, split as GGUF programs split for `qwen2`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=PIECES, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), min_frequency=5,
                                  special_tokens=[AddedToken(token, special=True) for token in CONTROL], show_progress=False)
    corpus = Corpus(1)
    texts = (text.replace("<|im_end|>", "") for _ in range(conversations) for text, _ in render(corpus.draw()))
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))
    return tokenizer


def main():
    """Prints samples, or trains the tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.tokenizer:
        print(train_tokenizer(arguments.tokenizer).get_vocab_size(), "pieces")
        return
    corpus = Corpus(arguments.seed)
    for _ in range(arguments.count):
        print("".join(text for text, _ in render(corpus.draw())))


if __name__ == "__main__":
    main()
