#!/usr/bin/env python3
"""Writes tests/golden/graphs/tflite_states.npz: TFLite files with memory, branches, loops, tables, boxes and spectra, each
with what LiteRT's own interpreter gives for some runs one after the other.

    python scripts/golden_tflite_states.py

Each archive member: CASE/model, CASE/RUN/in/N, CASE/RUN/out/N; texts are joined by line ends.  Variables keep what the
run before left in them.
Needs numpy, flatbuffers and ai-edge-litert (made with 2.3).  Deterministic.  Source: TFLite, schema.fbs.
"""
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from flatbuffers import flexbuffers

from golden_litert import File, Graph

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"float32": 0, "int32": 2, "int64": 4, "bool": 6, "int16": 7, "complex64": 8, "int8": 9}
TEXT, RESOURCE = 5, 13
TANH, RELU = 4, 1
R = np.random.RandomState(11)
CASES = {}


def rnd(*shape, scale=1.0):
    return np.round(R.uniform(-scale, scale, shape), 2).astype(np.float32)


class Net(Graph):
    """A graph whose tensors are arrays, shapes or nothing (-1)."""

    def value(self, array):
        array = np.asarray(array)
        return self.tensor(list(array.shape), KINDS[array.dtype.name], buffer=self.file.buffer(array.tobytes()))

    def texts(self, words):
        data = b"".join(w.encode() for w in words)
        ends = np.cumsum([0] + [len(w) for w in words]) + 4 * (len(words) + 2)
        held = np.array([len(words), *ends], np.int32).tobytes() + data
        return self.tensor([len(words)], TEXT, buffer=self.file.buffer(held))

    def memory(self, *shape, kind="float32", quant=None):
        place = self.tensor(list(shape), KINDS[kind], f"memory{len(self.tensors)}")
        self.tensors[place][5] = ("bool", True)
        return place

    def add(self, code, inputs, outs, options=(0, {}), custom=None):
        """outs: (shape, kind) of each output."""
        made = [self.tensor(list(shape), kind if isinstance(kind, int) else KINDS[kind]) for shape, kind in outs]
        node = {0: ("u32", self.file.code(code)), 1: ("i32s", inputs), 2: ("i32s", made)}
        if options[0]:
            node[3], node[4] = ("u8", options[0]), ("table", options[1])
        if custom is not None:
            node[5] = ("bytes", custom)
        self.nodes.append(node)
        return made[0] if len(made) == 1 else made

    def given(self, *shape, kind="float32"):
        return self.input(f"x{len(self.inputs)}", list(shape), KINDS[kind])

    def handle(self, name):
        return self.add(142, [], [([], RESOURCE)], (111, {1: ("text", name)}))

    def read(self, handle, *shape):
        return self.add(143, [handle], [(shape, "float32")], (112, {}))

    def assign(self, handle, value):
        self.add(144, [handle, value], [], (113, {}))

    def sum(self, a, b, *shape, kind="float32"):
        return self.add(0, [a, b], [(shape, kind)], (11, {0: ("i8", 0)}))

    def twice(self, a, factor, *shape):
        return self.add(18, [a, self.value(np.float32([factor]))], [(shape, "float32")], (21, {0: ("i8", 0)}))


def case(name, file, runs):
    """runs: the inputs of each."""
    CASES[name] = (file.write([]), runs)


def one(name, define, runs):
    file = File()
    g = Net(file, "main")
    made = define(g)
    g.outputs = list(made) if isinstance(made, (list, tuple)) else [made]
    case(name, file, runs)


# ---- branches, loops, variables, tables


def branches():
    file = File()
    main = Net(file, "main")
    test, x = main.given(1, kind="bool"), main.given(2, 3)
    for factor in (2.0, -3.0):
        g = Net(file, f"times {factor}")
        a = g.given(2, 3)
        g.outputs = [g.twice(a, factor, 2, 3)]
    y = main.add(118, [test, x], [((2, 3), "float32")], (92, {0: ("i32", 1), 1: ("i32", 2)}))
    main.outputs = [main.sum(y, x, 2, 3)]
    case("if", file, [[np.array([flag]), rnd(2, 3)] for flag in (True, False)])


