#!/usr/bin/env python3
"""Writes the corpora of the store's fuzzers, by docs/formats/collection.md alone.

store_corpus.py [FOLDER]: FOLDER holds store_log_fuzz_corpus and its kin (default: src/vectors/store).
"""
import json
import pathlib
import sqlite3
import struct
import sys

STORE, EPOCH, DIM = 1, 7, 2
TABLE = []
for byte in range(256):
    crc = byte
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    TABLE.append(crc)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def step(row=None, dead=0xFFFFFFFF, identity=b"", text=b"", metadata=b"{}", vector=(1.0, 2.0)):
    out = struct.pack("<BI", row is not None, dead)
    if row is None:
        return out
    out += struct.pack("<IIII", row, len(identity), len(text), len(metadata))
    return out + identity + text + metadata + struct.pack("<2f", *vector)


def log(groups):
    place = struct.pack("<QQ", STORE, EPOCH)
    out = b"HEARTHLG" + struct.pack("<II", 1, crc32c(place)) + place
    for number, steps in enumerate(groups):
        body = b"".join(steps)
        covered = place + struct.pack("<QQII", number, number, len(steps), len(body)) + body
        out += struct.pack("<IIQQII", 0x50554F47, len(body), number, number, crc32c(covered),
                           len(steps)) + body
    return out


def align(data):
    return data + b"\0" * (-len(data) % 64)


def segment(documents, dead=()):
    data, places = b"", []
    for _, identity, text, metadata, vector in documents:
        data = align(data)
        places.append(len(data))
        data += struct.pack("<IIII", len(identity), len(text), len(metadata), 0)
        data += struct.pack("<2f", *vector) + identity + text + metadata
    tables = []
    for table in ([struct.pack("<I", document[0]) for document in documents],
                  [struct.pack("<I", row) for row in dead],
                  [struct.pack("<Q", place) for place in places]):
        data = align(data)
        tables.append(len(data))
        data += b"".join(table)
    data = align(data)
    crcs = [crc32c(data[at:at + 65536]) for at in range(0, len(data), 65536)]
    sums = struct.pack(f"<{len(crcs)}I", *crcs)
    footer = b"HEARTHSG" + struct.pack("<IIQQQQQQQQI", 1, DIM, STORE, len(documents), len(dead),
                                       *tables, len(data), len(crcs), crc32c(sums))
    footer = footer.ljust(92, b"\0")
    return data + sums + footer + struct.pack("<I", crc32c(footer))


def cold(documents, dead, path):
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute("PRAGMA page_size = 512")
    database.execute("CREATE TABLE directory(body BLOB, checksum INTEGER) STRICT")
    database.execute("CREATE TABLE documents(row INTEGER PRIMARY KEY, checksum INTEGER, text BLOB, "
                     "metadata BLOB, vector BLOB) STRICT")
    ids, ends = b"", []
    for row, identity, text, metadata, vector in documents:
        numbers = struct.pack("<2f", *vector)
        place = struct.pack("<III", row, len(text), len(metadata))
        database.execute("INSERT INTO documents VALUES(?, ?, ?, ?, ?)",
                         (row, crc32c(place + text + metadata + numbers), text, metadata, numbers))
        ids += identity
        ends.append(len(ids))
    body = struct.pack("<IIQII", 1, DIM, STORE, len(documents), len(dead))
    body += struct.pack(f"<{len(documents)}I", *[document[0] for document in documents])
    body += struct.pack(f"<{len(dead)}I", *dead) + struct.pack(f"<{len(ends)}I", *ends) + ids
    database.execute("INSERT INTO directory VALUES(?, ?)", (body, crc32c(body)))
    database.commit()
    database.close()


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "src/vectors/store")

    def write(fuzzer, name, data):
        folder = root / f"{fuzzer}_fuzz_corpus"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    one = [step(0, identity=b"a", text=b"text", metadata=b'{"n": 1}')]
    two = [step(1, 0, b"a", b"again"), step(None, 1), step(5, identity=b"b")]
    write("store_log", "header", log([]))
    write("store_log", "groups", log([one, two, [step(6, identity=b"c")]]))
    write("store_log", "cut", log([one, two])[:-5])
    write("store_log", "damaged", log([one, two]).replace(b"text", b"tExt"))

    documents = [(3, b"a", b"a text", b"{}", (1, 2)), (4, b"b", b"", b'{"n": 1}', (3, 4)),
                 (9, b"c", b"x" * 300, b"{}", (5, 6))]
    write("store_segment", "plain", segment(documents, [1, 2]))
    write("store_segment", "empty", segment([], [1]))
    write("store_segment", "cut", segment(documents)[:-40])
    (root / "store_segment_fuzz_corpus").mkdir(parents=True, exist_ok=True)
    cold(documents, [1, 2], root / "store_segment_fuzz_corpus" / "cold")

    manifest = {"id": "1", "schema": {"dim": 2, "metric": "l2", "index": {"kind": "hnsw", "m": 8},
                                      "fields": {"n": "number"}, "embedder": ""},
                "segments": ["segment-1", "cold-2"], "log_floor": 3, "next_file": 4, "next_row": 5,
                "index": {"file": "index-3", "rows": "index-3.rows", "kind": "hnsw"},
                "tuning": {"recall": 0.95, "target": 0.97}, "recall": None}
    write("store_manifest", "manifest", json.dumps(manifest).encode())
    write("store_manifest", "filter_text",
          b"year >= 2020 and (a = 'it''s' or not b in (1, 'x')) and c contains 'new' and d is null")
    write("store_manifest", "filter_json", json.dumps(
        {"a": {"$gte": 1, "$nin": [2, "x"]}, "$or": [{"b": None}, {"c": {"$prefix": "p"}}],
         "$not": {"d": {"$exists": True}}}).encode())
    write("store_manifest", "filter_openai", json.dumps(
        {"type": "and", "filters": [{"type": "eq", "key": "a", "value": 1}]}).encode())
    write("store_manifest", "query", json.dumps(
        {"vector": [1, 2], "k": 3, "filter": "a = 1", "mmr": 0.5, "group_by": "a"}).encode())
    write("store_manifest", "documents", b'{"id": "a", "vector": [1, 2]}\n\n{"text": "b"}\n')
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }".ljust(117) + b"\n"
    write("store_manifest", "npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header +
          struct.pack("<4f", 1, 2, 3, 4))
    write("store_manifest", "fvecs", struct.pack("<I2fI2f", 2, 1, 2, 2, 3, 4))


if __name__ == "__main__":
    main()
