#!/usr/bin/env python3
"""Writes tests/golden/graphs/tflite.npz, TFLite files of one built-in operator each with what LiteRT's own interpreter
gives for them, and docs/formats/tflite-operators.md, the list of operators with the number of their cases.

    python scripts/golden_tflite.py

Each archive member: CASE/model, CASE/in/N, CASE/out/N (by place among the graph's inputs and outputs).
Needs numpy, flatbuffers and ai-edge-litert (made with 2.3).  Source: TFLite, schema.fbs.
"""
import re
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from golden_litert import File, Graph

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9, "uint32": 15}
TYPES = {v: k for k, v in KINDS.items()}
CASES = []


def case(code, inputs, options=(0, {}), out="float32", outs=1, constants=(), quant=None):
    """inputs: arrays; those whose places are in `constants` lie in the file.  quant: scale and zero of inputs and output."""
    CASES.append((code, [np.asarray(x) for x in inputs], options, [out] * outs if isinstance(out, str) else out, constants,
                  quant, None))


def stable(code, inputs, wanted, options=(0, {}), constants=()):
    """An operator of StableHLO.  wanted: what NumPy gives, for those that LiteRT has no kernel of."""
    wanted = np.asarray(wanted)
    CASES.append((code, [np.asarray(x) for x in inputs], (*options, 2), [wanted.dtype.name], constants, None, wanted))


def build(code, inputs, options, outs, constants, quant, wanted=None):
    file = File()
    g = Graph(file, "main")
    places = []
    for i, x in enumerate(inputs):
        buffer = file.buffer(x.tobytes()) if i in constants else 0
        places.append(g.tensor(list(x.shape), KINDS[x.dtype.name], f"in{i}", buffer))
        if i not in constants:
            g.inputs.append(places[-1])
        if quant and x.dtype.name in ("int8", "uint8", "int16"):
            g.tensors[-1][4] = ("table", {2: ("f32s", [quant[i][0]]), 3: ("i64s", [quant[i][1]])})
    node = {0: ("u32", file.code(code)), 1: ("i32s", places)}
    if options[0]:
        second = 8 if len(options) > 2 else 0  # builtin_options_2
        node[3 + second], node[4 + second] = ("u8", options[0]), ("table", options[1])
    made = []
    for i, kind in enumerate(outs):
        made.append(g.tensor([] if wanted is None else list(wanted.shape), KINDS[kind], f"out{i}"))
        if quant and kind in ("int8", "uint8", "int16"):
            g.tensors[-1][4] = ("table", {2: ("f32s", [quant[-1][0]]), 3: ("i64s", [quant[-1][1]])})
    node[2] = ("i32s", made)
    g.nodes.append(node)
    g.outputs = made
    return file, g


