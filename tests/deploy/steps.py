"""The first stage of the Dockerfile without Docker: its own COPY and RUN, in a folder of the build.

It takes minutes and builds everything, as an image does; `tests/deploy/run --image` does it. What comes out must run where only the C
library is, and must be Weir and not what stood in for its sources.
"""
import os
import re
import shlex
import shutil
import subprocess

from judges import DEPLOY, REPOSITORY, run

# What gcr.io/distroless/cc-debian12 has of libraries.
BASE = {"linux-vdso.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def faults(judges):
    """Yields what is wrong. (The same steps without `cargo clean`, on a small crate, made an executable that does nothing.)"""
    place = judges.folder / "image"
    for old in (place / name for name in ("gateway", "tests", "config", "lua")):
        shutil.rmtree(old, ignore_errors=True)
    place.mkdir(exist_ok=True)
    for word, rest in instructions((DEPLOY / "Dockerfile").read_text()):
        if word == "COPY":
            *sources, to = rest.split()
            for source in sources:
                copy(REPOSITORY / source, place / to if len(sources) == 1 and not to.endswith("/") else place / to / source.split("/")[-1])
        elif word == "RUN":
            environment = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
            command = re.sub(r"--mount=\S+\s*", "", rest)
            done = subprocess.run(["sh", "-ec", command], cwd=place, env={**environment, "SOURCE_DATE_EPOCH": "0"}, check=False)
            if done.returncode != 0:
                yield f"Dockerfile: RUN {command} ended with {done.returncode}"
                return
    yield from judged(place / "target" / "dist" / "weir")


def instructions(text):
    """(word, rest) of the stage that builds."""
    stage = re.search(r"^FROM \S+ AS build$(.*?)^FROM ", text, re.M | re.S)[1]
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", stage))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def copy(source, to):
    """As COPY does, with the times that files have."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, to, dirs_exist_ok=True)
    else:
        shutil.copy2(source, to)


def judged(binary):
    """The executable."""
    if said := run(binary, "--version"):
        yield said
        return
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("weir "):
        yield f"{shlex.quote(str(binary))} says {version!r}"
    needs = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    if more := {line.split()[0].split("/")[-1] for line in needs.splitlines()} - BASE:
        yield f"the executable needs {more}, which its base has not"
