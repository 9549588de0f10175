"""The built-in models know what they are for."""
import json
import pathlib
import unittest

import program
from program import hearth

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "builtin"


def rows(name):
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines() if line.strip()]


def plain(text):
    return " ".join(text.lower().split())


def is_right(answer, row):
    said = plain(answer)
    any_of = row.get("any_of") or [""]
    return (all(plain(part) in said for part in row.get("all_of", [])) and
            any(plain(part) in said for part in any_of))


class Builtin(unittest.TestCase):
    right_enough = 45

    def test_questions(self):
        questions = rows("questions.jsonl")
        self.assertEqual(len(questions), 50)
        wrong = []
        with program.serving("--model", "builtin") as server:
            for row in questions:
                answer = server.json("POST", "/v1/chat/completions", {
                    "model": "builtin", "temperature": 0, "max_tokens": 150,
                    "messages": [{"role": "user", "content": row["question"]}]})
                text = answer["choices"][0]["message"]["content"]
                if not is_right(text, row):
                    wrong.append(f"{row['question']} -> {text}")
        print(f"{50 - len(wrong)} of 50 right")
        self.assertGreaterEqual(50 - len(wrong), self.right_enough, "\n".join(wrong))

    def test_paraphrases_rank_above_unrelated_sentences(self):
        triples = rows("triples.jsonl")
        self.assertEqual(len(triples), 100)
        texts = [row[key] for row in triples for key in ("anchor", "paraphrase", "unrelated")]
        found = json.loads(hearth("embed", "builtin-embed", "--json", text="\n".join(texts)).stdout)
        vectors = found["embeddings"]
        wrong = []
        for i, row in enumerate(triples):
            anchor, paraphrase, unrelated = vectors[3 * i:3 * i + 3]
            like = sum(a * b for a, b in zip(anchor, paraphrase))
            unlike = sum(a * b for a, b in zip(anchor, unrelated))
            if like <= unlike:
                wrong.append(row["anchor"])
        print(f"{100 - len(wrong)} of 100 right")
        self.assertLessEqual(len(wrong), 5, wrong)


if __name__ == "__main__":
    program.main()
