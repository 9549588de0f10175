#!/usr/bin/env python3
"""Writes src/text/unicode_table.inc: one byte per code point, in two stages.

The general category comes from libutf8proc (Unicode 15.0 in version 2.8); White_Space and the Han
script are the ranges of the Unicode Character Database, PropList.txt and Scripts.txt, 15.0.

Usage: scripts/make_unicode_table.py > src/text/unicode_table.inc
"""
import ctypes
import ctypes.util

BLOCK = 128
SPACE, HAN = 0x20, 0x40
WHITE_SPACE = [(0x9, 0xD), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680),
               (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F),
               (0x3000, 0x3000)]
HAN_RANGES = [(0x2E80, 0x2E99), (0x2E9B, 0x2EF3), (0x2F00, 0x2FD5), (0x3005, 0x3005),
              (0x3007, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B), (0x3400, 0x4DBF),
              (0x4E00, 0x9FFF), (0xF900, 0xFA6D), (0xFA70, 0xFAD9), (0x16FE2, 0x16FE3),
              (0x16FF0, 0x16FF1), (0x20000, 0x2A6DF), (0x2A700, 0x2B739), (0x2B740, 0x2B81D),
              (0x2B820, 0x2CEA1), (0x2CEB0, 0x2EBE0), (0x2F800, 0x2FA1D), (0x30000, 0x3134A),
              (0x31350, 0x323AF)]


def main():
    utf8proc = ctypes.CDLL(ctypes.util.find_library("utf8proc") or "libutf8proc.so.2")
    utf8proc.utf8proc_category.argtypes = [ctypes.c_int32]
    utf8proc.utf8proc_unicode_version.restype = ctypes.c_char_p
    version = utf8proc.utf8proc_unicode_version().decode()
    flags = bytearray(utf8proc.utf8proc_category(point) for point in range(0x110000))
    for bit, ranges in ((SPACE, WHITE_SPACE), (HAN, HAN_RANGES)):
        for first, last in ranges:
            for point in range(first, last + 1):
                flags[point] |= bit
    blocks, order, stage1 = {}, [], []
    for start in range(0, len(flags), BLOCK):
        block = bytes(flags[start:start + BLOCK])
        if block not in blocks:
            blocks[block] = len(order)
            order.append(block)
        stage1.append(blocks[block])
    print(f"// Made by scripts/make_unicode_table.py from Unicode {version}; not edited by hand.")
    print(f"constexpr std::uint16_t unicode_stage1[{len(stage1)}] = {{")
    write(stage1)
    print("};")
    print(f"constexpr std::uint8_t unicode_stage2[{len(order)}][{BLOCK}] = {{")
    for block in order:
        print("{")
        write(block)
        print("},")
    print("};")


def write(values):
    line = ""
    for value in values:
        text = f"{value},"
        if len(line) + len(text) > 99:
            print(line)
            line = ""
        line += text
    print(line)


main()
