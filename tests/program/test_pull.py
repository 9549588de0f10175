"""hearth pull against a hub that misbehaves, and what is left when it is killed."""
import concurrent.futures
import hashlib
import http.server
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time
import unittest

import program
from fake_hub import Hub
from world import MODEL, SHA, World, eventually, running

WHOLE = ["hf--org--model--Q8_0/model-Q8_0.gguf", "hf--org--model--Q8_0/model.json"]


class Pull(unittest.TestCase):
    def test_the_hub_is_searched(self):
        with World() as world:
            world.hub.add("org/other-model", {"model.safetensors": b"x"}, gated="manual")
            world.hub.add("org/model-onnx", {"model.onnx": b"x"})
            found = json.loads(world.run("list", "--search", "org model", "--json").out)["models"]
            self.assertEqual([(m["reference"], m["form"], m["gated"]) for m in found],
                             [("hf:org/model", "gguf", False), ("hf:org/other-model", "safetensors", True)])
            self.assertEqual((found[0]["downloads"], found[0]["changed"]), (1000, "2026-01-31"))
            self.assertIn("accept its licence", world.run("list", "--search", "other").out)
            self.assertIn("no model for", world.run("list", "--search", "nothing & more").out)
            self.assertEqual(world.run("list", "--search", " ").returncode, 2)
        with World(HF_HUB_OFFLINE="1") as world:
            self.assertIn("the hub is not asked", world.run("list", "--search", "model").err)
            self.assertEqual(world.hub.requests, [])

    def test_the_hub_is_searched_by_the_server(self):
        with World() as world, running(world) as server:
            world.hub.add("org/other-model", {"model.safetensors": b"x"}, gated="manual")
            found = server.json("GET", "/api/models/search?q=org%20model")["models"]
            self.assertEqual([(m["reference"], m["form"], m["gated"]) for m in found],
                             [("hf:org/model", "gguf", False), ("hf:org/other-model", "safetensors", True)])
            self.assertEqual(len(server.json("GET", "/api/models/search?q=org&limit=1")["models"]), 1)
            for query in ("", "?q=%20", "?q=org&limit=none", "?q=org&limit=51"):
                self.assertEqual(server.request("GET", "/api/models/search" + query)[0], 400, query)
            world.hub.is_down = True
            self.assertEqual(server.request("GET", "/api/models/search?q=org")[0], 503)
        with World(HF_HUB_OFFLINE="1") as world, running(world) as server:
            status, _, text = server.request("GET", "/api/models/search?q=org")
            self.assertEqual((status, world.hub.requests), (503, []))
            self.assertIn("the hub is not asked", text)

    def check_whole(self, world, run, says=""):
        self.assertEqual(run.returncode, 0, run.err)
        self.assertIn(says, run.err)
        self.assertEqual(world.files(), WHOLE)
        self.assertEqual((world.store / WHOLE[0]).read_bytes(), MODEL)

    def check_nothing(self, world, run, code, says):
        self.assertEqual(run.returncode, code, run.err)
        self.assertIn(says, run.err)
        self.assertFalse((world.store / "hf--org--model--Q8_0").exists())
        listed = json.loads(world.run("list", "--json").out)
        self.assertEqual(listed["models"], [])

    def test_pull_list_run_remove(self):
        with World() as world:
            run = world.run("pull", "hf:org/model")
            self.check_whole(world, run)
            self.assertIn("hf:org/model:Q8_0", run.out)
            model = json.loads(world.run("list", "--json").out)["models"][0]
            self.assertEqual((model["name"], model["kind"], model["from"], model["problem"]),
                             ("hf:org/model:Q8_0", "generator", "hearth", ""))
            answer = world.run("run", "hf:org/model", "How do I stop the server?", "--max-tokens", "4")
            self.assertEqual(answer.returncode, 0, answer.err)
            requests = len(world.hub.served)
            again = world.run("pull", "hf:org/model:q8_0")
            self.assertIn("here already", again.out)
            self.assertEqual(len(world.hub.served), requests)
            manifest = json.loads((world.store / WHOLE[1]).read_text())
            self.assertEqual(manifest["files"][0]["sha256"], SHA)
            self.assertEqual(manifest["revision"], world.hub.repos["org/model"]["commit"])
            self.assertEqual(world.run("rm", "hf:org/model").returncode, 0)
            self.assertEqual(world.files(), [])

    def test_a_model_that_is_not_here_names_the_command(self):
        with World() as world:
            run = world.run("run", "hf:org/model", "hello")
            self.assertEqual(run.returncode, 3)
            self.assertIn("`hearth pull hf:org/model`", run.err)
            run = world.run("run", "hf:org/model", "hello", "--yes", "--max-tokens", "2")
            self.assertEqual(run.returncode, 0, run.err)

    def test_faults_that_another_attempt_heals(self):
        rows = [
            ["short"], ["reset"], ["short", "reset", "short"], ["status 503 Retry-After: 0"],
            ["status 429 Retry-After: 1"], ["status 500"], ["short", "no-range"],
            ["short", "other-etag"], ["short", "other-etag", "short"], ["short", "wrong-start"],
            ["short", "status 416"], ["short", "status 403"], ["length-high"], ["no-length"],
            ["no-etag"], ["endless"], ["short", "endless"], ["endless-close"], ["stall"],
            ["short", "ignores-if-range"], ["chunked-short"], ["weak-short"],
            ["short", "no-content-range"], ["short", "star-range"], ["json"], ["empty"],
            ["wrong-hash"],
        ]

        def heal(faults):
            with World(HEARTH_LIBRARY_STALL_SECONDS="2") as world:
                world.fault(*faults)
                run = world.run("pull", "hf:org/model")
                return faults, run.returncode, run.err, world.files(), \
                    run.returncode == 0 and (world.store / WHOLE[0]).read_bytes() == MODEL

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for faults, code, err, files, is_right in pool.map(heal, rows):
                with self.subTest(faults):
                    self.assertEqual(code, 0, err)
                    self.assertTrue(is_right)
                    self.assertEqual(files, WHOLE)

    def test_nine_of_ten_faults_are_recovered_from(self):
        """Faults drawn blindly, those that nothing can heal among them."""
        kinds = ["short", "reset", "status 500", "status 503 Retry-After: 0", "no-range", "other-etag", "wrong-start",
                 "status 416", "length-high", "no-length", "no-etag", "endless", "chunked-short", "weak-short",
                 "no-content-range", "star-range", "json", "empty", "ignores-if-range", "wrong-hash"]
        dice = random.Random(3)
        stories = [[dice.choice(kinds) for _ in range(dice.randint(1, 2))] for _ in range(60)]

        def pull(faults):
            with World(HEARTH_LIBRARY_STALL_SECONDS="5") as world:
                world.fault(*faults)
                run = world.run("pull", "hf:org/model")
                is_right = run.returncode == 0 and (world.store / WHOLE[0]).read_bytes() == MODEL
                return faults, is_right, run.returncode, run.err, world.files()

        recovered = 0
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for faults, is_right, code, err, files in pool.map(pull, stories):
                recovered += is_right
                if not is_right:  # explained, and nothing looks installed
                    self.assertNotEqual(code, 0, faults)
                    self.assertRegex(err, "^hearth: model-Q8_0.gguf: .{20}", faults)
                    self.assertNotIn(WHOLE[1], files)
        print(f"faults in downloading: {recovered} of {len(stories)} recovered")
        self.assertGreaterEqual(recovered, 0.9 * len(stories))

    def test_what_cannot_be_healed_is_refused_in_clear_words(self):
        rows = [
            (["html"], 5, "web page"),
            (["gzip"], 8, "gzip"),
            (["wrong-hash"] * 2, 5, f"needs {SHA}"),
            (["status 404"], 3, "404"),
            (["redirect-loop"] * 20, 8, "redirects"),
            (["redirect-file"], 8, "'file'"),
            (["status 503 Retry-After: 9999"], 7, "167 minutes"),
            (["length-low"] * 9, 7, "bytes, needs"),
        ]
        for faults, code, says in rows:
            with self.subTest(faults), World() as world:
                world.fault(*faults)
                self.check_nothing(world, world.run("pull", "hf:org/model"), code, says)

    def test_a_model_that_is_too_large_for_the_machine(self):
        with World() as world:
            memory = pathlib.Path(world.home.name) / "machine/proc/meminfo"
            memory.parent.mkdir(parents=True)
            memory.write_text(f"MemTotal: {len(MODEL) // 1024} kB\nMemAvailable: 1000 kB\n")
            world.environment["HEARTH_FAKE_MACHINE"] = str(memory.parent.parent)
            refused = world.run("pull", "hf:org/model")
            self.check_nothing(world, refused, refused.returncode, "`hearth pull --force` fetches it")
            self.assertNotEqual(refused.returncode, 0)
            forced = world.run("pull", "hf:org/model", "--force")
            self.assertEqual(forced.returncode, 0, forced.err)
            self.assertEqual(world.files(), WHOLE)

    def test_the_hub_says_no(self):
        with World() as world:
            world.hub.add("org/gated", {"m-Q4_0.gguf": MODEL}, gated="secret")
            rows = [
                ("hf:org/nothing", 3, "no such public model"),
                ("hf:org/model@old", 3, "no revision 'old'"),
                ("hf:org/model:Q2_K", 3, "has no 'Q2_K'; there is: Q8_0"),
                ("hf:org/gated", 2, "Accept them at https://huggingface.co/org/gated"),
                ("hf:model", 2, "needs hf:org/repo"),
                ("ollama:nothing", 3, "Ollama's library"),
                ("ftp://host/m.gguf", 2, "only http"),
                ("https://user:word@host/m.gguf", 2, "passwords"),
            ]
            for reference, code, says in rows:
                with self.subTest(reference):
                    run = world.run("pull", reference)
                    self.assertEqual(run.returncode, code, run.err)
                    self.assertIn(says, run.err)

    def test_a_token_stays_with_its_host(self):
        with World(HF_TOKEN="secret") as world:
            world.hub.add("org/gated", {"m-Q4_0.gguf": MODEL}, gated="secret")
            run = world.run("pull", "hf:org/gated")
            self.assertEqual(run.returncode, 0, run.err)
            for path, authorization, _ in world.hub.requests:
                with self.subTest(path):
                    wanted = None if path.startswith("/blob/") else "Bearer secret"
                    self.assertEqual(authorization, wanted)
            self.assertNotIn("secret", run.err + run.out)

    def test_a_mirror_stands_in_and_goes_on(self):
        mirror = Hub()
        mirror.add("org/model", {"model-Q8_0.gguf": MODEL})
        flags = ("--mirrors", f"http://127.0.0.1:1/nobody,{mirror.url}/")
        with World(HF_TOKEN="secret") as world:
            world.fault("reset")  # the rest comes from the mirror, from where the hub broke off
            self.check_whole(world, world.run("pull", "hf:org/model", *flags))
            self.assertGreater(mirror.served[0][0], 0)
            world.run("rm", "hf:org/model")
            world.hub.is_down = True
            self.check_whole(world, world.run("pull", "hf:org/model", *flags))
        self.assertNotIn("Bearer secret", [authorization for _, authorization, _ in mirror.requests])
        with World() as world:  # a mirror's word that there is no such model is not the hub's
            run = world.run("pull", "hf:org/other", *flags)
            self.check_nothing(world, run, 3, "no such")
            mirror.add("org/model", {"model-Q8_0.gguf": MODEL[:-1] + b"?"})
            world.fault("reset")
            run = world.run("pull", "hf:org/model", *flags)
            self.check_whole(world, run)
        mirror.close()

    def test_a_large_file_comes_over_several_connections(self):
        large = b"GGUF" + random.Random(1).randbytes(140_000_000)
        sha, stretch = hashlib.sha256(large).hexdigest(), 64 << 20
        path = "hf--org--large--Q8_0/large-Q8_0.gguf"
        for faults, flags in (([], ()), (["short", "reset"], ()), (["no-range"] * 9, ()), ([], ("--connections", "1"))):
            with self.subTest(faults, flags=flags), World() as world:
                world.hub.add("org/large", {"large-Q8_0.gguf": large})
                world.fault(*faults, sha=sha)
                run = world.run("pull", "hf:org/large", *flags)
                self.assertEqual(run.returncode, 0, run.err)
                self.assertEqual((world.store / path).read_bytes(), large)
                self.assertEqual(world.files(), [path, "hf--org--large--Q8_0/model.json"])
                starts = {start for start, _ in world.hub.served}
                if not faults:
                    self.assertEqual(starts, {0} if flags else {0, stretch, 2 * stretch})
                    self.assertEqual(sum(n for _, n in world.hub.served), len(large))
        with World() as world:  # killed on the way, it goes on with all that came
            world.hub.add("org/large", {"large-Q8_0.gguf": large})
            world.hub.rate = 20_000_000
            process = world.start("pull", "hf:org/large")
            while sum(n for _, n in world.hub.served) < 60_000_000:
                time.sleep(0.02)
            process.kill()
            process.communicate()
            world.hub.rate = 0
            sent = sum(n for _, n in world.hub.served)
            run = world.run("pull", "hf:org/large")
            self.assertEqual(run.returncode, 0, run.err)
            self.assertEqual((world.store / path).read_bytes(), large)
            again = sum(n for _, n in world.hub.served) - sent - (len(large) - sent)
            self.assertLess(again, 20_000_000)

    def test_a_limit_of_speed(self):
        with World() as world:
            began = time.monotonic()
            self.check_whole(world, world.run("pull", "hf:org/model", "--max-kb-per-second", "2000"))
            self.assertGreater(time.monotonic() - began, len(MODEL) / 2_048_000 - 0.5)

    def test_ollama_and_plain_addresses(self):
        with World() as world:
            world.hub.ollama["library/tiny:latest"] = MODEL
            world.hub.add("files", {"some-Q8_0.gguf": MODEL})
            for reference in ("ollama:tiny", f"{world.hub.cdn_url}/file/some-Q8_0.gguf"):
                with self.subTest(reference):
                    run = world.run("pull", reference)
                    self.assertEqual(run.returncode, 0, run.err)
                    run = world.run("tokenize", reference, "hello", "--json")
                    self.assertGreater(json.loads(run.out)["count"], 0)
            names = [m["name"] for m in json.loads(world.run("list", "--json").out)["models"]]
            self.assertIn("ollama:tiny:latest", names)

    def test_safetensors_folder(self):
        folder = pathlib.Path(program.needs_data("models/stories260K/hf"))
        files = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
        with World() as world:
            world.hub.add("org/folder", {**files, "onnx/model.onnx": b"0" * 5000})
            run = world.run("pull", "hf:org/folder", "--json")
            self.assertEqual(run.returncode, 0, run.err)
            pulled = json.loads(run.out)
            self.assertIn("config.json", [f["name"] for f in pulled["files"]])
            self.assertNotIn("onnx/model.onnx", [f["name"] for f in pulled["files"]])
            listed = json.loads(world.run("list", "--json").out)["models"]
            self.assertEqual(listed[0]["name"], "hf:org/folder")

    def test_a_newer_revision_takes_the_place_of_the_older(self):
        with World() as world:
            self.check_whole(world, world.run("pull", "hf:org/model"))
            newer = MODEL + b"\0" * 64
            world.hub.add("org/model", {"model-Q8_0.gguf": newer}, commit="ab" * 20)
            run = world.run("pull", "hf:org/model")
            self.assertEqual(run.returncode, 0, run.err)
            self.assertEqual((world.store / WHOLE[0]).read_bytes(), newer)
            self.assertEqual(world.files(), WHOLE)

    def test_verify_and_repair(self):
        with World() as world:
            world.hub.add("org/split", {f"m-Q8_0-0000{i}-of-00002.gguf": MODEL + bytes([i]) * 9
                                        for i in (1, 2)})
            self.assertEqual(world.run("pull", "hf:org/split").returncode, 0)
            self.assertIn("right", world.run("verify").out)
            path = world.store / "hf--org--split--Q8_0/m-Q8_0-00002-of-00002.gguf"
            path.write_bytes(MODEL + bytes([3]) * 9)
            damaged = world.run("verify")
            self.assertEqual(damaged.returncode, 5)
            self.assertIn("verify --repair", damaged.out)
            self.assertIn(path.name, damaged.out)
            served = len(world.hub.served)
            repaired = world.run("verify", "--repair")
            self.assertEqual(repaired.returncode, 0, repaired.err)
            self.assertIn("repaired", repaired.out)
            self.assertEqual(len(world.hub.served), served + 1, "only what was wrong")
            self.assertEqual(path.read_bytes(), MODEL + bytes([2]) * 9)
            self.assertIn("right", world.run("verify", "hf:org/split").out)
            self.assertEqual(world.run("verify", "--level", "all").returncode, 2)

    def test_a_damaged_model_is_set_aside_until_it_is_mended(self):
        with World() as world:
            self.assertEqual(world.run("pull", "hf:org/model").returncode, 0)
            path = world.store / WHOLE[0]
            path.write_bytes(MODEL[:-1] + b"?")
            answer = lambda: world.run("run", "hf:org/model", "Hello", "--max-tokens", "1")
            listed = lambda: json.loads(world.run("list", "--json").out)["models"][0]
            self.assertEqual(answer().returncode, 0)  # nobody knows yet
            self.assertEqual(world.run("verify").returncode, 5)
            refused = answer()
            self.assertEqual(refused.returncode, 5)
            self.assertIn("is set aside", refused.err)
            self.assertIn("hearth verify --repair hf:org/model", refused.err)
            self.assertIn("damaged", world.run("list").out)
            self.assertIn("is set aside", listed()["problem"])
            self.assertEqual(world.run("verify", "--repair").returncode, 0)
            self.assertEqual((answer().returncode, listed()["problem"]), (0, ""))
            # Whoever mends it by hand need not say so.
            path.write_bytes(MODEL[:-1] + b"?")
            self.assertEqual(world.run("verify").returncode, 5)
            path.write_bytes(MODEL)
            self.assertEqual(answer().returncode, 0)

    def test_checksums_are_remembered(self):
        with World() as world:
            shelf = pathlib.Path(world.home.name, "shelf")
            shelf.mkdir()
            world.environment["HEARTH_LIBRARY_FOLDERS"] = str(shelf)
            path = shelf / "mine.gguf"
            path.write_bytes(MODEL)
            self.assertIn("is remembered from now on", world.run("verify", "mine").out)
            self.assertIn("mine: right", world.run("verify", "mine").out)
            # A disk that fails changes bytes, and no times.
            before = path.stat()
            with open(path, "r+b") as file:
                file.seek(len(MODEL) - 1)
                file.write(b"?")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            damaged = world.run("verify", "mine")
            self.assertEqual(damaged.returncode, 5)
            self.assertIn("the disk may be failing", damaged.out)
            self.assertEqual(world.run("run", "mine", "Hello").returncode, 5)
            path.write_bytes(MODEL[:-2])  # another file
            self.assertIn("is remembered from now on", world.run("verify", "mine").out)

    def test_what_is_here_is_not_fetched_again(self):
        """Ollama, and a folder, have the file that the hub is asked for."""
        with World() as world:
            home = pathlib.Path(world.home.name)
            blob = home / ".ollama/models/blobs" / f"sha256-{SHA}"
            manifest = home / ".ollama/models/manifests/registry.ollama.ai/library/tiny/1b"
            for path in (blob, manifest):
                path.parent.mkdir(parents=True)
            blob.write_bytes(MODEL)
            manifest.write_text(json.dumps({"layers": [{"mediaType": "application/vnd.ollama.image.model",
                                                        "digest": f"sha256:{SHA}", "size": len(MODEL)}]}))
            run = world.run("pull", "hf:org/model")
            self.check_whole(world, run, "is the same file: not fetched")
            self.assertEqual(world.hub.served, [])
            self.assertEqual((world.store / WHOLE[0]).stat().st_ino, blob.stat().st_ino)
            for name in ("ollama:tiny:1b", "hf:org/model"):
                self.assertEqual(world.run("run", name, "Hello", "--max-tokens", "1").returncode, 0)
            usage = json.loads(world.run("du", "--json").out)  # counted once
            self.assertEqual((usage["copies"], sum(s["bytes"] for s in usage["sums"])), ([], len(MODEL)))
            self.assertEqual(world.run("rm", "hf:org/model").returncode, 0)
            self.assertTrue(blob.exists())
            # A damaged one is no help.
            blob.write_bytes(MODEL[:-1] + b"?")
            self.check_whole(world, world.run("pull", "hf:org/model"))
            self.assertEqual(len(world.hub.served), 1)
        with World() as world:
            shelf = pathlib.Path(world.home.name, "shelf")
            shelf.mkdir()
            world.environment["HEARTH_LIBRARY_FOLDERS"] = str(shelf)
            (shelf / "mine.gguf").write_bytes(MODEL)
            (shelf / "other.gguf").write_bytes(MODEL[:-1] + b"?")
            self.check_whole(world, world.run("pull", "hf:org/model"), "is the same file")
            self.assertEqual(world.hub.served, [])
            self.assertNotEqual((world.store / WHOLE[0]).stat().st_ino, (shelf / "mine.gguf").stat().st_ino)
            # It was read, and is known to be the same: one row, and both places by `du`.
            rows = [line for line in world.run("list").out.splitlines() if "hf:org/model" in line or "mine" in line]
            self.assertEqual(len(rows), 1, rows)
            self.assertIn("hearth, folder", rows[0])
            self.assertEqual([m.get("copy_of") for m in json.loads(world.run("list", "--json").out)["models"]
                              if m["name"] == "mine"], ["hf:org/model:Q8_0"])
            copies = json.loads(world.run("du", "--json").out)["copies"]
            self.assertEqual([(c["name"], c["copy"]) for c in copies],
                             [("mine", str(world.store / WHOLE[0]))])
            self.assertIn("twice", world.run("du").out)

    def test_proxies(self):
        seen = []

        class Proxy(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                seen.append((self.path, self.headers["Proxy-Authorization"]))
                self.send_response(302)  # straight on, for those that may
                self.send_header("Location", f"{self.path}{'&' if '?' in self.path else '?'}direct=1")
                self.send_header("Content-Length", "0")
                self.end_headers()

        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        address = f"http://user:word@127.0.0.1:{proxy.server_port}"
        with World(http_proxy=address) as world:
            run = world.run("pull", "hf:org/model")
            self.assertIn("redirects", run.err)  # all of them came to the proxy
            self.assertEqual(world.hub.requests, [])
            self.assertTrue(seen[0][0].startswith(world.hub.url), seen)
            self.assertEqual(seen[0][1], "Basic dXNlcjp3b3Jk")
            self.assertNotIn("word", run.err)
        seen.clear()
        with World(http_proxy=address, no_proxy="127.0.0.1,localhost") as world:
            self.check_whole(world, world.run("pull", "hf:org/model"))
            self.assertEqual(seen, [])
        proxy.shutdown()
        proxy.server_close()

    def test_offline(self):
        with World(HF_HUB_OFFLINE="1") as world:
            run = world.run("pull", "hf:org/model")
            self.check_nothing(world, run, 7, "HF_HUB_OFFLINE")
            self.assertEqual(world.hub.requests, [])

    def test_busy_api(self):
        with World() as world:
            world.hub.api_faults.extend([(503, [("Retry-After", "0")]), (429, [])])
            self.check_whole(world, world.run("pull", "hf:org/model"))


class Killed(unittest.TestCase):
    def test_killed_at_fifty_moments(self):
        dice = random.Random(7)
        with World() as world:
            world.hub.rate = 1_200_000
            kills = 0
            for _ in range(50):
                process = world.start("pull", "hf:org/model")
                time.sleep(dice.uniform(0.0, 0.12))
                process.kill()
                process.communicate()
                kills += process.returncode == -signal.SIGKILL
                installed = (world.store / WHOLE[0]).exists()
                if installed:
                    self.assertEqual((world.store / WHOLE[0]).read_bytes(), MODEL)
                else:
                    self.assertFalse((world.store / "hf--org--model--Q8_0").exists())
            world.hub.rate = 0
            run = world.run("pull", "hf:org/model")
            self.assertEqual(run.returncode, 0, run.err)
            self.assertEqual(world.files(), WHOLE)
            self.assertEqual((world.store / WHOLE[0]).read_bytes(), MODEL)
            starts = [start for start, _ in world.hub.served]
            self.assertEqual(starts, sorted(starts), "every request went on where the last one ended")
            wasted = sum(sent for _, sent in world.hub.served) - len(MODEL)
            self.assertLess(wasted, len(starts) * 3 * 16384, f"{len(starts)} requests")
            self.assertGreater(kills, 25)

    def test_two_processes_share_one_download(self):
        with World() as world:
            world.hub.rate = 4_000_000
            first, second = world.start("pull", "hf:org/model"), world.start("pull", "hf:org/model")
            for process in (first, second):
                _, err = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 0, err)
            self.assertEqual(sum(sent for _, sent in world.hub.served), len(MODEL))
            self.assertEqual(world.files(), WHOLE)

    def test_the_waiting_one_takes_over(self):
        with World() as world:
            world.hub.rate = 2_000_000
            first = world.start("pull", "hf:org/model")
            time.sleep(0.4)
            second = world.start("pull", "hf:org/model")
            time.sleep(0.4)
            first.kill()
            first.communicate()
            world.hub.rate = 0
            _, err = second.communicate(timeout=60)
            self.assertEqual(second.returncode, 0, err)
            self.assertEqual((world.store / WHOLE[0]).read_bytes(), MODEL)
            self.assertLess(sum(sent for _, sent in world.hub.served), len(MODEL) + 500_000)

    def test_interrupted_in_good_order(self):
        with World() as world:
            world.hub.rate = 100_000  # half a minute for all of it
            process = world.start("pull", "hf:org/model")
            eventually(self, lambda: sum((world.store / name).stat().st_size for name in world.files()), 60)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, err)
            self.assertIn("goes on from here", err)
            usage = json.loads(world.run("du", "--json").out)
            self.assertEqual(usage["unfinished"][0]["name"], "hf--org--model--Q8_0")
            self.assertEqual(world.run("rm", "hf:org/model").returncode, 0)
            self.assertEqual(world.files(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
