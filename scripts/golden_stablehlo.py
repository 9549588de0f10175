#!/usr/bin/env python3
"""Writes tests/golden/graphs/stablehlo.npz: TFLite files of one StableHLO operator each, those whose options are many or
that have a graph of scalars within, with what JAX gives for them, and where LiteRT's interpreter has a kernel, with both
agreeing; lookups and features of sound with what LiteRT gives.

    python scripts/golden_stablehlo.py

Members: CASE/model, CASE/in/N, CASE/out/N.  Needs numpy, flatbuffers, jax and ai-edge-litert (made with 2.3).
Deterministic.  Source: TFLite, schema.fbs.
"""
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from flatbuffers import flexbuffers
from jax import lax

from golden_litert import File, Graph

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "bool": 6}
R = np.random.RandomState(17)
CASES = {}
ADD, MUL, MAX, MIN, AND, OR, COMPARE, SELECT = 163, 165, 166, 181, 176, 183, 191, 187


def rnd(*shape, scale=2.0):
    return np.round(R.uniform(-scale, scale, shape), 2).astype(np.float32)


def longs(*values):
    return ("i64s", list(values))


def options2(kind, table):
    """Slots of builtin_options_2."""
    return {11: ("u8", kind), 12: ("table", table)}


def op(g, code, inputs, outs, more=None):
    """outs: (shape, kind name) of each."""
    made = [g.tensor(list(shape), KINDS[kind]) for shape, kind in outs]
    g.nodes.append({0: ("u32", g.file.code(code)), 1: ("i32s", inputs), 2: ("i32s", made), **(more or {})})
    return made


def scalars(file, kinds, body):
    """A graph of scalars; body(g, inputs): its outputs.  Gives its place."""
    g = Graph(file, "within")
    inputs = [g.input(f"s{i}", [], KINDS[k]) for i, k in enumerate(kinds)]
    g.outputs = body(g, inputs)
    return g.index


def one(code, kind="float32"):
    """Two scalars become one."""
    return lambda file: scalars(file, [kind, kind], lambda g, x: op(g, code, x, [([], kind)]))


def case(name, code, inputs, outs, more, constants=(), only=None, litert=True):
    """outs: what JAX gives, in a list.  more(file): the operator's other slots; only: LiteRT's answers, of such shapes;
    litert: its kernel bears the case."""
    file = File()
    g = Graph(file, "main")
    places = []
    for i, x in enumerate(inputs):
        x = np.asarray(x)
        buffer = file.buffer(x.tobytes()) if i in constants else 0
        places.append(g.tensor(list(x.shape), KINDS[x.dtype.name], f"in{i}", buffer))
        if i not in constants:
            g.inputs.append(places[-1])
    shapes = only if only is not None else [(np.shape(o), np.asarray(o).dtype.name) for o in outs]
    g.outputs = op(g, code, places, shapes, more(file))
    data = file.write([])
    given = [np.asarray(x) for i, x in enumerate(inputs) if i not in constants]
    try:
        got = run(data, given) if litert else None
    except (RuntimeError, ValueError) as error:
        if only is not None:
            raise
        print(f"{name}: LiteRT: {str(error).splitlines()[0][:100]}")
        got = None
    wanted = got if only is not None else [np.asarray(o) for o in outs]
    if only is None and got is not None:
        for a, b in zip(got, wanted):
            if not np.allclose(a, b, rtol=1e-5, atol=1e-6):
                print(f"{name}: LiteRT differs from JAX")
    assert name not in CASES, name
    CASES[name] = (data, given, wanted)


