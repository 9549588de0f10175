#!/usr/bin/env python3
"""compile_times.py BUILD-FOLDER [--over S]: the seconds that each object took, slowest first.

Reads the build's .ninja_log, the latest entry of each object: wall time, so build with few jobs on a
quiet machine and without ccache's help (CCACHE_RECACHE=1).  Ends with 1 if an object took over S
seconds (5 unless told) and is not a wrapper of one heavy library.
"""

import argparse
import os
import signal
import sys

# What is slow to compile here is the library itself.
WRAPPERS = {
    "src/base/json.cpp": "Boost.JSON",
    "src/cli/arguments.cpp": "CLI11",
    "src/config/toml_file.cpp": "toml++",
    "src/http/server.cpp": "Boost.Asio",
    "tests/doctest_main.cpp": "doctest",
}


def seconds_of_objects(build):
    """{object: seconds}; ninja appends, so a later line of one object replaces the earlier."""
    seconds = {}
    with open(os.path.join(build, ".ninja_log"), encoding="utf-8") as log:
        for line in log:
            fields = line.rstrip("\n").split("\t")
            if len(fields) == 5 and fields[3].endswith(".o"):
                seconds[fields[3]] = (int(fields[1]) - int(fields[0])) / 1000
    return {name: s for name, s in seconds.items() if os.path.exists(os.path.join(build, name))}


def source_of(name):
    """CMakeFiles/<target>.dir/src/base/json.cpp.o is src/base/json.cpp."""
    return name.split(".dir/", 1)[-1].removesuffix(".o")


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `... | head` is no error
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", metavar="BUILD-FOLDER")
    parser.add_argument("--over", metavar="S", type=float, default=5.0)
    arguments = parser.parse_args()

    seconds = seconds_of_objects(arguments.build)
    slow = 0
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        source = source_of(name)
        note = ""
        if seconds[name] > arguments.over:
            note = f"  over, but wraps {WRAPPERS[source]}" if source in WRAPPERS else "  OVER"
            slow += source not in WRAPPERS
        print(f"{seconds[name]:7.2f}  {source}{note}")
    total = sum(seconds.values())
    print(f"{total:7.2f}  in all: {len(seconds)} objects, {slow} over {arguments.over:g} s")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
