"""Indexes of other libraries: those with a Python package, and programs given by path."""
import json
import subprocess
import time


def recall(found, truth):
    return sum(len(set(a[:10]) & set(b[:10])) for a, b in zip(found, truth)) / (10 * len(truth))


def timed(search, queries, truth):
    start = time.process_time()
    found = [search(query[None]) for query in queries]
    seconds = time.process_time() - start
    return len(queries) / seconds, recall(found, truth)


def memory_mb():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0


class Program:
    """bench/vectors/peers/*.cpp: PATH build ROWS INDEX, PATH search INDEX ROWS QUERIES TRUTH."""

    def __init__(self, name, path, folder, data_name):
        self.name, self.path = name, path
        self.rows, self.queries, self.truth = (
            folder / f"{data_name}{suffix}" for suffix in (".fvecs", "-queries.fvecs", "-truth.ivecs"))
        self.index = folder / f"{data_name}.{name}"
        self.note = folder / f"{data_name}.{name}.json"

    def lines(self, *arguments):
        run = subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(f"{self.path}: {run.stderr}")
        return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]

    def build(self):
        """CPU seconds."""
        if not self.index.exists():
            self.note.write_text(json.dumps(self.lines("build", self.rows, self.index)[-1]))
        return json.loads(self.note.read_text())["build_cpu_s"] if self.note.exists() else 0

    def points(self):
        return self.lines("search", self.index, self.rows, self.queries, self.truth)


class Peers:
    """Indexes of other libraries, built once into the folder."""

    def __init__(self, folder, name, rows, queries, truth, wanted):
        self.folder, self.name, self.rows = folder, name, rows
        self.queries, self.truth, self.wanted = queries, truth, wanted
        self.builds, self.memory = {}, {}

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
            before = memory_mb()
            self.hnsw = self.cached("hnsw", build, load)
            self.memory["hnswlib"] = memory_mb() - before
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
            before = memory_mb()
            self.faiss = self.cached("faiss", build_faiss, load_faiss)
            # The rows belong to the index: it refines by them.
            self.memory["faiss IVF-PQfs+refine"] = memory_mb() - before + self.rows.nbytes / 1e6

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


