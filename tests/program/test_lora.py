"""LoRA adapters: each request its own, of one model in memory."""
import concurrent.futures
import hashlib
import json
import pathlib
import random
import struct
import tempfile
import unittest

import program
from world import World, running


def adapter(folder, shown, seed, rank=4):
    """A PEFT folder for the built-in model, with matrices drawn by chance."""
    chance = random.Random(seed)
    tensors, data = {}, b""
    for layer in range(shown["layers"]):
        for module, outputs in (("self_attn.q_proj", shown["dim"]), ("mlp.down_proj", shown["dim"])):
            inputs = shown["dim"] if module.endswith("q_proj") else shown["hidden"]
            for half, shape in (("A", (rank, inputs)), ("B", (outputs, rank))):
                values = [chance.uniform(-0.3, 0.3) for _ in range(shape[0] * shape[1])]
                tensors[f"base_model.model.model.layers.{layer}.{module}.lora_{half}.weight"] = {
                    "dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
                data += struct.pack(f"<{len(values)}f", *values)
    header = json.dumps(tensors).encode()
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": rank, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]}))
    return str(folder)


def sizes():
    shown = json.loads(program.hearth("show", "builtin", "--tensors", "--json").stdout)
    tensors = {t["name"]: t["shape"] for t in shown["tensors"]}
    down = tensors["blk.0.ffn_down.weight"]
    return {"layers": sum(name.endswith("attn_q.weight") for name in tensors), "dim": down[0], "hidden": down[1]}


class Lora(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        shown = sizes()
        self.folders = {name: adapter(pathlib.Path(self.scratch.name, name), shown, seed)
                        for seed, name in enumerate(("one", "two"))}

    def answer(self, server, model="builtin", **more):
        status, _, text = server.request("POST", "/v1/chat/completions", {
            "model": model, "max_tokens": 12, "temperature": 0, "deterministic": True,
            "messages": [{"role": "user", "content": "Tell me of the sea."}], **more})
        self.assertEqual(status, 200, text)
        return json.loads(text)["choices"][0]["message"]["content"]

    def test_requests_choose_their_own(self):
        with World() as world, running(world, *(
                word for name, path in self.folders.items() for word in ("--lora", f"{name}={path}"))) as server:
            # The first one while its base is not in memory.
            one, base, two = (self.answer(server, name) for name in ("builtin:one", "builtin", "builtin:two"))
            self.assertEqual(len({base, one, two}), 3)
            self.assertEqual(self.answer(server, "one"), one)
            self.assertEqual(self.answer(server, lora=[{"id": 0, "scale": 1}]), one)
            self.assertEqual(self.answer(server, lora=[{"name": "two"}]), two)
            self.assertEqual(self.answer(server, "builtin:one", lora=[]), base)
            self.assertEqual(self.answer(server, lora=[{"id": 0, "scale": 0}]), base)
            both = self.answer(server, lora=[{"id": 0}, {"id": 1}])
            wishes = [("builtin", base), ("builtin:one", one), ("builtin:two", two), ("two", two)] * 4
            with concurrent.futures.ThreadPoolExecutor(16) as together:
                got = list(together.map(lambda wish: self.answer(server, wish[0]), wishes))
            self.assertEqual(got, [answer for _, answer in wishes])
            self.assertEqual(both, self.answer(server, lora=[{"id": 1}, {"id": 0}]))

            listed = {m["id"]: m.get("parent") for m in server.json("GET", "/v1/models")["data"]}
            self.assertEqual(listed["builtin:one"], "builtin")
            status, _, text = server.request("POST", "/api/chat", {
                "model": "builtin:one", "stream": False, "options": {"num_predict": 12, "temperature": 0},
                "messages": [{"role": "user", "content": "Tell me of the sea."}]})
            self.assertEqual(json.loads(text)["message"]["content"],
                             self.answer(server, "builtin:one", deterministic=False))
            self.assertEqual([(a["id"], a["name"], a["scale"]) for a in server.json("GET", "/lora-adapters")],
                             [(0, "one", 0), (1, "two", 0)])
            server.json("POST", "/lora-adapters", [{"id": 1, "scale": 1}])
            self.assertEqual(self.answer(server), two)
            for wrong in ([{"id": 7}], [{"name": "nobody"}], [{}], "one", [{"id": 0, "scale": "x"}]):
                self.assertEqual(server.request("POST", "/v1/chat/completions", {
                    "model": "builtin", "messages": [{"role": "user", "content": "x"}], "lora": wrong})[0], 400, wrong)
            self.assertEqual(server.request("POST", "/v1/chat/completions", {
                "model": "builtin:three", "messages": [{"role": "user", "content": "x"}]})[0], 404)

    def test_a_name_brings_its_adapter(self):
        files = {name: {f.name: f.read_bytes() for f in pathlib.Path(path).iterdir()}
                 for name, path in self.folders.items()}
        with World() as world, running(world) as server:
            made = {}
            for name, parts in files.items():
                for data in parts.values():
                    digest = "sha256:" + hashlib.sha256(data).hexdigest()
                    self.assertEqual(server.request("POST", f"/api/blobs/{digest}", data)[0], 201)
                made[name] = {file: "sha256:" + hashlib.sha256(data).hexdigest() for file, data in parts.items()}
                self.assertEqual(server.json("POST", "/api/create", {
                    "model": name, "from": "builtin", "adapters": made[name], "stream": False}), {"status": "success"})
            one, base, two = (self.answer(server, name) for name in ("one", "builtin", "two"))
            self.assertEqual(len({base, one, two}), 3)
            # One copy of the weights, and requests of both in one batch.
            self.assertEqual([m["name"] for m in server.json("GET", "/api/ps")["models"]], ["builtin:latest"])
            wishes = [("builtin", base), ("one", one), ("two:latest", two)] * 4
            with concurrent.futures.ThreadPoolExecutor(12) as together:
                got = list(together.map(lambda wish: self.answer(server, wish[0]), wishes))
            self.assertEqual(got, [answer for _, answer in wishes])
            said = server.json("POST", "/api/chat", {
                "model": "one", "stream": False, "options": {"num_predict": 12, "temperature": 0},
                "messages": [{"role": "user", "content": "Tell me of the sea."}]})["message"]["content"]
            self.assertEqual(said, self.answer(server, "one", deterministic=False))
            self.assertEqual(self.answer(server, "one", lora=[]), base)
            self.assertIn("ADAPTER /", server.json("POST", "/api/show", {"model": "one"})["modelfile"])
            # A name of the name, and one that says so itself.
            server.request("POST", "/api/copy", {"source": "one", "destination": "uno"})
            self.assertEqual(self.answer(server, "uno"), one)
            server.json("POST", "/api/create", {"model": "terse", "from": "two", "system": "Be brief.", "stream": False})
            self.assertNotEqual(self.answer(server, "terse"), base)
            for wrong, status in (({"adapter.gguf": "sha256:" + "0" * 64}, 404), ({"../x": "sha256:" + "0" * 64}, 400),
                                  (["a"], 400), ({"a.gguf": 7}, 400)):
                self.assertEqual(server.request("POST", "/api/create", {
                    "model": "wrong", "from": "builtin", "adapters": wrong})[0], status, wrong)
            noise = b"no adapter"
            digest = "sha256:" + hashlib.sha256(noise).hexdigest()
            server.request("POST", f"/api/blobs/{digest}", noise)
            status, _, text = server.request("POST", "/api/create", {
                "model": "wrong", "from": "builtin", "adapters": {"a.gguf": digest}})
            self.assertEqual(status, 400, text)
            names = [m["id"] for m in server.json("GET", "/v1/models")["data"]]
            self.assertEqual(sorted(names), ["builtin", "builtin-embed", "one", "terse", "two", "uno"])
            # What no name needs any more is litter; `terse` still needs the second one's.
            for name in ("one", "uno", "two"):
                self.assertEqual(server.request("DELETE", "/api/delete", {"model": name})[0], 200)
            removed = json.loads(world.run("gc", "--older-than", "0", "--json").out)["removed"]
            self.assertEqual([r["what"] for r in removed if "adapter" in r["what"]], ["an adapter that no name needs"])
            self.assertNotEqual(self.answer(server, "terse"), base)

    def test_a_modelfile_names_its_adapter(self):
        with World() as world:
            home = pathlib.Path(world.home.name)
            (home / "adapters").mkdir()
            pathlib.Path(self.folders["one"]).rename(home / "adapters/mine")
            (home / "Modelfile").write_text("FROM builtin\nADAPTER ./adapters/mine\nPARAMETER temperature 0\n")
            made = world.run("create", "mine", "--file", str(home / "Modelfile"))
            self.assertEqual(made.returncode, 0, made.err)
            made = world.run("create", "other", "--from", "builtin", "--adapter", self.folders["two"])
            self.assertEqual(made.returncode, 0, made.err)
            said = {name: world.run("run", name, "Tell me of the sea.", "--max-tokens", "12", "--temperature", "0").out
                    for name in ("builtin", "mine", "other")}
            self.assertEqual(len(set(said.values())), 3)
            self.assertIn("adapters/mine", world.run("show", "mine").out)
            with running(world) as server:
                self.assertNotEqual(self.answer(server, "mine"), self.answer(server))
                (home / "adapters/mine/adapter_config.json").unlink()
                status, _, text = server.request("POST", "/v1/chat/completions", {
                    "model": "mine", "messages": [{"role": "user", "content": "x"}]})
                self.assertEqual(status, 400, text)
                self.assertIn("adapter", text)
                self.assertNotIn(world.home.name, text)
            wrong = world.run("create", "wrong", "--from", "builtin", "--adapter", "/nowhere")
            self.assertNotEqual(wrong.returncode, 0)
            self.assertIn("/nowhere", wrong.err)

    def test_one_that_does_not_fit_is_told_when_it_is_given(self):
        shown = sizes()
        misfit = adapter(pathlib.Path(self.scratch.name, "misfit"), {**shown, "dim": 2 * shown["dim"]}, 9)
        why = "does not fit the model: misfit"
        with World() as world:
            for words in (("create", "mine", "--from", "builtin", "--adapter", misfit),
                          ("create", "mine", "--from", "builtin-embed", "--adapter", self.folders["one"]),
                          ("serve", "--port", "0", "--model", "builtin", "--lora", misfit),
                          ("serve", "--port", "0", "--lora", "/nowhere")):
                refused = world.run(*words)
                self.assertNotEqual(refused.returncode, 0, words)
                self.assertIn("/nowhere" if "/nowhere" in words else "does not fit the model", refused.err)
            self.assertIn(why, world.run("create", "mine", "--from", "builtin", "--adapter", misfit).err)
            self.assertNotIn("mine", world.run("list").out)
            parts = {f.name: f.read_bytes() for f in pathlib.Path(misfit).iterdir()}
            with running(world) as server:
                for data in parts.values():
                    server.request("POST", f"/api/blobs/sha256:{hashlib.sha256(data).hexdigest()}", data)
                status, _, text = server.request("POST", "/api/create", {
                    "model": "mine", "from": "builtin", "stream": False, "adapters": {
                        name: "sha256:" + hashlib.sha256(data).hexdigest() for name, data in parts.items()}})
                self.assertEqual(status, 400, text)
                self.assertIn("does not fit the model", text)
                self.assertNotIn(world.home.name, text)

    def test_on_the_command_line(self):
        said = [program.hearth("run", "builtin", "Tell me of the sea.", "--max-tokens", "12", "--temperature", "0",
                               *more).stdout for more in ([], ["--lora", self.folders["one"]])]
        self.assertNotEqual(*said)
        refused = program.hearth("run", "builtin", "x", "--lora", str(program.ROOT), check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("adapter_config.json", refused.stderr)


if __name__ == "__main__":
    unittest.main()
