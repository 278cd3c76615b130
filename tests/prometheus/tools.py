"""Prometheus, its promtool and Grafana's types of boards, installed once under the build folder."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rig import toolchain

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
DEPLOY = REPOSITORY / "deploy"


def folder():
    """Where everything generated goes."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve() / "prometheus"
    target.mkdir(parents=True, exist_ok=True)
    return target


class Tools:
    """The programs, by their paths."""

    def __init__(self, into):
        self.prometheus, self.promtool = (program(name, into) for name in ("prometheus", "promtool"))
        self.into = into

    def check(self, *arguments, text=None):
        """Runs promtool; what it says if it is not content, or None."""
        done = subprocess.run(
            [self.promtool, *map(str, arguments)], input=text, capture_output=True, text=True, check=False, timeout=60
        )
        return None if done.returncode == 0 else done.stdout + done.stderr

    def types(self):
        """A folder with Grafana's types and the compiler that reads them; None where nothing can read them."""
        if not all(map(shutil.which, ("npm", "node"))):
            return None
        types, source = self.into / "schema", HERE / "schema"
        pins = [source / name for name in ("package.json", "package-lock.json", ".npmrc")]
        if not toolchain.fresh(types, pins):
            shutil.rmtree(types, ignore_errors=True)
            types.mkdir(parents=True)
            for pin in pins:
                shutil.copy(pin, types)
            toolchain.run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=types)
            toolchain.stamp(types, pins)
        shutil.copy(source / "board.ts", types)
        return types


def program(name, into):
    """One that is installed, or that of Debian's package unpacked: installed, it would run as a service."""
    unpacked = into / "unpacked" / "usr" / "bin" / name
    if found := shutil.which(name):
        return found
    if not unpacked.is_file():
        unpack("prometheus", into / "unpacked")
    return str(unpacked)


def unpack(package, into):
    """Downloads a Debian package and unpacks it; the list of packages is fetched where the one that is there knows it no more."""
    download, update = ["apt-get", "download", "-qq", package], ["apt-get", "update", "-qq"]
    with tempfile.TemporaryDirectory(prefix="weir-prometheus-") as folder:
        for command in (download, update, download):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if found := sorted(Path(folder).glob("*.deb")):
                return toolchain.run(["dpkg-deb", "-x", found[0], into])
    return sys.exit(f"no prometheus and no promtool: install them, or let apt-get download {package}:\n{done.stderr}")