def loops():
    """Doubles x, and counts, until the count is n."""
    file = File()
    main = Net(file, "main")
    n, x = main.given(1, kind="int32"), main.given(3)
    zero = main.value(np.int32([0]))
    kinds = (((1,), "int32"), ((1,), "int32"), ((3,), "float32"))
    outs = main.add(119, [zero, n, x], kinds, (93, {0: ("i32", 1), 1: ("i32", 2)}))
    main.outputs = [outs[0], outs[2]]
    test = Net(file, "test")
    ins = [test.given(*s, kind=k) for s, k in kinds]
    test.outputs = [test.add(58, ins[:2], [((1,), "bool")], (41, {}))]
    body = Net(file, "body")
    i, limit, v = [body.given(*s, kind=k) for s, k in kinds]
    body.outputs = [body.sum(i, body.value(np.int32([1])), 1, kind="int32"), limit, body.twice(v, 2.0, 3)]
    case("while", file, [[np.int32([k]), rnd(3)] for k in (0, 1, 5)])


def variables():
    """A sum that grows from what one graph has put there once."""
    file = File()
    main, first = Net(file, "main"), Net(file, "first")
    first.assign(first.handle("sum"), first.sum(first.value(np.float32([1, 2])), first.value(np.float32([10, 20])), 2))
    main.add(129, [], [], (103, {0: ("i32", 1)}))
    x, handle = main.given(2), main.handle("sum")
    now = main.sum(main.read(handle, 2), x, 2)
    main.assign(handle, now)
    main.outputs = [now]
    case("variable", file, [[rnd(2)] for _ in range(3)])


def variables_within():
    """A variable that a branch changes, and one that a loop changes."""
    file = File()
    main = Net(file, "main")
    first, yes, no = Net(file, "first"), Net(file, "yes"), Net(file, "no")
    test, body = Net(file, "test"), Net(file, "body")
    for name in ("a", "b"):
        first.assign(first.handle(name), first.value(np.float32([1])))
    main.add(129, [], [], (103, {0: ("i32", 1)}))
    flag, x = main.given(1, kind="bool"), main.given(1)
    for g, factor in ((yes, 2.0), (no, 3.0)):
        v = g.given(1)
        handle = g.handle("a")
        if g is yes:
            g.assign(handle, g.sum(g.read(handle, 1), v, 1))
        g.outputs = [g.twice(v, factor, 1)]
    chosen = main.add(118, [flag, x], [((1,), "float32")], (92, {0: ("i32", 2), 1: ("i32", 3)}))
    count = main.add(119, [main.value(np.int32([0]))], [((1,), "int32")], (93, {0: ("i32", 4), 1: ("i32", 5)}))
    i = test.given(1, kind="int32")
    test.outputs = [test.add(58, [i, test.value(np.int32([3]))], [((1,), "bool")], (41, {}))]
    i = body.given(1, kind="int32")
    handle = body.handle("b")
    body.assign(handle, body.twice(body.read(handle, 1), 2.0, 1))
    body.outputs = [body.sum(i, body.value(np.int32([1])), 1, kind="int32")]
    main.outputs = [chosen, main.read(main.handle("a"), 1), main.read(main.handle("b"), 1), count]
    case("variables within", file, [[np.array([f]), rnd(1)] for f in (True, False, True)])


def tables():
    for name, keys, values, fallback, asked in (
            ("words", ["yes", "no", "go"], np.int64([5, 6, 7]), np.int64([-1]), None),
            ("numbers", np.int64([4, 2, 9]), ["four", "two", "nine"], ["?"], np.int64([9, 1, 4]))):
        file = File()
        main, first = Net(file, "main"), Net(file, "first")
        to_text = asked is not None
        kinds = {1: ("i8", 4 if to_text else TEXT), 2: ("i8", TEXT if to_text else 4)}

        def table(g):
            return g.add(136, [], [([1], RESOURCE)], (107, {0: ("i32", 7), **kinds}))

        put = lambda g, x: g.texts(x) if isinstance(x, list) else g.value(x)
        first.add(138, [table(first), put(first, keys), put(first, values)], [], (109, {}))
        main.add(129, [], [], (103, {0: ("i32", 1)}))
        handle = table(main)
        x = main.given(3, kind="int64") if to_text else main.texts(["go", "stop", "yes"])
        y = main.add(137, [handle, x, put(main, fallback)], [((3,), TEXT if to_text else "int64")], (108, {}))
        main.outputs = [y, main.add(139, [handle], [((1,), "int64")], (110, {}))]
        case(f"table of {name}", file, [[asked]] if to_text else [[]])


