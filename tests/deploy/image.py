"""The Dockerfile, and what of the repository it is given."""

import re

from judges import DEPLOY, REPOSITORY, run

DOCKERFILE = DEPLOY / "Dockerfile"
# What the sources read while they are compiled: include_str!("..."), also by concat! of the path's beginning.
INCLUDED = re.compile(r'include_(?:str|bytes)!\((?:concat!\()?"([^"]+)"')


def faults(judges):
    """Yields what is wrong with them."""
    if said := run(judges.hadolint, "--no-color", DOCKERFILE):
        yield said
    text = DOCKERFILE.read_text()
    yield from versions(text)
    allowed = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [source for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M) for source in line.split()[:-1]]
    for source in copied:
        if not (REPOSITORY / source).exists():
            yield f"Dockerfile: there is no {source} to copy"
        if not within(source, allowed):
            yield f"Dockerfile: .dockerignore keeps {source} away"
    yield from unread(copied)
    yield from promises(text)


def versions(text):
    """What it says twice must be the same: Rust, Weir."""
    cargo = (REPOSITORY / "Cargo.toml").read_text()
    for name, pattern, key in (("Rust", r"^ARG RUST_IMAGE=rust:(\d+\.\d+)", "rust-version"), ("Weir", r"^ARG VERSION=(\S+)", "version")):
        here, there = (re.search(found, where, re.M)[1] for found, where in ((pattern, text), (rf'^{key} = "(.+)"', cargo)))
        if here != there:
            yield f"Dockerfile: {name} {here}, Cargo.toml says {there}"


def unread(copied):
    """Is everything copied that the sources include? (Seen to fail without `lua`.)"""
    included = 0
    for path in (REPOSITORY / "gateway" / "src").rglob("*.rs"):
        if path.stem.endswith("tests") or "tests" in path.relative_to(REPOSITORY / "gateway" / "src").parts:
            continue
        for name in INCLUDED.findall(path.read_text()):
            included += 1
            place = (path.parent / name).resolve().relative_to(REPOSITORY)
            if not within(str(place), copied):
                yield f"Dockerfile: {path.relative_to(REPOSITORY)} includes {place}, which is not copied"
    if not included:
        yield "Dockerfile: no source includes anything: the pattern of this test is out of date"


def promises(text):
    """What deploy/README.md says of the image, where no linter looks. (Each seen to fail when it was taken out.)"""
    last = text.rpartition("\nFROM ")[2]
    for wanted in (r"^USER [1-9]\d*:[1-9]\d*$", r"^STOPSIGNAL SIGTERM$", r'^HEALTHCHECK .*"ready"\]$', r'^ENTRYPOINT \["', r"^LABEL org\.opencontainers\.image\."):
        if not re.search(wanted, last, re.M):
            yield f"Dockerfile: nothing like {wanted}"
    if len(builds := re.findall(r"cargo build .*", text)) != 2 or not all("--locked --profile dist" in build for build in builds):
        yield f"Dockerfile: {builds}"


def within(path, folders):
    """Is it one of them, or below one?"""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)