def run(data, given):
    interpreter = Interpreter(model_content=data, num_threads=1,
                              experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    interpreter.allocate_tensors()
    for detail, x in zip(interpreter.get_input_details(), given):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def gathers():
    x = rnd(4, 5, 3)
    for name, indices, offset, collapsed, index_map, at, sizes in (
            ("rows", [[3], [0], [9]], (1, 2), (0,), (0,), 1, (1, 5, 3)),
            ("points", [[[0, 2], [3, 4]], [[1, 0], [-3, 9]]], (2,), (0, 1), (0, 1), 2, (1, 1, 3)),
            ("windows", [[0, 2, 9], [1, 1, 2]], (0, 2, 3), (), (1, 2), 0, (4, 2, 2)),
            ("scalars", [2, 0], (0, 2), (1,), (1,), 1, (4, 1, 3))):
        indices = np.array(indices, np.int32)
        numbers = lax.GatherDimensionNumbers(offset, collapsed, index_map)
        # JAX has the beginnings along the last axis.
        last = indices[..., None] if at == indices.ndim else np.moveaxis(indices, at, -1)
        want = lax.gather(x, last, numbers, sizes, mode="clip")
        case("gather " + name, 201, [x, indices], [want], lambda file, o=offset, c=collapsed, m=index_map, a=at, s=sizes: options2(
            16, {0: longs(*o), 1: longs(*c), 2: longs(*m), 3: ("i64", a), 4: longs(*s), 5: ("bool", False)}),
            litert=False)  # it reads past the end where JAX moves windows within


def scatters():
    x = rnd(4, 5, 3)
    second = lambda file: scalars(file, ["float32"] * 2, lambda g, s: [s[1]])
    for name, body, f, indices, shape, window, inserted, index_map in (
            ("rows", second, lax.scatter, [[3], [0]], (2, 5, 3), (1, 2), (0,), (0,)),
            ("sums", one(ADD), lax.scatter_add, [[3], [0], [3], [9]], (4, 5, 3), (1, 2), (0,), (0,)),
            ("products", one(MUL), lax.scatter_mul, [[0, 1], [3, 4], [0, 1]], (3, 3), (1,), (0, 1), (0, 1)),
            ("largest", one(MAX), lax.scatter_max, [[1], [2]], (4, 2, 3), (0, 2), (1,), (1,)),
            ("smallest windows", one(MIN), lax.scatter_min, [[0, 1], [2, -1]], (2, 4, 2, 2), (1, 2, 3), (), (1, 2))):
        indices, updates = np.array(indices, np.int32), rnd(*shape)
        want = f(x, indices, updates, lax.ScatterDimensionNumbers(window, inserted, index_map), mode="drop")
        if name == "smallest windows":  # JAX drops whole windows, the specification what lies outside
            want = np.array(x)
            for (a, b), u in zip(indices, updates):
                for i, j, k in np.ndindex(4, 2, 2):
                    if 0 <= a + j < 5 and 0 <= b + k < 3:
                        want[i, a + j, b + k] = min(want[i, a + j, b + k], u[i, j, k])
        case("scatter " + name, 190, [x, indices, updates], [want], lambda file, b=body, w=window, n=inserted, m=index_map: options2(
            7, {0: ("bool", False), 1: longs(*w), 2: longs(*n), 3: longs(*m), 4: ("i64", 1), 5: ("bool", False), 6: ("i32", b(file))}))


def reductions():
    x, whole = rnd(2, 5, 3), R.randint(0, 100, (3, 4)).astype(np.int32)
    for name, body, start, f in (("sum", ADD, 0, jnp.sum), ("product", MUL, 1, jnp.prod), ("max", MAX, -np.inf, jnp.max),
                                 ("min", MIN, np.inf, jnp.min)):
        case("reduce " + name, 174, [x, np.float32(start)], [f(x, (0, 1))], lambda file, b=body: options2(
            6, {0: longs(0, 1), 1: ("i32", one(b)(file))}))
    case("reduce and", 174, [whole, np.int32(-1)], [lax.reduce(whole, np.int32(-1), lax.bitwise_and, (1,))],
         lambda file: options2(6, {0: longs(1), 1: ("i32", one(AND, "int32")(file))}))

    def place_of_largest(file):
        """Of pairs of a number and its place: the larger number, of equal ones the earlier."""
        def body(g, s):
            larger = op(g, COMPARE, [s[0], s[2]], [([], "bool")], options2(8, {0: ("u32", 2)}))[0]
            return [op(g, SELECT, [larger, s[k], s[k + 2]], [([], kind)])[0] for k, kind in ((0, "float32"), (1, "int32"))]
        return scalars(file, ["float32", "int32"] * 2, body)
    places = np.broadcast_to(np.arange(5, dtype=np.int32)[:, None], (2, 5, 3)).copy()
    case("reduce place of largest", 174, [x, places, np.float32(-np.inf), np.int32(0)], [x.max(1), x.argmax(1).astype(np.int32)],
         lambda file: options2(6, {0: longs(1), 1: ("i32", place_of_largest(file))}))


def windows():
    x = rnd(1, 7, 6, 2)
    for name, code, f, start, w in (
            ("sum", ADD, lax.add, 0, dict(window_dimensions=(1, 3, 2, 1), window_strides=(1, 2, 1, 1), padding=((0, 0), (1, 1), (0, 1), (0, 0)))),
            ("max", MAX, lax.max, -np.inf, dict(window_dimensions=(1, 2, 3, 2), window_strides=(1, 1, 2, 1), padding=((0, 0),) * 4,
                                                base_dilation=(1, 2, 1, 1), window_dilation=(1, 1, 2, 1))),
            ("min", MIN, lax.min, np.inf, dict(window_dimensions=(1, 5, 1, 1), window_strides=(1, 1, 1, 1), padding=((0, 0), (4, 0), (0, 0), (0, 0)))),
            ("product", MUL, lax.mul, 1, dict(window_dimensions=(1, 7, 6, 1), window_strides=(1, 1, 1, 1), padding=((0, 0),) * 4))):
        ones = (1,) * 4
        table = {0: longs(*w["window_dimensions"]), 1: longs(*w["window_strides"]), 2: longs(*w.get("base_dilation", ones)),
                 3: longs(*w.get("window_dilation", ones)), 4: longs(*sum(w["padding"], ()))}
        want = lax.reduce_window(x, np.float32(start), f, **w)
        case("reduce_window " + name, 198, [x, np.float32(start)], [want], lambda file, t=table, c=code: options2(
            13, {**t, 5: ("i32", one(c)(file))}))
    for name, which, f, start in (("ADD", 1, lax.add, 0), ("MUL", 2, lax.mul, 1), ("MINIMUM", 3, lax.min, np.inf), ("MAXIMUM", 4, lax.max, -np.inf)):
        want = lax.reduce_window(x, np.float32(start), f, (1, 3, 2, 1), (1, 2, 1, 1), ((0, 0),) * 4, window_dilation=(1, 2, 1, 1))
        lists = [np.array(v, np.int64) for v in ((1, 3, 2, 1), (1, 2, 1, 1), (1, 2, 1, 1))]
        case("REDUCE_WINDOW " + name, 205, [x, np.float32(start), *lists], [want], lambda file, n=which: options2(20, {0: ("i32", n)}),
             constants=(2, 3, 4))


def sorts():
    keys = np.round(R.uniform(-1, 1, (3, 7)), 1).astype(np.float32)
    values = np.arange(21, dtype=np.int32).reshape(3, 7)

    def by(direction, first, second, kinds):
        return lambda file: scalars(file, kinds, lambda g, s: op(g, COMPARE, [s[first], s[second]], [([], "bool")],
                                                                 options2(8, {0: ("u32", direction)})))

    def options(axis, body):
        return lambda file: options2(14, {0: ("i64", axis), 1: ("bool", True), 2: ("i32", body(file))})
    case("sort rising", 199, [keys], [lax.sort(keys, dimension=1)], options(1, by(5, 0, 1, ["float32"] * 2)))
    case("sort falling", 199, [keys], [-np.sort(-keys, 0)], options(0, by(3, 0, 1, ["float32"] * 2)))
    pair = ["float32", "float32", "int32", "int32"]
    order = np.argsort(keys, 1, kind="stable")
    both = [np.take_along_axis(keys, order, 1), np.take_along_axis(values, order, 1)]
    case("sort pairs", 199, [keys, values], both, options(1, by(5, 0, 1, pair)))
    case("sort pairs turned", 199, [keys, values], both, options(1, by(3, 1, 0, pair)))

    def by_size(file):
        """By the absolute value."""
        def body(g, s):
            sizes = [op(g, 175, [k], [([], "float32")])[0] for k in s[:2]]
            return op(g, COMPARE, sizes, [([], "bool")], options2(8, {0: ("u32", 5)}))
        return scalars(file, pair, body)
    order = np.argsort(np.abs(keys), 0, kind="stable")
    case("sort by size", 199, [keys, values], [np.take_along_axis(keys, order, 0), np.take_along_axis(values, order, 0)], options(0, by_size))


def convolutions():
    x, w = rnd(2, 8, 7, 4), rnd(3, 2, 4, 6)
    last, first = ("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW")
    places = {"N": 0, "C": 1, "O": 0, "I": 1}

    def add(name, x, w, strides, padding, lhs, rhs, dims, groups, turned=()):
        used = np.flip(w, turned) if turned else w
        want = lax.conv_general_dilated(x, used, strides, padding, lhs, rhs, dims, feature_group_count=groups)
        at = lambda names, one: ("i64", names.index(one))
        space = lambda names: longs(names.index("H"), names.index("W"))
        i, k, o = dims
        table = {0: longs(*strides), 1: longs(*sum(padding, ())), 2: longs(*lhs), 3: longs(*rhs),
                 4: ("bytes", bytes(int(k.index(a) in turned) for a in "HW")),
                 5: at(i, "N"), 6: at(i, "C"), 7: space(i), 8: at(k, "I"), 9: at(k, "O"), 10: space(k),
                 11: at(o, "N"), 12: at(o, "C"), 13: space(o), 14: ("i64", groups), 15: ("i64", 1)}
        case("convolution " + name, 171, [x, w], [want], lambda file: options2(4, table))
    add("last", x, w, (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1), last, 1)
    add("strides", x, w, (2, 1), ((1, 1), (0, 1)), (1, 1), (1, 2), last, 1)
    add("transposed", x, w, (1, 1), ((2, 2), (1, 1)), (2, 2), (1, 1), last, 1, turned=(0, 1))
    add("groups", np.ascontiguousarray(x.transpose(0, 3, 1, 2)), rnd(6, 2, 3, 3), (1, 1), ((0, 0), (1, 0)), (1, 1), (1, 1), first, 2)


def choices():
    x = rnd(2, 3)

    def graphs(file):
        """x + x, x * x, -x"""
        places = []
        for code, inputs in ((ADD, 2), (MUL, 2), (182, 1)):
            g = Graph(file, "case")
            g.inputs = [g.tensor([2, 3], KINDS["float32"], "x")]
            g.outputs = op(g, code, g.inputs * inputs, [((2, 3), "float32")])
            places.append(g.index)
        return options2(23, {0: ("i32s", places)})
    for number in (0, 1, 2, 9, -1):
        case(f"case {number}", 209, [np.int32(number), x], [(x + x, x * x)[number] if number in (0, 1) else -x], graphs)
    case("case of one", 209, [np.int32(3), x], [x + x], lambda file: options2(23, {0: ("i32s", graphs(file)[12][1][0][1][:1])}))


def lookups():
    table, keys = rnd(4, 3), np.array([-2, 0, 5, 9], np.int32)
    case("HASHTABLE_LOOKUP", 10, [np.array([5, 3, -2], np.int32), keys, table], None, lambda file: {}, only=[((3, 3), "float32"), ((3,), "uint8")])
    ids, places = np.array([1, 3, 0, 2], np.int32), np.array([[0, 0], [0, 1], [2, 0], [2, 2]], np.int32)
    for combiner in (0, 1, 2):
        case(f"EMBEDDING_LOOKUP_SPARSE {combiner}", 33, [ids, places, np.array([3, 3], np.int32), rnd(4), table], None,
             lambda file, c=combiner: {3: ("u8", 20), 4: ("table", {0: ("i8", c)})}, constants=(2,), only=[((3, 3), "float32")])


def sounds():
    time = np.arange(800) / 8000
    sound = np.stack([np.sin(2 * np.pi * f * time) for f in (440, 1000)], 1).astype(np.float32)

    def custom(values):
        b = flexbuffers.Builder()
        b.MapFromElements(values)
        return lambda file: {5: ("bytes", bytes(b.Finish()))}
    for squared in (True, False):
        case(f"AudioSpectrogram {squared}", "AudioSpectrogram", [sound], None,
             custom({"window_size": 200, "stride": 80, "magnitude_squared": squared}), only=[((2, 8, 129), "float32")])
    spectrum = np.square(rnd(1, 4, 129, scale=10))
    for name, values, count in (("", {"upper_frequency_limit": 4000, "lower_frequency_limit": 20, "filterbank_channel_count": 40}, 13), (" of another range", {"upper_frequency_limit": 3000, "lower_frequency_limit": 100,
                                                                   "filterbank_channel_count": 20, "dct_coefficient_count": 8}, 8)):
        case("Mfcc" + name, "Mfcc", [spectrum, np.int32([8000])], None, custom({"dct_coefficient_count": 13, **values}), constants=(1,),
             only=[((1, 4, count), "float32")])


def main():
    for define in (gathers, scatters, reductions, windows, sorts, convolutions, choices, lookups, sounds):
        define()
    arrays = {}
    for name, (data, given, wanted) in CASES.items():
        arrays[f"{name}/model"] = np.frombuffer(data, np.uint8)
        arrays.update({f"{name}/in/{i}": x for i, x in enumerate(given)})
        arrays.update({f"{name}/out/{i}": np.ascontiguousarray(x) for i, x in enumerate(wanted)})
    np.savez_compressed(ROOT / "tests/golden/graphs/stablehlo.npz", **arrays)
    print(len(CASES), "cases")


if __name__ == "__main__":
    main()
