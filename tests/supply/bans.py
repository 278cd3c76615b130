"""deploy/deny.toml by cargo-deny, and what it must not let pass."""

import copy
import json
import subprocess

PARTS = ["bans", "licenses", "sources"]


class Deny:
    """cargo-deny with our rules."""

    def __init__(self, program, repository, folder):
        self.program, self.repository, self.folder = program, repository, folder

    def said(self, *parts, metadata=None):
        """What it objects to, as pairs of a code and a text; empty when it is content."""
        command = [self.program, "--locked", "--format", "json", "--config", "deploy/deny.toml"]
        if metadata is not None:
            path = self.folder / "metadata.json"
            path.write_text(json.dumps(metadata))
            command += ["--metadata-path", path]
        done = subprocess.run([*command, "check", *parts], cwd=self.repository, capture_output=True, text=True, check=False)
        found = [objection(json.loads(line)["fields"]) for line in done.stderr.splitlines() if '"diagnostic"' in line]
        found = [(code, text) for severity, code, text in found if severity in ("error", "warning")]
        if done.returncode != 0 and not found:
            found.append(("failed", done.stderr.strip()[-2000:]))
        return found


def objection(fields):
    """(severity, code, text) of a line of its report."""
    marked = " ".join(label["span"] for label in fields.get("labels", []))
    return fields["severity"], fields.get("code"), f"{fields['message']}: {marked}"


def faults(deny, *parts):
    """Yields what is wrong with what Weir is made of."""
    for code, text in deny.said(*parts):
        yield f"deny: {code}: {text}"


def mutants(deny, metadata):
    """Yields what would pass unnoticed: each of these is a graph that must not be."""
    if said := deny.said(*PARTS, metadata=metadata):
        yield f"deny: the graph as it is fails where it is read from a file: {said}"
    for name, change, code in MUTANTS:
        changed = copy.deepcopy(metadata)
        change(changed)
        said = deny.said(*PARTS, metadata=changed)
        if code not in [found for found, _ in said]:
            yield f"deny: {name} passes; what is said is {said}"


def package(metadata, name):
    """One of the packages, by its name."""
    return next(one for one in metadata["packages"] if one["name"] == name)


def copyleft(metadata):
    """A crate that is linked into the gateway has another licence."""
    package(metadata, "itoa")["license"] = "GPL-3.0-only"


def nameless(metadata):
    """One says nothing of its licence, and has no text of one."""
    package(metadata, "itoa").update(license=None, license_file=None, manifest_path="/nowhere/Cargo.toml")


def renamed(metadata, name, other, source=None):
    """A crate is another one, or from elsewhere, wherever it is named."""
    one = package(metadata, name)
    before = one["id"]
    source = source or one["source"]
    after = f"{source}#{other}@{one['version']}"
    one.update(name=other, source=source)
    text = json.dumps(metadata).replace(json.dumps(before), json.dumps(after))
    metadata.update(json.loads(text))


def banned(metadata):
    """A crate that is banned stands in for one."""
    renamed(metadata, "itoa", "openssl-sys")


def from_git(metadata):
    """A crate is from a repository, as `[patch]` makes it."""
    renamed(metadata, "itoa", "itoa", "git+https://example.org/itoa?branch=main#0123456789012345678901234567890123456789")


def from_elsewhere(metadata):
    """A crate is from another registry."""
    renamed(metadata, "itoa", "itoa", "registry+https://example.org/index")


def twice(metadata):
    """A crate is there in two versions."""
    renamed(metadata, "itoa", "ryu")


def wild(metadata):
    """A dependency of ours takes whatever version there is."""
    for one in package(metadata, "weir")["dependencies"]:
        if one["name"] == "itoa":
            one["req"] = "*"


MUTANTS = [
    ("a licence that asks for our source", copyleft, "rejected"),
    ("no licence", nameless, "unlicensed"),
    ("a crate that is banned", banned, "banned"),
    ("a crate from git", from_git, "source-not-allowed"),
    ("a crate from another registry", from_elsewhere, "source-not-allowed"),
    ("a second version of a crate", twice, "duplicate"),
    ("any version of a crate", wild, "wildcard"),
]
