"""hearth transcribe, as a person and a program use it: with a tiny model that has learnt nothing."""
import json
import os
import tempfile
import unittest

import program
from program import hearth

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
        ]
        for arguments, code, says in rows:
            with self.subTest(arguments):
                ended = hearth(*arguments, check=False)
                self.assertEqual(ended.returncode, code, ended.stderr)
                self.assertIn(says, ended.stderr)

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


if __name__ == "__main__":
    program.main()