# ---- cells with memory


def lstm(g, batch, steps, width, cells, results=None, input_gate=True, peep=False, projected=False, norm=False,
         clip=0.0, time_major=True, code=44, activation=TANH, gates_first=0):
    """The 24 operands of a cell, and the operator."""
    results = results or cells
    v = lambda *shape: g.value(rnd(*shape, scale=0.6))
    gates = [gate != 0 or input_gate for gate in range(4)]
    rows = [g.given(*((steps, batch) if time_major else (batch, steps)), width) if code == 44 else g.given(batch, width)]
    rows += [v(cells, width) if on else -1 for on in gates]
    rows += [v(cells, results) if on else -1 for on in gates]
    rows += [v(cells) if peep and (i or input_gate) else -1 for i in range(3)]
    rows += [v(cells) if on else -1 for on in gates]
    rows += [v(results, cells), v(results)] if projected else [-1, -1]
    rows += [g.memory(batch, results), g.memory(batch, cells)]
    if norm:
        rows += [v(cells) if on else -1 for on in gates]
    common = {0: ("i8", activation), 1: ("f32", clip), 2: ("f32", clip / 2)}
    options = (71, {**common, 3: ("bool", time_major)}) if code == 44 else (14, {**common, 3: ("i8", 0)})
    shape = ((steps, batch) if time_major else (batch, steps)) if code == 44 else (batch,)
    return g.add(code, rows, [((*shape, results), "float32")], options)


def cells():
    forms = {"plain": {}, "peepholes": dict(peep=True), "no input gate": dict(input_gate=False),
             "projection": dict(projected=True, results=3), "norms": dict(norm=True), "clipped": dict(clip=0.3, peep=True),
             "all": dict(projected=True, results=3, norm=True, peep=True, clip=0.5), "batch first": dict(time_major=False)}
    for name, form in forms.items():
        runs = [[rnd(2, 4, 3) if not form.get("time_major", True) else rnd(4, 2, 3)] for _ in range(2)]
        one(f"lstm {name}", lambda g, form=form: lstm(g, 2, 4, 3, 5, **form), runs)
    for name in ("plain", "projection", "norms"):
        one(f"lstm step {name}", lambda g, form=forms[name]: lstm(g, 2, 1, 3, 5, code=16, **form),
            [[rnd(2, 3)] for _ in range(3)])


def basic_cell():
    def define(g):
        x, h, c = g.given(2, 3), g.given(2, 4), g.given(2, 4)
        rows = [x, h, g.value(rnd(16, 7)), g.value(rnd(16)), c]
        return g.add(16, rows, [((2, 4), "float32"), ((2, 4), "float32"), ((2, 7), "float32"), ((2, 16), "float32")],
                     (14, {0: ("i8", TANH), 3: ("i8", 1)}))[:2]
    one("lstm basic", define, [[rnd(2, 3), rnd(2, 4), rnd(2, 4)]])


