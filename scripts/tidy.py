#!/usr/bin/env python3
"""Checks that are worth a machine's time; run by the tests.

tidy.py floors            every #include goes down the floors of the top CMakeLists.txt
tidy.py headers CXX       every header compiles alone
tidy.py format            clang-format has nothing to change (skipped where it is not installed)
"""
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"


def floors():
    """Floor -> the floors it may include, transitively, from the top CMakeLists.txt."""
    direct = {}
    text = (ROOT / "CMakeLists.txt").read_text()
    for name, rest in re.findall(r"^hearth_module\((\w+)([^)]*)\)", text, re.M):
        depends = re.search(r"DEPENDS ((?:\w+ ?)+?)(?:\s*(?:LIBS|PRIVATE_LIBS|$))", rest + "\n")
        direct[name] = depends.group(1).split() if depends else []
    allowed = {}
    for name in direct:  # lowest first, so what a floor depends on is known already
        allowed[name] = {name}.union(*(allowed[d] for d in direct[name]))
    return allowed


def check_floors():
    allowed = floors()
    problems = []
    for path in sorted(SRC.rglob("*")):
        if path.suffix not in (".h", ".cpp", ".inl"):
            continue
        floor = path.relative_to(SRC).parts[0]
        if floor not in allowed:
            problems.append(f"{path.relative_to(ROOT)}: floor '{floor}' is not in CMakeLists.txt")
            continue
        for line, text in enumerate(path.read_text().splitlines(), 1):
            include = re.match(r'\s*#include "(\w+)/', text)
            if include and include.group(1) in allowed and include.group(1) not in allowed[floor]:
                problems.append(f"{path.relative_to(ROOT)}:{line}: {floor} may not include "
                                f"{include.group(1)}")
    return problems


def check_headers(compiler):
    """Through ccache where it is there; paths are relative, so that any checkout finds what another one compiled."""
    launcher = [ccache] if (ccache := shutil.which("ccache")) else []

    def compile_alone(header):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(
                [*launcher, compiler, "-std=gnu++23", "-I", "src", "-I", "include", "-Wall", "-Wextra",
                 "-x", "c++", "-c", str(header), "-o", folder + "/header.o"],
                capture_output=True, text=True, cwd=ROOT)
        return None if run.returncode == 0 else f"{header}:\n{run.stderr[:2000]}"

    headers = [path.relative_to(ROOT) for path in
               sorted(SRC.rglob("*.h")) + sorted((ROOT / "include").rglob("*.h*"))]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return [problem for problem in pool.map(compile_alone, headers) if problem]


def check_format():
    tool = shutil.which("clang-format-19")
    if not tool:
        print("clang-format-19 is not installed: skipped")
        return []
    files = [p for folder in (SRC, ROOT / "include", ROOT / "examples", ROOT / "tests")
             for p in sorted(folder.rglob("*")) if p.suffix in (".h", ".hpp", ".cpp", ".c", ".inl")
             and "node_modules" not in p.parts]
    run = subprocess.run([tool, "--dry-run", "-Werror", *map(str, files)], capture_output=True,
                         text=True)
    return [] if run.returncode == 0 else run.stderr.splitlines()[:40]


def main(arguments):
    if arguments[:1] == ["floors"]:
        problems = check_floors()
    elif arguments[:1] == ["headers"] and len(arguments) == 2:
        problems = check_headers(arguments[1])
    elif arguments[:1] == ["format"]:
        problems = check_format()
    else:
        sys.exit(__doc__)
    print("\n".join(problems) or "clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
