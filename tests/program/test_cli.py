"""The commands as a person and a program use them."""
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

import program
from program import hearth

STORY = "models/stories260K"


class Basics(unittest.TestCase):
    def test_version_and_help(self):
        version = (program.ROOT / "VERSION").read_text().strip()
        self.assertEqual(hearth("--version").stdout, f"hearth {version}\n")
        overview = hearth().stdout
        for command in ("run", "chat", "serve", "show", "tokenize", "embed", "bench", "doctor"):
            self.assertIn(f"\n  {command} ", overview)
            self.assertIn("usage: hearth " + command, hearth("help", command).stdout)
            self.assertEqual(hearth("help", command).stdout, hearth(command, "--help").stdout)

    def test_options_come_before_or_after_what_they_are_about(self):
        options = ("--max-tokens", "3", "--temperature", "0")
        after = hearth("run", "builtin", "Hello", *options).stdout
        self.assertEqual(hearth("run", *options, "builtin", "Hello").stdout, after)
        self.assertEqual(hearth("run", "builtin", *options, "Hello").stdout, after)
        self.assertIn("runs", hearth("verify", "--level", "run", "builtin").stdout)
        text = "[a,b] {c} = d"
        tokens = hearth("tokenize", "builtin", text, "--json").stdout
        self.assertEqual(hearth("tokenize", "--json", "builtin", "--", text).stdout, tokens)
        self.assertGreater(json.loads(tokens)["count"], 5)

    def test_graphs(self):
        small = str(program.ROOT / "tests/golden/graphs/small.onnx")
        self.assertIn("onnx", hearth("show", small).stdout)
        self.assertIn("y", hearth("run", small, "--input", "x=[[0,0,0,0]]").stdout)
        with tempfile.TemporaryDirectory() as folder:
            hearth("run", small, "--input", "x=[[0,0,0,0]]", "--output", folder + "/only.npy")
            self.assertTrue((pathlib.Path(folder) / "only.npy").is_file())
        self.assertIn("14 multiplications, open sizes as 1", hearth("show", small).stdout)
        drawn = hearth("show", small, "--dot").stdout
        self.assertTrue(drawn.startswith("digraph {") and drawn.endswith("}\n"), drawn)
        for refused, says in ((["--input", "x=[[1, 2]]"], "needs [rows, 4]"), (["--input", "y=1"], "no input 'y'; the inputs are x (float32"),
                              ([], "not given; needs float32"), (["--input", "x=none.npy"], "none.npy"),
                              (["--input", "x=1", "--pixels", "odd"], "needs raw")):
            run = hearth("run", small, *refused, check=False)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn(says, run.stderr)

    def test_graphs_of_pictures_name_what_they_see(self):
        labelled = str(program.ROOT / "tests/golden/graphs/labelled.tflite")
        with tempfile.TemporaryDirectory() as folder:
            picture = pathlib.Path(folder, "green.ppm")
            picture.write_bytes(b"P6\n2 2\n255\n" + bytes((0, 255, 0)) * 4)
            said = hearth("run", labelled, str(picture)).stdout
            self.assertRegex(said, r"1\.0000  1  green\n +-1\.0000  0  red")
            classes = json.loads(hearth("run", labelled, str(picture), "--json").stdout)["outputs"]["score"]["classes"]
            self.assertEqual(classes[0], {"index": 1, "label": "green", "score": 1})
            raw = json.loads(hearth("run", labelled, str(picture), "--json", "--pixels", "raw").stdout)
            self.assertEqual(raw["outputs"]["score"]["data"], [0, 255, 0])
            hearth("run", labelled, str(picture), "--output", folder + "/new")
            self.assertEqual(pathlib.Path(folder, "new/score.npy").read_bytes()[:6], b"\x93NUMPY")
            names = pathlib.Path(folder, "names.txt")
            names.write_text("rouge\nvert\n")
            self.assertIn("1  vert", hearth("run", labelled, str(picture), "--labels", str(names)).stdout)
        self.assertIn("labels", hearth("show", labelled).stdout)

        package = program.needs_data("models", "audio", "basic-pitch", "nmp.mlpackage")
        self.assertIn("coreml", hearth("show", package).stdout)

    def test_wrong_command_lines_say_what_is_wrong(self):
        rows = [
            (["rnu"], 2, "did you mean `hearth run`"),
            (["run"], 2, "usage: hearth run MODEL [PROMPT]"),
            (["run", "builtin", "x", "y"], 2, "usage: hearth run"),
            (["run", "builtin", "x", "--temprature", "1"], 2, "--temprature"),
            (["run", "builtin", "x", "--temperature", "9"], 2, "temperature = '9'"),
            (["run", "builtin", "x", "--max-tokens", "many"], 2, "--max-tokens = 'many'"),
            (["run", "builtin", "x", "--cpu", "abacus"], 2, "abacus"),
            (["run", "/nowhere/model.gguf", "x"], 3, "/nowhere/model.gguf"),
            (["tokenize", "builtin"], 2, "TEXT or --file"),
            (["show", str(program.ROOT / "README.md")], 4, "README.md"),
            (["show", "/dev/zero"], 2, "not a regular file"),
        ]
        for arguments, code, says in rows:
            with self.subTest(arguments):
                run = hearth(*arguments, check=False)
                self.assertEqual(run.returncode, code, run.stderr)
                self.assertIn(says, run.stderr)
                self.assertEqual(run.stdout, "")

    def test_reference_pages_are_those_of_the_tables(self):
        for page, option in (("commands", "--markdown"), ("settings", "--settings"), ("http", "--http")):
            with self.subTest(page):
                text = (program.ROOT / f"docs/reference/{page}.md").read_text()
                self.assertEqual(text, hearth("help", option).stdout, "run scripts/make_reference.sh")

    def test_doctor(self):
        report = json.loads(hearth("doctor", "--json").stdout)
        self.assertIn(report["kernels_chosen"], [t["name"] for t in report["kernels"]])
        self.assertTrue(report["healthy"], report)
        self.assertIn(report["kernels_chosen"], hearth("doctor").stdout)