def both_directions():
    for merged in (True, False):
        def define(g):
            v = lambda *shape: g.value(rnd(*shape, scale=0.6))
            rows = [g.given(3, 2, 4)]
            for _ in range(2):
                rows += [v(5, 4) for _ in range(4)] + [v(5, 5) for _ in range(4)] + [-1] * 3 + [v(5) for _ in range(4)] + [-1, -1]
            rows += [g.memory(2, 5) for _ in range(4)] + [-1] * 9
            outs = [((3, 2, 10), "float32")] if merged else [((3, 2, 5), "float32")] * 2
            return g.add(52, rows, outs, (69, {0: ("i8", TANH), 3: ("bool", merged), 4: ("bool", True)}))
        one(f"lstm both {'joined' if merged else 'apart'}", define, [[rnd(3, 2, 4)] for _ in range(2)])

    def rnn(g):
        v = lambda *shape: g.value(rnd(*shape, scale=0.6))
        rows = [g.given(2, 3, 4)]
        for _ in range(2):
            rows += [v(5, 4), v(5, 5), v(5), g.memory(2, 5)]
        return g.add(46, rows + [-1] * 3, [((2, 3, 10), "float32")],
                     (70, {0: ("bool", False), 1: ("i8", RELU), 2: ("bool", True)}))
    one("rnn both", rnn, [[rnd(2, 3, 4)] for _ in range(2)])


def small_cells():
    v = lambda g, *shape: g.value(rnd(*shape, scale=0.6))
    one("rnn", lambda g: g.add(24, [g.given(2, 3), v(g, 4, 3), v(g, 4, 4), v(g, 4), g.memory(2, 4)], [((2, 4), "float32")],
                               (7, {0: ("i8", TANH)})), [[rnd(2, 3)] for _ in range(3)])
    for time_major in (True, False):
        one(f"rnn sequence {time_major}",
            lambda g: g.add(35, [g.given(2, 3, 4), v(g, 5, 4), v(g, 5, 5), v(g, 5), g.memory(3 if time_major else 2, 5)],
                            [((2, 3, 5), "float32")], (31, {0: ("bool", time_major), 1: ("i8", RELU)})),
            [[rnd(2, 3, 4)] for _ in range(2)])
    for rank in (1, 2):
        one(f"svdf rank {rank}",
            lambda g: g.add(27, [g.given(2, 3), v(g, 4 * rank, 3), v(g, 4 * rank, 6), v(g, 4), g.memory(2, 6 * 4 * rank)],
                            [((2, 4), "float32")], (6, {0: ("i32", rank), 1: ("i8", RELU)})), [[rnd(2, 3)] for _ in range(4)])


# ---- boxes, spectra and the rest


def boxes():
    corners = np.float32([[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3], [0, 2.02, 1, 3], [4, 4, 5, 6]])
    scores = np.float32([0.9, 0.8, 0.75, 0.95, 0.3])
    number = lambda g, x: g.value(np.asarray(x))
    rest = lambda g: [number(g, np.int32(4)), number(g, np.float32(0.5)), number(g, np.float32(0.4))]
    one("boxes 4", lambda g: g.add(120, [g.given(5, 4), g.given(5), *rest(g)], [((4,), "int32"), ((), "int32")], (95, {})),
        [[corners, scores]])
    one("boxes 5", lambda g: g.add(121, [g.given(5, 4), g.given(5), *rest(g), number(g, np.float32(0))],
                                   [((4,), "int32"), ((4,), "float32"), ((), "int32")], (96, {})), [[corners, scores]])
    anchors = rnd(6, 4, scale=0.5) + np.float32([0.5, 0.5, 1, 1])
    for regular in (False, True):
        b = flexbuffers.Builder()
        with b.Map():
            b.Int("max_detections", 4)
            b.Int("max_classes_per_detection", 1 if regular else 2)
            b.Int("detections_per_class", 3)
            b.Bool("use_regular_nms", regular)
            b.Float("nms_score_threshold", 0.2)
            b.Float("nms_iou_threshold", 0.5)
            b.Int("num_classes", 3)
            for name, scale in (("y_scale", 10.0), ("x_scale", 10.0), ("h_scale", 5.0), ("w_scale", 5.0)):
                b.Float(name, scale)
        options = bytes(b.Finish())
        n = 4 if regular else 8
        one(f"detections {'by class' if regular else 'by box'}",
            lambda g: g.add("TFLite_Detection_PostProcess", [g.given(1, 6, 4), g.given(1, 6, 4), g.value(anchors)],
                            [((1, n, 4), "float32"), ((1, n), "float32"), ((1, n), "float32"), ((1,), "float32")], custom=options),
            [[rnd(1, 6, 4), np.abs(rnd(1, 6, 4))]])


