"""A pod's container as a process on this machine: its files below a folder, its ports at free ones of loopback."""

import base64
import os
import re
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

import facts

BELOW = "/etc/weir/"


class Pod:
    """What the Deployment of a release says, in a folder."""

    def __init__(self, release, folder):
        self.release, self.folder = release, Path(folder)
        self.spec = release.deployment()["spec"]["template"]["spec"]
        self.container = self.spec["containers"][0]
        self.told = facts.of(release.toml())
        self.files()

    def files(self):
        """Writes what is mounted: what the release has, and something for what comes from elsewhere."""
        volumes = {volume["name"]: volume for volume in self.spec["volumes"]}
        for mount in self.container["volumeMounts"]:
            for name, content in self.held(volumes[mount["name"]]):
                self.write(f"{mount['mountPath']}/{name}", content)
        certificate, key = pair(self.folder)
        elsewhere = {".crt": certificate, ".pem": certificate, ".key": key}
        below = tuple(f"{mount['mountPath']}/" for mount in self.container["volumeMounts"])
        for path in self.told.files:
            if path.startswith(below) and not self.at(path).exists():
                self.write(path, elsewhere.get(Path(path).suffix, secrets.token_hex(8).encode()))

    def held(self, volume):
        """Yields (name, content) of the files of a volume that the release itself fills."""
        if "configMap" in volume and (found := self.release.one("ConfigMap", volume["configMap"]["name"])):
            for name, text in found["data"].items():
                yield name, text.encode()
        for source in volume.get("projected", {}).get("sources", []):
            if found := self.release.one("Secret", source["secret"]["name"]):
                wanted = {item["key"]: item["path"] for item in source["secret"].get("items", [])} or {key: key for key in found["data"]}
                for key, name in wanted.items():
                    yield name, base64.b64decode(found["data"][key])

    def at(self, path):
        """Where a path of the container is here."""
        return self.folder / path.lstrip("/")

    def write(self, path, content):
        """A file of the container, as a kubelet lays it: a link to `..data`, which is a link to what is in force. Paths are made
        those of this machine."""
        mount, name = self.at(path).parent, self.at(path).name
        data = mount / "..1"
        if not data.exists():
            data.mkdir(parents=True)
            (mount / "..data").symlink_to(data.name)
        (data / name).write_bytes(content.replace(BELOW.encode(), f"{self.folder}{BELOW}".encode()))
        (mount / name).symlink_to(f"..data/{name}")

    def reconfigure(self, old, new):
        """Another configuration in the ConfigMap, as a kubelet brings it: all files of the mount at once."""
        path = self.at(self.container["args"][-1])
        text = path.read_text()
        if old not in text:
            raise ValueError(f"the configuration has no {old}")
        data = path.parent / "..2"
        shutil.copytree(path.parent / "..1", data)
        (data / path.name).write_text(text.replace(old, new))
        link = path.parent / "..new"
        link.symlink_to(data.name)
        link.rename(path.parent / "..data")

    def environment(self):
        """Its variables, those that come from Secrets elsewhere included."""
        given = {entry["name"]: entry.get("value", "weir-0") for entry in self.container["env"]}
        elsewhere = {name: secrets.token_hex(32) for name in re.findall(r"\$\{([A-Z0-9_]+)\}", self.release.toml())}
        account = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "a pod's identity"}
        return {"PATH": os.environ["PATH"], **account, **elsewhere, **given}

    def command(self, gateway):
        """What the container runs."""
        return [gateway, *(arg.replace(BELOW, f"{self.folder}{BELOW}") for arg in self.container["args"])]

    def move(self, *changes):
        """Lets it listen at free ports of loopback, and changes other parts of its configuration; the ports by name."""
        path = self.at(self.container["args"][-1])
        text, ports = path.read_text(), {}
        for name, key in (("client", "listen"), ("admin", "admin_listen"), ("metrics", "metrics_listen")):
            ports[name] = free()
            text = re.sub(rf"(?m)^{key} = .*\n", "", text)
            text = text.replace("[server]\n", f'[server]\n{key} = "127.0.0.1:{ports[name]}"\n')
        for old, new in changes:
            if old not in text:
                raise ValueError(f"the configuration has no {old}")
            text = text.replace(old, new)
        path.write_text(text)
        return ports


def pair(folder):
    """A certificate and its key."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    where = ["-subj", "/CN=weir", "-addext", "subjectAltName=DNS:weir", "-keyout", key, "-out", certificate]
    subprocess.run([*made, *where], check=True, capture_output=True)
    return certificate.read_bytes(), key.read_bytes()


def free():
    """A port of loopback at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