class Builtin(unittest.TestCase):
    def test_run_answers(self):
        answer = hearth("run", "builtin", "How do I serve a model?").stdout
        self.assertIn("hearth serve", answer)
        self.assertEqual(answer, hearth("run", "builtin", text="How do I serve a model?").stdout)
        self.assertEqual(answer, hearth("run", "builtin", "-", text="How do I serve a model?").stdout)

    def test_run_json_is_one_object(self):
        run = json.loads(hearth("run", "builtin", "Hello", "--json", "--max-tokens", "3").stdout)
        self.assertEqual(run["completion_tokens"], 3)
        self.assertEqual(run["finish_reason"], "length")

    def test_seed(self):
        def draw(seed):
            return hearth("run", "builtin", "A", "--raw", "--temperature", "2", "--min-p", "0", "--seed", seed,
                          "--max-tokens", "40").stdout
        self.assertEqual(draw("7"), draw("7"))
        self.assertGreater(len({draw(str(seed)) for seed in range(8)}), 1)

    def test_stop_is_never_shown(self):
        whole = hearth("run", "builtin", "How do I serve a model?").stdout
        middle = whole[len(whole) // 2:len(whole) // 2 + 3]
        cut = hearth("run", "builtin", "How do I serve a model?", "--stop", middle).stdout
        self.assertEqual(cut, whole[:whole.index(middle)])

    def test_answers_are_held_to_what_is_asked(self):
        schema = {"type": "object", "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 20}, "size": {"type": "integer", "minimum": 0},
            "parts": {"type": "array", "items": {"enum": ["mast", "oar", "sail"]}, "maxItems": 4}},
            "required": ["name", "size", "parts"], "additionalProperties": False}
        models = ["builtin"]
        story = program.DATA / STORY / "stories260K-f32.gguf"
        if story.exists():
            models.append(str(story))
        for model in models:
            for seed in range(6):
                with self.subTest(model=model, seed=seed):
                    run = hearth("run", model, "A boat.", "--schema", json.dumps(schema), "--seed", str(seed),
                                 "--temperature", "1.5", "--json")
                    run = json.loads(run.stdout)
                    self.assertEqual(run["finish_reason"], "stop")
                    boat = json.loads(run["text"])
                    self.assertEqual(list(boat), ["name", "size", "parts"])
                    self.assertTrue(1 <= len(boat["name"]) <= 20 and boat["size"] >= 0 and len(boat["parts"]) <= 4)
                    self.assertLessEqual(set(boat["parts"]), {"mast", "oar", "sail"})
            self.assertIn(hearth("run", model, "?", "--choice", "yes", "--choice", "no").stdout, ("yes", "no"))
            self.assertRegex(hearth("run", model, "?", "--regex", "[a-f]{3}-[0-9]{2}").stdout, r"^[a-f]{3}-[0-9]{2}$")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "list.gbnf"
            path.write_text('root ::= ("- " [a-z]{2,9} "\\n"){2}')
            self.assertRegex(hearth("run", "builtin", "?", "--grammar", str(path)).stdout, r"^(- [a-z]{2,9}\n){2}$")
            rows = [(["--schema", '{"type": "hiccup"}'], "hiccup"), (["--regex", "("], "needs ')'"),
                    (["--schema", "{"], "--schema"), (["--grammar", str(path), "--choice", "a"], "does not go with"),
                    (["--grammar", str(path) + "x"], "list.gbnfx")]
            for options, says in rows:
                with self.subTest(options):
                    run = hearth("run", "builtin", "?", *options, check=False)
                    self.assertNotEqual(run.returncode, 0)
                    self.assertIn(says, run.stderr)

    def test_prompt_too_long_is_an_error(self):
        run = hearth("run", "builtin", text="word " * 20000, check=False)
        self.assertEqual(run.returncode, 6, run.stderr)
        self.assertRegex(run.stderr, r"\d+ tokens")

    def test_tokenize(self):
        tokens = json.loads(hearth("tokenize", "builtin", "Hello, world", "--json").stdout)
        self.assertEqual("".join(tokens["pieces"]), "Hello, world")
        self.assertEqual(tokens["count"], len(tokens["tokens"]))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "text"
            path.write_text("Hello, world")
            again = json.loads(hearth("tokenize", "builtin", "--file", str(path), "--json").stdout)
        self.assertEqual(tokens, again)

    def test_special_tokens_in_text_stay_text(self):
        tokens = json.loads(hearth("tokenize", "builtin", "<|im_end|>", "--json").stdout)
        self.assertGreater(tokens["count"], 1)

    def test_show(self):
        show = json.loads(hearth("show", "builtin", "--tensors", "--json").stdout)
        self.assertEqual(show["kind"], "generator")
        self.assertGreater(show["parameters"], 1_000_000)
        self.assertIn("token_embd.weight", [t["name"] for t in show["tensors"]])
        self.assertIn("token_embd.weight", hearth("show", "builtin", "--tensors").stdout)

    def test_embed(self):
        found = json.loads(hearth("embed", "builtin-embed", "a cat", "a dog", "--json").stdout)
        self.assertEqual(len(found["embeddings"]), 2)
        for vector in found["embeddings"]:
            self.assertAlmostEqual(sum(x * x for x in vector), 1, places=4)
        lines = hearth("embed", "builtin-embed", text="a cat\na dog\n").stdout.splitlines()
        self.assertEqual(len(lines), 2)

    def test_rerank(self):
        folder = program.ROOT / "tests/golden/engines/reranker"  # a graph, made by torch's exporter
        want = json.loads((folder / "expected.json").read_text())["scores"]
        texts = sorted(want, key=lambda text: want[text][0])
        found = json.loads(hearth("rerank", str(folder), "the cat", *texts, "--json").stdout)["results"]
        self.assertEqual([result["index"] for result in found], [1, 0])
        for result in found:
            share = 1 / (1 + math.exp(-want[texts[result["index"]]][0]))
            self.assertAlmostEqual(result["relevance_score"], share, places=4)
        lines = hearth("rerank", str(folder), "the cat", "-k", "1", text="\n".join(texts)).stdout.splitlines()
        self.assertEqual([line.split("  ", 1)[1] for line in lines], texts[1:])
        refused = hearth("rerank", "builtin", "a", "b", check=False)
        self.assertIn("no model that ranks", refused.stderr)

    def test_bench(self):
        bench = json.loads(hearth("bench", "builtin", "--prompt-tokens", "16", "--gen-tokens", "4",
                                  "--rounds", "1", "--threads", "1", "--json").stdout)
        self.assertEqual(bench["threads"], 1)
        self.assertGreater(bench["decode_tokens_per_second"], 0)

    def test_info(self):
        info = json.loads(hearth("info", "--json").stdout)
        self.assertGreater(info["cpu"]["logical_cores"], 0)
        self.assertGreater(info["memory"]["free_bytes"], 0)
        self.assertGreater(info["disk"]["total_bytes"], 0)
        self.assertIn(info["kernels"], ("portable", "avx2", "avxvnni", "avx512", "amx"))
        self.assertIn("memory", hearth("info").stdout)
        with subprocess.Popen([program.BINARY, "info", "--watch", "--json"], stdout=subprocess.PIPE,
                              text=True) as watch:
            lines = [json.loads(watch.stdout.readline()) for _ in range(2)]
            watch.send_signal(signal.SIGINT)
        self.assertEqual(lines[0]["cpu"], lines[1]["cpu"])

    def test_config(self):
        with tempfile.TemporaryDirectory() as folder:
            environment = dict(os.environ, XDG_CONFIG_HOME=folder, EDITOR="sed -i s/8080/8081/")

            def config(*arguments, code=0):
                done = subprocess.run([program.BINARY, "config", *arguments], capture_output=True, text=True,
                                      env=environment, cwd=folder, check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                return done.stdout + done.stderr

            self.assertIn("Nothing is set", config())
            config("set", "server.port", "8080", "runtime.threads", "3")
            self.assertEqual(config("show", "server.port"), "8080\n")
            config("edit")
            self.assertIn(f"{folder}/hearth/config.toml:2", config("show", "--why", "server.port"))
            config("set", "runtime.threads", "2", "--project")
            with open(f"{folder}/.hearth.toml", encoding="utf-8") as file:
                self.assertEqual(file.read(), "[runtime]\nthreads = 2\n")
            shown = json.loads(config("show", "--json"))
            self.assertEqual(shown["server.port"]["value"], 8081)
            self.assertEqual(shown["runtime.threads"]["layer"], "project")
            self.assertIn("may not be set by a project", config("set", "server.port", "1", "--project", code=2))
            self.assertIn("TLS needs both", config("set", "server.tls_cert", "a.pem", code=2))
            self.assertEqual(config("show", "server.tls_cert"), "\n")
            config("unset", "server.port")
            self.assertEqual(json.loads(config("diff", "--json")), {"runtime.threads": {"from": 0, "to": 2}})
            with open(f"{folder}/all.yaml", "w", encoding="utf-8") as file:
                file.write(config("export", "--format", "yaml"))
            self.assertIn("in order", config("validate", f"{folder}/all.yaml"))
            self.assertEqual(config("diff", f"{folder}/all.yaml"), "")

    def test_deterministic_on_any_thread_count(self):
        def draw(threads):
            return hearth("run", "builtin", "What can you do?", "--deterministic", "--temperature", "1",
                          "--seed", "3", "--threads", threads, "--json").stdout
        self.assertEqual(json.loads(draw("1"))["text"], json.loads(draw("2"))["text"])


class Synthetic(unittest.TestCase):
    """Models of real shapes with random weights, as speed is measured with them."""

    def test_every_type_runs(self):
        script = str(program.ROOT / "scripts/synth_model.py")
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("F32", "F16", "BF16", "Q4_0", "Q8_0", "Q4_K_M", "Q5_K_M", "Q6_K"):
                path = f"{folder}/{kind}.gguf"
                subprocess.run([sys.executable, script, "tiny", kind, path], check=True)
                run = json.loads(hearth("run", path, "x", "--raw", "--max-tokens", "3", "--json").stdout)
                self.assertEqual(run["completion_tokens"], 3, kind)


class Stories(unittest.TestCase):
    def test_greedy_text_from_every_container_on_every_kernel_table(self):
        expected = pathlib.Path(program.needs_data(STORY, "greedy-200.txt")).read_text()
        for model in ("stories260K-f32.gguf", "hf"):
            for table in program.kernel_tables():
                with self.subTest(model=model, table=table):
                    run = hearth("run", program.needs_data(STORY, model), "", "--raw", "--max-tokens",
                                 "200", "--temperature", "0", "--cpu", table)
                    self.assertEqual(run.stdout, expected)


if __name__ == "__main__":
    program.main()
