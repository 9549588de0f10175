"""Data for benches: a fixed-seed generator, and readers of the common files of vectors.

data.py make FOLDER [sift|embed|sift10m|all]   writes NAME.fvecs, NAME-queries.fvecs
data.py check SIFT.tsv                 statistics of the generator beside those of real descriptors
"""
import pathlib
import sys

import numpy as np


def read_fvecs(path, limit=None):
    raw = np.memmap(path, dtype=np.int32, mode="r")
    dim = int(raw[0])
    rows = raw.reshape(-1, dim + 1)[:limit]
    return np.ascontiguousarray(rows[:, 1:]).view(np.float32)


def read_ivecs(path):
    raw = np.fromfile(path, dtype=np.int32)
    return raw.reshape(-1, raw[0] + 1)[:, 1:].copy()


def read_bvecs(path, limit=None):
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    dim = int(raw[:4].view(np.int32)[0])
    return raw.reshape(-1, dim + 4)[:limit, 4:].astype(np.float32)


def read_hdf5(path):
    """train, test of a file of ann-benchmarks."""
    import h5py
    with h5py.File(path) as file:
        return np.asarray(file["train"], np.float32), np.asarray(file["test"], np.float32)


def read_any(path):
    path = str(path)
    if path.endswith(".npy"):
        return np.load(path).astype(np.float32)
    if path.endswith(".bvecs"):
        return read_bvecs(path)
    if path.endswith(".fbin"):  # big-ann-benchmarks: count, dim, rows
        count, dim = np.fromfile(path, np.uint32, 2)
        return np.fromfile(path, np.float32, offset=8).reshape(count, dim)
    if path.endswith(".tsv") or path.endswith(".txt"):
        return np.loadtxt(path, dtype=np.float32)
    if path.endswith("-ubyte"):  # the images of MNIST
        return np.fromfile(path, np.uint8, offset=16).reshape(-1, 784).astype(np.float32)
    return read_fvecs(path)


def write_fvecs(path, rows, mode="wb"):
    with open(path, mode) as file:
        for first in range(0, len(rows), 65536):
            part = np.ascontiguousarray(rows[first:first + 65536], np.float32)
            out = np.empty((len(part), part.shape[1] + 1), np.int32)
            out[:, 0] = part.shape[1]
            out[:, 1:] = part.view(np.int32)
            out.tofile(file)


