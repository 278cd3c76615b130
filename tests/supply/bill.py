"""deploy/sbom by CycloneDX's schema, by Cargo.lock, by cargo-deny's graph and by the executable itself."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

# Where a crate's source lay when the executable was built: messages of panics name it.
BUILT_FROM = re.compile(rb"/registry/src/[^/\0]{1,80}/([A-Za-z0-9_-]+?)-(\d+\.\d+\.\d+[A-Za-z0-9.+-]*)/")


class Judge:
    """What a bill is held against."""

    def __init__(self, repository, interpreter, deny, binary):
        self.repository, self.interpreter = repository, interpreter
        lock = tomllib.loads((repository / "Cargo.lock").read_text())["package"]
        self.locked = {(one["name"], one["version"]): one.get("checksum") for one in lock}
        self.reached = reached(repository, deny)
        self.linked = linked(binary)

    def by_schema(self, bill):
        """Yields what CycloneDX's schema has against a bill. (That takes a tenth of a second for each crate.)"""
        command = [self.interpreter, Path(__file__).parent / "schema.py"]
        done = subprocess.run(command, input=json.dumps(bill), capture_output=True, text=True, check=False)
        if done.returncode != 0 or done.stdout:
            yield f"sbom: by its schema: {done.stdout}{done.stderr}"

    def by_crates(self, bill):
        """Yields what is wrong with what a bill lists."""
        crates = {(one["name"], one["version"]): one for one in [bill["metadata"]["component"], *bill["components"]]}
        for key, one in crates.items():
            if sums(one) != ([self.locked[key]] if self.locked.get(key) else []):
                yield f"sbom: {key} has another digest than in Cargo.lock: {sums(one)}"
            if key not in self.reached:
                yield f"sbom: {key} is none of what the gateway depends on"
            if not one.get("licenses"):
                yield f"sbom: {key} has no licence"
        required = {key for key, one in crates.items() if one["scope"] == "required"}
        for key in sorted(self.linked - required):
            yield f"sbom: {key} is in the executable and not listed as required"
        yield from dangling(bill, {one["bom-ref"] for one in crates.values()})


def dangling(bill, known):
    """Yields what is wrong with who depends on whom: all are told, and all are reached from the gateway."""
    edges = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    if set(edges) != known:
        yield f"sbom: told of others than are listed: {sorted(set(edges) ^ known)}"
    seen, ahead = set(), [bill["metadata"]["component"]["bom-ref"]]
    while ahead:
        if (at := ahead.pop()) not in seen:
            seen.add(at)
            ahead += edges.get(at, [])
    if seen != known:
        yield f"sbom: nothing needs {sorted(known - seen)}, or is needed and not listed: {sorted(seen - known)}"


def sums(component):
    """Its SHA-256."""
    return [one["content"] for one in component.get("hashes", []) if one["alg"] == "SHA-256"]


def reached(repository, deny):
    """(name, version) of all that the gateway may depend on, by cargo-deny, whatever the target."""
    command = [deny, "--locked", "--exclude-dev", "--exclude", "weir-tests", "list", "--format", "json", "--layout", "crate"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return {tuple(key.split(" ")[:2]) for key in json.loads(done.stdout)}


def linked(binary):
    """(name, version) of the crates that an executable says it was built from."""
    return {(name.decode(), version.decode()) for name, version in BUILT_FROM.findall(binary.read_bytes())}


def made(repository, *arguments):
    """What deploy/sbom prints."""
    return subprocess.run([repository / "deploy" / "sbom", *arguments], capture_output=True, text=True, check=True).stdout


def mutants(judge, text):
    """Yields what would pass unnoticed: each of these is a bill that must not be."""
    for name, change, wanted in MUTANTS:
        bill = json.loads(text)
        change(bill)
        said = list(judge.by_crates(bill))
        if not any(wanted in fault for fault in said):
            yield f"sbom: {name} passes; what is said is {said}"
    few = json.loads(text)
    few["components"] = few["components"][:3]
    if said := list(judge.by_schema(few)):
        yield f"sbom: three crates are refused: {said}"
    few["components"][0]["scope"] = "linked"
    if not list(judge.by_schema(few)):
        yield "sbom: a scope that is none passes"


def component(bill, name):
    """One of the crates, by its name."""
    return next(one for one in bill["components"] if one["name"] == name)


def forgotten(bill):
    """A crate that is linked is left out, and whoever depends on it says nothing of it."""
    gone = component(bill, "tokio")["bom-ref"]
    bill["components"] = [one for one in bill["components"] if one["bom-ref"] != gone]
    bill["dependencies"] = [one for one in bill["dependencies"] if one["ref"] != gone]
    for one in bill["dependencies"]:
        one["dependsOn"] = [to for to in one["dependsOn"] if to != gone]


def exchanged(bill):
    """An archive is another one."""
    component(bill, "tokio")["hashes"][0]["content"] = "0" * 64


def unneeded(bill):
    """Whoever depends on a crate says nothing of it."""
    for one in bill["dependencies"]:
        one["dependsOn"] = [to for to in one["dependsOn"] if "/axum@" not in to]


MUTANTS = [
    ("a crate left out", forgotten, "is in the executable and not listed"),
    ("a crate of the tests", lambda bill: component(bill, "tokio").update(name="proptest"), "none of what the gateway depends on"),
    ("another archive", exchanged, "another digest than in Cargo.lock"),
    ("a crate without a licence", lambda bill: component(bill, "tokio").pop("licenses"), "has no licence"),
    ("a dependency on nothing", lambda bill: bill["dependencies"][0]["dependsOn"].append("pkg:cargo/none@1"), "is needed and not listed"),
    ("a crate that nothing needs", unneeded, "nothing needs"),
]
