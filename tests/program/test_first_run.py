"""The first run: init, use, chat without a name; imports, archives, exports, garbage, completion."""
import bz2
import functools
import gzip
import io
import json
import lzma
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tarfile
import unittest
import zipfile

import program
from world import MODEL, World


def offered(world, profile="balanced"):
    """What `hearth init` would choose here, put on the hub."""
    chosen = json.loads(world.run("init", "--json", "--profile", profile, "--non-interactive",
                                  "--offline").out)["chosen"]
    entry = json.loads(world.run("show", chosen, "--json").out)
    repo, quantisation = entry["reference"].removeprefix("hf:").split(":")
    world.hub.add(repo, {f"model-{quantisation}.gguf": MODEL})
    return chosen


@functools.cache
def speeds():
    """Of this machine, measured once for all tests but those about measuring."""
    with World() as world:
        world.run("info", "--benchmark")
        return kept_speeds(world).read_text()


def kept_speeds(world):
    return pathlib.Path(world.home.name, ".cache/hearth/machine.json")


def measured():
    """A world whose machine is measured."""
    world = World()
    kept_speeds(world).parent.mkdir(parents=True)
    kept_speeds(world).write_text(speeds())
    return world


class FirstRun(unittest.TestCase):
    def test_init_then_run(self):
        with World() as world:
            # Without a network the built-in model answers, and it is said why.
            offline = world.run("init", "--non-interactive", "--offline")
            self.assertEqual(offline.returncode, 0, offline.err)
            self.assertIn("was not downloaded", offline.out)
            name = offered(world)
            done = world.run("init", "--non-interactive")
            self.assertEqual(done.returncode, 0, done.err)
            self.assertIn(f"{name} is here, verified", done.out)
            for label in ("processor", "memory", "its speed", "why", "download"):
                self.assertIn(label, done.out)
            self.assertEqual(world.run("use").out, f"{name}\n")
            for command in (("run", "default", "Hello"), ("run", name, "Hello")):
                run = world.run(*command)
                self.assertEqual(run.returncode, 0, run.err)
                self.assertTrue(run.out.strip())
            again = json.loads(world.run("init", "--non-interactive", "--json").out)
            self.assertEqual((again["model"], again["was_here"], again["problem"]), (name, True, ""))
            # Measured once: what suits this machine does not change from call to call.
            measured = json.loads(world.run("info", "--json").out)["speeds"]
            self.assertEqual(again["read_bytes_per_second"],
                             measured["memory"][-1]["bytes_per_second"])

    def test_profiles(self):
        with measured() as world:
            sizes = []
            for profile in ("minimalist", "balanced", "perfectionist"):
                name = offered(world, profile)
                sizes.append(json.loads(world.run("show", name, "--json").out)["bytes"])
            self.assertEqual(sizes, sorted(sizes))
            self.assertEqual(world.run("init", "--profile", "dreamer").returncode, 2)

    def test_nothing_is_downloaded_without_consent(self):
        with measured() as world:
            offered(world)
            done = world.run("init")
            self.assertEqual(done.returncode, 0, done.err)
            self.assertIn("hearth pull", done.out)
            self.assertEqual(world.files(), [])

    def test_chat_takes_the_best_one_here(self):
        with measured() as world:
            chat = lambda: subprocess.run([program.BINARY, "chat"], input="/show\n", text=True,
                                          capture_output=True, env=world.environment, timeout=60)
            first = chat()
            self.assertIn("built-in model", first.stderr)
            world.run("pull", "hf:org/model")
            second = chat()
            self.assertEqual(second.stderr, "")
            self.assertIn("hf:org/model:Q8_0", second.stdout)
            self.assertEqual(world.run("use", "builtin").returncode, 0)
            self.assertNotIn("hf:org", chat().stdout)
            self.assertEqual(world.run("use", "no-such-model").returncode, 3)

    @unittest.skipIf(subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode,
                     "no network namespaces here")
    def test_in_a_network_of_its_own(self):
        """Nothing but this machine can be reached: a hub runs inside, and nothing else is asked."""
        here = pathlib.Path(__file__).parent
        script = (f"cd {here} && ip link set lo up && HEARTH_BINARY={program.BINARY} "
                  f"python3 -W ignore test_first_run.py FirstRun.test_init_then_run")
        run = subprocess.run(["unshare", "-rn", "sh", "-c", script], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)


