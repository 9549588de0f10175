#!/usr/bin/env python3
"""Writes tests/golden/formats/pytorch: files that torch saves, what is in them, and files that try
to do harm.  Needs torch and safetensors.  Run from the repository root; the bytes are the same every time.

  *.pt, *.bin       saved by torch; `expected.json` has dtype, shape and values of every tensor
  hf-*              folders of the golden models with pytorch_model.bin
  meta-*            the same llama in Meta's form, in one part and in two
  bad.json          pickles and archives that must be refused: hex, kind of error, words of it
"""
import io
import json
import pathlib
import pickle
import shutil
import struct
import zipfile

import safetensors.torch
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/formats/pytorch"
MODELS = ROOT / "tests/golden/models"


def values(tensor):
    return [float(v) for v in tensor.to(torch.float64).flatten()]


def describe(tensors):
    return {name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape),
                   "values": values(t)} for name, t in tensors.items()}


def state_dicts():
    torch.manual_seed(1)
    base = torch.arange(24, dtype=torch.float32)
    shared = torch.arange(8, dtype=torch.float16)
    kinds = {str(d).removeprefix("torch."): torch.tensor([0, 1, 2, 3], dtype=torch.float32).to(d)
             for d in (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8,
                       torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool)}
    new_kinds = {"float8_e4m3fn": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn),
                 "float8_e5m2": torch.tensor([1.0, -2.0]).to(torch.float8_e5m2),
                 "uint16": torch.tensor([1, 65535], dtype=torch.uint16)}
    views = {"whole": base.reshape(4, 6), "turned": base.reshape(4, 6).t(),
             "rows": base.reshape(4, 6)[1:3], "columns": base.reshape(4, 6)[:, 1:4],
             "permuted": base.reshape(2, 3, 4).permute(2, 0, 1), "scalar": base[5],
             "empty": torch.zeros(0, 3), "shared.a": shared, "shared.b": shared[2:6]}
    return {"kinds": kinds, "new_kinds": new_kinds, "views": views}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 2)
        self.second = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())

    def forward(self, x):
        return self.second(self.first(x))