class Mixture:
    """Clusters of unequal size, each around its own centre in its own few directions."""

    def __init__(self, dim, clusters, directions, spread, decay, noise, seed):
        random = np.random.default_rng(seed)
        self.dim, self.noise = dim, noise
        self.weights = random.pareto(1.5, clusters) + 0.2
        self.weights /= self.weights.sum()
        # Centres lie in clusters themselves, as topics do.
        top = random.standard_normal((max(clusters // 16, 1), dim))
        self.centres = (top[random.integers(len(top), size=clusters)]
                        + 0.8 * random.standard_normal((clusters, dim))).astype(np.float32)
        self.basis = random.standard_normal((clusters, directions, dim)).astype(np.float32)
        self.basis *= (spread * decay ** np.arange(directions)[None, :, None]
                       / np.sqrt(directions)).astype(np.float32)

    def draw(self, count, random):
        owner = np.sort(random.choice(len(self.weights), size=count, p=self.weights))
        rows = np.empty((count, self.dim), np.float32)
        starts = np.searchsorted(owner, np.arange(len(self.weights) + 1))
        for c in range(len(self.weights)):
            n = starts[c + 1] - starts[c]
            if n:
                latent = random.standard_normal((n, self.basis.shape[1]), np.float32)
                rows[starts[c]:starts[c + 1]] = self.centres[c] + latent @ self.basis[c]
        rows += self.noise * random.standard_normal(rows.shape, np.float32)
        return rows[random.permutation(count)]


def sift_like(count, queries, seed=1):
    """Whole numbers from 0, sparse towards zero, of length about 512, as descriptors are."""
    mixture = Mixture(128, 80, 48, 2.7, 0.95, 0.12, seed)
    random = np.random.default_rng(seed + 1)
    rows = mixture.draw(count + queries, random)
    np.maximum(rows + 2.2, 0, out=rows)
    rows *= 512 / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    np.clip(np.rint(rows), 0, 218, out=rows)
    return rows[:count], rows[count:]


def sift_like_parts(counts, seed=3):
    """Rows of one mixture, part after part: more of them than memory would hold."""
    mixture = Mixture(128, 80, 48, 2.7, 0.95, 0.12, seed)
    for part, count in enumerate(counts):
        rows = mixture.draw(count, np.random.default_rng(1000 * seed + part))
        np.maximum(rows + 2.2, 0, out=rows)
        rows *= 512 / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
        np.clip(np.rint(rows), 0, 218, out=rows)
        yield rows


def make_in_parts(stem, parts, count, queries_count):
    """STEM.fvecs, -queries.fvecs and -truth.ivecs (ten neighbours), with one part in memory at a time."""
    drawn = sift_like_parts([queries_count] + [count] * parts)
    queries = next(drawn)
    near = np.empty((len(queries), 0), np.float32)
    found = np.empty((len(queries), 0), np.int32)
    for part, rows in enumerate(drawn):
        write_fvecs(f"{stem}.fvecs", rows, "wb" if part == 0 else "ab")
        distances = (rows ** 2).sum(1)[None] - 2 * queries @ rows.T
        best = np.argpartition(distances, 10, axis=1)[:, :10]
        near = np.hstack([near, np.take_along_axis(distances, best, 1)])
        found = np.hstack([found, (best + part * count).astype(np.int32)])
        order = near.argsort(1)[:, :10]
        near, found = np.take_along_axis(near, order, 1), np.take_along_axis(found, order, 1)
    write_fvecs(f"{stem}-queries.fvecs", queries)
    np.hstack([np.full((len(found), 1), 10, np.int32), found]).tofile(f"{stem}-truth.ivecs")


def embedding_like(count, queries, seed=11):
    """Of length one, around a common direction."""
    mixture = Mixture(768, 300, 48, 2.5, 0.94, 0.08, seed)
    random = np.random.default_rng(seed + 1)
    rows = mixture.draw(count + queries, random)
    rows += 0.5 * np.random.default_rng(seed + 2).standard_normal(768).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:count], rows[count:]


def statistics(rows, k=20):
    """Lengths, contrast (mean distance over that to the nearest) and local dimension of 5,000 rows."""
    rows = rows[:5000].astype(np.float64)
    squares = (rows ** 2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0))
    mean = distances.mean()
    np.fill_diagonal(distances, np.inf)
    near = np.sort(np.partition(distances, k, axis=1)[:, :k], axis=1)
    near = np.maximum(near[near[:, 0] > 0], 1e-9)
    local = -1 / np.log(near[:, :-1] / near[:, -1:]).mean(1)
    return {"length": np.sqrt(squares).mean(), "zeros": (rows == 0).mean(),
            "contrast to 1st": mean / near[:, 0].mean(), "contrast to 20th": mean / near[:, -1].mean(),
            "local dimension": np.median(local)}


def main(arguments):
    if arguments[:1] == ["check"]:
        real = np.loadtxt(arguments[1], dtype=np.float32)[:, :128]
        made = sift_like(5000 if len(arguments) < 3 else int(arguments[2]), 10)[0]
        for name, value in statistics(real).items():
            print(f"{name:20} real {value:9.3f}   made {statistics(made)[name]:9.3f}")
        return
    folder = pathlib.Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {"sift": lambda: sift_like(1_000_000, 1000), "embed": lambda: embedding_like(200_000, 1000)}
    wanted = arguments[2] if len(arguments) > 2 else "all"
    if wanted == "sift10m":
        make_in_parts(folder / "sift10m", 20, 500_000, 500)
    for name, make in kinds.items():
        if wanted in (name, "all"):
            rows, queries = make()
            write_fvecs(folder / f"{name}.fvecs", rows)
            write_fvecs(folder / f"{name}-queries.fvecs", queries)
            print(name, rows.shape)


if __name__ == "__main__":
    main(sys.argv[1:])
