#!/usr/bin/env python3
"""Times JSON schemas in Hearth's grammar_bench and in its peers: the same schemas, the same vocabulary
(Qwen 2's 151,643 tokens), the same texts token by token, one thread each.  Needs a release build and, for
the peers, the packages xgrammar (with torch) and llguidance (with numpy).

Usage: scripts/bench_grammars.py [BENCH-PROGRAM]   (build/release/grammar_bench)
The vocabulary lies in $HEARTH_DATA or ../shared/data.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"


def large_schema():
    """About 20 KB: forms within forms, enums, patterns, lists."""
    properties, value = {}, {}
    for i in range(37):
        name = f"section_{i}_of_the_form"
        fields = {}
        for j in range(6):
            kind = [{"type": "string", "description": "Free text of this field.", "maxLength": 200},
                    {"type": "integer", "minimum": 0, "maximum": 1000 + i},
                    {"enum": [f"choice_{i}_{k}" for k in range(6)]},
                    {"type": "array", "items": {"type": "number"}, "maxItems": 8},
                    {"type": ["string", "null"], "pattern": "^[A-Z]{2}-[0-9]{3,6}$"},
                    {"type": "boolean"}][j]
            fields[f"field_{j}"] = kind
        properties[name] = {"type": "object", "properties": fields, "additionalProperties": False,
                            "required": ["field_0", "field_2", "field_5"]}
        if i % 3 == 0:
            value[name] = {"field_0": f"Some words about part {i}, and a few more of them.", "field_1": 17 + i,
                           "field_2": f"choice_{i}_3", "field_3": [1, 2.5, -3], "field_5": i % 2 == 0}
    return {"type": "object", "properties": properties, "additionalProperties": False,
            "required": [n for n in value]}, value


def cases():
    large, value = large_schema()
    person = {"type": "object", "properties": {
        "name": {"type": "string"}, "age": {"type": "integer"}, "email": {"type": "string", "format": "email"},
        "tags": {"type": "array", "items": {"type": "string"}}}, "required": ["name", "age"],
        "additionalProperties": False}
    tree = {"$defs": {"node": {"type": "object", "properties": {
        "label": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
        "required": ["label", "children"], "additionalProperties": False}}, "$ref": "#/$defs/node"}
    node = lambda d: {"label": f"node at depth {d}", "children": [node(d - 1), node(d - 1)] if d else []}
    words = {"type": "object", "properties": {"word": {"enum": [f"value number {i}" for i in range(600)]},
                                              "note": {"type": "string", "minLength": 5, "maxLength": 400}},
             "required": ["word", "note"], "additionalProperties": False}
    calls = {"anyOf": [{"type": "object", "properties": {
        "tool": {"const": f"tool_{i}"}, "arguments": {"type": "object", "properties": {
            "path": {"type": "string"}, "limit": {"type": "integer"}}, "required": ["path"],
            "additionalProperties": False}}, "required": ["tool", "arguments"],
        "additionalProperties": False} for i in range(24)]}
    text = "The sea was calm, and the boat went out early. " * 6
    rows = [("person", person, {"name": "Ann Smith", "age": 41, "email": "ann@example.com", "tags": ["a", "bc d"]}),
            ("large (20 KB)", large, value), ("tree", tree, node(3)),
            ("600 values, counted text", words, {"word": "value number 417", "note": text[:390]}),
            ("24 tools", calls, {"tool": "tool_17", "arguments": {"path": "/home/ann/notes.txt", "limit": 20}}),
            ("any JSON object", {"type": "object"}, {"a": [1, {"b": text}], "c": None, "d": {"e": True}})]
    return [{"name": n, "schema": s, "text": json.dumps(v, ensure_ascii=False)} for n, s, v in rows]


def first_cases():
    """Texts of one kind each, for a process of its own: nothing is known yet but what all schemas share."""
    said = "The sea was calm, and the boat went out early. " * 9
    rows = [("a plain string", {}, said[:200]),
            ("a pattern for e-mail", {"pattern": r"^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$"},
             "ann.smith@example.com"),
            ("format: email", {"format": "email"}, "ann.smith@example.com"),
            ("format: hostname", {"format": "hostname"}, "www.mail-server.example.com"),
            ("format: uri", {"format": "uri"}, "https://www.example.com/a/path?query=1#part"),
            ("format: date-time", {"format": "date-time"}, "2026-11-22T06:10:00Z"),
            ("at most 400", {"maxLength": 400}, said[:390]), ("at most 40", {"maxLength": 40}, said[:39]),
            ("at most 12", {"maxLength": 12}, said[:11]), ("5 to 20", {"minLength": 5, "maxLength": 20}, said[:18]),
            ("words with capitals", {"pattern": "^([A-Z][a-z]+ )*[A-Z][a-z]+$"}, "The Sea Was Calm And The Boat Went Out"),
            ("error: .*", {"pattern": "^error: .*$"}, "error: " + said[:60]),
            ("^wf_[a-z0-9-]{6,}$", {"pattern": "^wf_[a-z0-9-]{6,}$"}, "wf_daily-report-42"),
            ("letters of every script", {"pattern": r"^\p{L}+$"}, "Meeresströmungen"),
            ("hosts of nested counts", {"pattern": r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24}$"},
             "www.mail-server.example.com")]
    return [{"name": n, "schema": {"type": "string", **k}, "text": json.dumps(v, ensure_ascii=False)}
            for n, k, v in rows]


def run_first(program, folder):
    for case in first_cases():
        with open(f"{folder}/case.json", "w") as out:
            json.dump([case], out)
        ran = subprocess.run([program, f"{folder}/case.json"], check=True, capture_output=True, text=True)
        print(ran.stdout.splitlines()[-1])


def report(name, compile_ms, first, again, note=""):
    print(f"{name:24} {'':>8} {compile_ms:10.2f} {len(first):7} {sum(first) / len(first):10.1f} "
          f"{max(first):10.0f} {sum(again) / len(again):10.1f}{note}")


def timed(step):
    begin = time.process_time()
    done = step()
    return (time.process_time() - begin) * 1e6, done


def run_xgrammar(all_cases, pieces, texts):
    import xgrammar
    eos = len(pieces)
    info = xgrammar.TokenizerInfo([bytes.fromhex(p) for p in pieces] + [b"<eos>"], xgrammar.VocabType.RAW,
                                  stop_token_ids=[eos])
    mask = xgrammar.allocate_token_bitmask(1, info.vocab_size)
    for case in all_cases:
        compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        schema = json.dumps(case["schema"])
        took, compiled = timed(lambda: compiler.compile_json_schema(schema, any_whitespace=True))
        runs = []
        fits = True
        for _ in range(2):
            matcher = xgrammar.GrammarMatcher(compiled)
            times = []
            for token in texts[case["name"]]:
                t1, _ = timed(lambda: matcher.fill_next_token_bitmask(mask))
                t2, ok = timed(lambda: matcher.accept_token(token))
                fits = fits and ok
                times.append(t1 + t2)
            runs.append(times)
        report(case["name"], took / 1000, *runs, "" if fits else "  NOT TAKEN")


def run_llguidance(all_cases, pieces, texts):
    import llguidance
    import numpy
    from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

    class Words:
        tokens = [bytes.fromhex(p) for p in pieces] + [b"\xff<eos>"]
        eos_token_id, bos_token_id = len(pieces), None
        special_token_ids = [len(pieces)]

        def __call__(self, text):
            return [0]

    begin = time.process_time()
    tokenizer = LLTokenizer(TokenizerWrapper(Words()))
    print(f"vocabulary prepared in {(time.process_time() - begin) * 1000:.0f} ms")
    mask = numpy.zeros((1, (tokenizer.vocab_size + 31) // 32), dtype=numpy.int32)
    for case in all_cases:
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(case["schema"]))
        took, matcher = timed(lambda: LLMatcher(tokenizer, grammar))
        if matcher.is_error():
            print(case["name"], matcher.get_error())
            continue
        runs, fits = [], True
        for _ in range(2):
            matcher.reset()
            times = []
            for token in texts[case["name"]]:
                t1, _ = timed(lambda: matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes))
                t2, ok = timed(lambda: matcher.consume_token(token))
                fits = fits and ok
                times.append(t1 + t2)
            runs.append(times)
        report(case["name"], took / 1000, *runs, "" if fits else "  NOT TAKEN")


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build/release/grammar_bench"
    all_cases = cases()
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/cases.json", "w") as out:
            json.dump(all_cases, out)
        print("--- Hearth", flush=True)
        subprocess.run([program, f"{folder}/cases.json", f"{folder}/tokens.json"], check=True)
        with open(f"{folder}/tokens.json") as file:
            tokens = json.load(file)
        print("--- Hearth, each in a process of its own", flush=True)
        run_first(program, folder)
    for name, run in ("xgrammar", run_xgrammar), ("llguidance", run_llguidance):
        print(f"--- {name}", flush=True)
        try:
            run(all_cases, tokens["pieces"], tokens["texts"])
        except ImportError as missing:
            print(f"skipped: {missing}")


if __name__ == "__main__":
    main()
