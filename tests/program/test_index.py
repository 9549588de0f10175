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
