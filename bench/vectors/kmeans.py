#!/usr/bin/env python3
"""k-means beside faiss's: the same rows, clusters, iterations; one thread, CPU seconds.

kmeans.py KMEANS_BENCH ROWS.fvecs CLUSTERS ITERATIONS ROWS
"""
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import data  # noqa: E402


def compare(program, path, clusters, iterations, count):
    """(label, CPU seconds, mean squared distance) of ours and, where it is at hand, of faiss."""
    ours = json.loads(subprocess.check_output(
        [str(value) for value in (program, path, clusters, iterations, count)]))
    found = [("hearth", ours["cpu_s"], ours["error"])]
    try:
        import faiss
    except ImportError:
        return found
    faiss.omp_set_num_threads(1)
    rows = data.read_fvecs(path, count)
    peer = faiss.Kmeans(rows.shape[1], clusters, niter=iterations,
                        max_points_per_centroid=1 << 30)
    start = time.process_time()
    peer.train(rows)
    seconds = time.process_time() - start
    # Before its last step, as ours is.
    return found + [("faiss", seconds, float(peer.obj[-1] / len(rows)))]


if __name__ == "__main__":
    for label, seconds, error in compare(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])):
        print(f"{label} {seconds:.1f} s, error {error:.5g}")
