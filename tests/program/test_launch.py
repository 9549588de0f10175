"""hearth launch: clients get the base URL, the key, the model and its window."""
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import unittest

import program

CLIENT = """#!/bin/sh
# Stands for a client: says how it was started, and asks the server once.
env | grep -E '^(ANTHROPIC|CLAUDE|OPENAI|OPENCODE)' > "$SAID"
printf '%s\\n' "$@" >> "$SAID"
exec curl -sf "$ANTHROPIC_BASE_URL/v1/models" -o "$SAID.models"
"""


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return str(place.getsockname()[1])


class Launch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        root = pathlib.Path(self.folder.name)
        client = root / "claude"
        client.write_text(CLIENT)
        client.chmod(0o755)
        self.said = root / "said"
        self.environment = {**program.clean_environment(), "SAID": str(self.said),
                            "PATH": f"{root}:{os.environ['PATH']}"}

    def run_hearth(self, *arguments):
        return subprocess.run([program.BINARY, *arguments], env=self.environment, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def test_a_client_with_a_server_of_its_own(self):
        port = free_port()
        run = self.run_hearth("launch", "claude", "--port", port, "--", "--continue", "a b")
        self.assertEqual(run.returncode, 0, run.stderr)
        said = self.said.read_text()
        self.assertIn(f"ANTHROPIC_BASE_URL=http://127.0.0.1:{port}\n", said)
        self.assertIn("ANTHROPIC_MODEL=builtin\n", said)
        self.assertIn("--continue\na b\n", said)
        models = json.loads(pathlib.Path(f"{self.said}.models").read_text())
        self.assertEqual(models["data"][0]["id"], "builtin")
        with self.assertRaises(ConnectionRefusedError):  # the server ended with it
            socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()

    def test_a_server_that_runs_is_used(self):
        with program.serving() as server:
            run = self.run_hearth("launch", "codex", "--json", "--port", str(server.port))
            self.assertEqual(run.returncode, 0, run.stderr)
            plan = json.loads(run.stdout)
            self.assertEqual(plan["model"], "builtin")
            context = server.json("GET", "/v1/models/builtin")["context_length"]
            self.assertIn(f"model_context_window={context}", plan["command"])
            self.assertIn("knows no tools", run.stderr)

    def test_every_client_has_a_plan(self):
        port = free_port()
        for client in ("aider", "cline", "continue", "open-webui", "opencode", "zed"):
            run = self.run_hearth("launch", client, "--print", "--port", port)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertIn(f"http://127.0.0.1:{port}/v1", run.stdout +
                          "".join(p.read_text() for p in self.launch_files()))

    def launch_files(self):
        return pathlib.Path(self.environment["HOME"]).glob(".cache/hearth/launch/*")

    def test_what_is_not_here_is_named(self):
        run = self.run_hearth("launch", "nobody")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("aider, claude", run.stderr)
        run = self.run_hearth("launch", "opencode", "--port", free_port())
        if run.returncode != 0:
            self.assertIn("npm install -g opencode-ai", run.stderr)


if __name__ == "__main__":
    unittest.main()
