"""Runs every kind of test of the repository and sums them up in one closing line.

Stages: unit (C++ through ctest), go (the tools' own tests), rego (the policy library's tests, by
OPA), python (conformance, end to end, attack, chaos and layering, by pytest). A stage that fails
does not keep the others from running; a stage that runs no test is a failure.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
REPORTS = ROOT / "build" / "reports"
JOBS = os.environ.get("JOBS") or str(os.cpu_count())


@dataclass
class Count:
    """What one stage ran. `ok` is the verdict of the runner itself (its exit code)."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    ok: bool = True


def count_junit(files) -> Count:
    """Adds up the test cases of JUnit XML files (GoogleTest and pytest both write them)."""
    count = Count()
    for file in files:
        for case in ET.parse(file).getroot().iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                count.failed += 1
            elif case.find("skipped") is not None or case.get("status") == "notrun":
                count.skipped += 1
            else:
                count.passed += 1
    return count


def fresh(name: str) -> pathlib.Path:
    folder = REPORTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def run(command, **kwargs) -> bool:
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, **kwargs).returncode == 0


def unit() -> Count:
    folder = fresh("unit")
    ctest = folder / "ctest.xml"
    ok = run(
        [
            "ctest", "--test-dir", str(BUILD), "--output-on-failure", "-j", JOBS,
            "--no-tests=error", "--output-junit", str(ctest),
        ],
        env={**os.environ, "GTEST_OUTPUT": f"xml:{folder}/"},
    )  # fmt: skip
    count = count_junit(path for path in sorted(folder.glob("*.xml")) if path != ctest)
    # A program that is not GoogleTest's counts as one test; one that died before its report too.
    if ctest.exists():
        for case in ET.parse(ctest).getroot().iter("testcase"):
            if not (folder / f"{case.get('name')}.xml").exists():
                count.passed += case.find("failure") is None
                count.failed += case.find("failure") is not None
    count.ok = ok
    return count


def go() -> Count:
    process = subprocess.run(
        ["go", "test", "-json", "./..."],
        cwd=ROOT / "tools" / "regoc",
        env={**os.environ, "GOFLAGS": "-buildvcs=false -mod=readonly", "GOWORK": "off"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    count = Count(ok=process.returncode == 0)
    output: dict[str, list[str]] = {}
    for line in process.stdout.splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            print(line)
            continue
        name = event.get("Test")
        key = name or event.get("Package") or event.get("ImportPath", "")
        action = event["Action"]
        if action in ("output", "build-output"):
            output.setdefault(key, []).append(event["Output"])
        elif action == "fail":
            count.failed += name is not None
            print("".join(output.get(key, [])), end="")
        elif action == "pass":
            count.passed += name is not None
        elif action == "skip":
            count.skipped += name is not None
        elif action == "build-fail":
            print("".join(output.get(key, [])), end="")
    return count


def rego() -> Count:
    folder = fresh("rego")
    process = subprocess.run(
        ["opa", "test", "rego", "--format", "json"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    (folder / "opa.json").write_text(process.stdout)
    count = Count(ok=process.returncode == 0)
    try:
        cases = json.loads(process.stdout)
    except json.JSONDecodeError:
        print(process.stdout)
        return Count(ok=False)
    for case in cases or []:
        if case.get("skip"):
            count.skipped += 1
        elif case.get("fail") or case.get("error"):
            count.failed += 1
            at = case.get("location", {})
            print(
                f"FAIL {case.get('package')}.{case.get('name')} ({at.get('file')}:{at.get('row')})"
            )
        else:
            count.passed += 1
    return count


def python() -> Count:
    folder = fresh("python")
    ok = run(
        [
            sys.executable,
            "-m",
            "pytest",
            "tests",
            f"--junitxml={folder}/pytest.xml",
            "--durations=5",
        ],
        env={**os.environ, "AEGIS_BIN": os.environ.get("AEGIS_BIN", str(BUILD / "bin" / "aegis"))},
    )
    count = count_junit(sorted(folder.glob("*.xml")))
    count.ok = ok
    return count


STAGES = {"unit": unit, "go": go, "rego": rego, "python": python}


def main() -> int:
    names = sys.argv[1:] or list(STAGES)
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        print(f"no stage {', '.join(unknown)}; stages: {' '.join(STAGES)}", file=sys.stderr)
        return 2
    rows = []
    for name in names:
        print(f"\n=== {name} ===", flush=True)
        started = time.monotonic()
        count = STAGES[name]()
        if count.passed + count.failed == 0:
            print(f"{name}: no test ran", flush=True)
            count.ok = False
        rows.append((name, count, time.monotonic() - started))

    print(f"\n{'stage':8} {'passed':>8} {'failed':>8} {'skipped':>8} {'seconds':>8}")
    for name, count, seconds in rows:
        verdict = "" if count.ok and count.failed == 0 else "  FAILED"
        print(
            f"{name:8} {count.passed:8} {count.failed:8} {count.skipped:8} {seconds:8.0f}{verdict}"
        )
    broken = [name for name, count, _ in rows if not count.ok or count.failed]
    passed = sum(count.passed for _, count, _ in rows)
    failed = sum(count.failed for _, count, _ in rows)
    skipped = sum(count.skipped for _, count, _ in rows)
    # A runner that died without a failing test case must still show as a failure.
    failed += sum(1 for _, count, _ in rows if not count.ok and count.failed == 0)
    if broken:
        print(f"\nfailed: {' '.join(broken)} (reports: build/reports)")
    print(f"\naegis: {passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
