"""The floor as a target: its name says its shape, mode and allocator."""
from . import build

SHAPES, MODES, ALLOCATORS = ("steal", "percore", "deal"), ("pass", "parse", "redis"), ("system", "mimalloc", "jemalloc")


def parts(name):
    """floor[-SHAPE][-MODE][-ALLOCATOR][-hyper] as (shape, mode, allocator, server)."""
    words = name.split("-")[1:]
    pick = lambda known, default: next((w for w in words if w in known), default)  # noqa: E731
    strange = set(words) - {*SHAPES, *MODES, *ALLOCATORS, "hyper"}
    if strange:
        raise SystemExit(f"unknown target {name}: {', '.join(strange)}")
    return pick(SHAPES, "percore"), pick(MODES, "redis"), pick(ALLOCATORS, "system"), pick(("hyper",), "axum")


def needs_redis(name):
    return name.startswith("floor") and parts(name)[1] == "redis"


def floor_command(name, port, mock, redis, workers):
    shape, mode, allocator, server = parts(name)
    binary = f"{build.BIN}/floor" + ("" if allocator == "system" else f"-{allocator}")
    return [binary, "--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{mock}", "--redis",
            f"redis://127.0.0.1:{redis}", "--workers", str(workers), "--mode", mode, "--shape", shape,
            "--server", server]
