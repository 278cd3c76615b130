"""Builds what a run needs: the rig, the floor's allocators, Weir."""
import atexit
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REPO = os.path.dirname(os.path.dirname(HERE))
RIG = f"{HERE}/rig"
OUT = os.environ.get("CARGO_TARGET_DIR") or f"{REPO}/target/bench"
RUN = f"{REPO}/target/bench-run"
RESULTS = f"{REPO}/target/bench-results"
BIN = f"{RUN}/bin"


def cargo(cwd, profile, *args):
    env = {**os.environ, "CARGO_TARGET_DIR": OUT}
    subprocess.run(["cargo", "build", "--profile", profile, "--quiet", *args], cwd=cwd, env=env, check=True)


def rig(allocators):
    """Builds mock, lg and floor, and floor once more for every allocator asked for."""
    os.makedirs(BIN, exist_ok=True)
    for name in sorted(allocators - {"system"}):
        if not os.environ.get("BENCH_NO_BUILD"):
            cargo(RIG, "release", "-p", "floor", "--features", name)
            shutil.copy2(f"{OUT}/release/floor", f"{BIN}/floor-{name}")
    if not os.environ.get("BENCH_NO_BUILD"):
        cargo(RIG, "release")
        for name in ("mock", "lg", "floor"):
            shutil.copy2(f"{OUT}/release/{name}", f"{BIN}/{name}")


def weir():
    """A copy of the gateway's binary, so that a build meanwhile changes nothing: WEIR_BIN, or built as it is published."""
    given = os.environ.get("WEIR_BIN")
    if not given:
        cargo(REPO, "dist", "-p", "weir")
    copy = f"{BIN}/weir-{os.getpid()}"
    atexit.register(os.remove, copy)
    return shutil.copy2(given or f"{OUT}/dist/weir", copy)
