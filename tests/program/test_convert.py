"""One model in every container: `hearth convert` and `hearth quantize` as a person uses them."""
import hashlib
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import tempfile
import time
import unittest

import program
from program import hearth

STORY = "models/stories260K"


def told(model):
    return hearth("run", str(model), "", "--raw", "--max-tokens", "200", "--temperature", "0").stdout


def read_safetensors(path):
    """{name: (shape, floats)} of a file of F32."""
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        out[name] = (entry["shape"], data[8 + size + begin:8 + size + end])
    return out


def write_mlc(hf, folder):
    """The folder as MLC-LLM's q0f32 would be without its rounding: float16 where that is exact enough."""
    folder.mkdir()
    config = json.loads((hf / "config.json").read_text())
    tensors = read_safetensors(hf / "model.safetensors")
    data, records = b"", []

    def put(name, shape, floats):
        nonlocal data
        count = len(floats) // 4
        raw = struct.pack(f"<{count}e", *struct.unpack(f"<{count}f", floats))
        records.append({"name": name, "shape": shape, "dtype": "float16", "format": "f32-to-bf16",
                        "nbytes": len(raw), "byteOffset": len(data)})
        data += raw

    def join(names):
        parts = [tensors[n] for n in names]
        return [sum(p[0][0] for p in parts), parts[0][0][1]], b"".join(p[1] for p in parts)

    for name, (shape, floats) in tensors.items():
        if ".q_proj." in name:
            put(name.replace("q_proj", "qkv_proj"), *join([name.replace("q_proj", p) for p in ("q_proj", "k_proj", "v_proj")]))
        elif ".gate_proj." in name:
            put(name.replace("gate_proj", "gate_up_proj"), *join([name, name.replace("gate_proj", "up_proj")]))
        elif not any(p in name for p in (".k_proj.", ".v_proj.", ".up_proj.")):
            put(name, shape, floats)
    (folder / "params_shard_0.bin").write_bytes(data)
    (folder / "tensor-cache.json").write_text(json.dumps({"metadata": {}, "records": [
        {"dataPath": "params_shard_0.bin", "format": "raw-shard", "nbytes": len(data), "records": records}]}))
    (folder / "mlc-chat-config.json").write_text(json.dumps({
        "model_type": "llama", "quantization": "q0f16", "context_window_size": 512, "model_config": {
            k: config[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                                   "num_key_value_heads", "vocab_size", "rms_norm_eps")
        } | {"position_embedding_base": 10000, "tie_word_embeddings": config.get("tie_word_embeddings", False)}}))
    (folder / "tokenizer.model").write_bytes((hf / "tokenizer.model").read_bytes())


