"""Settings that change while `hearth serve` runs, what suits a machine, and the governor."""
import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import threading
import time
import unittest

import program
from world import World, eventually

QUIET = {"HEARTH_GOVERNOR_ENABLED": "false"}


def write(path, text):
    """As editors do: another file takes the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(text)
    os.replace(draft, path)


def user_file(world):
    return pathlib.Path(world.home.name, ".config/hearth/config.toml")


def setting(server, key):
    return server.json("GET", "/api/config")["settings"][key]


@contextlib.contextmanager
def events(server):
    """The events of /api/system/events, as they come."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("GET", "/api/system/events", headers={"Accept": "application/x-ndjson"})
    response = connection.getresponse()
    seen = []

    def read():
        with contextlib.suppress(Exception):
            for line in response:
                if line.strip():
                    seen.append(json.loads(line))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield seen
    connection.sock.close()


def machine(folder, **files):
    """A machine made of files, for HEARTH_FAKE_MACHINE."""
    for name, text in files.items():
        path = pathlib.Path(folder, name.replace("__", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


HEAT = "sys__class__thermal__thermal_zone0__temp"


class Live(unittest.TestCase):
    def test_a_file_that_changes(self):
        with World(**QUIET) as world, program.serving("--queue", "77", env=world.environment) as server:
            file = user_file(world)
            with events(server) as seen:
                write(file, "[models]\nkeep_alive = \"10m\"\n[server]\nqueue = 5\nport = 4711\n")
                eventually(self, lambda: setting(server, "models.keep_alive")["value"] == "10m")
                self.assertEqual(setting(server, "models.keep_alive")["place"], f"{file}:2")
                self.assertEqual(setting(server, "server.queue")["value"], 77)  # the flag's
                # --port 0 was given too, so that nothing waits.
                self.assertFalse(setting(server, "server.port")["waits_for_restart"])
                status = server.json("POST", "/api/models/load", {"model": "builtin"})
                self.assertGreater(status["expires_in_seconds"], 590)
                write(file, "[models]\nkeep_alive = \"1h\"\n")  # reaches what is in memory
                eventually(self, lambda: server.json("GET", "/api/models/status")["loaded"][0]
                           ["expires_in_seconds"] > 3500)

                write(file, "[models]\nkeep_alive = \"2h\"\nkeep_aliv = \"3h\"\n")
                eventually(self, lambda: server.json("GET", "/api/config")["problem"])
                problem = server.json("GET", "/api/system/info")["settings_problem"]
                self.assertIn(f"{file}:3: no setting 'models.keep_aliv'; did you mean "
                              "'models.keep_alive'?", problem)
                self.assertEqual(setting(server, "models.keep_alive")["value"], "1h")
                file.unlink()
                eventually(self, lambda: not server.json("GET", "/api/config")["problem"])
                self.assertEqual(setting(server, "models.keep_alive")["layer"], "auto")
                told = lambda: [e for e in seen if e["event"] == "settings"]
                eventually(self, lambda: len(told()) >= 4)
                self.assertEqual(told()[0]["changed"]["models.keep_alive"]["to"], "10m")
                self.assertIn("keep_aliv", "".join(e["problem"] for e in told()))

    def test_patch(self):
        with World(**QUIET) as world, program.serving("--threads", "1", env=world.environment) as server:
            file = user_file(world)
            patch = lambda **body: server.json("PATCH", "/api/config", body)
            answer = patch(settings={"server": {"queue": 5}, "runtime.context": 300,
                                     "library.offline": True, "runtime.threads": 3}, persist=False)
            results = {k: v["result"] for k, v in answer["settings"].items()}
            self.assertEqual(results, {"server.queue": "applied", "runtime.context": "next model",
                                       "library.offline": "needs restart",
                                       "runtime.threads": "applied"})
            self.assertFalse(file.exists())
            self.assertTrue(setting(server, "library.offline")["waits_for_restart"])
            server.json("POST", "/api/models/load", {"model": "builtin"})
            shown = server.json("GET", "/props")
            self.assertEqual(shown["default_generation_settings"]["n_ctx"], 300)

            write(file, "# mine\n[server]\nqueue = 6 # six\n")
            answer = patch(settings={"server.queue": 7, "sampling.temperature": 0.25})
            self.assertEqual(answer["file"], str(file))
            self.assertEqual(answer["settings"]["server.queue"]["result"], "applied")
            self.assertEqual(file.read_text(),
                             "# mine\n[server]\nqueue = 7 # six\n\n[sampling]\ntemperature = 0.25\n")
            shown = server.json("GET", "/props")["default_generation_settings"]
            self.assertEqual(shown["temperature"], 0.25)
            patch(settings={"sampling.temperature": None})
            self.assertNotIn("temperature", file.read_text())

            for body, says in (
                    ({"settings": {"server.quue": 1}}, "did you mean 'server.queue'?"),
                    ({"settings": {"server.queue": 0}}, "needs a whole number from 1 to 4096"),
                    ({"settings": {"server.host": "0.0.0.0"}}, "may not be set by a request"),
                    ({"settings": {"models.memory_mb": 1 << 30}}, "models.memory_mb"),
                    ({"settings": {}}, "needs an object"), ({"setting": {"a": 1}}, "settings"),
                    ({"settings": {"server.queue": 1}, "keep": True}, "is not known here")):
                status, _, text = server.request("PATCH", "/api/config", body)
                self.assertEqual(status, 400, text)
                self.assertIn(says, json.loads(text)["error"]["message"])
            self.assertEqual(setting(server, "server.queue")["value"], 7)

    def test_sampling_of_requests_that_do_not_say(self):
        with World(**QUIET, HEARTH_SAMPLING_TEMPERATURE="2") as world:
            run = world.run("run", "builtin", "Hello", "--max-tokens", "3", "--seed", "1", "--json")
            self.assertEqual(run.returncode, 0, run.err)
            with program.serving(env=world.environment) as server:
                standard = lambda: server.json("GET", "/props")["default_generation_settings"]
                server.json("POST", "/api/models/load", {"model": "builtin"})
                self.assertEqual(standard()["temperature"], 2)
                server.json("PATCH", "/api/config", {"persist": False, "settings": {
                    "sampling": {"temperature": 0.5, "top_k": 7, "min_p": "model"}}})
                self.assertEqual((standard()["temperature"], standard()["top_k"]), (0.5, 7))


    def test_what_suits_the_machine_is_told_and_written_with_consent(self):
        path = "/api/system/optimization"
        with World(**QUIET) as world, program.serving(env=world.environment) as server:
            file = user_file(world)
            write(file, "[runtime]\nthreads = 1000 # for now\n")
            eventually(self, lambda: setting(server, "runtime.threads")["value"] == 1000)
            told = server.json("GET", path + "?workload=throughput")
            changes = {change["key"]: change for change in told["changes"]}
            self.assertEqual(changes["runtime.workload"]["to"], "throughput")
            self.assertTrue(changes["runtime.threads"]["reason"])
            self.assertFalse(told["written"])
            for status, body in ((400, {"workload": "throughput"}), (400, {"workload": "all", "consent": True})):
                self.assertEqual(server.request("POST", path, body)[0], status)
            self.assertNotIn("workload", file.read_text())
            done = server.json("POST", path, {"workload": "throughput", "consent": True})
            self.assertTrue(done["written"])
            self.assertIn('workload = "throughput"', file.read_text())
            self.assertIn("# for now", file.read_text())
            self.assertEqual(setting(server, "runtime.workload")["value"], "throughput")
            again = server.json("GET", path)
            self.assertEqual([c for c in again["changes"] if not c["held_by"]], [])


class Governor(unittest.TestCase):
    def test_heat_takes_threads_away_and_cold_gives_them_back(self):
        with World() as world:
            folder = pathlib.Path(world.home.name, "machine")
            world.environment["HEARTH_FAKE_MACHINE"] = str(folder)
            machine(folder, **{HEAT: "50000\n"})
            with program.serving("--threads", "2", env=world.environment) as server, \
                    events(server) as seen:
                governor = lambda: server.json("GET", "/api/system/info")["governor"]
                self.assertEqual(governor()["threads"], {"wanted": 2, "now": 2})
                machine(folder, **{HEAT: "99000\n"})
                eventually(self, lambda: governor()["threads"]["now"] == 1)
                self.assertEqual(governor()["reasons"], ["the processor is at 99 °C"])
                self.assertEqual(server.metric("hearth_threads"), 1)
                self.assertEqual(server.metric("hearth_threads_wanted"), 2)
                self.assertEqual(server.json("POST", "/v1/chat/completions", {
                    "model": "builtin", "max_tokens": 4,
                    "messages": [{"role": "user", "content": "Hello"}]})["usage"]["completion_tokens"], 4)
                ps = subprocess.run([program.BINARY, "ps", "--port", str(server.port)],
                                    env=world.environment, capture_output=True, text=True, check=True)
                self.assertIn("Held back: 1 of 2 threads", ps.stdout)
                self.assertIn("99 °C", ps.stdout)
                machine(folder, **{HEAT: "50000\n"})
                eventually(self, lambda: governor()["threads"]["now"] == 2, 40)
                told = [e for e in seen if e["event"] == "governor"]
                self.assertGreaterEqual(len(told), 2)
                # Switched off, nothing holds it back.
                server.json("PATCH", "/api/config", {"settings": {"governor.enabled": False},
                                                     "persist": False})
                machine(folder, **{HEAT: "110000\n"})
                time.sleep(2.5)
                self.assertEqual(governor()["threads"]["now"], 2)


class Machine(unittest.TestCase):
    def test_what_suits_it_and_why(self):
        with World() as world:
            folder = pathlib.Path(world.home.name, "machine")
            world.environment["HEARTH_FAKE_MACHINE"] = str(folder)
            del world.environment["HEARTH_LIBRARY_OLLAMA"]
            machine(folder, proc__meminfo="MemTotal: 4194304 kB\nMemAvailable: 3000000 kB\n",
                    sys__devices__system__cpu__online="0-3\n",
                    **{f"sys__devices__system__cpu__cpu{i}__topology__thread_siblings_list": f"{i}\n"
                       for i in range(4)})
            why = world.run("config", "show", "--why", "runtime.threads").out
            self.assertIn("runtime.threads = 4", why)
            self.assertIn("one per physical core", why)
            every = json.loads(world.run("config", "show", "--effective", "--json").out)
            self.assertEqual(every["models.memory_mb"]["value"], 3072)
            self.assertEqual(every["models.memory_mb"]["layer"], "auto")
            doctor = world.run("doctor")
            self.assertIn("runtime.threads = 4", doctor.out)
            chosen = json.loads(world.run("doctor", "--json").out)["settings"]
            self.assertIn("fits", chosen["models.preferred"]["reason"])
            self.assertIn("Nothing is set", world.run("config").out)
            self.assertEqual(world.run("config", "diff").out, "")

            file = user_file(world)
            write(file, "# mine\n[runtime]\nthreads = 1 # for now\n")
            proposed = world.run("config", "optimize", "--workload", "throughput")
            self.assertIn("runtime.threads: 1 -> 4", proposed.out)
            self.assertIn("runtime.workload: balanced -> throughput", proposed.out)
            self.assertIn("Nothing was written", proposed.out)
            self.assertEqual(file.read_text(), "# mine\n[runtime]\nthreads = 1 # for now\n")
            done = world.run("config", "optimize", "--workload", "throughput", "--yes", "--json")
            self.assertTrue(json.loads(done.out)["written"], done.err)
            self.assertEqual(file.read_text(), "# mine\n[runtime]\nworkload = \"throughput\"\n"
                                               "threads = 4 # for now\n")
            self.assertIn("as it suits", world.run("config", "optimize").out)
            write(file, "[models]\nmemory_mb = 4000\n")
            refused = world.run("config", "validate")
            self.assertIn("need 4500 MiB: there are 4096", refused.err)
            self.assertNotEqual(refused.returncode, 0)

    def test_keys_of_either_kind_may_open_the_server(self):
        with World(HEARTH_SERVER_HOST="0.0.0.0") as world:
            refused = world.run("config", "validate")
            self.assertIn("`hearth keys create`", refused.err)
            self.assertEqual(world.run("keys", "create", "ada").returncode, 0)
            self.assertEqual(world.run("config", "validate").returncode, 0)

    def test_a_secret_is_named_and_never_shown(self):
        with World() as world:
            refused = world.run("config", "set", "library.token", "hf_very_secret")
            self.assertIn("never the secret itself", refused.err)
            self.assertNotIn("hf_very_secret", refused.err + refused.out)
            world.environment["MY_TOKEN"] = "hf_very_secret"
            self.assertEqual(world.run("config", "set", "library.token", "env:MY_TOKEN").returncode, 0)
            for words in (("show",), ("show", "--effective"), ("export",), ("diff",),
                          ("show", "--why", "library.token")):
                said = world.run("config", *words)
                self.assertNotIn("hf_very_secret", said.out + said.err)
            world.run("pull", "hf:org/model")
            self.assertIn("Bearer hf_very_secret", {r[1] for r in world.hub.requests})


if __name__ == "__main__":
    program.main()
