#!/usr/bin/env python3
"""Hearth's indexes beside those of other libraries: the same data, one thread, CPU time, one run.

run.py BENCH FOLDER [sift|embed|FILE] [--peers hnswlib,faiss] [--program NAME=PATH]... [--rounds N]
       [--indexes ivf,compact,hnsw,learned] [--parts search,batch,filters,mixed,kmeans] [--out NAME]

BENCH is build/release/vectors_bench (mixed_bench and kmeans_bench lie beside it), FOLDER holds, or
receives, data, indexes and answers.  Makes what is missing, measures all in turn, round after round,
prints tables, and writes NAME.json and NAME.svg.  A PROGRAM is built of bench/vectors/peers/*.cpp.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402

import data  # noqa: E402
import kmeans  # noqa: E402
from peers import Peers, Program, recall  # noqa: E402
from plot import plot  # noqa: E402

TARGETS = "0.8,0.9,0.95,0.97,0.98,0.99,0.995"
INDEXES = {  # the name in tables, the arguments of the bench, the ending of the file
    "ivf": ("hearth ivf", [], "hearth-ivf.ivf"),
    "compact": ("hearth ivf compact", ["--no-floats"], "hearth-ivf-compact.ivf"),
    "hnsw": ("hearth hnsw", ["--index", "hnsw"], "hearth-hnsw"),
    "learned": ("hearth learned", ["--index", "learned"], "hearth-learned"),
}
FILTERS = (2, 10, 100, 1000)  # every so many-th row may be answered


def bench(program, *arguments):
    run = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{program}: {run.stderr}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def table(title, heads, rows):
    print(f"\n{title}\n")
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def number(value):
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def nearest(rows, queries, k):
    best = []
    for first in range(0, len(queries), 100):
        part = queries[first:first + 100]
        distances = (rows ** 2).sum(1)[None] - 2 * part @ rows.T
        near = np.argpartition(distances, k, axis=1)[:, :k]
        order = np.take_along_axis(distances, near, 1).argsort(1)
        best.append(np.take_along_axis(near, order, 1))
    return np.concatenate(best).astype(np.int32)


def write_ivecs(path, found):
    np.hstack([np.full((len(found), 1), found.shape[1], np.int32), found]).tofile(path)


class Run:
    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = pathlib.Path(arguments.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = pathlib.Path(arguments.data).stem
        self.prepare()
        self.builds, self.memory, self.opened = {}, {}, {}

    def path(self, ending):
        return self.folder / f"{self.name}{ending}"

    def prepare(self):
        if not self.path(".fvecs").exists():
            if self.name in ("sift", "embed"):
                data.main(["make", str(self.folder), self.name])
            else:
                self.convert()
        self.rows = data.read_fvecs(self.path(".fvecs"))
        self.queries_path = self.path("-queries.fvecs")
        self.queries = data.read_fvecs(self.queries_path)
        if not self.path("-truth.ivecs").exists():
            write_ivecs(self.path("-truth.ivecs"), nearest(self.rows, self.queries, 100))
        self.truth = data.read_ivecs(self.path("-truth.ivecs"))

    def convert(self):
        if self.arguments.data.endswith(".hdf5"):
            rows, queries = data.read_hdf5(self.arguments.data)
        else:
            rows = data.read_any(self.arguments.data)
            rows, queries = rows[1000:], rows[:1000]
        data.write_fvecs(self.path(".fvecs"), rows)
        data.write_fvecs(self.path("-queries.fvecs"), queries[:1000])

    def ask(self, *arguments, truth="-truth.ivecs"):
        lines = bench(self.arguments.bench, "--queries", self.queries_path, "--truth",
                      self.path(truth), *arguments)
        return [line for line in lines if "qps" in line]

    def build_ours(self):
        for key in self.arguments.indexes.split(","):
            label, options, ending = INDEXES[key]
            path, note = self.path("-" + ending), self.path(f"-{ending}.json")
            if not path.exists():
                lines = bench(self.arguments.bench, "--data", self.path(".fvecs"), "--queries",
                              self.queries_path, "--targets", "0.9", "--rounds", 1, "--save", path,
                              *options)
                note.write_text(json.dumps({"build": lines[0]["build_cpu_s"]}))
            self.builds[label] = json.loads(note.read_text())["build"] if note.exists() else 0
            self.opened[label] = ["--open", path, *options]

    def search(self):
        """All points of recall against speed; our targets are searched for one after another."""
        programs = [Program(*entry.split("=", 1), self.folder, self.name)
                    for entry in self.arguments.program]
        for program in programs:
            self.builds[program.name] = program.build()
        peers = Peers(self.folder, self.name, self.rows, self.queries, self.truth,
                      self.arguments.peers.split(","))
        peers.open()
        found = {}
        for _ in range(self.arguments.rounds):
            for label, options in self.opened.items():
                for line in self.ask(*options, "--targets", TARGETS, "--rounds", 2):
                    found.setdefault((label, str(line["target"])), []).append(
                        (line["qps"], line["recall"]))
                    self.memory[label] = line["memory_mb"]
            for program in programs:
                for line in program.points():
                    found.setdefault((program.name, str(line["setting"])), []).append(
                        (line["qps"], line["recall"]))
                    self.memory[program.name] = line["memory_mb"]
            for label, setting, speed, reached in peers.points():
                found.setdefault((label, str(setting)), []).append((speed, reached))
        self.builds.update({{"hnsw": "hnswlib", "faiss": "faiss IVF-PQfs+refine"}[k]: v
                            for k, v in peers.builds.items()})
        self.memory.update(peers.memory)
        self.points = [{"index": label, "setting": setting,
                        "qps": statistics.median(q for q, _ in each),
                        "recall": statistics.median(r for _, r in each)}
                       for (label, setting), each in found.items()]
        rows = []
        for label in dict.fromkeys(p["index"] for p in self.points):
            speeds = [at_recall(self.points, label, r) for r in (0.9, 0.95, 0.99)]
            rows.append([label, *map(number, speeds), number(self.memory.get(label)),
                         number(self.builds.get(label))])
        table(f"{self.name}: {len(self.rows):,} x {self.rows.shape[1]}, one query at a time, queries "
              "per CPU second at recall@10", ["index", "0.90", "0.95", "0.99", "MB", "built, CPU s"],
              rows)

    def batch(self):
        rows = []
        for label, options in self.opened.items():
            if "ivf" in label:
                for line in self.ask(*options, "--targets", "0.95,0.99", "--rounds", 3, "--batch"):
                    rows.append([f"{label}, list by list", f"{line['recall']:.4f}",
                                 number(line["qps"])])
        flat = ["--index", "flat", "--data", self.path(".fvecs"), "--targets", "1", "--rounds", 1]
        line = self.ask(*flat, "--batch")[0]
        rows.append(["hearth flat, exact", f"{line['recall']:.4f}", number(line["qps"])])
        squares = (self.rows ** 2).sum(1)
        start = time.process_time()
        found = []
        for first in range(0, 200, 100):
            part = self.queries[first:first + 100]
            distances = squares[None] - 2 * (part @ self.rows.T)
            near = np.argpartition(distances, 10, axis=1)[:, :10]
            found.extend(near)
        speed = 200 / (time.process_time() - start)
        rows.append(["OpenBLAS (numpy), exact, 100 at once", f"{recall(found, self.truth[:200]):.4f}",
                     number(speed)])
        table(f"{self.name}: {len(self.queries):,} queries at once, one thread",
              ["index", "recall@10", "queries per CPU second"], rows)

    def filters(self):
        rows = []
        for step in FILTERS:
            truth = f"-truth-f{step}.ivecs"
            if not self.path(truth).exists():
                write_ivecs(self.path(truth),
                            nearest(self.rows[::step], self.queries, 10) * np.int32(step))
            share = ["--filter", 1 / step, "--targets", "0.95", "--rounds", 1]
            exact = self.ask("--index", "flat", "--data", self.path(".fvecs"), *share,
                             "--first", 50, truth=truth)[0]
            for label, options in self.opened.items():
                line = self.ask(*options, *share, truth=truth)[0]
                rows.append([f"{100 / step:g} %", label, f"{line['recall']:.4f}",
                             number(line["qps"]), number(exact["qps"])])
        table(f"{self.name}: filters, one query at a time, for recall@10 0.95",
              ["rows that match", "index", "recall@10", "queries per CPU second",
               "exact search over those rows"], rows)

    def mixed(self):
        program = pathlib.Path(self.arguments.bench).parent / "mixed_bench"
        rows = []
        for kind in ("ivf", "hnsw"):
            line = bench(program, self.path(".fvecs"), self.queries_path, kind,
                         min(100_000, len(self.rows) * 4 // 5))[0]
            rows.append([kind, number(line["rows"]), number(line["changed"]),
                         f"{line['recall']:.4f}", f"{line['fresh_recall']:.4f}",
                         " / ".join(map(number, line["quiet_us"])),
                         " / ".join(map(number, line["busy_us"])),
                         f"{line['waits']} in {line['searches']:,}"])
        table(f"{self.name}: a writer replaces a fifth of the rows while a reader searches",
              ["index", "rows", "changed", "recall@10 afterwards", "built anew",
               "quiet, us (median / 99 %)", "beside the writer", "waits of the reader"], rows)

    def kmeans(self):
        program = pathlib.Path(self.arguments.bench).parent / "kmeans_bench"
        rows = [[label, f"{seconds:.1f}", f"{error:.5g}"] for label, seconds, error in
                kmeans.compare(program, self.path(".fvecs"), 1000, 10, 64_000)]
        table(f"{self.name}: k-means, 64,000 rows, 1,000 clusters, 10 iterations",
              ["", "CPU s", "mean squared distance"], rows)


def at_recall(points, label, wanted):
    """Queries per second at a recall, between the two nearest points, in logarithms of speed."""
    line = sorted((p["recall"], p["qps"]) for p in points if p["index"] == label)
    better = [p for p in line if p[0] >= wanted]
    worse = [p for p in line if p[0] < wanted]
    if not better:
        return None
    high = better[0]
    if not worse:
        return high[1]
    low = worse[-1]
    share = (wanted - low[0]) / max(high[0] - low[0], 1e-9)
    return float(np.exp(np.log(low[1]) + share * (np.log(high[1]) - np.log(low[1]))))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("folder")
    parser.add_argument("data", nargs="?", default="sift")
    parser.add_argument("--peers", default="hnswlib,faiss")
    parser.add_argument("--program", action="append", default=[])
    parser.add_argument("--indexes", default="ivf,compact,hnsw")
    parser.add_argument("--parts", default="search,batch,filters,mixed,kmeans")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", default="")
    arguments = parser.parse_args()
    run = Run(arguments)
    run.build_ours()
    run.points = []
    for part in arguments.parts.split(","):
        getattr(run, part)()
        sys.stdout.flush()
    if not run.points:
        return
    out = arguments.out or str(run.path("-result"))
    result = {"data": run.name, "rows": len(run.rows), "dim": run.rows.shape[1],
              "points": run.points, "memory_mb": run.memory, "build_cpu_s": run.builds}
    pathlib.Path(out + ".json").write_text(json.dumps(result, indent=1))
    plot(result, out + ".svg")


if __name__ == "__main__":
    main()
