#!/usr/bin/env python3
"""Writes src/text/jinja/unicode_table.inc from Python's own character database."""
import pathlib
import sys
import unicodedata

OUT = pathlib.Path(__file__).parent.parent / "src/text/jinja/unicode_table.inc"
POINTS = [p for p in range(sys.maxunicode + 1) if not 0xD800 <= p < 0xE000]


def ranges(name, holds):
    rows, start, last = [], None, None
    for p in POINTS:
        if not holds(chr(p)):
            continue
        if last is not None and p == last + 1:
            last = p
            continue
        if start is not None:
            rows.append((start, last))
        start = last = p
    rows.append((start, last))
    body = ", ".join(f"{{{a:#x}, {b:#x}}}" for a, b in rows)
    return f"constexpr Range {name}[] = {{{body}}};\n"


def mappings(name, convert):
    rows = [(p, convert(chr(p))) for p in POINTS if len(convert(chr(p))) != 1]
    body = ", ".join(
        f'{{{p:#x}, "{"".join(f"{chr(92)}x{b:02x}" for b in text.encode())}"}}' for p, text in rows
    )
    return f"constexpr Mapping {name}[] = {{{body}}};\n"


OUT.write_text(
    f"// Made by scripts/make_jinja_unicode.py from Unicode {unicodedata.unidata_version}.\n"
    "// clang-format off\n"
    + ranges("digits_table", lambda c: c.isdigit() and not c.isdecimal())
    + ranges("numerics_table", lambda c: c.isnumeric() and not c.isdigit())
    + ranges("lower_table", lambda c: c.islower() and unicodedata.category(c) != "Ll")
    + ranges("upper_table", lambda c: c.isupper() and unicodedata.category(c) != "Lu")
    + mappings("special_upper_table", str.upper)
    + mappings("special_lower_table", str.lower)
    + mappings("special_title_table", str.title)
    + "// clang-format on\n"
)
