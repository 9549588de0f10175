#!/usr/bin/env python3
"""Holds what `hearth convert` writes to the programs whose formats it writes.

usage: containers.py HEARTH [--peer PEER_LOGITS] [NAME ...]

Every golden generator (tests/golden/models) goes from its Hugging Face folder to GGUF, which llama.cpp must run
(PEER_LOGITS: bench/peer_logits.cpp built with it), and from its GGUF file to a folder, which transformers must run; both
must give the golden logits.  Needs torch, transformers, numpy.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "models"


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def difference(got, wanted):
    return float(np.abs(got - wanted).max() / np.abs(wanted).max()) if got.shape == wanted.shape else float("inf")


def by_transformers(folder, prompt):
    import torch
    import transformers
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    left = {k: v for k, v in report.items() if v}
    with torch.no_grad():
        return model.eval()(torch.tensor([prompt])).logits[0].numpy(), left


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("hearth")
    parser.add_argument("--peer")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp())
    for folder in sorted(GOLDEN.iterdir()):
        golden = json.loads((folder / "golden.json").read_text())
        if golden["kind"] != "generator" or (args.names and folder.name not in args.names):
            continue
        prompt = golden["prompt"]
        wanted = np.fromfile(folder / "logits.f32", "<f4").reshape(len(prompt), -1)
        line = [f"{folder.name:16}"]
        if args.peer and (folder / "config.json").exists():
            ok, said = run(args.hearth, "convert", folder, work / "m.gguf", "--force")
            np.array(prompt, "<i4").tofile(work / "tokens")
            if ok:
                ok, said = run(args.peer, work / "m.gguf", work / "tokens", work / "out")
            got = np.fromfile(work / "out", "<f4").reshape(len(prompt), -1) if ok else None
            line.append(f"llama.cpp {difference(got, wanted):.1e}" if ok else f"llama.cpp: {said.splitlines()[-1:]}")
        if (folder / "model.gguf").exists():
            ok, said = run(args.hearth, "convert", folder / "model.gguf", work / "folder", "--force")
            try:
                got, left = by_transformers(work / "folder", prompt) if ok else (None, said)
                line.append(f"transformers {difference(got, wanted):.1e} {left or ''}" if ok else f"transformers: {said}")
            except Exception as error:  # whatever the library raises is a finding
                line.append(f"transformers: {error!r}"[:300])
        print("  ".join(line), flush=True)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
