"""hearth transcribe, as a person and a program use it: with a tiny model that has learnt nothing."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import tempfile
import unittest

import program
from program import hearth
from world import World, eventually, running

SPEECH = program.ROOT / "tests/golden/speech"
TINY, FILE, NOTES = (str(SPEECH / name) for name in ("tiny", "ggml-tiny.bin", "notes.wav"))


class Transcribe(unittest.TestCase):
    def test_every_form(self):
        ask = ("transcribe", NOTES, "--model", TINY, "--language", "de")
        text = hearth(*ask).stdout
        self.assertTrue(text.strip())
        self.assertIn(" --> 00:00:0", hearth(*ask, "--format", "srt").stdout)
        self.assertTrue(hearth(*ask, "--format", "vtt").stdout.startswith("WEBVTT\n"))
        whole = json.loads(hearth(*ask, "--json", "--words").stdout)
        self.assertEqual(whole["text"], text.strip())
        self.assertEqual((whole["language"], whole["duration"]), ("german", 3.0))
        self.assertTrue(whole["words"])
        self.assertEqual(json.loads(hearth(*ask, "--format", "json").stdout), {"text": text.strip()})

    def test_models_of_both_forms(self):
        for path, form in ((TINY, "safetensors"), (FILE, "ggml")):
            with self.subTest(path):
                about = json.loads(hearth("show", path, "--json").stdout)
                self.assertEqual((about["kind"], about["architecture"], about["format"]),
                                 ("transcriber", "whisper", form))
                self.assertTrue(hearth("transcribe", NOTES, "--model", path, "--translate").stdout.strip())

    def test_several_files_into_a_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            hearth("transcribe", NOTES, NOTES, "--model", TINY, "--format", "srt", "--output", folder)
            self.assertEqual(os.listdir(folder), ["notes.srt"])

    def test_what_is_wrong_is_said(self):
        rows = [
            (["transcribe", "/nowhere.wav", "--model", TINY], 3, "no such file"),
            (["transcribe", NOTES, "--model", TINY, "--language", "klingon"], 2, "klingon"),
            (["transcribe", NOTES, "--model", TINY, "--format", "pdf"], 2, "srt"),
            (["transcribe", NOTES, "--model", "builtin"], 4, "no speech-to-text model"),
            (["transcribe", NOTES], 3, "hearth pull whisper-base"),
            (["transcribe", str(program.ROOT / "README.md"), "--model", TINY], 4, "WAV, FLAC"),
            (["run", TINY, "hello"], 4, "hearth transcribe"),
            (["chat", TINY], 4, "hearth transcribe"),
            (["embed", TINY, "hello"], 4, "hearth transcribe"),
        ]
        for arguments, code, says in rows:
            with self.subTest(arguments):
                ended = hearth(*arguments, check=False)
                self.assertEqual(ended.returncode, code, ended.stderr)
                self.assertIn(says, ended.stderr)

    def test_every_level_of_verify(self):
        for level in ("header", "tensors", "run"):
            with self.subTest(level):
                self.assertIn("tiny", hearth("verify", TINY, "--level", level).stdout)

    def test_catalog(self):
        listed = hearth("list", "--available", "--task", "transcription").stdout
        self.assertIn("whisper-base", listed)
        self.assertIn("openai/whisper-base", hearth("show", "whisper-base").stdout)

    def test_imported_models_are_found_without_a_name(self):
        with tempfile.TemporaryDirectory() as home:
            env = {**program.clean_environment(), "HOME": home}
            import subprocess
            run = lambda *words: subprocess.run([program.BINARY, *words], env=env, capture_output=True,
                                                text=True, timeout=120)
            self.assertEqual(run("import", FILE, "--name", "ear").returncode, 0)
            self.assertIn("ear", run("list").stdout)
            self.assertTrue(run("transcribe", NOTES).stdout.strip())


class Served(unittest.TestCase):
    """A server with an installed speech-to-text model, which has the life of every other model."""

    def setUp(self):
        self.world = World()
        mine = pathlib.Path(self.world.home.name, "mine")
        shutil.copytree(TINY, mine / "ear")
        self.world.environment["HEARTH_LIBRARY_FOLDERS"] = str(mine)

    def tearDown(self):
        self.world.__exit__()

    def transcribe(self, server, model="ear", path="/v1/audio/transcriptions"):
        mark = "-=-"
        part = lambda name, more="": f'--{mark}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        body = (part("model") + model + "\r\n" + part("language") + "de\r\n"
                + part("file", '; filename="notes.wav"')).encode()
        body += pathlib.Path(NOTES).read_bytes() + f"\r\n--{mark}--\r\n".encode()
        status, _, text = server.request("POST", path, body,
                                         {"Content-Type": f"multipart/form-data; boundary={mark}"})
        self.assertEqual(status, 200, text)
        return json.loads(text)["text"]

    def in_memory(self, server):
        return [m["name"] for m in server.json("GET", "/api/ps")["models"]]

    def test_loads_on_demand_and_is_unloaded_by_name(self):
        with running(self.world) as server:
            self.assertEqual(self.in_memory(server), [])
            first = self.transcribe(server)
            self.assertTrue(first)
            self.assertEqual(self.in_memory(server), ["ear:latest"])
            ps = server.json("GET", "/api/ps")["models"][0]
            self.assertEqual(ps["details"]["family"], "whisper")
            self.assertEqual(ps["capabilities"], ["transcription"])
            self.assertGreater(ps["size"], 300_000)
            shown = self.world.run("ps", "--port", str(server.port)).out
            self.assertRegex(shown, r"\near +\S+ [KM]B +ready +0")
            status = server.json("GET", "/api/models/status")
            self.assertEqual([m["name"] for m in status["loaded"]], ["ear"])
            self.assertGreater(status["loaded"][0]["bytes"], 300_000)
            self.assertEqual([w["state"] for w in status["lifecycle"] if w["name"] == "ear"], ["ready"])
            self.assertEqual(server.metric("hearth_requests_done_total"), 1)
            self.assertTrue(server.json("POST", "/api/models/unload", {"model": "ear"})["unloaded"])
            eventually(self, lambda: self.in_memory(server) == [])
            self.assertEqual(self.transcribe(server, "whisper-1"), first)
            self.assertEqual(self.world.run("stop", "ear", "--port", str(server.port)).returncode, 0)
            eventually(self, lambda: self.in_memory(server) == [])

    def test_keep_alive(self):
        with running(self.world, "--keep-alive", "1") as server:
            self.transcribe(server)
            eventually(self, lambda: self.in_memory(server) == [])
            server.json("POST", "/api/models/load", {"model": "ear", "keep_alive": -1})
            self.assertEqual(self.in_memory(server), ["ear:latest"])
            self.transcribe(server)
            self.assertIsNone(server.json("GET", "/api/models/status")["loaded"][0]["expires_in_seconds"])
            unloaded = server.json("POST", "/api/generate", {"model": "ear", "keep_alive": 0})
            self.assertEqual(unloaded["done_reason"], "unload")
            eventually(self, lambda: self.in_memory(server) == [])
            loaded = server.json("POST", "/api/generate", {"model": "ear", "keep_alive": "1h"})
            self.assertEqual(loaded["done_reason"], "load")
            self.assertEqual(self.in_memory(server), ["ear:latest"])

    def test_who_wants_words_of_it_is_refused_before_it_is_loaded(self):
        talk = [{"role": "user", "content": "Hello"}]
        with running(self.world) as server:
            for path, body in (("/v1/chat/completions", {"messages": talk}), ("/v1/completions", {"prompt": "x"}),
                               ("/v1/messages", {"messages": talk, "max_tokens": 4}),
                               ("/v1/responses", {"input": "x"}), ("/completion", {"prompt": "x"}),
                               ("/api/chat", {"messages": talk}), ("/api/generate", {"prompt": "x"})):
                status, _, text = server.request("POST", path, {"model": "ear", **body})
                self.assertEqual(status, 400, path + text)
                self.assertIn("hearth transcribe", text)
            status, _, text = server.request("POST", "/v1/chat/completions", {"model": "builtin-embed", "messages": talk})
            self.assertEqual(status, 400, text)
            self.assertIn("does not generate text", text)
            self.assertEqual(self.in_memory(server), [])

    def test_one_model_at_a_time(self):
        with running(self.world, "--max-loaded", "1") as server:
            chat = lambda: server.json("POST", "/v1/chat/completions", {
                "model": "builtin", "max_tokens": 2, "messages": [{"role": "user", "content": "Hello"}]})
            chat()
            self.assertEqual(self.in_memory(server), ["builtin:latest"])
            self.transcribe(server)
            self.assertEqual(self.in_memory(server), ["ear:latest"])
            chat()
            self.assertEqual(self.in_memory(server), ["builtin:latest"])

    def test_what_memory_may_hold(self):
        with running(self.world, "--memory-mb", "1") as server:
            status, _, text = server.request("POST", "/api/models/load", {"model": "ear"})
            self.assertEqual(status, 503, text)
            self.assertEqual(json.loads(text)["error"]["code"], "insufficient_memory")
            self.assertIn("models.memory_mb", text)

    def test_many_at_once_and_what_answers_no_prompts(self):
        with running(self.world) as server:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                texts = list(pool.map(lambda _: self.transcribe(server), range(8)))
            self.assertEqual(len(set(texts)), 1)
            self.assertEqual(self.in_memory(server), ["ear:latest"])
            for path, body in (("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
                               ("/v1/completions", {"prompt": "a"}),
                               ("/api/generate", {"prompt": "a"}),
                               ("/v1/messages", {"max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}),
                               ("/v1/embeddings", {"input": "a"})):
                status, _, text = server.request("POST", path, {"model": "ear", **body})
                self.assertIn(status, (400, 501), path)
                self.assertIn("hearth transcribe", text, path)


if __name__ == "__main__":
    program.main()
