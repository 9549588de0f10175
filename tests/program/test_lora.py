"""LoRA adapters: each request its own, of one model in memory."""
import concurrent.futures
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

    def test_on_the_command_line(self):
        said = [program.hearth("run", "builtin", "Tell me of the sea.", "--max-tokens", "12", "--temperature", "0",
                               *more).stdout for more in ([], ["--lora", self.folders["one"]])]
        self.assertNotEqual(*said)
        refused = program.hearth("run", "builtin", "x", "--lora", str(program.ROOT), check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("adapter_config.json", refused.stderr)


if __name__ == "__main__":
    unittest.main()
