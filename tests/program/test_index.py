"""hearth index and hearth search as a person uses them, and collections over HTTP."""
import json
import pathlib
import tempfile
import unittest

import program
from program import hearth


class Notes(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        root = pathlib.Path(self.scratch.name)
        self.store = str(root / "collections")
        self.notes = root / "notes"
        self.notes.mkdir()
        (self.notes / "cats.md").write_text("# Cats\nA cat sleeps on the warm sofa all day.\n")
        (self.notes / "taxes.md").write_text("# Taxes\nThe income tax is due in May.\n")
        (self.notes / "data.bin").write_bytes(b"\0\1\2")

    def hearth(self, *arguments, **more):
        return hearth(*arguments, "--collections", self.store, **more)

    def json(self, *arguments):
        return json.loads(self.hearth(*arguments, "--json").stdout)

    def test_files_in_and_answers_out(self):
        first = self.json("index", "add", str(self.notes), "--glob", "*.md")
        self.assertEqual(first["files"], {"added": 2, "changed": 0, "unchanged": 0, "removed": 0})
        again = self.json("index", "add", str(self.notes), "--glob", "*.md")
        self.assertEqual(again["files"]["unchanged"], 2)
        self.assertEqual(again["chunks"]["embedded"], 0)
        for options in ([], ["--words"], ["--vector"], ["--exact"]):
            with self.subTest(options):
                found = self.json("search", "when must I pay the tax", "-k", "1", *options)
                self.assertEqual(found["collection"], "default")
                self.assertTrue(found["matches"][0]["metadata"]["path"].endswith("taxes.md"))
        text = self.hearth("search", "a sleeping cat", "-k", "1")
        self.assertIn("cats.md:1", text.stdout)
        self.assertEqual(text.stderr, "")  # a pipe gets no progress bar
        (self.notes / "taxes.md").unlink()
        self.assertEqual(self.json("index", "add", str(self.notes))["files"]["removed"], 1)
        self.assertEqual(self.json("index", "info", "default")["documents"], 1)

    def test_a_collection_of_ones_own(self):
        self.json("index", "create", "points", "--dim", "2", "--metric", "l2", "--field", "n=number")
        lines = "".join(json.dumps({"id": str(i), "vector": [i, 0], "text": f"point {i}",
                                    "metadata": {"n": i}}) + "\n" for i in range(100))
        source = pathlib.Path(self.scratch.name) / "points.jsonl"
        source.write_text(lines)
        self.assertEqual(self.json("index", "import", "points", str(source))["documents"], 100)
        found = self.json("search", "points", "point", "--words", "--where", "n >= 97", "-k", "9")
        self.assertEqual({m["id"] for m in found["matches"]}, {"97", "98", "99"})
        told = self.hearth("index", "info", "points").stdout
        for line in ("every document is compared", "a loss of power"):
            self.assertIn(line, told)
        relaxed = self.hearth("index", "info", "points", "--relaxed").stdout
        self.assertIn("may take the writes of the last second", relaxed)
        self.assertEqual(self.json("index", "rm", "points", "--where", "n < 90")["removed_documents"], 90)
        self.assertEqual(self.json("index", "tune", "points")["measured"], 1)
        self.assertEqual(self.json("index", "reindex", "points", "hnsw")["documents"], 10)
        copy = str(pathlib.Path(self.scratch.name) / "copy")
        self.json("index", "snapshot", "points", copy)
        self.assertEqual(self.json("index", "restore", copy, "again")["documents"], 10)
        out = pathlib.Path(self.scratch.name) / "out.jsonl"
        self.json("index", "export", "again", str(out))
        self.assertEqual([json.loads(line)["id"] for line in out.read_text().splitlines()],
                         [str(i) for i in range(90, 100)])
        self.json("index", "rm", "again", "--yes")
        names = [one["name"] for one in self.json("index", "list")["collections"]]
        self.assertEqual(names, ["points"])

    def test_a_cross_encoder_orders_the_answers(self):
        model = str(program.ROOT / "tests/golden/reranker")
        golden = json.loads((pathlib.Path(model) / "golden.json").read_text())
        documents = [{"id": str(i), "text": text} for i, text in enumerate(golden["texts"])]
        source = pathlib.Path(self.scratch.name) / "texts.jsonl"
        source.write_text("".join(json.dumps(document) + "\n" for document in documents))
        self.json("index", "create", "texts")
        self.json("index", "import", "texts", str(source))
        found = self.json("search", "texts", golden["query"], "-k", "4", "--rerank", model)["matches"]
        best = sorted(range(4), key=lambda i: -golden["scores"][i])
        self.assertEqual([int(match["id"]) for match in found], best)
        for match in found:
            self.assertAlmostEqual(match["score"], golden["scores"][int(match["id"])], delta=0.02)
        # The same over HTTP, where the model is served under its name.
        with program.serving("--collections", self.store, "--model", "builtin-embed",
                             "--model", model) as server:
            names = [one["id"] for one in server.json("GET", "/v1/models")["data"]]
            ranker = next(name for name in names if "reranker" in name)
            answer = server.json("POST", "/api/collections/texts/query",
                                 {"query": golden["query"], "k": 2, "rerank": ranker})
            self.assertEqual([int(match["id"]) for match in answer["matches"]], best[:2])
            status, _, text = server.request("POST", "/api/collections/texts/query",
                                             {"query": "x", "rerank": "builtin-embed"})
            self.assertEqual(status, 400, text)

    def test_feedback_is_learned_and_forgotten(self):
        self.json("index", "create", "words", "--index", "learned")
        source = pathlib.Path(self.scratch.name) / "words.jsonl"
        source.write_text("".join(json.dumps({"id": str(i), "text": f"house {i * 7919 % 600} of street {i % 40}"})
                                  + "\n" for i in range(600)))
        self.json("index", "import", "words", str(source))
        learned = self.json("index", "info", "words")["index"]
        self.assertIn("learned bits", learned["explanation"])
        self.json("index", "feedback", "words", "where is the post office", "--relevant", "7", "--irrelevant", "8")
        self.assertIn("turned by feedback", self.json("index", "info", "words")["index"]["explanation"])
        self.json("index", "feedback", "words", "--forget")
        self.assertNotIn("feedback", self.json("index", "info", "words")["index"]["explanation"])
        run = self.hearth("index", "feedback", "words", "x", "--relevant", "nobody", check=False)
        self.assertEqual(run.returncode, 3, run.stderr)

    def test_vectors_come_and_go_as_files_of_other_programs(self):
        self.json("index", "create", "points", "--dim", "3", "--metric", "l2")
        source = pathlib.Path(self.scratch.name) / "points.jsonl"
        source.write_text("".join(json.dumps({"id": str(i), "vector": [i, i % 7, 1.5]}) + "\n" for i in range(50)))
        self.json("index", "import", "points", str(source))
        for kind in ("fvecs", "npy", "jsonl"):
            with self.subTest(kind):
                path = str(pathlib.Path(self.scratch.name) / f"out.{kind}")
                self.assertEqual(self.json("index", "export", "points", path)["documents"], 50)
                self.json("index", "create", kind, "--dim", "3", "--metric", "l2")
                self.assertEqual(self.json("index", "import", kind, path)["documents"], 50)
                again = str(pathlib.Path(self.scratch.name) / f"again.{kind}")
                self.json("index", "export", kind, again)
                self.assertEqual(pathlib.Path(path).read_bytes(), pathlib.Path(again).read_bytes())

    def test_two_processes_share_a_collection(self):
        self.json("index", "create", "points", "--dim", "2", "--metric", "l2")
        with program.serving("--collections", self.store) as server:
            write = lambda i: server.json("POST", "/api/collections/points/documents",
                                          {"documents": [{"id": str(i), "vector": [i, 0]}]})
            write(0)
            source = pathlib.Path(self.scratch.name) / "more.jsonl"
            source.write_text('{"id": "x", "vector": [1, 2]}\n')
            run = self.hearth("index", "import", "points", str(source), check=False)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(str(server.process.pid), run.stderr)  # who has it
            for i in range(1, 30):
                write(i)
                if i % 10 == 0:  # a reader sees what has been acknowledged
                    self.assertEqual(self.json("index", "info", "points")["documents"], i + 1)
        self.json("index", "import", "points", str(source))
        self.assertEqual(self.json("index", "info", "points")["documents"], 31)

    def test_what_is_wrong_is_said(self):
        rows = [
            (["search", "x"], 3, "hearth index add"),
            (["index", "create", "../x", "--dim", "2"], 2, "a name is"),
            (["index", "create", "x", "--dim", "2", "--metric", "manhattan"], 2, "cosine"),
            (["index", "create", "x", "--dim", "2", "--index", "magic"], 2, "magic"),
            (["index", "add", "/nowhere"], 3, "/nowhere"),
            (["index", "frob"], 2, "index add"),
        ]
        for arguments, code, says in rows:
            with self.subTest(arguments):
                run = self.hearth(*arguments, check=False)
                self.assertEqual(run.returncode, code, run.stderr)
                self.assertIn(says, run.stderr)
        self.json("index", "create", "x", "--dim", "2")
        for arguments, says in ((["search", "x", "y", "--where", "n >"], "needs a value"),
                                (["index", "rm", "x"], "--yes"),
                                (["index", "create", "x", "--dim", "2"], "exists already"),
                                (["index", "reindex", "x", "magic"], "magic")):
            with self.subTest(arguments):
                run = self.hearth(*arguments, check=False)
                self.assertEqual(run.returncode, 2, run.stderr)
                self.assertIn(says, run.stderr)


if __name__ == "__main__":
    unittest.main()
