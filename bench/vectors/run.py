#!/usr/bin/env python3
"""Hearth's indexes beside hnswlib and faiss: the same data, one thread, CPU time, the same run.

run.py BENCH FOLDER [sift|embed|FILE.fvecs] [--peers hnswlib,faiss] [--rounds N] [--out NAME]

BENCH is build/release/vectors_bench, FOLDER holds (or receives) data, indexes and answers.  Makes
what is missing, then measures all in turn, round after round, and prints queries per second at the
recalls reached; writes NAME.json and NAME.svg.
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
from plot import plot  # noqa: E402

TARGETS = "0.8,0.9,0.95,0.97,0.98,0.99,0.995"


def bench(program, *arguments):
    run = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{program}: {run.stderr}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def recall(found, truth):
    return sum(len(set(a[:10]) & set(b[:10])) for a, b in zip(found, truth)) / (10 * len(truth))


def timed(search, queries, truth):
    start = time.process_time()
    found = [search(query[None]) for query in queries]
    seconds = time.process_time() - start
    return len(queries) / seconds, recall(found, truth)


class Peers:
    """Indexes of other libraries, built once into the folder."""

    def __init__(self, folder, name, rows, queries, truth, wanted):
        self.folder, self.name, self.rows = folder, name, rows
        self.queries, self.truth, self.wanted = queries, truth, wanted
        self.builds = {}

    def cached(self, suffix, build, load):
        path = self.folder / f"{self.name}.{suffix}"
        note = self.folder / f"{self.name}.{suffix}.json"
        if not path.exists():
            start = time.process_time()
            build(str(path))
            note.write_text(json.dumps({"build": time.process_time() - start}))
        if note.exists():
            self.builds[suffix] = json.loads(note.read_text())["build"]
        return load(str(path))

    def open(self):
        if "hnswlib" in self.wanted:
            import hnswlib
            dim = self.rows.shape[1]

            def build(path):
                index = hnswlib.Index("l2", dim)
                index.init_index(len(self.rows), M=16, ef_construction=200)
                index.add_items(self.rows, num_threads=1)
                index.save_index(path)

            def load(path):
                index = hnswlib.Index("l2", dim)
                index.load_index(path)
                index.set_num_threads(1)
                return index
            self.hnsw = self.cached("hnsw", build, load)
        if "faiss" in self.wanted:
            import faiss
            faiss.omp_set_num_threads(1)
            dim = self.rows.shape[1]
            lists = 4096 if len(self.rows) >= 500_000 else 1024

            def build_faiss(path):
                index = faiss.index_factory(dim, f"IVF{lists},PQ{dim // (2 if dim < 256 else 4)}x4fs")
                index.train(self.rows[:256 * lists])
                index.add(self.rows)
                faiss.write_index(index, path)

            def load_faiss(path):
                base = faiss.read_index(path)
                index = faiss.IndexRefineFlat(base, faiss.swig_ptr(self.rows))
                index.own_fields = False
                self.base = base
                return index
            self.faiss = self.cached("faiss", build_faiss, load_faiss)

    def points(self):
        if "hnswlib" in self.wanted:
            for ef in (16, 32, 64, 100, 160, 260, 420):
                self.hnsw.set_ef(ef)
                yield ("hnswlib", ef) + timed(
                    lambda q: self.hnsw.knn_query(q, k=10, num_threads=1)[0][0],
                    self.queries, self.truth)
        if "faiss" in self.wanted:
            import faiss
            for probes, factor in ((8, 4), (16, 6), (32, 10), (64, 10), (128, 10), (128, 20), (256, 20)):
                parameters = faiss.IndexRefineSearchParameters(
                    k_factor=factor,
                    base_index_params=faiss.IVFSearchParameters(nprobe=probes))
                yield ("faiss IVF-PQfs+refine", (probes, factor)) + timed(
                    lambda q: self.faiss.search(q, 10, params=parameters)[1][0],
                    self.queries, self.truth)


def truth_of(folder, name, rows, queries):
    path = folder / f"{name}-truth.ivecs"
    if not path.exists():
        best = []
        for first in range(0, len(queries), 100):
            part = queries[first:first + 100]
            distances = (rows ** 2).sum(1)[None] - 2 * part @ rows.T
            near = np.argpartition(distances, 100, axis=1)[:, :100]
            order = np.take_along_axis(distances, near, 1).argsort(1)
            best.append(np.take_along_axis(near, order, 1))
        found = np.concatenate(best).astype(np.int32)
        out = np.hstack([np.full((len(found), 1), 100, np.int32), found])
        out.tofile(path)
    return data.read_ivecs(path)


def ours(program, folder, name, variants):
    """Builds each variant once; returns what measuring one takes."""
    files = {}
    for label, options in variants.items():
        path = folder / f"{name}-{label.replace(' ', '-')}.ivf"
        note = path.with_suffix(".ivf.json")
        if not path.exists():
            lines = bench(program, "--data", folder / f"{name}.fvecs", "--queries",
                          folder / f"{name}-queries.fvecs", "--targets", "0.9", "--rounds", 1,
                          "--save", path, *options)
            note.write_text(json.dumps({"build": lines[0]["build_cpu_s"]}))
        files[label] = (path, json.loads(note.read_text())["build"])
    return files


def collect(arguments, folder, name, rows, queries, truth):
    variants = {"hearth ivf": [], "hearth ivf compact": ["--no-floats"]}
    files = ours(arguments.bench, folder, name, variants)
    peers = Peers(folder, name, rows, queries, truth, arguments.peers.split(","))
    peers.open()
    found = {}
    memory, builds = {}, {label: build for label, (_, build) in files.items()}
    for _ in range(arguments.rounds):
        for label, (path, _) in files.items():
            lines = bench(arguments.bench, "--open", path, "--queries",
                          folder / f"{name}-queries.fvecs", "--truth", folder / f"{name}-truth.ivecs",
                          "--targets", TARGETS, "--rounds", 1)
            for line in lines[1:]:
                found.setdefault((label, str(line["target"])), []).append(
                    (line["qps"], line["recall"]))
                memory[label] = line["memory_mb"]
        for label, setting, speed, reached in peers.points():
            found.setdefault((label, str(setting)), []).append((speed, reached))
    builds.update({{"hnsw": "hnswlib", "faiss": "faiss IVF-PQfs+refine"}[k]: v
                   for k, v in peers.builds.items()})
    points = [{"index": label, "setting": setting, "qps": statistics.median(q for q, _ in each),
               "recall": statistics.median(r for _, r in each)}
              for (label, setting), each in found.items()]
    return {"data": name, "rows": len(rows), "dim": rows.shape[1], "points": points,
            "memory_mb": memory, "build_cpu_s": builds}


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench")
    parser.add_argument("folder")
    parser.add_argument("data", nargs="?", default="sift")
    parser.add_argument("--peers", default="hnswlib,faiss")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", default="")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    name = pathlib.Path(arguments.data).stem
    if not (folder / f"{name}.fvecs").exists():
        if arguments.data in ("sift", "embed"):
            data.main(["make", str(folder), name])
        else:
            if arguments.data.endswith(".hdf5"):
                rows, queries = data.read_hdf5(arguments.data)
            else:
                rows = data.read_any(arguments.data)
                rows, queries = rows[1000:], rows[:1000]
            data.write_fvecs(folder / f"{name}.fvecs", rows)
            data.write_fvecs(folder / f"{name}-queries.fvecs", queries)
    rows = data.read_fvecs(folder / f"{name}.fvecs")
    queries = data.read_fvecs(folder / f"{name}-queries.fvecs")[:1000]
    truth = truth_of(folder, name, rows, queries)
    result = collect(arguments, folder, name, rows, queries, truth)
    labels = list(dict.fromkeys(p["index"] for p in result["points"]))
    print(f"{name}: {len(rows):,} x {rows.shape[1]}, one thread, queries per CPU second at recall@10")
    print(f"{'':24}{'0.90':>10}{'0.95':>10}{'0.99':>10}{'MB':>8}{'build s':>9}")
    for label in labels:
        speeds = [at_recall(result["points"], label, r) for r in (0.9, 0.95, 0.99)]
        cells = "".join(f"{'-' if s is None else format(s, ',.0f'):>10}" for s in speeds)
        print(f"{label:24}{cells}{result['memory_mb'].get(label, 0):>8.0f}"
              f"{result['build_cpu_s'].get(label, 0):>9.0f}")
    out = arguments.out or str(folder / f"{name}-result")
    pathlib.Path(out + ".json").write_text(json.dumps(result, indent=1))
    plot(result, out + ".svg")


if __name__ == "__main__":
    main()
