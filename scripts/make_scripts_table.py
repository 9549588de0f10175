#!/usr/bin/env python3
"""Writes src/text/pretokenizer/scripts_table.inc: the script of every code point, as ranges.

Usage: scripts/make_scripts_table.py Scripts.txt > src/text/pretokenizer/scripts_table.inc
Scripts.txt is that of the Unicode Character Database; Hugging Face tokenizers uses version 9.0.
"""
import re
import sys


def main():
    ranges, ids = [], {}
    for line in open(sys.argv[1], encoding="utf-8"):
        match = re.match(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*(\w+)", line)
        if match:
            first = int(match[1], 16)
            ranges.append([first, int(match[2] or match[1], 16), match[3]])
    ranges.sort()
    joined = []
    for first, last, name in ranges:
        # Japanese is written in three scripts at once.
        name = "Han" if name in ("Hiragana", "Katakana") else name
        if joined and joined[-1][2] == name and joined[-1][1] + 1 == first:
            joined[-1][1] = last
        else:
            joined.append([first, last, name])
    print("// Made by scripts/make_scripts_table.py from Scripts-9.0.0.txt; not edited by hand.")
    print("constexpr ScriptRange script_ranges[] = {")
    line = ""
    for first, last, name in joined:
        text = f"{{0x{first:X},0x{last:X},{ids.setdefault(name, len(ids) + 1)}}},"
        if len(line) + len(text) > 99:
            print(line)
            line = ""
        line += text
    print(line)
    print("};")
    print(f"constexpr std::uint8_t han_script = {ids['Han']};")


main()