def spectra():
    def define(g):
        c = g.add(131, [g.given(1, 2, 6), g.value(np.int32([2, 8]))], [((1, 2, 5), "complex64")], (105, {}))
        return [g.add(code, [c], [((1, 2, 5), "float32")]) for code in (133, 134, 135)]
    one("spectrum", define, [[rnd(1, 2, 6)]])


def others():
    one("buckets", lambda g: g.add(147, [g.given(2, 3)], [((2, 3), "int32")], (115, {0: ("f32s", [-0.5, 0.0, 0.5])})),
        [[np.float32([[-2, -0.5, 0], [0.2, 0.5, 3]])]])
    one("sparse to dense", lambda g: g.add(68, [g.value(np.int32([[0, 1], [2, 0]])), g.value(np.int32([3, 2])), g.given(2),
                                               g.value(np.float32(-1))], [((3, 2), "float32")], (50, {})), [[rnd(2)]])
    for padding in (0, 1):
        shape = (1, 4, 6, 4, 2) if padding == 0 else (1, 4, 7, 5, 2)
        one(f"transposed in three axes {padding}",
            lambda g: g.add(141, [g.value(np.int32(shape)), g.value(rnd(2, 3, 3, 2, 3)), g.given(1, 2, 3, 2, 3)],
                            [(shape, "float32")],
                            (106, {0: ("i8", padding), 1: ("i32", 2), 2: ("i32", 2), 3: ("i32", 2), 4: ("i8", 0),
                                   5: ("i32", 1), 6: ("i32", 1), 7: ("i32", 1)})), [[rnd(1, 2, 3, 2, 3)]])

    def sparse(g):
        dense = np.float32([[0, 2, 0, 0], [0, 0, 0, 3], [1, 0, 4, 0]])
        segments, indices, held = [0], [], []
        for row in dense:
            indices += list(np.nonzero(row)[0])
            held += list(row[row != 0])
            segments.append(len(indices))
        w = g.tensor([3, 4], 0, buffer=g.file.buffer(np.float32(held).tobytes()))
        vector = lambda x: ("table", {0: ("i32s", x)})
        g.tensors[w][6] = ("table", {0: ("i32s", [0, 1]), 2: ("tables", [
            {0: ("i8", 0), 1: ("i32", 3)},
            {0: ("i8", 1), 2: ("u8", 1), 3: vector(segments), 4: ("u8", 1), 5: vector(indices)}])})
        whole = g.add(124, [w], [((3, 4), "float32")], (99, {}))
        return g.add(9, [g.given(2, 4), whole, -1], [((2, 3), "float32")], (8, {0: ("i8", 0)}))
    one("sparse weights", sparse, [[rnd(2, 4)]])


def run(data, runs):
    interpreter = Interpreter(model_content=data, num_threads=1,
                              experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    interpreter.allocate_tensors()
    results = []
    for given in runs:
        for detail, x in zip(interpreter.get_input_details(), given):
            interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
        results.append([interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()])
    return results


def main():
    for define in (branches, loops, variables, variables_within, tables, cells, basic_cell, both_directions, small_cells, boxes,
                   spectra, others):
        define()
    arrays = {}
    for name, (data, runs) in CASES.items():
        try:
            results = run(data, runs)
        except (RuntimeError, ValueError) as error:
            print(f"{name}: LiteRT: {str(error).splitlines()[0][:200]}")
            continue
        arrays[f"{name}/model"] = np.frombuffer(data, np.uint8)
        for i, (given, got) in enumerate(zip(runs, results)):
            for k, x in enumerate(given):
                arrays[f"{name}/{i}/in/{k}"] = x
            for k, x in enumerate(got):
                arrays[f"{name}/{i}/out/{k}"] = np.frombuffer(b"\n".join(x.ravel()), np.uint8) if x.dtype == object else x
    np.savez_compressed(ROOT / "tests/golden/graphs/tflite_states.npz", **arrays)
    print(len(CASES), "cases")


if __name__ == "__main__":
    main()
