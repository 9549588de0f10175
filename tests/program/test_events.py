"""What happens to models, downloads and the machine, as streams and as WebSockets."""
import contextlib
import http.client
import json
import pathlib
import resource
import shutil
import signal
import ssl
import struct
import subprocess
import threading
import time
import unittest

import program
from websocket import CLOSE, PING, PONG, TEXT, Client, Refused, frame
from world import MODEL, World, eventually, running


def collect(events, into):
    """Reads events on a thread of its own."""
    def read():
        with contextlib.suppress(OSError, ConnectionError, http.client.HTTPException):
            for event in events:
                into.append(event)
    threading.Thread(target=read, daemon=True).start()


def sse(server, path):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("GET", path)
    for line in connection.getresponse():
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


def resident_kb(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


class WebSockets(unittest.TestCase):
    def test_the_same_events_as_the_stream(self):
        with World() as world, running(world) as server:
            streamed, told = [], []
            collect(sse(server, "/api/models/events"), streamed)
            with Client(server, "/api/models/events") as client:
                collect(client.events(), told)
                server.json("POST", "/v1/embeddings", {"model": "builtin-embed", "input": "x"})
                status, _, text = server.request("POST", "/api/models/pull", {"model": "hf:org/model"})
                self.assertEqual(status, 202, text)
                for seen in (streamed, told):
                    eventually(self, lambda: ("download", "done") in
                               [(e["event"], e.get("state")) for e in seen])

                def states(seen):
                    return [e["state"] for e in seen
                            if e["event"] == "model" and e["name"] == "builtin-embed"]
                eventually(self, lambda: states(told) == states(streamed))
                for state in ("initializing", "loading", "ready"):
                    self.assertIn(state, states(told))
                client.send(frame(CLOSE, struct.pack(">H", 1000)))
                eventually(self, lambda: client.code == 1000)

    def test_topics_and_one_model(self):
        with World() as world, running(world) as server:
            told = []
            with Client(server, "/api/events?topics=models,system&model=builtin-embed") as client:
                collect(client.events(), told)
                server.json("POST", "/v1/embeddings", {"model": "builtin-embed", "input": "x"})
                server.request("POST", "/v1/chat/completions", {
                    "model": "builtin", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]})
                eventually(self, lambda: len([e for e in told if e["event"] == "system"]) >= 2)
                self.assertIn("ready", [e.get("state") for e in told])
                self.assertEqual({e["name"] for e in told if e["event"] == "model"}, {"builtin-embed"})
            with self.assertRaises(Refused) as refused:
                Client(server, "/api/events?topics=weather")
            self.assertEqual(refused.exception.status, 400)

    def test_one_download_until_it_is_over(self):
        with World() as world, running(world) as server:
            world.hub.rate = 2_000_000
            _, _, text = server.request("POST", "/api/models/pull", {"model": "hf:org/model"})
            with Client(server, f"/api/downloads/{json.loads(text)['id']}") as client:
                events = list(client.events())
                self.assertEqual(client.code, 1000)
            self.assertEqual(events[-1]["state"], "done")
            running_ones = [e for e in events if e["state"] == "downloading" and e["each"]]
            self.assertTrue(running_ones)
            for event in running_ones:
                self.assertEqual(sum(file["bytes"] for file in event["each"]), event["bytes"])

    def test_who_may_not_come_in(self):
        with World() as world, running(world) as server:
            for headers, status in (({"Origin": "https://elsewhere.example"}, 403),
                                    ({"Origin": "null"}, 403),
                                    ({"Sec-Fetch-Site": "cross-site"}, 403),
                                    ({"Host": "elsewhere.example"}, 403),
                                    ({"Sec-WebSocket-Version": "8"}, 426),
                                    ({"Sec-WebSocket-Key": "short"}, 400)):
                with self.subTest(headers), self.assertRaises(Refused) as refused:
                    Client(server, "/api/events", headers)
                self.assertEqual(refused.exception.status, status)
            with Client(server, "/api/events", {"Origin": f"http://localhost:{server.port}"}) as client:
                self.assertEqual(client.close(), 1000)
            # Elsewhere an upgrade is not offered, and a request for one is answered as any other.
            with self.assertRaises(Refused) as refused:
                Client(server, "/api/version")
            self.assertEqual(refused.exception.status, 200)

    def test_keys(self):
        with World() as world:
            def keys(*words):
                run = world.run("keys", *words, "--json")
                self.assertEqual(run.returncode, 0, run.err)
                return json.loads(run.out)
            chat = keys("create", "ada", "--scope", "chat")
            scrape = keys("create", "eve", "--scope", "metrics")

            def client(server, path, key=None):
                headers = {"Authorization": f"Bearer {key['key']}"} if key else {}
                return Client(server, path, headers)
            with running(world) as server:
                for path, key, status in (("/api/events", None, 401),
                                          ("/api/events?token=" + chat["key"], None, 401),
                                          ("/api/system/events", chat, 403),
                                          ("/api/models/events", scrape, 403),
                                          ("/api/events?topics=models,system", chat, 403)):
                    with self.subTest(path), self.assertRaises(Refused) as refused:
                        client(server, path, key)
                    self.assertEqual(refused.exception.status, status)
                with client(server, "/api/events", scrape) as seen:  # what the key allows of it
                    self.assertEqual(next(seen.events())["event"], "system")
                with client(server, "/api/models/events", chat) as seen:
                    keys("revoke", "ada")
                    for _ in seen.events():
                        pass
                    self.assertEqual(seen.code, 1008)
                    self.assertIn("key", seen.reason)

    def test_hostile_clients(self):
        rows = [("no mask", frame(TEXT, b"hi", masked=False), 1002),
                ("an extension", frame(TEXT, b"hi", reserved=4), 1002),
                ("an opcode of the future", frame(5, b"hi"), 1002),
                ("a long ping", frame(PING, b"x" * 126), 1002),
                ("a ping in parts", frame(PING, b"x", final=False), 1002),
                ("the rest of nothing", frame(0, b"x"), 1002),
                ("a huge length", frame(TEXT, b"x", size=2 ** 40), 1009),
                ("a length with a sign", frame(TEXT, b"x", size=2 ** 63), 1002),
                ("a long message", frame(TEXT, b"x" * 20000), 1009),
                ("many parts", frame(TEXT, b"x" * 10000, final=False) + frame(0, b"x" * 10000), 1009),
                ("no text", frame(TEXT, b"\xff\xfe"), 1007),
                ("a flood of pings", frame(PING) * 1000, 1008),
                ("a flood of empty parts", frame(TEXT, final=False) + frame(0, final=False) * 1000, 1008),
                ("a code that is none", frame(CLOSE, struct.pack(">H", 999)), 1002),
                ("another protocol", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 1002)]
        with World() as world, running(world) as server:
            quiet = Client(server, "/api/models/events")
            for what, data, code in rows:
                with self.subTest(what), Client(server, "/api/models/events") as client:
                    client.send(data)
                    for _ in client.events():
                        pass
                    self.assertEqual(client.code, code)
            with Client(server, "/api/models/events") as client:
                for byte in frame(TEXT, b"slowly"):
                    client.send(bytes([byte]))
                client.send(frame(PING, b"still there?"))
                self.assertEqual(client.frame(), (PONG, b"still there?"))
            # Whoever behaves did not notice.
            quiet.send(frame(PING, b"me too"))
            self.assertEqual(quiet.frame(), (PONG, b"me too"))
            self.assertEqual(quiet.close(), 1000)

    def test_a_thousand_that_wait(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 1200:
            self.skipTest(f"{hard} files may be open at once")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
        with World() as world, running(world) as server:
            server.request("GET", "/api/version")
            before, clients = resident_kb(server), []
            for _ in range(1000):
                clients.append(Client(server, "/api/models/events"))
            held = resident_kb(server) - before
            print(f"1000 WebSockets hold {held} kB of the server", flush=True)
            self.assertLess(held, 40_000)
            server.json("POST", "/v1/embeddings", {"model": "builtin-embed", "input": "x"})
            for client in clients:
                self.assertEqual(next(client.events())["event"], "model")
            server.process.send_signal(signal.SIGTERM)
            for client in clients:
                for _ in client.events():
                    pass
                self.assertEqual(client.code, 1001)
                client.socket.close()
            server.process.wait(30)

    def test_over_tls(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl to make a certificate")
        with World() as world:
            cert, key = (f"{world.home.name}/{name}.pem" for name in ("cert", "key"))
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                            "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
                           check=True, capture_output=True)
            context = ssl.create_default_context(cafile=cert)
            context.check_hostname = False
            with running(world, "--tls-cert", cert, "--tls-key", key) as server:
                with Client(server, "/api/system/events", tls=context) as client:
                    events = client.events()
                    self.assertEqual([next(events)["event"] for _ in range(2)], ["system"] * 2)
                    self.assertEqual(client.close(), 1000)


class Folders(unittest.TestCase):
    def test_a_file_that_appears_is_told_at_once(self):
        with World() as world:
            shelf = pathlib.Path(world.home.name) / "shelf"
            shelf.mkdir()
            later = pathlib.Path(world.home.name) / "later"
            world.environment["HEARTH_LIBRARY_FOLDERS"] = f"{shelf},{later}"
            with running(world) as server:
                def names():
                    return [m["name"] for m in server.json("GET", "/api/models")["models"]]
                told, before = [], names()
                with Client(server, "/api/models/events") as client:
                    collect(client.events(), told)

                    def news(kind):
                        return [name for e in told if e["event"] == "library" for name in e[kind]]
                    began = time.monotonic()
                    (shelf / "deep").mkdir()
                    (shelf / "deep" / "mine.gguf").write_bytes(MODEL)
                    eventually(self, lambda: "mine" in news("came"))
                    print(f"a new file was told after {time.monotonic() - began:.2f} s", flush=True)
                    self.assertEqual(set(names()) - set(before), {"mine"})
                    self.assertIn(("mine", "local"),
                                  [(e["name"], e["state"]) for e in told if e["event"] == "model"])
                    (shelf / "deep" / "mine.gguf").unlink()
                    eventually(self, lambda: "mine" in news("left"))
                    self.assertEqual(names(), before)
                    later.mkdir()  # a folder that was not there
                    (later / "other.gguf").write_bytes(MODEL)
                    eventually(self, lambda: "other" in news("came"))


if __name__ == "__main__":
    program.main()
