"""clang-tidy over the C++ sources, newest first, within a time limit.

A file that was clean is not checked again until it, a repository header it includes (directly or
not), or .clang-tidy changes: build/lint remembers. What the time limit leaves unchecked is said,
and checked by the next run.
"""

import argparse
import concurrent.futures
import functools
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
TIDY_BUILD = ROOT / "build" / "tidy"
MEMORY = ROOT / "build" / "lint"
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


@functools.cache
def includes(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    found = []
    for name in INCLUDE.findall(path.read_bytes()):
        candidate = SOURCE / name.decode()
        if candidate.is_file():
            found.append(candidate)
    return tuple(found)


def closure_hash(path: pathlib.Path) -> str:
    """Hash of a file and of every repository header it can see, with the linter's settings."""
    seen, todo = set(), [path]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo.extend(includes(file))
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    for file in sorted(seen):
        digest.update(str(file.relative_to(ROOT)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def check(path: pathlib.Path) -> tuple[pathlib.Path, str]:
    """Returns the findings; empty when the file is clean."""
    process = subprocess.run(
        ["clang-tidy-19", "--quiet", "-p", str(TIDY_BUILD), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if process.returncode == 0:
        return path, ""
    return path, process.stdout or process.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=900, help="stop starting files after this")
    parser.add_argument(
        "--jobs", type=int, default=int(os.environ.get("JOBS", os.cpu_count() or 1))
    )
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="only these")
    options = parser.parse_args()

    configured = subprocess.run(
        ["cmake", "--preset", "tidy"], cwd=ROOT, capture_output=True, text=True
    )
    if configured.returncode != 0:
        print(configured.stderr, file=sys.stderr)
        return 1
    MEMORY.mkdir(parents=True, exist_ok=True)
    compiled = (TIDY_BUILD / "compile_commands.json").read_text()
    files = [path.resolve() for path in options.files] or sorted(
        (path for path in SOURCE.rglob("*.cc") if str(path) in compiled),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    hashes = {path: closure_hash(path) for path in files}
    todo = [path for path in files if not (MEMORY / hashes[path]).exists()]
    deadline = time.monotonic() + options.seconds
    findings = unchecked = 0

    def bounded(path):
        return check(path) if time.monotonic() < deadline else (path, None)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for path, text in pool.map(bounded, todo):
            if text is None:
                unchecked += 1
            elif text:
                findings += 1
                print(text, flush=True)
            else:
                (MEMORY / hashes[path]).touch()
    known = len(files) - len(todo)
    late = f", {unchecked} not reached in {options.seconds} s" if unchecked else ""
    print(f"clang-tidy: {len(files)} files, {known} known clean, {findings} with findings{late}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
