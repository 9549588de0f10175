"""Two servers, and the command line, on one store at a time."""
import concurrent.futures
import contextlib
import functools
import json
import random
import time
import unittest

import program
import world as worlds
from world import MODEL, World

eventually = functools.partial(worlds.eventually, seconds=30)


@contextlib.contextmanager
def two_servers(world):
    with program.serving(env=world.environment) as one, program.serving(env=world.environment) as two:
        yield one, two


def over(server):
    downloads = server.json("GET", "/api/downloads")["downloads"]
    return all(d["state"] in ("done", "failed", "cancelled") for d in downloads)


def listed(server):
    return {m["name"] for m in server.json("GET", "/api/models")["models"]} - {"builtin", "builtin-embed"}


def variant(number):
    """A model that differs from the others in its last byte, and from none in what it says."""
    return MODEL[:-1] + bytes([number])


class SharedStore(unittest.TestCase):
    def check_store(self, world, names):
        """Everything that is listed is whole, and nothing else is there."""
        data = world.store.parent
        for file in ("lifecycle.json", "downloads.json", "aliases.json"):
            if (data / file).exists():
                json.loads((data / file).read_text())
        # A server may still be writing down that it is done.
        eventually(self, lambda: not list(data.glob("*.lock")) + list(data.glob("*.new*")))
        for name in names:
            run = world.run("verify", name)
            self.assertEqual(run.returncode, 0, run.err)
        self.assertEqual([f for f in world.files() if f.startswith(".partial")], [])

    def test_both_pull_one_model(self):
        with World() as world, two_servers(world) as servers:
            world.hub.rate = 1_000_000
            for server in servers:
                status, _, text = server.request("POST", "/api/models/pull", {"model": "hf:org/model"})
                self.assertEqual(status, 202, text)
            for server in servers:
                eventually(self, lambda: over(server))
                self.assertEqual([d["state"] for d in server.json("GET", "/api/downloads")["downloads"]],
                                 ["done"])
                eventually(self, lambda: listed(server) == {"hf:org/model:Q8_0"})
            self.assertEqual(sum(sent for _, sent in world.hub.served), len(MODEL))
            self.check_store(world, ["hf:org/model"])

    def test_both_do_everything_at_once(self):
        chance = random.Random(4)
        with World() as world:
            for i in range(6):
                world.hub.add(f"org/m{i}", {f"m{i}-Q8_0.gguf": variant(i)})
            with two_servers(world) as servers:
                def act(step):
                    server, model = servers[step % 2], f"hf:org/m{step // 2 % 6}"
                    kind = ("pull", "pull", "delete", "copy", "show", "list")[step % 6]
                    if kind == "pull":
                        return server.request("POST", "/api/models/pull", {"model": model, "stream": True})[0]
                    if kind == "delete":
                        return server.request("POST", "/api/models/delete", {"model": model})[0]
                    if kind == "copy":
                        return server.request("POST", "/api/copy", {
                            "source": "builtin", "destination": f"name{step}"})[0]
                    if kind == "show":
                        return server.request("POST", "/api/models/show", {"model": model})[0]
                    return server.request("GET", "/api/models")[0]
                steps = list(range(72))
                chance.shuffle(steps)
                with concurrent.futures.ThreadPoolExecutor(8) as pool:
                    for status in pool.map(act, steps):
                        self.assertLess(status, 500)
                for server in servers:
                    eventually(self, lambda: over(server))
                # Once more, so that all are there.
                for i in range(6):
                    lines = servers[i % 2].request("POST", "/api/models/pull", {
                        "model": f"hf:org/m{i}", "stream": True})[2].splitlines()
                    self.assertEqual(json.loads(lines[-1])["state"], "done", lines[-1])
                wanted = {f"hf:org/m{i}:Q8_0" for i in range(6)}
                for server in servers:
                    eventually(self, lambda: listed(server) >= wanted)
                aliases = json.loads((world.store.parent / "aliases.json").read_text())
                self.assertEqual(len(aliases), len([s for s in steps if s % 6 == 3]))  # none was lost
            self.check_store(world, sorted(wanted))

    def test_one_is_killed(self):
        with World() as world:
            world.hub.add("org/other", {"other-Q8_0.gguf": variant(1)})
            world.hub.rate = 500_000
            with program.serving(env=world.environment) as survivor:
                with contextlib.suppress(AssertionError), program.serving(env=world.environment) as victim:
                    victim.request("POST", "/api/models/pull", {"model": "hf:org/model"})
                    survivor.request("POST", "/api/models/pull", {"model": "hf:org/model"})
                    survivor.request("POST", "/api/models/pull", {"model": "hf:org/other"})
                    eventually(self, lambda: any(
                        d["bytes"] > 200_000 for d in victim.json("GET", "/api/downloads")["downloads"]))
                    victim.process.kill()
                world.hub.rate = 0
                eventually(self, lambda: over(survivor))
                states = [d["state"] for d in survivor.json("GET", "/api/downloads")["downloads"]]
                self.assertEqual(states, ["done", "done"])
            names = ["hf:org/model:Q8_0", "hf:org/other:Q8_0"]
            self.check_store(world, names)
            with program.serving(env=world.environment) as server:
                self.assertEqual(listed(server), set(names))
                eventually(self, lambda: over(server))  # what the victim was at is here already

    def test_each_remembers_its_own_downloads(self):
        """A server that stops while another runs takes up what it was at, and nothing of the other's is lost."""
        with World() as world:
            world.hub.add("org/other", {"other-Q8_0.gguf": variant(1)})
            world.hub.rate = 200_000
            kept = world.store.parent / "downloads.json"
            with two_servers(world) as (one, two):
                one.request("POST", "/api/models/pull", {"model": "hf:org/model"})
                two.request("POST", "/api/models/pull", {"model": "hf:org/other"})
                models = {d["model"] for d in json.loads(kept.read_text())["downloads"]}
                self.assertEqual(models, {"hf:org/model", "hf:org/other"})
            world.hub.rate = 0
            with program.serving(env=world.environment) as server:
                eventually(self, lambda: listed(server) == {"hf:org/model:Q8_0", "hf:org/other:Q8_0"})


if __name__ == "__main__":
    program.main()
