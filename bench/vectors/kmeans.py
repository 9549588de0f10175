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


def main(program, path, clusters, iterations, count):
    import faiss
    faiss.omp_set_num_threads(1)
    rows = data.read_fvecs(path, int(count))
    ours = json.loads(subprocess.check_output([program, path, clusters, iterations, count]))
    peer = faiss.Kmeans(rows.shape[1], int(clusters), niter=int(iterations),
                        max_points_per_centroid=1 << 30)
    start = time.process_time()
    peer.train(rows)
    seconds = time.process_time() - start
    error = float(peer.index.search(rows, 1)[0].mean())  # after the last step, as ours is before
    print(f"hearth {ours['cpu_s']:.1f} s, error {ours['error']:.5g}; "
          f"faiss {seconds:.1f} s, error {error:.5g} "
          f"({peer.obj[-1] / len(rows):.5g} before its last step)")


if __name__ == "__main__":
    main(*sys.argv[1:])
