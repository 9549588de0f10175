#!/usr/bin/env python3
"""Writes recordings.json: prompts and answers as tokens, which speculation_bench replays.

usage: record.py FOLDER

FOLDER: vocab.json and merges.txt of Qwen2's tokenizer (Python package tokenizers).  Answers are not a model's own: those of edits are the file with the change that was asked for, whole, as a model that does what it is
asked would write it; those of free text are passages of this repository and of a novel that nothing in the prompt
foretells.
"""
import json
import pathlib
import sys

import tokenizers
from tokenizers import Regex, models, pre_tokenizers

HERE = pathlib.Path(__file__).resolve().parent

# Source: the "Split" of Qwen2's tokenizer.json.
PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# File, language, request, what is said before and after, and the changes.
EDITS = [
    ("cart.ts", "ts", "Add a discount: a method setDiscount(percent) from 0 to 100 that is taken off the subtotal, "
     "and a field discount in the totals.", "Here is `cart.ts` with a discount:",
     "The discount is applied before shipping is decided.", [
         ("  subtotal: number;\n", "  subtotal: number;\n  discount: number;\n"),
         ("  private listeners:", "  private discountPercent = 0;\n  private listeners:"),
         ("  totals(): CartTotals {", "  setDiscount(percent: number): void {\n"
          "    if (percent < 0 || percent > 100) {\n"
          "      throw new RangeError(`discount must be 0 to 100, got ${percent}`);\n    }\n"
          "    this.discountPercent = percent;\n    this.notify();\n  }\n\n  totals(): CartTotals {"),
         ("    const shipping = subtotal === 0 || subtotal >=",
          "    const discount = (subtotal * this.discountPercent) / 100;\n    const reduced = subtotal - discount;\n"
          "    const shipping = reduced === 0 || reduced >="),
         ("return { items, subtotal, shipping, total: subtotal + shipping };",
          "return { items, subtotal, discount, shipping, total: reduced + shipping };")]),
    ("inventory.py", "python", "Rename `count` of Item to `on_hand`, and log releases as movements too.",
     "Sure! I renamed the field and added the movement:", "", [
         ("    count: int = 0\n", "    on_hand: int = 0\n"),
         ("return self.count - self.reserved", "return self.on_hand - self.reserved"),
         ("item.count += count", "item.on_hand += count"),
         ("        item.reserved = max(0, item.reserved - count)\n",
          "        released = min(count, item.reserved)\n        item.reserved -= released\n"
          '        self.movements.append(Movement(sku, released, "released"))\n'),
         ("item.count -= count", "item.on_hand -= count"),
         ("{item.count:5}", "{item.on_hand:5}")]),
    ("inventory.py", "python", "Add type annotations to every method.", "Here is the annotated file:", "", [
        ("def available(self):", "def available(self) -> int:"),
        ("    def __init__(self):\n        self.items = {}\n        self.movements = []\n",
         "    def __init__(self) -> None:\n        self.items: dict[str, Item] = {}\n"
         "        self.movements: list[Movement] = []\n"),
        ("def register(self, sku, name, reorder_below=5):",
         "def register(self, sku: str, name: str, reorder_below: int = 5) -> None:"),
        ("def receive(self, sku, count):", "def receive(self, sku: str, count: int) -> None:"),
        ("def reserve(self, sku, count):", "def reserve(self, sku: str, count: int) -> None:"),
        ("def release(self, sku, count):", "def release(self, sku: str, count: int) -> None:"),
        ("def ship(self, sku, count):", "def ship(self, sku: str, count: int) -> None:"),
        ("def to_reorder(self):", "def to_reorder(self) -> list[Item]:"),
        ("def report(self):", "def report(self) -> str:")]),
    ("duration.cpp", "cpp", "Weeks should be understood too (1w), and written.", "I added weeks as a unit:",
     "`parse_duration(\"1w\")` is seven days now.", [
         ('{"d", 86400}}', '{"d", 86400}, {"w", 604800}}'),
         ("const std::int64_t days = seconds / 86400, hours",
          "const std::int64_t weeks = seconds / 604800, days = seconds / 86400 % 7, hours"),
         ("  if (days > 0) text", '  if (weeks > 0) text += fmt::format("{}w", weeks);\n  if (days > 0) text')]),
    ("compile_times.py", "python", "Add an option --top N that prints only the N slowest objects, and print the "
     "share of the total of each.", "Here is the script with `--top` and shares:", "", [
         ("""    parser.add_argument("--over", metavar="S", type=float, default=5.0)\n""",
          """    parser.add_argument("--over", metavar="S", type=float, default=5.0)\n"""
          """    parser.add_argument("--top", metavar="N", type=int, help="print only the N slowest")\n"""),
         ("    slow = 0\n", "    slow = 0\n    total = sum(seconds.values())\n    printed = 0\n"),
         ("""        print(f"{seconds[name]:7.2f}  {source}{note}")\n    total = sum(seconds.values())\n""",
          """        if arguments.top is None or printed < arguments.top:\n"""
          """            print(f"{seconds[name]:7.2f}  {seconds[name] / total:6.1%}  {source}{note}")\n"""
          """            printed += 1\n""")]),
]

# Name, prompt, where the answer lies, and its paragraphs.
FREE = [
    ("explanation", "How do Hearth's tiers differ, and what are guessed tokens?", "../../docs/guide/speed.md", (0, 60)),
    ("reference", "Write an introduction to Hearth's architecture.", "../../ARCHITECTURE.md", (0, 60)),
    ("new code", "Write C++ that decodes, appends and checks UTF-8.", "../../src/base/utf8.cpp", (0, 90)),
    ("novel", "Go on with the story.", "novel.txt", (0, 200)),
]


def edited(text, changes):
    for old, new in changes:
        if text.count(old) != 1:
            sys.exit(f"not once in the file: {old!r}")
        text = text.replace(old, new)
    return text


def main():
    folder = sys.argv[1]
    tokenizer = tokenizers.Tokenizer(models.BPE.from_file(f"{folder}/vocab.json", f"{folder}/merges.txt"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PIECES), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])

    def chat(user):
        return f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"

    recordings = []

    def add(name, kind, prompt, answer):
        record = {"name": name, "kind": kind, "prompt": tokenizer.encode(chat(prompt)).ids,
                  "answer": tokenizer.encode(answer).ids}
        recordings.append(record)

    for number, (file, language, request, before, after, changes) in enumerate(EDITS, 1):
        text = (HERE / f"{file}.txt").read_text()
        answer = f"{before}\n\n```{language}\n{edited(text, changes)}```\n" + (f"\n{after}\n" if after else "")
        add(f"{number} {file}", "edit", f"Here is my file `{file}`:\n\n```{language}\n{text}```\n\n{request} "
            "Give me the whole file.", answer)
    for name, prompt, path, (first, last) in FREE:
        lines = (HERE / path).read_text().splitlines(keepends=True)
        add(name, "free", prompt, "".join(lines[first:last]))
    with open(HERE / "recordings.json", "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(record) for record in recordings) + "\n]\n")
    for record in recordings:
        print(f"{record['name']}: {len(record['prompt'])} tokens of prompt, {len(record['answer'])} of answer")


main()
