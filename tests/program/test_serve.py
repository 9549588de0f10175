"""hearth serve: any installed model on demand, managed over HTTP."""
import base64
import concurrent.futures
import hashlib
import http.client
import json
import pathlib
import signal
import socket
import threading
import time
import unittest

import program
from world import MODEL, SHA, World, eventually, running

EMBEDDER = (program.ROOT / "src/library/builtin/embed.gguf").read_bytes()


def chat(server, model, text="Hello", **more):
    return server.request("POST", "/v1/chat/completions", {
        "model": model, "max_tokens": 4, "messages": [{"role": "user", "content": text}], **more})


def in_memory(server):
    return [m["name"] for m in server.json("GET", "/api/ps")["models"]]


def lines(server, method, path, body=None, headers=None):
    """The JSON lines of a stream, as they come."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request(method, path, json.dumps(body) if body is not None else None,
                       {"Content-Type": "application/json", **(headers or {})})
    response = connection.getresponse()
    if response.status != 200:
        raise AssertionError(f"{path}: {response.status} {response.read()}")
    for line in response:
        if line.strip():
            yield json.loads(line)
    connection.close()


class OllamaPort(unittest.TestCase):
    def test_answers_on_ollamas_usual_port_when_asked(self):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", 11434))
            except OSError as error:
                self.skipTest(f"port 11434 is taken: {error}")
        with program.serving("--port", "11434") as server:
            self.assertEqual(server.port, 11434)
            self.assertEqual(server.request("GET", "/")[2], "Ollama is running")
            self.assertEqual(server.request("HEAD", "/")[0], 200)
            self.assertRegex(server.json("GET", "/api/version")["version"], r"^\d+\.\d+\.\d+$")
            answer = server.json("POST", "/api/chat", {"model": "builtin", "stream": False, "messages": [
                {"role": "user", "content": "Hello"}], "options": {"num_predict": 4}})
            self.assertTrue(answer["done"])
        with program.serving() as server:
            self.assertEqual(server.request("GET", "/")[2], "Hearth is running\n")


class OnDemand(unittest.TestCase):
    def test_any_name_of_an_installed_model(self):
        with World() as world:
            world.run("pull", "hf:org/model")
            mine = pathlib.Path(world.home.name, "mine")
            mine.mkdir()
            (mine / "own-embed.gguf").write_bytes(EMBEDDER)
            world.environment["HEARTH_LIBRARY_FOLDERS"] = str(mine)
            with running(world) as server:
                listed = [m["id"] for m in server.json("GET", "/v1/models")["data"]]
                self.assertEqual(listed, ["builtin", "builtin-embed", "hf:org/model:Q8_0", "own-embed"])
                self.assertEqual([m["name"] for m in server.json("GET", "/api/tags")["models"]],
                                 ["builtin:latest", "builtin-embed:latest", "hf:org/model:Q8_0",
                                  "own-embed:latest"])
                self.assertEqual(in_memory(server), [])
                for name in ("hf:org/model:Q8_0", "hf:org/model", "org/model", "hf.co/org/model:q8_0",
                             "hf:org/model:latest", "builtin", "builtin:latest", "default"):
                    status, _, text = chat(server, name)
                    self.assertEqual(status, 200, f"{name}: {text}")
                self.assertEqual(sorted(in_memory(server)), ["builtin:latest", "hf:org/model:Q8_0"])
                vector = server.json("POST", "/v1/embeddings", {"model": "own-embed", "input": "a"})
                self.assertGreater(len(vector["data"][0]["embedding"]), 8)
                for body in ({"model": "own-embed"}, {"name": "own-embed:latest"}):
                    shown = server.json("POST", "/api/show", body)
                    self.assertEqual(shown["capabilities"], ["embedding"])
                shown = server.json("POST", "/api/show", {"model": "hf:org/model"})
                self.assertIn("completion", shown["capabilities"])

    def test_names_that_mean_nothing(self):
        with World() as world, running(world) as server:
            for name, says in (("nothing", "no model"), ("qwen3:0.6b", "hearth pull qwen3:0.6b"),
                               ("hf:no/such", "hearth pull"), ("/etc/passwd", "no model"),
                               ("/no/such/file", "no model"), ("../x.gguf", "no model")):
                status, _, text = chat(server, name)
                self.assertEqual(status, 404, text)
                error = json.loads(text)["error"]
                self.assertEqual(error["code"], "model_not_found")
                self.assertIn(says, error["message"])
            # Whether a file is there is not told.
            texts = [chat(server, name)[2].replace(name, "") for name in ("/etc/passwd", "/no/file")]
            self.assertEqual(texts[0], texts[1])

    def test_a_loading_that_fails_leaves_others_serving(self):
        with World() as world:
            mine = pathlib.Path(world.home.name, "mine")
            mine.mkdir()
            (mine / "cut.gguf").write_bytes(MODEL[:100_000])
            world.environment["HEARTH_LIBRARY_FOLDERS"] = str(mine)
            with running(world) as server:
                listed = [m["id"] for m in server.json("GET", "/v1/models")["data"]]
                self.assertNotIn("cut", listed)
                for _ in range(3):
                    status, _, text = chat(server, "cut")
                    self.assertEqual(status, 500)
                    self.assertEqual(json.loads(text)["error"]["code"], "model_load_failed")
                    self.assertNotIn(world.home.name, text)
                    self.assertEqual(chat(server, "builtin")[0], 200)

    def test_many_clients_share_one_loading(self):
        with World() as world:
            world.run("pull", "hf:org/model")
            with running(world) as server, concurrent.futures.ThreadPoolExecutor(64) as pool:
                answers = list(pool.map(lambda _: chat(server, "org/model")[0], range(64)))
                self.assertEqual(answers, [200] * 64)
                status = server.json("GET", "/api/models/status")
                self.assertEqual([m["name"] for m in status["loaded"]], ["hf:org/model:Q8_0"])

    def test_keep_alive(self):
        with World() as world, running(world, "--keep-alive", "1") as server:
            self.assertEqual(chat(server, "builtin")[0], 200)
            eventually(self, lambda: in_memory(server) == [])
            ask = lambda keep: server.json("POST", "/api/generate", {
                "model": "builtin", "prompt": "a", "stream": False, "keep_alive": keep,
                "options": {"num_predict": 2}})
            ask(0)
            eventually(self, lambda: in_memory(server) == [], 2)
            ask("-1")
            time.sleep(1.5)
            ps = server.json("GET", "/api/ps")["models"]
            self.assertEqual(ps[0]["expires_at"][:4], "2999")
            self.assertGreater(ps[0]["size"], 1_000_000)
            unloaded = server.json("POST", "/api/generate", {"model": "builtin", "keep_alive": 0})
            self.assertEqual(unloaded["done_reason"], "unload")
            eventually(self, lambda: in_memory(server) == [], 2)
            loaded = server.json("POST", "/api/chat", {"model": "builtin", "keep_alive": "1h"})
            self.assertEqual(loaded["done_reason"], "load")
            self.assertEqual(in_memory(server), ["builtin:latest"])
            for wrong in ("soon", True, []):
                status, _, _ = server.request("POST", "/api/generate", {
                    "model": "builtin", "prompt": "a", "keep_alive": wrong})
                self.assertEqual(status, 400)

    def test_one_model_at_a_time(self):
        with World() as world, running(world, "--max-loaded", "1") as server:
            for _ in range(3):
                self.assertEqual(chat(server, "builtin")[0], 200)
                vector = server.request("POST", "/v1/embeddings", {"model": "builtin-embed", "input": "a"})
                self.assertEqual(vector[0], 200)
                self.assertEqual(len(in_memory(server)), 1)

    def test_named_at_start_stays_and_answers_for_none(self):
        with World() as world:
            path = pathlib.Path(world.home.name, "special.gguf")
            path.write_bytes(MODEL)
            with running(world, "--model", str(path), "--keep-alive", "0") as server:
                self.assertEqual(in_memory(server), ["special:latest"])
                self.assertEqual(chat(server, "special")[0], 200)
                self.assertEqual(chat(server, "builtin")[0], 200)
                answer = server.json("POST", "/tokenize", {"content": "a"})
                self.assertEqual(answer["count"], 1)
                eventually(self, lambda: in_memory(server) == ["special:latest"])
                ids = [m["id"] for m in server.json("GET", "/v1/models")["data"]]
                self.assertEqual(ids.count("special"), 1)


class Commands(unittest.TestCase):
    def test_ps_and_stop(self):
        with World() as world:
            none = world.run("ps", "--port", "1")
            self.assertEqual(none.returncode, 7)
            self.assertIn("hearth serve", none.err)
            with running(world) as server:
                port = ("--port", str(server.port))
                self.assertIn("No model is in memory", world.run("ps", *port).out)
                chat(server, "builtin")
                self.assertRegex(world.run("ps", *port).out, r"NAME +SIZE.*\nbuiltin +\S+ MB +ready +0")
                shown = json.loads(world.run("ps", "--json", *port).out)
                self.assertEqual(shown["models"][0]["name"], "builtin")
                self.assertEqual(world.run("stop", "builtin", *port).returncode, 0)
                eventually(self, lambda: in_memory(server) == [])
                again = world.run("stop", "builtin", *port)
                self.assertEqual(again.returncode, 3)
                self.assertIn("not in memory", again.err)


class Switch(unittest.TestCase):
    def test_no_request_fails_while_models_are_switched(self):
        with World() as world:
            for name in ("one", "two"):
                world.hub.add(f"org/{name}", {f"{name}-Q8_0.gguf": MODEL + b"\0" * (name == "two")})
                self.assertEqual(world.run("pull", f"hf:org/{name}").returncode, 0)
            with running(world) as server:
                bad, good, stop = [], [0], threading.Event()

                def clients(name):
                    while not stop.is_set():
                        status, _, text = chat(server, name)
                        if status == 200:
                            good[0] += 1
                        else:
                            bad.append(text)
                threads = [threading.Thread(target=clients, args=(name,))
                           for name in ("default", "default", "org/one", "house")]
                server.json("POST", "/api/models/switch", {"model": "org/one", "from": "house"})
                for thread in threads:
                    thread.start()
                slowest = 0
                for i in range(20):
                    name = ("org/two", "org/one")[i % 2]
                    began = time.monotonic()
                    for old in ({}, {"from": "house"}):
                        answer = server.json("POST", "/api/models/switch", {"model": name, **old})
                        self.assertEqual(answer["model"], f"hf:{name}:Q8_0")
                    slowest = max(slowest, time.monotonic() - began)
                    time.sleep(0.15)
                stop.set()
                for thread in threads:
                    thread.join()
                self.assertEqual(bad, [])
                self.assertGreater(good[0], 20)
                self.assertLess(slowest, 4)  # two switches
                print(f"20 switches, {good[0]} answers, the slowest pair took {slowest:.2f} s")


class Manage(unittest.TestCase):
    def test_pull_with_progress_then_delete(self):
        with World() as world, running(world) as server:
            world.hub.rate = 3_000_000
            seen = list(lines(server, "POST", "/api/models/pull", {"model": "hf:org/model", "stream": True}))
            self.assertEqual(seen[-1]["state"], "done", seen[-1])
            moving = [e["bytes"] for e in seen if e["state"] == "downloading"]
            self.assertGreater(len(moving), 3)
            self.assertEqual(moving, sorted(moving))
            self.assertTrue(any(e["seconds_left"] for e in seen), seen)
            self.assertEqual(chat(server, "org/model")[0], 200)
            verified = server.json("POST", "/api/models/verify", {"model": "org/model"})
            self.assertTrue(verified["right"] and verified["checked"])
            ran = server.json("POST", "/api/models/verify", {"model": "org/model", "level": "run"})
            self.assertTrue(ran["right"], ran)
            self.assertEqual(server.request("POST", "/api/models/verify", {"model": "org/model", "level": "all"})[0], 400)
            shown = server.json("GET", "/api/models/show/hf:org/model:Q8_0")
            self.assertEqual(shown["lifecycle"]["state"], "ready")
            status, _, text = server.request("DELETE", "/api/models/hf:org/model:Q8_0")
            self.assertEqual(status, 200, text)
            self.assertEqual(chat(server, "org/model")[0], 404)
            self.assertEqual(world.files(), [])
            for name in ("builtin", "nothing"):
                status, _, _ = server.request("POST", "/api/models/delete", {"model": name})
                self.assertEqual(status, 404 if name == "nothing" else 400)

    def test_delete_as_openai(self):
        with World() as world:
            world.run("pull", "hf:org/model")
            with running(world) as server:
                gone = server.json("DELETE", "/v1/models/hf:org/model:Q8_0")
                self.assertEqual(gone, {"id": "hf:org/model:Q8_0", "object": "model", "deleted": True})
                self.assertEqual(world.files(), [])
                self.assertEqual(server.request("DELETE", "/v1/models/hf:org/model:Q8_0")[0], 404)

    def test_downloads_are_shared_stopped_and_go_on(self):
        with World() as world, running(world) as server:
            world.hub.rate = 1_000_000
            first = server.request("POST", "/api/models/pull", {"model": "hf:org/model"})
            self.assertEqual(first[0], 202)
            download = json.loads(first[2])
            again = json.loads(server.request("POST", "/api/models/pull", {"model": "hf.co/org/model"})[2])
            self.assertEqual(again["id"], download["id"])
            path = f"/api/downloads/{download['id']}"
            eventually(self, lambda: server.json("GET", path)["bytes"] > 500_000)
            status = server.json("GET", "/api/models/status")["lifecycle"]
            self.assertEqual([(w["name"], w["state"]) for w in status], [("hf:org/model", "downloading")])
            self.assertEqual(server.json("DELETE", path), {"id": download["id"], "cancelled": True})
            eventually(self, lambda: server.json("GET", path)["state"] == "cancelled")
            self.assertEqual(server.request("DELETE", path)[0], 400)
            self.assertEqual(server.request("GET", "/api/downloads/99")[0], 404)
            self.assertEqual(len(server.json("GET", "/api/downloads")["unfinished"]), 1)
            world.hub.rate = 0
            sent = sum(n for _, n in world.hub.served)
            end = list(lines(server, "POST", "/api/models/pull", {"model": "hf:org/model", "stream": True}))[-1]
            self.assertEqual(end["state"], "done", end)
            self.assertLess(sum(n for _, n in world.hub.served) - sent, len(MODEL) - 400_000)

    def test_other_machines_may_not_have_private_addresses_asked(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses an address of ours
            except OSError:
                self.skipTest("this machine has no network")
            own = probe.getsockname()[0]
        if own.startswith("127."):
            self.skipTest("this machine has no network")
        with World() as world:
            world.hub.add("files", {"model.gguf": MODEL})
            key = json.loads(world.run("keys", "create", "root", "--scope", "all", "--json").out)["key"]
            with running(world, "--host", "0.0.0.0") as server:
                for host, state in ((own, "failed"), ("127.0.0.1", "done")):
                    server.host = host
                    for url in (f"{world.hub.cdn_url}/file/model.gguf",
                                f"http://127.0.0.1:{world.hub.cdn.server_port}/file/model.gguf"):
                        with self.subTest(host=host, url=url):
                            end = list(lines(server, "POST", "/api/models/pull", {
                                "model": url, "stream": True}, {"Authorization": f"Bearer {key}"}))[-1]
                            self.assertEqual(end["state"], state, end)
                            if state == "failed":
                                self.assertIn("private network", end["error"]["message"])
                self.assertFalse([r for r in world.hub.requests if "/api/" in r[0]])

    def test_downloads_pause_resume_and_overtake(self):
        with World() as world:
            for i in range(4):
                world.hub.add(f"org/m{i}", {f"m{i}-Q8_0.gguf": MODEL[:-1] + bytes([i])})
            world.hub.rate = 300_000

            def state(server, number):
                return server.json("GET", f"/api/downloads/{ids[number]}")["state"]
            with running(world) as server:
                ids = []
                for i in range(4):
                    _, _, text = server.request("POST", "/api/models/pull", {"model": f"hf:org/m{i}"})
                    ids.append(json.loads(text)["id"])
                path = f"/api/downloads/{ids[0]}"
                eventually(self, lambda: server.json("GET", path)["bytes"] > 100_000)
                self.assertEqual(state(server, 3), "queued")
                last = server.json("PATCH", f"/api/downloads/{ids[3]}", {"priority": 5})
                self.assertEqual((last["priority"], last["state"]), (5, "queued"))
                server.json("PATCH", path, {"paused": True})
                eventually(self, lambda: state(server, 0) == "paused")
                eventually(self, lambda: state(server, 3) == "downloading")  # before the third
                self.assertEqual(state(server, 2), "queued")
                held = server.json("GET", path)["bytes"]
                self.assertGreater(held, 100_000)
                for wrong in ({"priority": 1000}, {"paused": "yes"}):
                    self.assertEqual(server.request("PATCH", path, wrong)[0], 400)
                self.assertEqual(server.request("PATCH", "/api/downloads/99", {"paused": True})[0], 404)
            world.hub.rate = 0
            with running(world) as server:
                def downloads():
                    return {d["model"]: d for d in server.json("GET", "/api/downloads")["downloads"]}
                eventually(self, lambda: sorted(d["state"] for d in downloads().values()) ==
                           ["done", "done", "done", "paused"])
                paused = downloads()["hf:org/m0"]
                self.assertEqual(paused["state"], "paused")
                world.hub.served.clear()
                path = f"/api/downloads/{paused['id']}"
                server.json("PATCH", path, {"paused": False})
                eventually(self, lambda: server.json("GET", path)["state"] == "done")
                self.assertLess(sum(n for _, n in world.hub.served), len(MODEL) - 50_000)
                self.assertEqual(server.request("PATCH", path, {"paused": True})[0], 400)

    def test_a_conversation_goes_on_after_a_restart(self):
        messages = [{"role": "system", "content": "You know this list: " + ", ".join(f"item {i}" for i in range(120))},
                    {"role": "user", "content": "hello"}]
        body = {"model": "builtin", "messages": messages, "max_tokens": 8}
        with World() as world:
            for flags, share in (((), 0), ((), 0.9), (("--prefix-disk-mb", "0"), 0)):
                with running(world, *flags) as server:
                    answer = json.loads(server.request("POST", "/v1/chat/completions", body)[2])
                usage = answer["usage"]
                with self.subTest(flags, share=share):
                    cached = usage["prompt_tokens_details"]["cached_tokens"]
                    self.assertGreater(usage["prompt_tokens"], 400)
                    (self.assertGreater if share else self.assertEqual)(cached, share * usage["prompt_tokens"])
    def test_a_restarted_server_takes_its_downloads_up(self):
        with World() as world:
            world.hub.rate = 1_000_000
            with running(world) as server:
                download = json.loads(server.request("POST", "/api/models/pull", {"model": "hf:org/model"})[2])
                path = f"/api/downloads/{download['id']}"
                eventually(self, lambda: server.json("GET", path)["bytes"] > 500_000)
            world.hub.rate = 0
            sent = sum(n for _, n in world.hub.served)
            with running(world) as server:
                eventually(self, lambda: [d["state"] for d in server.json("GET", "/api/downloads")["downloads"]]
                           == ["done"])
                self.assertLess(sum(n for _, n in world.hub.served) - sent, len(MODEL) - 400_000)
            with running(world) as server:
                self.assertEqual(server.json("GET", "/api/downloads")["downloads"], [])

    def test_events(self):
        with World() as world, running(world) as server:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
            connection.request("GET", "/api/models/events")
            stream = connection.getresponse()
            self.assertEqual(stream.getheader("Content-Type"), "text/event-stream")
            states = []

            def read():
                for line in stream:
                    if line.startswith(b"data: "):
                        event = json.loads(line[6:])
                        states.append((event["event"], event.get("state")))
            thread = threading.Thread(target=read, daemon=True)
            thread.start()
            chat(server, "builtin")
            list(lines(server, "POST", "/api/models/pull", {"model": "hf:org/model", "stream": True}))
            eventually(self, lambda: ("download", "done") in states)
            for state in ("initializing", "loading", "ready", "executing"):
                self.assertIn(("model", state), states)
            self.assertIn(("model", "validated"), states)
            system = http.client.HTTPConnection(server.host, server.port, timeout=30)
            system.request("GET", "/api/system/events", headers={"Accept": "application/x-ndjson"})
            response = system.getresponse()
            events = []
            while len(events) < 3:
                event = json.loads(response.readline())
                if event["event"] == "system":
                    events.append(event)
            self.assertGreater(events[-1]["memory"]["free_bytes"], 0)
            told = server.json("GET", "/api/system/info")
            self.assertGreater(told["cpu"]["usable_cores"], 0)
            self.assertLessEqual(set(json.loads(world.run("info", "--json").out)), set(told))

    def test_a_pull_that_fails(self):
        with World() as world, running(world) as server:
            status, _, text = server.request("POST", "/api/models/pull", {"model": "nothing-here"})
            self.assertEqual(status, 404, text)
            end = list(lines(server, "POST", "/api/models/pull", {"model": "hf:no/such", "stream": True}))[-1]
            self.assertEqual(end["state"], "failed")
            self.assertIn("no/such", end["error"]["message"])
            ways = server.json("GET", "/api/models/status")["lifecycle"]
            self.assertEqual(ways[0]["state"], "error")

    def test_upload(self):
        with World() as world, running(world) as server:
            part, sent = 1_000_000, 0
            while sent < len(MODEL):
                body = MODEL[sent:sent + part]
                path = f"/api/models/upload?name=mine:1b&offset={sent}&total={len(MODEL)}"
                connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
                connection.request("POST", path, body)
                answer = json.loads(connection.getresponse().read())
                sent += len(body)
                self.assertEqual(answer["done"], sent == len(MODEL), answer)
            self.assertEqual(answer["sha256"], SHA)
            self.assertEqual(chat(server, "mine:1b")[0], 200)
            self.assertEqual(world.files(), ["mine--1b/model.gguf", "mine--1b/model.json"])
            for query, status in (("name=../x&total=3", 400), ("name=a&offset=9", 409),
                                  ("name=a&file=../x", 400), ("name=junk", 400), ("name=mine:1b", 400)):
                connection.request("POST", f"/api/models/upload?{query}", b"GGUFjunk")
                response = connection.getresponse()
                self.assertEqual(response.status, status, response.read())
                response.read()
            self.assertEqual(world.files(), ["mine--1b/model.gguf", "mine--1b/model.json"])


class Ollama(unittest.TestCase):
    def test_pull_copy_create_delete(self):
        with World() as world:
            world.hub.ollama["library/tiny:latest"] = MODEL
            with running(world) as server:
                world.hub.rate = 3_000_000
                seen = list(lines(server, "POST", "/api/pull", {"model": "tiny"}))
                self.assertEqual(seen[-1], {"status": "success"}, seen[-3:])
                self.assertTrue(any(e.get("completed", 0) > 0 and e["total"] == len(MODEL) for e in seen))
                self.assertEqual(server.json("POST", "/api/pull", {"name": "tiny", "stream": False}),
                                 {"status": "success"})
                for name in ("tiny", "tiny:latest", "ollama:tiny"):
                    self.assertEqual(chat(server, name)[0], 200, name)
                copied = server.request("POST", "/api/copy", {"source": "tiny", "destination": "gpt-4o"})
                self.assertEqual((copied[0], copied[2]), (200, ""))
                self.assertEqual(chat(server, "gpt-4o")[0], 200)
                names = [m["name"] for m in server.json("GET", "/api/tags")["models"]]
                self.assertIn("gpt-4o:latest", names)
                made = server.json("POST", "/api/create", {"model": "mine", "from": "tiny", "stream": False})
                self.assertEqual(made, {"status": "success"})
                self.assertEqual(server.request("DELETE", "/api/delete", {"model": "gpt-4o:latest"})[0], 200)
                self.assertEqual(chat(server, "gpt-4o")[0], 404)
                self.assertEqual(chat(server, "mine")[0], 200)
                # What it runs in processes of its own knows the name too.
                self.assertEqual(world.run("show", "mine").returncode, 0)
                self.assertEqual(server.request("DELETE", "/api/delete", {"model": "tiny"})[0], 200)
                self.assertEqual(chat(server, "tiny")[0], 404)
                self.assertEqual(server.request("DELETE", "/api/delete", {"model": "tiny"})[0], 404)
                self.assertEqual(server.request("POST", "/api/copy", {"source": "no", "destination": "b"})[0], 404)

    def test_blobs(self):
        with World() as world, running(world) as server:
            digest = "sha256:" + SHA
            self.assertEqual(server.request("HEAD", f"/api/blobs/{digest}")[0], 404)
            connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
            connection.request("POST", f"/api/blobs/{digest}", MODEL)
            self.assertEqual(connection.getresponse().status, 201)
            self.assertEqual(server.request("HEAD", f"/api/blobs/{digest}")[0], 200)
            wrong = "sha256:" + hashlib.sha256(b"x").hexdigest()
            self.assertEqual(server.request("POST", f"/api/blobs/{wrong}", "y")[0], 400)
            self.assertEqual(server.request("POST", "/api/blobs/sha256:../../x", "y")[0], 400)
            seen = list(lines(server, "POST", "/api/create",
                              {"model": "made", "files": {"model.gguf": digest}}))
            self.assertEqual(seen[-1], {"status": "success"})
            self.assertEqual(chat(server, "made")[0], 200)
            self.assertEqual(server.request("POST", "/api/create", {
                "model": "b", "from": "made", "template": "{{ .Prompt }}"})[0], 400)

    def test_a_smaller_model_of_another(self):
        with World() as world:
            world.hub.ollama["library/tiny:latest"] = MODEL
            self.assertEqual(world.run("pull", "ollama:tiny").returncode, 0)
            with running(world) as server:
                wish = {"model": "small", "from": "tiny", "quantize": "q8_0", "system": "Be brief."}
                seen = list(lines(server, "POST", "/api/create", wish))
                self.assertEqual((seen[0], seen[-1]), ({"status": "quantizing to q8_0"}, {"status": "success"}))
                shown = server.json("POST", "/api/show", {"model": "small"})
                self.assertEqual((shown["details"]["quantization_level"].lower(), shown["system"]),
                                 ("q8_0", "Be brief."))
                self.assertEqual(chat(server, "small")[0], 200)
                digest = "sha256:" + SHA
                self.assertEqual(server.request("POST", f"/api/blobs/{digest}", MODEL)[0], 201)
                self.assertEqual(server.json("POST", "/api/create", {
                    "model": "sent", "files": {"model.gguf": digest}, "quantize": "Q8_0", "stream": False}),
                    {"status": "success"})
                self.assertEqual(chat(server, "sent")[0], 200)
                for wrong, status in (({"quantize": "q9_9"}, 400), ({"from": "nobody"}, 404),
                                      ({"adapters": {"a.gguf": digest}}, 400)):
                    answer = server.request("POST", "/api/create", {**wish, "stream": False, **wrong})
                    self.assertEqual(answer[0], status, answer)
                self.assertFalse([f for f in world.files() if ".uploads/quantised" in f])

    def test_a_name_with_a_preset(self):
        with World() as world:
            world.hub.ollama["library/tiny:latest"] = MODEL
            self.assertEqual(world.run("pull", "ollama:tiny").returncode, 0)
            with running(world) as server:
                preset = {"model": "short", "from": "tiny", "system": "Be brief.", "stream": False,
                          "parameters": {"num_predict": 3, "temperature": 0, "stop": ["<end>"]},
                          "messages": [{"role": "user", "content": "Hello"},
                                       {"role": "assistant", "content": "Yes."}]}
                self.assertEqual(server.json("POST", "/api/create", preset), {"status": "success"})
                shown = server.json("POST", "/api/show", {"model": "short"})
                self.assertEqual((shown["system"], shown["messages"]), ("Be brief.", preset["messages"]))
                self.assertIn("num_predict 3\n", shown["parameters"])
                self.assertIn('SYSTEM """Be brief."""', shown["modelfile"])
                question = [{"role": "user", "content": "Hi"}]
                whole = [{"role": "system", "content": "Be brief."}, *preset["messages"], *question]
                counts = []
                for name, messages in (("short", question), ("tiny", whole)):
                    body = {"model": name, "messages": messages, "max_tokens": 3}
                    counts.append(server.json("POST", "/v1/chat/completions", body)["usage"]["prompt_tokens"])
                    counts.append(server.json("POST", "/api/chat", {**body, "stream": False})["prompt_eval_count"])
                    counts.append(server.json("POST", "/v1/messages/count_tokens", body)["input_tokens"])
                    if name == "short":
                        answer = server.json("POST", "/api/generate", {
                            "model": name, "prompt": "Hi", "stream": False})
                        self.assertLessEqual(answer["eval_count"], 3)
                self.assertEqual(len(set(counts)), 1, counts)  # the same prompt, in every interface
                for wrong in ({"parameters": {"tempature": 1}}, {"parameters": {"temperature": "hot"}},
                              {"messages": [{"role": "robot", "content": "x"}]}, {"adapters": {"a": "b"}}):
                    self.assertEqual(server.request("POST", "/api/create", {
                        "model": "wrong", "from": "tiny", **wrong})[0], 400, wrong)
                self.assertEqual(server.request("POST", "/api/copy", {
                    "source": "short", "destination": "other"})[0], 200)
                self.assertEqual(server.json("POST", "/api/show", {"model": "other"})["system"], "Be brief.")
            # The same names at the command line.
            (pathlib.Path(world.home.name) / "Modelfile").write_text("FROM short\nSYSTEM Be kind.\nPARAMETER num_predict 2\n")
            made = world.run("create", "kind", "--file", str(pathlib.Path(world.home.name) / "Modelfile"))
            self.assertEqual(made.returncode, 0, made.err)
            self.assertIn("Be kind.", world.run("show", "kind").out)
            answer = json.loads(world.run("run", "kind", "Hi", "--json").out)
            self.assertLessEqual(answer["completion_tokens"], 2)
            self.assertIn("kind", world.run("list").out)
            self.assertEqual(world.run("rm", "kind").returncode, 0)
            self.assertNotIn("kind", world.run("list").out)

    def test_a_client_that_leaves_stops_its_pull(self):
        with World() as world, running(world) as server:
            world.hub.rate = 500_000
            connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
            connection.request("POST", "/api/pull", json.dumps({"model": "hf:org/model"}))
            connection.getresponse().readline()
            connection.close()
            state = lambda: server.json("GET", "/api/downloads")["downloads"][0]["state"]
            eventually(self, lambda: state() == "cancelled")


class Ends(unittest.TestCase):
    def test_the_server_ends_while_it_downloads_and_loads(self):
        with World() as world:
            world.hub.rate = 200_000
            with running(world) as server:
                server.request("POST", "/api/models/pull", {"model": "hf:org/model"})
                watching = http.client.HTTPConnection(server.host, server.port, timeout=60)
                watching.request("GET", "/api/models/events")
                watching.getresponse()
                threading.Thread(target=chat, args=(server, "builtin"), daemon=True).start()
                time.sleep(0.3)
                server.process.send_signal(signal.SIGTERM)
                server.process.wait(20)
            self.assertFalse((world.store / "hf--org--model--Q8_0").exists())


class Graphs(unittest.TestCase):
    SMALL = str(program.ROOT / "tests/golden/graphs/small.onnx")

    def test_installed_ones_run_by_name(self):
        with World() as world:
            imported = world.run("import", self.SMALL, "--name", "small")
            self.assertEqual(imported.returncode, 0, imported.err)
            said = world.run("run", "small", "--input", "x=[[1, 1, 1, 1]]", "--json")
            self.assertAlmostEqual(json.loads(said.out)["outputs"]["y"]["data"][1], 0.866813, places=5)
            with running(world) as server:
                listed = {m["name"]: m["kind"] for m in server.json("GET", "/api/models")["models"]}
                self.assertEqual(listed["small"], "graph")
                self.assertNotIn("small", [m["id"] for m in server.json("GET", "/v1/models")["data"]])
                about = server.json("GET", "/api/graphs/small")
                self.assertEqual(about["inputs"], [{"name": "x", "dtype": "float32", "shape": ["rows", 4]}])
                for x in ([[1, 1, 1, 1]], {"shape": [1, 4], "data": [1, 1, 1, 1]}):
                    y = server.json("POST", "/api/graphs/small/run", {"inputs": {"x": x}})["outputs"]["y"]
                    self.assertEqual(y["shape"], [1, 3])
                    self.assertAlmostEqual(y["data"][1], 0.866813, places=5)
                for body, says in (({}, "inputs"), ({"inputs": {"z": [1]}}, "inputs.z"),
                                   ({"inputs": {"x": [1, 2]}}, "x"), ({"inputs": {}}, "inputs.x"),
                                   ({"inputs": {"x": [[1, 1, 1, 1]]}, "outputs": ["w"]}, "outputs"),
                                   ({"inputs": {"x": [[1, 1, 1, 1]]}, "timeout_seconds": 0}, "timeout_seconds")):
                    status, _, text = server.request("POST", "/api/graphs/small/run", body)
                    self.assertEqual(status, 400, text)
                    self.assertIn(says, text)
                self.assertEqual(server.request("POST", "/api/graphs/absent/run", {"inputs": {}})[0], 404)
                refused = chat(server, "small")
                self.assertGreaterEqual(refused[0], 400)
                self.assertIn("/api/graphs/small/run", str(refused[1:]))

    def test_pictures_and_names_of_classes(self):
        labelled = str(program.ROOT / "tests/golden/graphs/labelled.tflite")
        picture = base64.b64encode(b"P6\n1 1\n255\n" + bytes((0, 0, 255))).decode()
        with World() as world, running(world, "--model", labelled) as server:
            about = server.json("GET", "/api/graphs/labelled.tflite")
            self.assertEqual(about["labels"], ["red", "green", "blue"])
            url = f"data:image/x-portable-pixmap;base64,{picture}"
            run = lambda **more: server.request("POST", "/api/graphs/labelled.tflite/run", {"inputs": {"image": url}, **more})
            score = json.loads(run()[2])["outputs"]["score"]
            self.assertEqual(score["classes"][0], {"index": 2, "label": "blue", "score": 1})
            self.assertEqual(json.loads(run(pixels="unit")[2])["outputs"]["score"]["data"], [0, 0, 1])
            for more, says in (({"pixels": "odd"}, "pixels"), ({"rate": 1}, "rate"), ({"method": "none"}, "method"),
                               ({"inputs": {"image": "cat.jpg"}}, "data:"), ({"inputs": {"image": url[:-2] + "!"}}, "inputs.image")):
                status, _, text = run(**more)
                self.assertEqual(status, 400, text)
                self.assertIn(says, str(text))

    def test_one_that_was_named_by_its_path(self):
        with World() as world, running(world, "--model", self.SMALL) as server:
            y = server.json("POST", "/api/graphs/small.onnx/run", {"inputs": {"x": [[0, 0, 0, 0]]}})["outputs"]["y"]
            self.assertAlmostEqual(y["data"][0], 1 / 3, places=5)


if __name__ == "__main__":
    program.main()
