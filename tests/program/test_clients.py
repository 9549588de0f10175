"""What clients rely on and no SDK's suite shows; and that docs/client-tests.md names tests that are there."""
import json
import pathlib
import re
import socket
import unittest

import program
from world import World, running

TALK = [{"role": "user", "content": "How do I serve a model?"}]
LIST = program.ROOT / "docs/client-tests.md"


def events(text):
    """Server-sent events as (name, data)."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != ":")
        if "data" in fields and fields["data"] != "[DONE]":
            found.append((fields.get("event"), json.loads(fields["data"])))
    return found


class Wire(unittest.TestCase):
    def test_ipv6(self):
        if not socket.has_ipv6:
            self.skipTest("no IPv6")
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError as error:
                self.skipTest(f"::1 cannot be bound: {error}")
        with program.serving("--host", "::1") as server:
            self.assertEqual(server.host, "::1")
            self.assertEqual(server.request("GET", "/")[0], 200)
            self.assertEqual(server.json("GET", "/v1/models")["object"], "list")

    def test_what_is_not_known_is_ignored(self):
        with program.serving() as server:
            more = {"some_field": {"a": 1}, "user": "ada", "metadata": {"a": "b"}, "store": False,
                    "prompt_cache_key": "k", "service_tier": "auto"}
            chat = server.json("POST", "/v1/chat/completions?beta=true&x=1",
                               {"model": "builtin", "messages": TALK, "max_tokens": 4, **more},
                               {"x-stainless-lang": "js", "anthropic-beta": "some-2099-01-01"})
            self.assertEqual(chat["object"], "chat.completion")
            vectors = server.json("POST", "/v1/embeddings", {"model": "builtin-embed", "input": "a", "input_type": "query"})
            self.assertEqual(len(vectors["data"]), 1)


class CallsOfCommandLines(unittest.TestCase):
    """The calls that coding agents make before and around their questions, one after another."""

    def turn(self, server, body):
        status, headers, text = server.request("POST", "/v1/responses", {"model": "builtin", "stream": True, "store": False, **body})
        self.assertEqual(status, 200, text)
        self.assertTrue(headers["content-type"].startswith("text/event-stream"))
        heard = events(text)
        names = [name for name, _ in heard]
        self.assertEqual((names[0], names[-1]), ("response.created", "response.completed"))
        usage = heard[-1][1]["response"]["usage"]
        self.assertEqual(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"])
        self.assertIn("cached_tokens", usage["input_tokens_details"])
        self.assertIn("reasoning_tokens", usage["output_tokens_details"])
        return names

    def test_codex_beside_ollama(self):
        with program.serving() as server:
            self.assertIn("builtin", [m["id"] for m in server.json("GET", "/v1/models")["data"]])
            self.assertRegex(server.json("GET", "/api/version")["version"], r"^\d+\.\d+\.\d+$")
            self.assertIn("builtin:latest", [m["name"] for m in server.json("GET", "/api/tags")["models"]])
            names = self.turn(server, {
                "instructions": "Be brief.", "reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"],
                "prompt_cache_key": "k", "client_metadata": {"a": "b"},
                "input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
                          {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]})
            for name in ("response.output_item.added", "response.output_text.delta", "response.output_item.done"):
                self.assertIn(name, names)

    def test_codex_beside_lm_studio(self):
        with program.serving() as server:
            server.json("GET", "/v1/models")
            self.assertEqual(server.json("GET", "/api/ps")["models"], [])
            server.json("POST", "/v1/responses", {"model": "builtin", "input": "", "max_output_tokens": 1})
            self.assertEqual([m["name"] for m in server.json("GET", "/api/ps")["models"]], ["builtin:latest"])
            self.turn(server, {"input": "Hello"})

    def test_codex_pulls_a_name_that_is_not_here(self):
        with World() as world, running(world) as server:
            status, _, text = server.request("POST", "/api/pull", {"model": "hf:org/model", "stream": True})
            self.assertEqual((status, json.loads(text.splitlines()[-1])), (200, {"status": "success"}))
            status, _, text = server.request("POST", "/api/pull", {"model": "hf:org/nothing", "stream": True})
            self.assertEqual(status, 200, text)
            self.assertIn("error", json.loads(text.splitlines()[-1]))

    def test_cline_beside_ollama(self):
        with program.serving() as server:
            self.assertTrue(server.json("GET", "/api/tags")["models"][0]["digest"])
            status, headers, text = server.request("POST", "/api/chat", {
                "model": "builtin", "stream": True, "messages": TALK, "options": {"num_ctx": 256, "num_predict": 6}})
            self.assertEqual((status, headers["content-type"]), (200, "application/x-ndjson"))
            lines = [json.loads(line) for line in text.splitlines()]
            self.assertTrue(all("message" in line and "created_at" in line for line in lines))
            self.assertTrue(lines[-1]["done"])

    def test_cline_beside_lm_studio(self):
        with program.serving() as server:
            shown = {m["id"]: m for m in server.json("GET", "/api/v0/models")["data"]}["builtin"]
            self.assertGreater(shown["max_context_length"], 0)
            self.assertEqual(shown["state"], "not-loaded")
            _, _, text = server.request("POST", "/v1/chat/completions", {
                "model": "builtin", "stream": True, "stream_options": {"include_usage": True}, "messages": TALK, "max_tokens": 6})
            self.assertTrue(text.endswith("data: [DONE]\n\n"))
            last = events(text)[-1][1]
            self.assertEqual(last["choices"], [])
            self.assertGreater(last["usage"]["prompt_tokens"], 0)
            shown = {m["id"]: m for m in server.json("GET", "/api/v0/models")["data"]}["builtin"]
            self.assertEqual(shown["state"], "loaded")


class TheList(unittest.TestCase):
    def test_every_row_names_tests_that_are_there(self):
        rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", LIST.read_text(), re.M)
        self.assertEqual([int(number) for number, _, _ in rows], list(range(1, 31)))
        for number, _, named in rows:
            found = re.findall(r"`([^`]+)`: ((?:\"[^\"]+\"(?:, )?)+)", named)
            self.assertTrue(found, f"row {number} names no test")
            for file, names in found:
                text = (program.ROOT / file).read_text()
                for name in re.findall(r'"([^"]+)"', names):
                    self.assertIn(name, text, f"row {number}: {file}")


if __name__ == "__main__":
    unittest.main()