def run(data, inputs, constants):
    interpreter = Interpreter(model_content=data, num_threads=1,
                              experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    interpreter.allocate_tensors()
    given = [x for i, x in enumerate(inputs) if i not in constants]
    for detail, x in zip(interpreter.get_input_details(), given):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


R = np.random.RandomState(3)


def rnd(*shape, low=-2.0, high=2.0):
    return np.round(R.uniform(low, high, shape), 2).astype(np.float32)


def ints(*values):
    return np.array(values, np.int32)


def i8(*shape):
    return R.randint(-128, 128, shape).astype(np.int8)


def define():
    x, y, positive = rnd(2, 3, 4), rnd(2, 3, 4), rnd(2, 3, 4, low=0.1, high=3)
    image, row = rnd(1, 6, 5, 4), rnd(3, 8)
    for code, kind in ((0, 11), (18, 21), (41, 28)):
        case(code, [x, y], (kind, {0: ("i8", 0)}))
        case(code, [x, rnd(4)], (kind, {0: ("i8", 1)}))
        case(code, [i8(2, 8), i8(2, 8)], (kind, {0: ("i8", 0)}), "int8", quant=[(0.02, 3), (0.03, -5), (0.05, 2)])
    case(42, [x, positive], (29, {0: ("i8", 0)}))
    for code, kind in ((55, 39), (57, 39), (99, 76), (90, 65), (95, 72), (78, 56)):
        case(code, [positive if code == 78 else x, positive], (kind, {}))
    for code, kind in ((47, 33), (66, 0), (108, 84), (28, 0), (14, 0), (8, 0), (104, 0), (116, 0), (59, 42), (101, 78),
                       (92, 66), (111, 0), (19, 0), (21, 0), (20, 0), (152, 0), (117, 91), (158, 123), (93, 67)):
        case(code, [x], (kind, {}))
    for code in (73, 75, 76):
        case(code, [positive])
    for code in (14, 28):
        case(code, [i8(3, 5)], out="int8", quant=[(0.03, 4), (1 / 256, -128) if code == 14 else (1 / 128, 0)])
    case(98, [x], (75, {0: ("f32", 0.2)}))
    for approximate in (False, True):
        case(150, [x], (116, {0: ("bool", approximate)}))
    case(54, [image, rnd(1, 1, 4)], constants=(1,))
    for code, kind in ((58, 41), (61, 44), (62, 45), (63, 46), (71, 53), (72, 54)):
        case(code, [x, np.where(y > 0, x, y)], (kind, {}), "bool")
    flags = [x > 0, y > 0]
    for code, kind in ((84, 60), (86, 62)):
        case(code, flags, (kind, {}), "bool")
    case(87, flags[:1], (63, {}), "bool")
    for code, kind in ((64, 47), (123, 98)):
        case(code, [flags[0], x, y], (kind, {}))
    for code in (40, 74, 81, 82, 89):
        for keep in (False, True):
            case(code, [x, ints(1)], (27, {0: ("bool", keep)}), constants=(1,))
    for code in (91, 140):
        case(code, [flags[0], ints(2)], (27, {0: ("bool", False)}), "bool", constants=(1,))
    case(25, [x], (9, {0: ("f32", 1.0)}))
    case(50, [x], (36, {}))
    case(11, [x], (12, {0: ("i8", 0)}))
    # Images.
    for padding in (0, 1):
        pool = {0: ("i8", padding), 1: ("i32", 2), 2: ("i32", 1), 3: ("i32", 2), 4: ("i32", 3), 5: ("i8", 0)}
        for code in (1, 17, 12):
            case(code, [image], (5, pool))
        case(3, [image, rnd(3, 3, 2, 4), rnd(3)], (1, {0: ("i8", padding), 1: ("i32", 2), 2: ("i32", 1), 3: ("i8", 1),
                                                      4: ("i32", 1), 5: ("i32", 1)}), constants=(1, 2))
        case(4, [image, rnd(1, 3, 3, 4), rnd(4)], (2, {0: ("i8", padding), 1: ("i32", 1), 2: ("i32", 2), 3: ("i32", 1),
                                                      4: ("i8", 3), 5: ("i32", 1), 6: ("i32", 1)}), constants=(1, 2))
    case(132, [rnd(1, 4, 5, 4, 2), rnd(2, 3, 2, 2, 3), rnd(3)], (106, {0: ("i8", 0), 1: ("i32", 1), 2: ("i32", 2), 3: ("i32", 1),
                                                                      4: ("i8", 0), 5: ("i32", 1), 6: ("i32", 1), 7: ("i32", 1)}),
         constants=(1, 2))
    case(67, [ints(1, 11, 9, 3), rnd(3, 3, 3, 4), rnd(1, 5, 4, 4)], (49, {0: ("i8", 1), 1: ("i32", 2), 2: ("i32", 2)}), constants=(0, 1))
    case(13, [image], (13, {0: ("i32", 1), 1: ("f32", 1.0), 2: ("f32", 0.5), 3: ("f32", 0.75)}))
    for half in (False, True):
        case(23, [image, ints(9, 7)], (15, {2: ("bool", False), 3: ("bool", half)}), constants=(1,))
        case(97, [image, ints(9, 7)], (74, {0: ("bool", False), 1: ("bool", half)}), constants=(1,))
    case(5, [rnd(1, 2, 3, 8)], (94, {0: ("i32", 2)}))
    case(26, [rnd(1, 4, 6, 2)], (19, {0: ("i32", 2)}))
    case(38, [rnd(1, 4, 5, 2), ints(2, 3), ints(0, 2, 1, 0).reshape(2, 2)], (25, {}), constants=(1, 2))
    case(37, [rnd(12, 2, 2, 3), ints(2, 3), ints(0, 1, 1, 0).reshape(2, 2)], (24, {}), constants=(1, 2))
    # Products.
    case(9, [row, rnd(5, 8), rnd(5)], (8, {0: ("i8", 1), 1: ("i8", 0)}), constants=(1, 2))
    case(126, [rnd(2, 3, 4), rnd(2, 4, 5)], (101, {0: ("bool", False), 1: ("bool", False)}))
    case(126, [rnd(2, 4, 3), rnd(2, 5, 4)], (101, {0: ("bool", True), 1: ("bool", True)}))
    # Shapes.
    case(22, [x, ints(4, 6)], (17, {0: ("i32s", [4, 6])}), constants=(1,))
    case(39, [x, ints(2, 0, 1)], (26, {}), constants=(1,))
    case(2, [x, y], (10, {0: ("i32", 1), 1: ("i8", 0)}))
    case(83, [x, y], (59, {0: ("i32", 2), 1: ("i32", 1)}))
    case(88, [x], (64, {0: ("i32", 3), 1: ("i32", 1)}), outs=3)
    case(49, [ints(2), x], (35, {0: ("i32", 2)}), outs=2, constants=(0,))
    case(102, [x, ints(1, 3), ints(2)], (79, {0: ("i32", 2)}), outs=2, constants=(1, 2))
    case(43, [rnd(2, 1, 3)], (30, {0: ("i32s", [1])}))
    case(70, [x, ints(1)], (52, {}), constants=(1,))
    case(34, [x, ints(0, 0, 1, 2, 0, 1).reshape(3, 2)], (22, {}), constants=(1,))
    case(60, [x, ints(0, 1, 0, 0, 2, 0).reshape(3, 2), np.float32([1.5])], (43, {}), constants=(1, 2))
    for mode in (0, 1):
        case(100, [x, ints(0, 0, 1, 1, 2, 0).reshape(3, 2)], (77, {0: ("i8", mode)}), constants=(1,))
    case(65, [x, ints(0, 1, 1), ints(2, -1, 2)], (48, {}), constants=(1, 2))
    case(45, [x, ints(0, 2, 0), ints(2, 0, 4), ints(1, -1, 2)], (32, {0: ("i32", 1), 1: ("i32", 2), 4: ("i32", 0)}), constants=(1, 2, 3))
    case(45, [x, ints(1, 0, 0), ints(2, 3, 4), ints(1, 1, 1)], (32, {4: ("i32", 1)}), constants=(1, 2, 3))
    case(65, [x, ints(0, 1, 1), ints(2, -1, 2)], (48, {}))
    case(45, [x, ints(1, 0, -1), ints(2, 2, 0), ints(1, 1, -1)], (32, {0: ("i32", 2), 1: ("i32", 4), 4: ("i32", 1)}),
         constants=(3,))
    case(36, [x, ints(2, 0, 1, 1).reshape(2, 2)], (23, {0: ("i32", 1), 1: ("i32", 1)}))
    case(69, [x, ints(1, 2, 3)], (51, {}), constants=(1,))
    case(130, [rnd(1, 3, 1), ints(2, 3, 4)], (104, {}), constants=(1,))
    case(145, [ints(1, 3, 1), ints(2, 1, 4)], out="int32")
    case(105, [x, ints(1)], (81, {}), constants=(1,))
    case(112, [rnd(2, 4, 3), ints(3, 2)], (87, {0: ("i32", 1), 1: ("i32", 0)}))
    case(36, [x, ints(2, 0, 1)], (23, {0: ("i32", 1)}))
    case(107, [x, ints(1, 2, 0, 1).reshape(2, 2)], (83, {}))
    case(7, [ints(2, 0), rnd(4, 3)])
    case(122, [ints(1, 3, 1).reshape(3, 1), rnd(3, 2), ints(5, 2)], (97, {}), constants=(2,))
    case(151, [x, rnd(1, 2, 2), ints(1, 2, 1)], (117, {}))
    case(53, [x], (37, {0: ("i8", 0), 1: ("i8", 2)}), "int32")
    case(77, [x], (55, {0: ("i8", 2)}), "int32")
    case(110, [x], (86, {}), "int32")
    case(94, [ints(2, 3), np.float32(4.5)], (68, {}))
    case(96, [np.float32(1), np.float32(4), np.float32(0.5)], (73, {}))
    case(85, [ints(2, 0, 3), ints(4).reshape(()), np.float32(5), np.float32(-1)], (61, {0: ("i32", -1)}), constants=(1,))
    case(48, [x, ints(2).reshape(())], (34, {}), ["float32", "int32"], constants=(1,))
    case(56, [x, ints(2)], (40, {0: ("i8", 2)}), "int32", constants=(1,))
    case(79, [x, ints(1)], (57, {0: ("i8", 2)}), "int32", constants=(1,))
    case(103, [ints(4, 2, 4, 1, 2)], (80, {0: ("i8", 2)}), ["int32", "int32"])
    case(109, [flags[0]], (85, {}), "int64")
    case(113, [rnd(2, 3)], (88, {}))
    case(115, [rnd(2, 3, 3), rnd(2, 3)], (90, {}))
    case(128, [x, ints(1)], (102, {0: ("bool", True), 1: ("bool", False)}), constants=(1,))
    case(125, [rnd(4, 2), ints(0, 0, 1, 2)], (100, {}))
    for code, kind in ((153, 118), (154, 119), (155, 121), (157, 120)):
        case(code, [rnd(4, 2), ints(1, 0, 1, 0), ints(2).reshape(())], (kind, {}), constants=(2,))
    case(106, [x, y, x], (82, {}))
    case(156, [x, y], (122, {}))
    case(159, [x], (124, {}), "int32")
    case(160, [ints(5, 9, 12), ints(3, 10, 6)], (125, {}), "int32")
    case(80, [x], (58, {0: ("f32", -1.5), 1: ("f32", 1.5), 2: ("i32", 8), 3: ("bool", False)}))
    # Between numbers and the integers that stand for them.
    case(114, [x], (89, {}), "int8", quant=[None, (0.02, 3)])
    case(6, [i8(3, 4)], (38, {}), quant=[(0.02, 3), None])
    case(6, [rnd(3, 4).astype(np.float16)], (38, {}), constants=())
    case(34, [i8(2, 3), ints(1, 0, 0, 1).reshape(2, 2)], (22, {}), "int8", constants=(1,), quant=[(0.02, 3), None, (0.02, 3)])


def stablehlo():
    x, y, positive = rnd(2, 3, 4), rnd(2, 3, 4), rnd(2, 3, 4, low=0.1, high=3)
    whole, other = ints(*range(-6, 6)).reshape(3, 4), ints(*[3, -2, 5, 7] * 3).reshape(3, 4)
    longs = lambda *v: ("i64s", list(v))
    for code, value in ((162, 1 / (1 + np.exp(-x))), (175, np.abs(x)), (177, np.cos(x)), (178, np.exp(x)), (179, np.floor(x)),
                        (182, -x), (189, np.tanh(x)), (208, np.cbrt(x))):
        stable(code, [x], value)
    for code, value in ((180, np.log(positive)), (186, 1 / np.sqrt(positive))):
        stable(code, [positive], value)
    for code, f in ((163, np.add), (164, np.divide), (165, np.multiply), (166, np.maximum), (181, np.minimum), (188, np.subtract),
                    (185, np.fmod)):
        stable(code, [x, positive], f(x, positive))
    stable(164, [whole, other], np.trunc(whole / other).astype(np.int32))
    stable(185, [whole, other], np.fmod(whole, other))
    stable(184, [positive, y], positive ** y)
    stable(176, [x > 0, y > 0], (x > 0) & (y > 0))
    stable(176, [whole, other], whole & other)
    stable(183, [x > 0, y > 0], (x > 0) | (y > 0))
    stable(183, [whole, other], whole | other)
    stable(187, [x > 0, x, y], np.where(x > 0, x, y))
    stable(207, [whole, ints(*[0, 1, 2, 3] * 3).reshape(3, 4)], whole << ints(0, 1, 2, 3), (22, {}))
    stable(161, [whole, ints(*[0, 1, 2, 3] * 3).reshape(3, 4)], whole >> ints(0, 1, 2, 3))
    stable(168, [np.float32(-1), x, np.float32(0.5)], np.clip(x, -1, 0.5))
    stable(167, [x], x.reshape(4, 6))
    stable(169, [x, y], np.concatenate([x, y], 1), (1, {0: ("i64", 1)}))
    stable(170, [rnd(3)], np.broadcast_to(R.uniform(), (2, 3, 4)).astype(np.float32), (2, {0: longs(1)}))
    CASES[-1] = (*CASES[-1][:-1], np.ascontiguousarray(np.broadcast_to(CASES[-1][1][0][:, None], (2, 3, 4))))
    stable(172, [x], x[0:2, 1:3, 0:4:2], (3, {0: longs(0, 1, 0), 1: longs(2, 3, 4), 2: longs(1, 1, 2)}))
    for direction, f in enumerate((np.equal, np.not_equal, np.greater_equal, np.greater, np.less_equal, np.less)):
        near = np.where(y > 0, x, y)
        stable(191, [x, near], f(x, near), (8, {0: ("u32", direction)}))
    stable(192, [x], x.astype(np.int32))
    starts = [np.int32(1), np.int32(9), np.int32(-2)]
    stable(193, [x, *starts], x[1:2, 1:3, 0:2], (9, {0: longs(1, 2, 2)}))
    put = x.copy()
    put[1:2, 1:3, 0:2] = 7
    stable(194, [x, np.full((1, 2, 2), 7, np.float32), *starts], put)
    wide = np.full((2, 7, 6), 0.5, np.float32)
    wide[:, 1:6:2, 1:5] = x
    stable(195, [x, np.float32(0.5)], wide, (10, {0: longs(0, 1, 1), 1: longs(0, 1, 1), 2: longs(0, 1, 0)}))
    stable(195, [x, np.float32(0.5)], x[:, 1:, :3], (10, {0: longs(0, -1, 0), 1: longs(0, 0, -1), 2: longs(0, 0, 0)}))
    stable(196, [], np.broadcast_to(ints(0, 1, 2)[:, None], (3, 4)), (11, {0: ("i64", 0)}))
    a, b = rnd(2, 3, 4), rnd(4, 5, 2)
    stable(197, [a, b], np.einsum("bij,jkb->bik", a, b),
           (12, {0: longs(0), 1: longs(2), 2: longs(2), 3: longs(0)}))
    stable(202, [x], np.ascontiguousarray(x.transpose(2, 0, 1)), (17, {0: longs(2, 0, 1)}))
    gaps = np.full((2, 5, 4), -1, np.float32)
    gaps[:, ::2] = x
    stable(203, [x, ints(1, 2, 1), np.float32(-1)], gaps, (18, {}), constants=(1, 2))


def names():
    text = (ROOT / "src/graphs/tflite/names_table.inc").read_text()
    return re.findall(r'"([A-Z0-9_]+)"', text)


def main():
    define()
    stablehlo()
    arrays, counts, all_names, by_numpy = {}, {}, names(), set()
    for code, inputs, options, outs, constants, quant, wanted in CASES:
        name = all_names[code]
        file, _ = build(code, inputs, options, outs, constants, quant, wanted)
        data = file.write([])
        try:
            got = run(data, inputs, constants)
        except (RuntimeError, ValueError) as error:
            if wanted is None:
                print(f"{name}: LiteRT: {str(error).splitlines()[0][:150]}")
                continue
            got = [wanted]
            by_numpy.add(name)
        if wanted is not None:
            np.testing.assert_allclose(got[0], wanted, rtol=1e-5, atol=1e-6, err_msg=name)
        counts[name] = counts.get(name, 0) + 1
        key = f"{name}.{counts[name]}"
        arrays[f"{key}/model"] = np.frombuffer(data, np.uint8)
        for i, x in enumerate(x for i, x in enumerate(inputs) if i not in constants):
            arrays[f"{key}/in/{i}"] = x
        for i, x in enumerate(got):
            arrays[f"{key}/out/{i}"] = x
    np.savez_compressed(ROOT / "tests/golden/graphs/tflite.npz", **arrays)
    lines = ["# TFLite operators", "",
             "Built-in operators that Hearth runs and that are held to LiteRT's own interpreter (ai-edge-litert), one file of one",
             "operator each: `src/graphs/tflite_operators_test.cpp`. Written by `scripts/golden_tflite.py`. Numbers of 16 bits are held",
             "to TFLite Micro's SEANet tests besides, to the last bit.", "", "| operator | cases |", "|---|---|"]
    lines += [f"| `{name}` | {counts[name]} |" for name in sorted(counts)]
    lines += ["", f"{len(counts)} operators, {sum(counts.values())} cases. LiteRT has no kernel of these, which are held to NumPy: " +
              ", ".join(f"`{n}`" for n in sorted(by_numpy)) + ".", "",
              "Those with memory, graphs within graphs, tables, boxes and spectra are held to it run after run, each run given what",
              "the one before has left: `src/graphs/tflite_states_test.cpp`, written by `scripts/golden_tflite_states.py`. `IF`, `WHILE`,",
              "`CALL_ONCE`, `VAR_HANDLE`, `READ_VARIABLE`, `ASSIGN_VARIABLE`, `HASHTABLE`, `HASHTABLE_FIND`, `HASHTABLE_IMPORT`,",
              "`HASHTABLE_SIZE`, `LSTM` (full and basic), `UNIDIRECTIONAL_SEQUENCE_LSTM`, `BIDIRECTIONAL_SEQUENCE_LSTM`, `RNN`,",
              "`UNIDIRECTIONAL_SEQUENCE_RNN`, `BIDIRECTIONAL_SEQUENCE_RNN`, `SVDF`, `NON_MAX_SUPPRESSION_V4` and `_V5`, `RFFT2D`, `REAL`,",
              "`IMAG`, `COMPLEX_ABS`, `BUCKETIZE`, `SPARSE_TO_DENSE`, `DENSIFY`, `CONV_3D_TRANSPOSE`, `TFLite_Detection_PostProcess`.", "",
              "TFLite Micro's features of sound are held to its own interpreter, to the last bit, window after window",
              "(`src/graphs/microfrontend_test.cpp`, `scripts/golden_microfrontend.py`): `SignalWindow`, `SignalFftAutoScale`,",
              "`SignalRfft`, `SignalEnergy`, `SignalFilterBank`, `SignalFilterBankSquareRoot`, `SignalFilterBankSpectralSubtraction`,",
              "`SignalPCAN`, `SignalFilterBankLog`.", "",
              "StableHLO's operators with many options, or with a graph of scalars within, are held to JAX, and to LiteRT where it has a",
              "kernel (`scripts/golden_stablehlo.py`): `STABLEHLO_GATHER`, `STABLEHLO_SCATTER` (sums, products, extremes, replacement),",
              "`STABLEHLO_REDUCE` and `STABLEHLO_REDUCE_WINDOW` of any graph, `REDUCE_WINDOW`, `STABLEHLO_SORT` of any comparison,",
              "`STABLEHLO_CONVOLUTION` (not groups of images), `STABLEHLO_CASE`. The same script holds `HASHTABLE_LOOKUP`, `EMBEDDING_LOOKUP_SPARSE`,",
              "`AudioSpectrogram` and `Mfcc` to LiteRT. `MULTINOMIAL` draws with our own generator; `NumericVerify` gives the difference",
              "of its operands. TFLite Micro's `SignalFramer`, `SignalDelay`, `SignalOverlapAdd` and `SignalStacker` are held to its interpreter,",
              "piece after piece of a stream (`scripts/golden_microfrontend.py`).", "",
              "Refused by name: `LSH_PROJECTION`, `CONCAT_EMBEDDINGS`, `SKIP_GRAM`, `DELEGATE`, `STABLEHLO_CUSTOM_CALL` (with its target),",
              "`STABLEHLO_RNG_BIT_GENERATOR`; of TFLite Micro `SignalIrfft`; `Flex...`, which are TensorFlow's own.", ""]
    (ROOT / "docs/formats/tflite-operators.md").write_text("\n".join(lines))
    print(len(counts), "operators", sum(counts.values()), "cases", len(CASES))


main()