class Containers(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp())

    def convert(self, source, name, *options):
        out = self.work / name
        report = json.loads(hearth("convert", str(source), str(out), *options, "--json").stdout)
        self.assertEqual(report["losses"], [], name)
        return out

    def test_the_story_from_every_container(self):
        expected = pathlib.Path(program.needs_data(STORY, "greedy-200.txt")).read_text()
        gguf = program.needs_data(STORY, "stories260K-f32.gguf")
        folder = self.convert(gguf, "folder")
        made = {"gguf to folder": folder,
                "folder to gguf": self.convert(folder, "again.gguf"),
                "gguf to mlx": self.convert(gguf, "mlx", "--to", "mlx"),
                "gguf to npz": self.convert(gguf, "npz", "--to", "npz"),
                "pt to gguf": self.convert(program.needs_data(STORY, "stories260K.pt"), "pt.gguf"),
                "bin to folder": self.convert(program.needs_data(STORY, "stories260K.bin"), "bin"),
                "hf to gguf": self.convert(program.needs_data(STORY, "hf"), "hf.gguf"),
                "sharded": self.convert(gguf, "shards", "--shard-size", "1")}
        self.assertTrue((made["sharded"] / "model.safetensors.index.json").exists())
        # Graphs of it that others' tools made: scripts/language_graphs.py, golden_litert.py, golden_coreml_language.py,
        # golden_executorch_language.py.
        graphs = program.ROOT / "tests/golden/engines"
        made |= {"onnx": graphs / "optimum", "litert-lm": graphs / "litert/model.litertlm", "coreml": graphs / "coreml",
                 "executorch": graphs / "executorch"}
        for what, model in made.items():
            with self.subTest(what):
                self.assertEqual(told(model), expected)

    def test_mlc_tells_what_the_same_halves_tell(self):
        hf = pathlib.Path(program.needs_data(STORY, "hf"))
        write_mlc(hf, self.work / "mlc")
        halves = self.work / "halves.gguf"
        hearth("convert", str(hf), str(halves), "--dtype", "f16")
        self.assertEqual(told(self.work / "mlc"), told(halves))
        self.assertEqual(told(self.convert(self.work / "mlc", "mlc.gguf")), told(halves))

    def test_quantizing_a_folder_is_quantizing_its_gguf(self):
        gguf = program.needs_data(STORY, "stories260K-f32.gguf")
        folder = self.convert(gguf, "folder")
        reports = []
        for source, name in ((gguf, "a.gguf"), (folder, "b.gguf")):
            run = hearth("quantize", str(source), str(self.work / name), "--to", "Q8_0", "--json")
            reports.append(json.loads(run.stdout)["tensors"])
        self.assertEqual(*reports)
        self.assertEqual(told(self.work / "a.gguf"), told(self.work / "b.gguf"))

    def test_a_folder_that_sees_becomes_two_files_that_see_the_same(self):
        golden = program.ROOT / "tests/golden/vision"

        def seen(model):
            said = hearth("run", str(model), "What is this?", "--image", str(golden / "picture.png"),
                          "--max-tokens", "12", "--temperature", "0").stdout
            return re.sub(r"\[PAD\d+\]", "", said)  # ids without a token, which GGUF files name

        for name in ("qwen3-vl", "gemma3"):
            with self.subTest(name):
                out = self.convert(golden / name, f"{name}.gguf")
                self.assertTrue((self.work / f"mmproj-{name}.gguf").exists())
                self.assertEqual(seen(out), seen(golden / name))
        small = self.work / "small.gguf"
        hearth("quantize", str(golden / "qwen3-vl"), str(small), "--to", "Q8_0")
        self.assertTrue((self.work / "mmproj-small.gguf").exists())
        self.assertTrue(seen(small))
        run = hearth("convert", str(golden / "qwen3-vl"), str(self.work / "qwen3-vl.gguf"), check=False)
        self.assertIn("--force replaces it", run.stderr)

    def test_what_is_refused(self):
        gguf = program.needs_data(STORY, "stories260K-f32.gguf")
        rows = [
            ([gguf, str(self.work / "x"), "--to", "onnxx"], "--to onnxx: needs one of gguf"),
            ([gguf, str(self.work / "x"), "--dtype", "f8"], "needs f32, f16 or bf16"),
            ([gguf, gguf], "is the model itself"),
            ([str(self.work / "nothing"), "y"], "nothing"),
        ]
        for arguments, says in rows:
            with self.subTest(arguments):
                run = hearth("convert", *arguments, check=False)
                self.assertNotEqual(run.returncode, 0)
                self.assertIn(says, run.stderr)
        out = self.work / "twice.gguf"
        hearth("convert", gguf, str(out))
        before = hashlib.sha256(out.read_bytes()).digest()
        run = hearth("convert", gguf, str(out), check=False)
        self.assertIn("--force replaces it", run.stderr)
        self.assertEqual(hashlib.sha256(out.read_bytes()).digest(), before)
        hearth("convert", gguf, str(out), "--force")

    def test_a_killed_conversion_leaves_nothing_that_opens(self):
        big = self.work / "big.gguf"
        script = program.ROOT / "scripts/synth_model.py"
        subprocess.run(["python3", script, "tiny", "F16", big], check=True)
        for to in ("gguf", "safetensors"):
            out = self.work / f"killed-{to}"
            process = subprocess.Popen([program.BINARY, "convert", str(big), str(out), "--to", to],
                                       env=program.clean_environment(), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            deadline = time.time() + 10
            while process.poll() is None and time.time() < deadline:
                if any(p.name.startswith(out.name) for p in self.work.iterdir()):
                    os.kill(process.pid, signal.SIGKILL)
                    break
            process.wait()
            # Killed, or done: what has the name is whole.
            if out.exists():
                self.assertEqual(hearth("show", str(out), "--json", check=False).returncode, 0)


if __name__ == "__main__":
    program.main()
