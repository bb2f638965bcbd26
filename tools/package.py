"""Build a wheel and an sdist into dist/, and run fits from them in fresh environments that have no Rust.

    python tools/package.py [--full | --quick]

The wheel must need no glibc newer than 2.28. It is installed and tried on every Python of ours that this machine
has, and with the lowest versions that pyproject.toml declares; the sdist is installed by `pip install` on the Python
that runs this.
`--full` runs the unit tests with the lowest versions too; `--quick` compiles a wheel that is slower to run and much
faster to build, never to be given away, and leaves it in build/. Ends with one line of counts: `N passed, M failed`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUICK = "wheel-check"
"""The profile of Cargo.toml of `--quick`."""
GLIBC = (2, 28)
"""The newest glibc whose symbols the wheel may need: that of RHEL 8 and Debian 10."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ZIG = "maturin[zig]>=1.7,<2"


def run(*command: str | Path, where: Path = ROOT, **environment: str) -> None:
    """Run a command, its output passed on; CalledProcessError where it fails."""
    shown = " ".join(map(str, command))
    print(f"$ {shown[:160]}", flush=True)
    subprocess.run(
        [str(part) for part in command],
        cwd=where,
        check=True,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


def fresh(name: str, python: str, scratch: Path) -> Path:
    """Return the interpreter of a new virtual environment, which has no pip of its own."""
    run(python, "-m", "venv", "--without-pip", scratch / name)
    return scratch / name / "bin" / "python"


def install(there: Path, *what: str | Path, **environment: str) -> None:
    """Install into an environment by the pip of this one; what is not imported is not compiled."""
    pip = (sys.executable, "-m", "pip", "--python", there, "install", "--quiet", "--no-compile")
    run(*pip, *what, **environment)


def pythons() -> Iterator[tuple[str, str]]:
    """Yield version and command of every Python of ours that starts, those of pyenv included."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in PYTHONS:
        named = [shutil.which(f"python{version}"), *sorted(versions.glob(f"{version}.*/bin/python"))]
        for command in filter(None, named):
            asked = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
            told = subprocess.run([str(command), "-c", asked], capture_output=True, text=True, check=False)
            if told.stdout.strip() == version:
                yield version, str(command)
                break
        else:
            print(f"Python {version}: none on this machine; not tried", flush=True)


def build(dist: Path, profile: str) -> None:
    """Build the sdist and the wheel: linked by zig, which has the glibc of any year."""
    shutil.rmtree(dist, ignore_errors=True)
    # kept where it is: crates are built again when the path of the linker changes
    python = fresh("zig", sys.executable, ROOT / "build")
    install(python, ZIG)
    own = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(python.parents[1])}
    maturin, oldest = python.parent / "maturin", "manylinux_{}_{}".format(*GLIBC)
    run(maturin, "sdist", "--out", dist, **own)
    # a folder of its own: compiling beside the checks of `make test` must not wait for them
    own["CARGO_TARGET_DIR"] = str(ROOT / "target" / "zig")
    how = ("--profile", profile, "--locked", "--zig", "--compatibility", oldest)
    run(maturin, "build", *how, "--out", dist, **own)


def wheel(dist: Path) -> Path:
    """Return the wheel in a folder."""
    (found,) = dist.glob("*.whl")
    return found


def check_symbols(dist: Path) -> None:
    """Raise ValueError where the extension in the wheel needs a newer glibc than it may."""
    with zipfile.ZipFile(wheel(dist)) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(".so")]
        needed = {tuple(map(int, v)) for v in re.findall(rb"GLIBC_(\d+)\.(\d+)", opened.read(name))}
    print(f"{wheel(dist).name}: newest glibc symbols {max(needed)}", flush=True)
    if max(needed) > GLIBC:
        raise ValueError(f"the wheel needs glibc {max(needed)}, newer than {GLIBC}")


def lowest() -> list[str]:
    """Return the requirements of the package, each at the lowest version that it declares."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [requirement.replace(">=", "==") for requirement in declared]


def try_wheel(dist: Path, version: str, python: str, scratch: Path, pins: tuple[str, ...] = ()) -> Path:
    """Install the wheel where there is no compiler, and run fits from another folder; return the interpreter."""
    there = fresh(f"wheel-{version}{'-lowest' if pins else ''}", python, scratch)
    bare = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "", "CARGO": "no-cargo"}
    install(there, "--only-binary", ":all:", wheel(dist), *pins, **bare)
    run(there, "-W", "error", ROOT / "tests" / "installed.py", where=scratch, **bare)
    return there


def try_lowest(dist: Path, version: str, python: str, scratch: Path, full: bool) -> None:
    """Do so with the lowest declared versions; with `full` the unit tests run there as well."""
    there = try_wheel(dist, version, python, scratch, tuple(lowest()))
    if not full:
        return
    install(there, "pytest>=8", "hypothesis>=6.100", "pandas==2.1.*")
    options = ("-o", "testpaths=", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", "-q")
    units = ROOT / "tests" / "unit"
    folders = [
        units / name
        for name in ("terms", "engines", "criterion", "optimise", "inference", "emmeans", "postfit")
    ]
    run(there, "-m", "pytest", *options, *folders, PYTHONPATH=str(ROOT / "tests"))


def try_sdist(dist: Path, scratch: Path) -> None:
    """Install the sdist by pip, which compiles it with the crates that are built already, and run fits."""
    there = fresh("sdist", sys.executable, scratch)
    (found,) = dist.glob("*.tar.gz")
    install(there, found, CARGO_TARGET_DIR=str(ROOT / "target"))
    run(there, "-W", "error", ROOT / "tests" / "installed.py", where=scratch, PYTHONPATH="")


Named = tuple[str, Callable[[], object]]


def checks(dist: Path, scratch: Path, full: bool) -> Iterator[Named]:
    """Yield the name of everything to check of what is built, and what checks it: none of them needs another."""
    yield "glibc symbols", partial(check_symbols, dist)
    yield "sdist", partial(try_sdist, dist, scratch)
    there = list(pythons())
    for version, python in there:
        yield f"wheel on Python {version}", partial(try_wheel, dist, version, python, scratch)
    if there and there[0][0] == PYTHONS[0]:
        yield "lowest declared versions", partial(try_lowest, dist, *there[0], scratch, full)


def outcome(named: Named) -> tuple[str, str, float]:
    """Run one check; return its name, what it came to and how long it took."""
    name, check = named
    start = time.monotonic()
    try:
        check()
    except (subprocess.CalledProcessError, ValueError, OSError) as error:
        print(f"{name}: {error}", flush=True)
        return name, "failed", time.monotonic() - start
    return name, "ok", time.monotonic() - start


def main() -> int:
    """Run the checks, all of them, and print the counts; return 1 if anything failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="unit tests with the lowest declared versions")
    parser.add_argument(
        "--quick", action="store_true", help="a wheel that is built fast, to check what is packed"
    )
    asked = parser.parse_args()
    dist, profile = (ROOT / "build" / "wheel", QUICK) if asked.quick else (ROOT / "dist", "release")
    outcomes = [outcome(("build", partial(build, dist, profile)))]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as two:
        # environments are downloads as much as work
        outcomes += two.map(outcome, checks(dist, Path(folder), asked.full))
    for name, verdict, seconds in outcomes:
        print(f"{name:32}{verdict:8}{seconds:7.1f} s")
    failed = sum(verdict == "failed" for _, verdict, _ in outcomes)
    print(f"{len(outcomes) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