def tar_of(*members, mode="w"):
    """An archive of (name, bytes or a TarInfo)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in members:
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return out.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_of(*members, packing=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def zstd(data):
    """A frame of raw blocks: what needs no compressor.  Source: RFC 8878."""
    out = struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data))
    for at in range(0, len(data), 1 << 17):
        piece = data[at:at + (1 << 17)]
        last = at + len(piece) == len(data)
        out += struct.pack("<I", int(last) | len(piece) << 3)[:3] + piece
    return out


class Imports(unittest.TestCase):
    def put(self, world, name, data):
        path = pathlib.Path(world.home.name, name)
        path.write_bytes(data)
        return str(path)

    def test_a_file_in_and_out(self):
        with World() as world:
            path = self.put(world, "Fine Tuned.gguf", MODEL)
            done = json.loads(world.run("import", path, "--json").out)
            self.assertEqual((done["name"], done["bytes"]), ("Fine-Tuned", len(MODEL)))
            self.assertEqual(world.run("import", path).returncode, 2)  # is here already
            self.assertEqual(world.run("import", path, "--replace").returncode, 0)
            self.assertEqual(world.run("import", path, "--name", "house:7b").returncode, 0)
            self.assertEqual(world.run("run", "house:7b", "Hello").returncode, 0)
            self.assertEqual(json.loads(world.run("verify", "house:7b", "--json").out)["models"][0]
                             ["files"][0]["problem"], "")
            out = str(pathlib.Path(world.home.name, "out.gguf"))
            self.assertEqual(world.run("export", "house:7b", out).returncode, 0)
            self.assertEqual(pathlib.Path(out).read_bytes(), MODEL)
            self.assertEqual(world.run("export", "house:7b", out).returncode, 2)
            self.assertEqual(world.run("rm", "house:7b", "--yes").returncode, 0)
            for name in ("../x", "/x", "hf:a/b", "a b"):
                self.assertEqual(world.run("import", path, "--name", name).returncode, 2, name)
            for bad in (self.put(world, "junk.gguf", b"GGUFjunk"), self.put(world, "text.txt", b"Hi")):
                run = world.run("import", bad)
                self.assertNotEqual(run.returncode, 0)
                self.assertIn(bad, run.err)
            self.assertEqual([f for f in world.files() if not f.startswith("Fine")], [])

    def test_archives(self):
        tar = tar_of(("model", special("model", tarfile.DIRTYPE)), ("model/model.gguf", MODEL))
        with World() as world:
            for name, data in (("a.zip", zip_of(("in/a.gguf", MODEL))), ("b.tar", tar),
                               ("c.tar.gz", gzip.compress(tar, 1)), ("d.tgz", gzip.compress(tar, 1)),
                               ("e.tar.bz2", bz2.compress(tar, 1)), ("f.tar.xz", lzma.compress(tar, preset=0)),
                               ("g.tar.zst", zstd(tar)), ("h.gguf.gz", gzip.compress(MODEL, 1)),
                               ("i.zip", zip_of(("i.gguf", MODEL), packing=zipfile.ZIP_STORED))):
                done = world.run("import", self.put(world, name, data))
                self.assertEqual(done.returncode, 0, f"{name}: {done.err}")
                self.assertEqual(world.run("run", name[0], "Hello").returncode, 0)
            self.assertEqual(len(json.loads(world.run("list", "--json").out)["models"]), 9)

    def test_archives_that_lie(self):
        good = ("m.gguf", MODEL)
        whole = zip_of(good, packing=zipfile.ZIP_STORED)
        crossed = bytearray(whole)
        crossed[len(whole) // 2] ^= 1
        bomb = b"\0" * (300 << 20)
        rows = [
            ("climbs", tar_of(("../x.gguf", MODEL)), "leaves its folder"),
            ("climbs-later", tar_of(("a/../../x.gguf", MODEL)), "leaves its folder"),
            ("root", tar_of(("/tmp/x.gguf", MODEL)), "not relative"),
            ("backslash", zip_of(("a\\..\\x.gguf", MODEL)), ""),
            ("drive", zip_of(("C:/x.gguf", MODEL)), "not relative"),
            ("link", tar_of(("l", special("l", tarfile.SYMTYPE, "/etc/passwd")), good), "a link"),
            ("hard", tar_of(good, ("l", special("l", tarfile.LNKTYPE, "m.gguf"))), "a link"),
            ("device", tar_of(("d", special("d", tarfile.CHRTYPE)), good), "a link or a device"),
            ("fifo", tar_of(("d", special("d", tarfile.FIFOTYPE)), good), "a link or a device"),
            ("twice", tar_of(good, good), "is there twice"),
            ("case", tar_of(good, ("M.GGUF", MODEL)), "is there twice"),
            ("below-a-file", tar_of(good, ("m.gguf/x", b"1")), "lies below a file"),
            ("control", tar_of(("a\nb.gguf", MODEL)), "control characters"),
            ("dots", tar_of(("a./m.gguf", MODEL)), "ends in"),
            ("long", tar_of(("n" * 300 + ".gguf", MODEL)), "a long name"),
            ("deep", tar_of(("a/" * 40 + "m.gguf", MODEL)), "too deep"),
            ("crc", bytes(crossed), ""),
            ("cut", gzip.compress(tar_of(good), 1)[:-5000], ""),
            ("empty", tar_of(), ""),
            ("no-model", zip_of(("readme.txt", "hello")), "holds no GGUF"),
            ("bomb", gzip.compress(bomb, 9), "times as many"),
        ]
        with World() as world:
            outside = pathlib.Path(world.home.name, "outside")
            for name, data, says in rows:
                run = world.run("import", self.put(world, f"{name}.tar", data))
                self.assertIn(run.returncode, (2, 3, 4, 5, 7), f"{name}: {run.out}{run.err}")
                self.assertIn(says, run.err, name)
                self.assertEqual(world.files(), [], name)
            self.assertFalse(outside.exists())

    def test_many_entries(self):
        with World() as world:
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as archive:
                for i in range(10_001):
                    archive.addfile(tarfile.TarInfo(f"{i}"))
            run = world.run("import", self.put(world, "many.tgz", gzip.compress(out.getvalue(), 1)))
            self.assertEqual(run.returncode, 7, run.err)
            self.assertIn("entries", run.err)
            self.assertEqual(world.files(), [])


class Tidying(unittest.TestCase):
    def test_gc(self):
        with World() as world:
            self.assertIn("Nothing to remove", world.run("gc").out)
            world.fault(*["stall"] * 3)
            world.environment["HEARTH_LIBRARY_STALL_SECONDS"] = "1"
            pull = world.start("pull", "hf:org/model")
            while not any(".partial" in f and f.endswith(".part") for f in world.files()):
                pass
            pull.kill()
            pull.communicate()
            self.assertIn("Nothing to remove", world.run("gc").out)  # too young
            self.assertIn("would be freed", world.run("gc", "--older-than", "0", "--dry-run").out)
            self.assertNotEqual(world.files(), [])
            self.assertIn("freed", world.run("gc", "--older-than", "0").out)
            self.assertEqual(world.files(), [])


class Completion(unittest.TestCase):
    def complete(self, world, *words):
        script = world.run("completion", "bash").out
        quoted = " ".join(f"'{w}'" for w in words)
        line = (f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _hearth; "
                "printf '%s\\n' \"${COMPREPLY[@]}\"")
        environment = {**world.environment,
                       "PATH": str(pathlib.Path(program.BINARY).parent) + ":" + os.environ["PATH"]}
        run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment)
        self.assertEqual(run.stderr, "")
        return run.stdout.split()

    def test_bash(self):
        with World() as world:
            world.run("pull", "hf:org/model")
            self.assertEqual(self.complete(world, "hearth", "ser"), ["serve"])
            self.assertIn("--keep-alive", self.complete(world, "hearth", "serve", "--ke"))
            self.assertEqual(self.complete(world, "hearth", "index", "sn"), ["snapshot"])
            self.assertIn("hf:org/model:Q8_0", self.complete(world, "hearth", "chat", "hf"))
            self.assertIn("builtin", self.complete(world, "hearth", "show", "bu"))
            self.assertEqual(world.run("completion", "tcsh").returncode, 2)

    def test_other_shells(self):
        with World() as world:
            for shell in ("zsh", "fish"):
                script = world.run("completion", shell).out
                for command in ("serve", "pull", "completion"):
                    self.assertIn(command, script)
                if shutil.which(shell):
                    run = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True)
                    self.assertEqual(run.returncode, 0, run.stderr)


class Speeds(unittest.TestCase):
    def test_measured_once_and_predicted_by(self):
        with World() as world:
            self.assertIn("not measured yet", world.run("info").out)
            self.assertIsNone(json.loads(world.run("show", "qwen3:4b", "--json").out)
                              ["expected_tokens_per_second"])
            found = json.loads(world.run("info", "--benchmark", "--json").out)
            self.assertGreater(found["memory"][0]["bytes_per_second"], 1e8)
            self.assertIn(found["kernels"], [t["name"] for t in found["tables"]])
            for table in found["tables"]:
                self.assertGreater(table["whole_per_second"], 1e8)
                self.assertGreater(table["float_per_second"], 1e8)
            self.assertLessEqual({"q4_k", "q8_0", "f16"}, {w["dtype"] for w in found["weights"]})
            self.assertGreater(found["disk_read_bytes_per_second"], 1e6)
            self.assertLess(found["seconds"], 30)  # 10 on a machine that is not busy
            self.assertEqual(world.files(), [])
            self.assertEqual(json.loads(world.run("info", "--json").out)["speeds"], found)
            entries = json.loads(world.run("list", "--available", "--json").out)["models"]
            by_name = {e["name"]: e["expected_tokens_per_second"] for e in entries}
            self.assertGreater(by_name["qwen3:0.6b"], by_name["qwen3:4b"])
            world.run("pull", "hf:org/model")
            self.assertGreater(json.loads(world.run("show", "org/model", "--json").out
                                          or world.run("show", "hf:org/model", "--json").out)
                               ["expected_tokens_per_second"], 1)
            bench = world.run("bench", "hf:org/model", "--gen-tokens", "4", "--rounds", "1").out
            self.assertRegex(bench, r"expected +[0-9.]+ tokens/s.*: [0-9]+ % of it reached")
            cache = kept_speeds(world)
            cache.write_text(cache.read_text().replace(found["processor"], "Another"))
            self.assertIn("not measured yet", world.run("info").out)


class Thousand(unittest.TestCase):
    def test_a_thousand_models_are_listed_at_once(self):
        with World() as world:
            world.run("pull", "hf:org/model")
            first = world.store / "hf--org--model--Q8_0"
            for i in range(1000):
                folder = world.store / f"hf--org--m{i}--Q8_0"
                folder.mkdir()
                (folder / "model-Q8_0.gguf").symlink_to(first / "model-Q8_0.gguf") if i else \
                    (folder / "model-Q8_0.gguf").write_bytes(MODEL)
                if i:
                    (folder / "model-Q8_0.gguf").unlink()
                    os.truncate(os.open(folder / "model-Q8_0.gguf", os.O_CREAT | os.O_WRONLY), 4096 + i)
                text = (first / "model.json").read_text().replace("org/model", f"org/m{i}")
                (folder / "model.json").write_text(text)
            world.run("list")  # reads the headers
            times = []
            for _ in range(7):
                before = os.times()
                run = world.run("list", "--json")
                after = os.times()
                times.append(after.children_user + after.children_system
                             - before.children_user - before.children_system)
            self.assertEqual(len(json.loads(run.out)["models"]), 1001)
            print(f"1,001 models listed in {sorted(times)[3] * 1e3:.0f} ms of processor time")
            self.assertLess(sorted(times)[3], 0.2)  # 0.02 on a machine that is not busy


if __name__ == "__main__":
    program.main()