def write_good():
    expected = {}
    for name, tensors in state_dicts().items():
        torch.save(tensors, OUT / f"{name}.pt")
        expected[f"{name}.pt"] = describe(tensors)
        if name != "new_kinds":
            torch.save(tensors, OUT / f"{name}-legacy.pt", _use_new_zipfile_serialization=False)
            expected[f"{name}-legacy.pt"] = describe(tensors)
    for protocol in (3, 4, 5):
        torch.save(state_dicts()["views"], OUT / f"protocol{protocol}.pt", pickle_protocol=protocol)
        expected[f"protocol{protocol}.pt"] = describe(state_dicts()["views"])
    torch.manual_seed(2)
    net = Net()
    weights = {k: v.detach() for k, v in net.state_dict().items()}
    torch.save({"state_dict": {"module." + k: v for k, v in net.state_dict().items()}, "epoch": 3,
                "optimizer": {"state": {0: {"step": torch.zeros(())}}, "lr": 1e-3},
                "hyper_parameters": {"n_heads": 2, "name": "net"}}, OUT / "checkpoint.pt")
    expected["checkpoint.pt"] = describe(weights)
    torch.save([torch.nn.Parameter(torch.ones(2)), torch.zeros(1)], OUT / "list.pt")
    expected["list.pt"] = {"0": describe({"0": torch.ones(2)})["0"], "1": describe({"1": torch.zeros(1)})["1"]}
    torch.jit.script(net).save(str(OUT / "script.pt"))
    expected["script.pt"] = describe(weights)
    (OUT / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")


def copy_rest(source, target):
    target.mkdir(parents=True)
    shutil.copy(source / "config.json", target / "config.json")


def write_hf():
    """The golden llama as one file, sharded, and in the older form."""
    source = MODELS / "llama"
    tensors = safetensors.torch.load_file(source / "model.safetensors")
    for form in ("zip", "legacy", "sharded"):
        target = OUT / f"hf-{form}"
        copy_rest(source, target)
        if form == "sharded":
            names = sorted(tensors)
            parts = [names[::2], names[1::2]]
            for i, part in enumerate(parts):
                torch.save({n: tensors[n] for n in part}, target / f"pytorch_model-{i + 1:05}-of-00002.bin")
            index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())},
                     "weight_map": {n: f"pytorch_model-{i + 1:05}-of-00002.bin"
                                    for i, part in enumerate(parts) for n in part}}
            (target / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        else:
            torch.save(tensors, target / "pytorch_model.bin",
                       _use_new_zipfile_serialization=form == "zip")


META = {"model.embed_tokens.weight": "tok_embeddings.weight", "model.norm.weight": "norm.weight",
        "lm_head.weight": "output.weight", "self_attn.q_proj": "attention.wq",
        "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
        "self_attn.o_proj": "attention.wo", "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "feed_forward.w1",
        "mlp.down_proj": "feed_forward.w2", "mlp.up_proj": "feed_forward.w3"}


def to_meta(tensors, config):
    """Hugging Face's order of rotated rows (halves) to Meta's (pairs), and Meta's names."""
    out = {}
    for name, tensor in tensors.items():
        heads = {"q_proj": config["num_attention_heads"],
                 "k_proj": config["num_key_value_heads"]}.get(name.split(".")[-2])
        if heads:
            rows, columns = tensor.shape
            tensor = tensor.reshape(heads, 2, rows // heads // 2, columns).transpose(1, 2)
            tensor = tensor.reshape(rows, columns).contiguous()
        for ours, theirs in META.items():
            name = name.replace(ours, theirs)
        out[name.removeprefix("model.")] = tensor.clone()
    return out


def cut(name, tensor, parts):
    if name.endswith((".wq.weight", ".wk.weight", ".wv.weight", ".w1.weight", ".w3.weight")) or name == "output.weight":
        return tensor.chunk(parts, 0)
    if name.endswith((".wo.weight", ".w2.weight")) or name == "tok_embeddings.weight":
        return tensor.chunk(parts, 1)
    return [tensor] * parts


def write_meta():
    source = MODELS / "llama"
    config = json.loads((source / "config.json").read_text())
    tensors = to_meta(safetensors.torch.load_file(source / "model.safetensors"), config)
    rope = config.get("rope_parameters") or {}
    params = {"dim": config["hidden_size"], "n_layers": config["num_hidden_layers"],
              "n_heads": config["num_attention_heads"], "n_kv_heads": config["num_key_value_heads"],
              "vocab_size": -1, "norm_eps": config["rms_norm_eps"],
              "rope_theta": rope.get("rope_theta", config.get("rope_theta", 10000.0))}
    for parts in (1, 2):
        target = OUT / f"meta-{parts}"
        target.mkdir()
        (target / "params.json").write_text(json.dumps(params))
        for i in range(parts):
            torch.save({n: cut(n, t, parts)[i].clone() for n, t in tensors.items()},
                       target / f"consolidated.{i:02}.pth")


# ---- files that try to do harm -------------------------------------------------------------------

def glob(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def tup(*items):
    return b"(" + b"".join(items) + b"t"


def storage(kind="FloatStorage", key="0", count=4, module="torch", location="cpu", tag="storage"):
    return tup(text(tag), glob(module, kind), text(key), text(location), number(count)) + b"Q"


def tensor(store=None, offset=0, size=(4,), stride=(1,), grad=b"\x89", hooks=None, extra=()):
    hooks = hooks if hooks is not None else glob("collections", "OrderedDict") + b")R"
    return (glob("torch._utils", "_rebuild_tensor_v2")
            + tup(store or storage(), number(offset), tup(*map(number, size)), tup(*map(number, stride)),
                  grad, hooks, *extra) + b"R")


def program(*body):
    return b"\x80\x02" + b"".join(body) + b"."


def state(*tensors):
    return program(b"}(", *(text(f"w{i}") + t for i, t in enumerate(tensors)), b"u")


def archive(data, storages=None, extra=(), name="archive/data.pkl"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        def put(path, content, method=zipfile.ZIP_STORED):
            info = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            z.writestr(info, content)
        put(name, data)
        for key, content in (storages if storages is not None else {"0": bytes(16)}).items():
            put(f"archive/data/{key}", content)
        for path, content, *method in extra:
            put(path, content, *method)
    return out.getvalue()


def names():
    """PK01 to PK15: names that must not be spoken."""
    rows = [("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"),
            ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"),
            ("builtins", "__import__"), ("__builtin__", "apply"), ("operator", "attrgetter"),
            ("functools", "partial"), ("runpy", "run_path"), ("pip", "main"),
            ("importlib", "import_module"), ("ctypes", "CDLL"), ("types", "CodeType"),
            ("torch.hub", "load"), ("torch", "load"), ("numpy.testing._private.utils", "runstring"),
            ("uuid", "_get_command_stdout"), ("imaplib", "IMAP4_stream"), ("torch._utils", "_rebuild"),
            ("torch._utils", "_rebuild_tensor_v2 "), ("torch._utils\0", "_rebuild_tensor_v2"),
            ("Torch._utils", "_rebuild_tensor_v2"), ("t\u043erch._utils", "_rebuild_tensor_v2"),
            ("torch", "_utils.../../"), ("torch._utils", "_rebuild_tensor_v2.__globals__"),
            ("__torch__.evil", "Module"), ("collections", "OrderedDict.fromkeys"),
            ("torch.storage", "_load_from_bytes"), ("torch.serialization", "load")]
    for module, name in rows:
        yield (f"PK01-15 {module!a}.{name!a}", program(glob(module, name), tup(text("id")), b"R"),
               "unsupported", "the name '")
    for module, name in (("os", "system"), ("collections", "os.system"), ("torch", "os.system")):
        yield (f"PK11 STACK_GLOBAL {module}.{name}",
               b"\x80\x04" + text(module) + text(name) + b"\x93" + tup(text("id")) + b"R.", "unsupported",
               f"{module}.{name}")
    yield "PK14 newline", program(b"cos\nsystem\n", tup(text("id")), b"R"), "unsupported", "os.system"


def opcodes():
    ok = glob("collections", "OrderedDict")
    yield "PK16 INST", program(b"(ios\nsystem\n"), "unsupported", "INST"
    yield "PK16 OBJ", program(b"(" + ok + b"o"), "unsupported", "OBJ"
    yield "PK16 NEWOBJ_EX", b"\x80\x04" + ok + b")}\x92.", "unsupported", "NEWOBJ_EX"
    for code, name in ((b"\x82\x01", "EXT1"), (b"\x83\x01\x00", "EXT2"), (b"\x84\x01\0\0\0", "EXT4")):
        yield f"PK16 {name}", program(code), "unsupported", name
    yield "PK16 BUILD on a number", program(b"K\x01}b"), "unsupported", "state"
    yield "PK16 call of a string", program(text("os.system") + tup(text("id")) + b"R"), "unsupported", "no name"
    yield "PK16 tensor with a state", state(tensor() + b"}b"), "corrupt", "state of its own"
    yield "PK21 DUP", program(b"]" + b"2" * 1000), "unsupported", "DUP"
    yield "PK22 POP", program(b"0"), "corrupt", "the stack is empty"
    yield "PK22 TUPLE3", program(b"K\x01\x87"), "corrupt", "the stack is empty"
    yield "PK22 SETITEMS", program(b"}u"), "corrupt", "no mark"
    yield "PK22 POP into a mark", program(b"K\x01(0"), "corrupt", "the stack is empty"
    yield "PK23 mark left", program(b"}("), "corrupt", "the stack is empty"
    yield "PK23 more than one value", program(b"}}"), "corrupt", "STOP"
    yield "PK24 no STOP", b"\x80\x02}", "corrupt", "offset"
    yield "PK24 two pickles", program(b"}") + program(b"}"), "corrupt", "after STOP"
    yield "PK25 frame", b"\x80\x04\x95" + struct.pack("<Q", 1 << 63) + b"}.", "corrupt", "frame"
    yield "PK26 LONG4", program(b"\x8b" + struct.pack("<I", 1 << 31)), "corrupt", "integer of"
    yield "PK26 BINUNICODE8", program(b"\x8d" + struct.pack("<Q", (1 << 64) - 1)), "corrupt", "a string of"
    for code, name in ((b"I1e99\n", "INT"), (b"Fnan\n", "FLOAT"), (b"Va\n", "UNICODE"), (b"L1L\n", "LONG"),
                       (b"S'a'\n", "STRING"), (b"Pid\n", "PERSID"), (b"g0\n", "GET"), (b"p0\n", "PUT")):
        yield f"PK27 {name}", program(code), "unsupported", name
    yield "PK28 list in itself", program(b"]q\0h\0a"), "corrupt", "nested too deep"
    yield "PK28 dict in itself", program(b"}q\0", text("a"), b"h\0s"), "corrupt", "nested too deep"
    for version in (0, 1, 6, 255):
        yield f"PK29 protocol {version}", b"\x80" + bytes([version]) + b"}.", "corrupt", "protocol"
    yield "PK29 no protocol", b"}.", "corrupt", "PROTO"
    yield "PK30 opcode 0xff", program(b"\xff"), "corrupt", "opcode 0xff"
    yield "PK31 list as key", program(b"}(]K\x01u"), "corrupt", "key"
    yield "PK31 tensor as key", program(b"}", tensor(), b"K\x01s"), "corrupt", "key"
    yield "PK32 deep", program(b"}q\0" + (text("a") + b"}") * 100 + b"s" * 100), "corrupt", "nested too deep"
    yield "memo that is not there", program(b"j" + struct.pack("<I", (1 << 32) - 1)), "corrupt", "memo"


def tensors():
    yield "PK17 no tuple", state(tensor(text("0") + b"Q")), "corrupt", "a storage that is none"
    yield "PK17 four parts", state(tensor(tup(text("storage"), glob("torch", "FloatStorage"), text("0"),
                                              text("cpu")) + b"Q")), "corrupt", "the id of a storage"
    yield "PK17 other tag", state(tensor(storage(tag="module"))), "corrupt", "the id of a storage"
    yield "PK17 no storage type", state(tensor(storage("Size"))), "corrupt", "torch.Size"
    yield "PK17 path as key", state(tensor(storage(key="../../etc/passwd"))), "corrupt", "is not in the file"
    yield "PK17 absent key", state(tensor(storage(key="1"))), "corrupt", "is not in the file"
    yield "PK17 two types", state(tensor(), tensor(storage("IntStorage"))), "corrupt", "two types"
    yield "PK17 two sizes", state(tensor(), tensor(storage(count=3))), "corrupt", "its id says"
    yield "PK18 negative offset", state(tensor(offset=-1)), "corrupt", "offset"
    yield "PK18 huge offset", state(tensor(offset=(1 << 63) - 1)), "corrupt", "of a storage of 4"
    yield "PK18 product wraps", state(tensor(size=(1 << 32, 1 << 32), stride=(0, 0))), "corrupt", "overflows"
    yield "PK18 negative stride", state(tensor(stride=(-1,))), "corrupt", "stride"
    yield "PK18 stride of 0", state(tensor(size=(1 << 40,), stride=(0,))), "corrupt", "elements of a storage of 4"
    yield "PK18 stride past the end", state(tensor(size=(2,), stride=(4,))), "corrupt", "element 4"
    yield "PK18 huge stride", state(tensor(size=(4,), stride=((1 << 63) - 1,))), "corrupt", "overflows"
    yield "PK18 one past the end", state(tensor(size=(5,))), "corrupt", "element 4"
    yield "PK18 rank and strides", state(tensor(size=(2, 2))), "corrupt", "strides"
    yield "PK18 rank 9", state(tensor(size=(1,) * 9, stride=(1,) * 9)), "corrupt", "rank 9"
    yield "PK18 arity", state(tensor(extra=(b"N", b"N"))), "corrupt", "arguments"
    yield "PK18 requires_grad", state(tensor(grad=text("yes"))), "corrupt", "hooks"
    yield "PK18 hooks", state(tensor(hooks=b"}(" + text("a") + b"K\x01u")), "corrupt", "hooks"
    yield "name twice", program(b"}(", text("w") + tensor() + text("w") + tensor(), b"u"), "corrupt", "twice"
    yield "control character in a name", program(b"}(", text("w\x1b[2J") + tensor(), b"u"), "corrupt", "tensor name"
    yield "no tensors", program(b"}"), "corrupt", "no tensors"


def patched(data, where, offset, value):
    at = data.index(where) + offset
    return data[:at] + value + data[at + len(value):]


def containers():
    good = state(tensor())
    whole = archive(good)
    yield "PK19 storage too small", archive(good, {"0": bytes(12)}), "corrupt", "12 bytes"
    yield "PK19 storage too large", archive(good, {"0": bytes(20)}), "corrupt", "20 bytes"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for data in (good, program(glob("os", "system"))):
            z.writestr(zipfile.ZipInfo("archive/data.pkl"), data)
    yield "PK33 data.pkl twice", out.getvalue(), "corrupt", "twice"
    yield "PK34 other local name", patched(whole, b"archive/data.pkl", 0, b"archive/evil.pkl"), "corrupt", "name"
    yield "PK35 flags", patched(whole, b"PK\x01\x02", 8, b"\x20\x00"), "corrupt", "flags"
    yield "PK35 local flags", patched(whole, b"PK\x03\x04", 6, b"\x20\x00"), "corrupt", "flags"
    yield "PK36 checksum", whole.replace(b"w0", b"w1"), "corrupt", "checksum"
    yield ("PK37 compressed pickle", archive(b"3", extra=[("archive/data.pkl", good, 8)], name="archive/version"),
           "unsupported", "compressed")
    yield ("PK37 compressed storage", archive(good, {}, [("archive/data/0", bytes(16), 8)]), "unsupported", "compressed")
    yield "PK39 encrypted", patched(whole, b"PK\x01\x02", 8, b"\x01\x00"), "unsupported", "encrypted"
    yield "PK43 torch.export", archive(b"pt2", {}, name="model/archive_format"), "unsupported", "torch.export"
    yield "PK44 big-endian", archive(good, extra=[("archive/byteorder", b"big")]), "unsupported", "byteorder"
    yield "PK45 version", archive(good, extra=[("archive/version", b"1000000000\n")]), "unsupported", "version"
    yield "two roots", archive(good, extra=[("other/data/0", b"")]), "corrupt", "beside"
    yield "A28 something behind", whole + b"\0", "corrupt", "end of a ZIP directory"
    yield "A28 a comment", whole[:-2] + b"\x04\0evil", "corrupt", "end of a ZIP directory"
    yield "A11 path", archive(good, extra=[("archive/../../evil", b"")]), "corrupt", "entry name"
    yield "A31 disks", patched(whole, b"PK\x05\x06", 4, b"\x01\x00"), "unsupported", "disks"
    end = whole.index(b"PK\x05\x06")
    first, second = whole.index(b"PK\x01\x02"), whole.rindex(b"PK\x01\x02")
    yield ("A23 overlap", whole[:second + 42] + whole[first + 42:first + 46] + whole[second + 46:], "corrupt", "")
    yield "A28 directory moved", whole[:end + 16] + struct.pack("<I", first + 1) + whole[end + 20:], "corrupt", "directory"
    magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    proto = program(b"M\xe9\x03")
    info = program(b"}(", text("little_endian"), b"\x88u")
    old = magic + proto + info
    keys = program(b"](", text("0"), b"e")
    data = struct.pack("<q", 4) + bytes(16)
    yield "PK41 legacy, os.system", old + program(glob("os", "system")) + keys + data, "unsupported", "os.system"
    yield "PK41 legacy, big-endian", magic + proto + program(b"}") + good + keys + data, "unsupported", "big-endian"
    yield "PK41 legacy, protocol", magic + program(b"K\x01") + info + good + keys + data, "corrupt", "1001"
    yield "PK41 legacy, negative count", old + good + keys + struct.pack("<q", -1) + bytes(16), "corrupt", ""
    yield "PK41 legacy, cut", old + good + keys + data[:-1], "corrupt", "offset"
    yield "PK41 legacy, more", old + good + keys + data + b"\0", "corrupt", "after the last"
    yield "PK41 legacy, unnamed storage", old + good + program(b"](", text("1"), b"e") + data, "corrupt", "no tensor names"


def write_bad():
    rows = []
    for group in (names, opcodes, tensors):
        for what, data, kind, says in group():
            rows.append({"what": what, "file": archive(data).hex(), "kind": kind, "says": says})
    for what, data, kind, says in containers():
        rows.append({"what": what, "file": data.hex(), "kind": kind, "says": says})
    (OUT / "bad.json").write_text(json.dumps(rows, indent=0) + "\n")
    corpus = ROOT / "src/formats/pytorch_fuzz_corpus"
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir()
    for name in ("views.pt", "views-legacy.pt", "script.pt", "protocol5.pt", "checkpoint.pt"):
        shutil.copy(OUT / name, corpus / name)
    (corpus / "small").write_bytes(archive(state(tensor(), tensor(size=(2, 2), stride=(1, 2)))))


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    write_good()
    write_hf()
    write_meta()
    write_bad()


if __name__ == "__main__":
    main()
