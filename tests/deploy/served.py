"""The configurations, by the programs that read them; Redis and HAProxy are started with theirs."""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from rig.processes import Failed, Process, accepts, free_port
from judges import DEPLOY, run


def faults(judges):
    """Yields what is wrong with them."""
    whole = judges.yaml(DEPLOY / "compose.yaml")["services"]
    with tempfile.TemporaryDirectory(prefix="weir-deploy-") as name:
        folder = Path(name)
        yield from secrets(folder / "secrets")
        yield from haproxy(judges, whole["haproxy"]["environment"])
        yield from prometheus(judges, folder)
        yield from weir(judges, folder, whole["weir-1"]["environment"])
        yield from redis(judges, folder, whole["redis"])
    yield from collector(judges)
    yield from unit()


def unit():
    """systemd's: keys in files, no dump of them, and how the file names them. (Each seen to fail when it was taken out.)"""
    text = (DEPLOY / "weir.service").read_text()
    if not re.search(r"^LimitCORE=0$", text, re.M):
        yield "weir.service: its memory may be dumped"
    loaded = re.findall(r"^LoadCredential=(\w+):/etc/weir/secrets/(\w+)$", text, re.M)
    if not loaded or any(name != file for name, file in loaded) or "${file:/run/credentials/weir.service/NAME}" not in text:
        yield "weir.service: it does not say how keys are read from files"


def secrets(folder):
    """Made once, never over, and nobody else comes through the folder. (Seen to fail without `chmod 700`, and when each was made anew.)"""
    for _ in range(2):
        before = {path.name: path.read_text() for path in folder.glob("*")}
        if said := run(DEPLOY / "make-secrets", folder):
            yield said
        after = {path.name: path.read_text() for path in folder.glob("*")}
        if before and before != after:
            yield "make-secrets: what was there is another now"
    if stat.S_IMODE(folder.stat().st_mode) != 0o700:
        yield "make-secrets: others come through the folder"


def haproxy(judges, environment):
    """As it is, and with the environment of compose.yaml. (Seen to fail by a keyword that is none.)"""
    for more in ({}, environment):
        if said := run(judges.haproxy, "-c", "-f", DEPLOY / "haproxy" / "haproxy.cfg", env={**os.environ, **more}):
            yield f"haproxy.cfg with {more}: {said}"


def prometheus(judges, folder):
    """With either list of targets, and the rules. (Seen to fail by a target with a path, and by a rule whose query is none.)"""
    place = folder / "prometheus"
    shutil.copytree(DEPLOY / "prometheus", place)
    for targets in ("targets.yml", "targets.compose.yml"):
        shutil.copy(DEPLOY / "prometheus" / targets, place / "targets.yml")
        if said := run(judges.promtool, "check", "config", place / "prometheus.yml"):
            yield f"{targets}: {said}"
    if said := run(judges.promtool, "check", "rules", *sorted((place / "rules").glob("*.yml"))):
        yield said


def weir(judges, folder, environment):
    """The gateway's own word on its file, with the environment and the secrets of compose.yaml. (Seen to fail by a key that is none.)"""
    if judges.weir is None:
        yield "weir.toml: no gateway to check it; build one (cargo build --release) or set WEIR_BIN"
        return
    given = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in environment.items()}
    if said := run(judges.weir, "check", "--config", DEPLOY / "weir" / "weir.toml", cwd=folder, env={**os.environ, **given}):
        yield said


def redis(judges, folder, service):
    """Started as its container is: settings, users, and the health check of compose.yaml, also by a wrong password."""
    data, port = folder / "redis", free_port()
    data.mkdir()
    process = Process("redis", started(judges, folder / "secrets", data, port), folder / "redis.log")
    try:
        process.wait_until(lambda: accepts(port))
        yield from asked(judges, folder / "secrets", port)
        test = service["healthcheck"]["test"][1:]
        here = test[-1].replace("$$", "$").replace("-p 6379", f"-p {port}")
        (folder / "redis_password").write_text("wrong")
        for place, healthy in ((folder / "secrets", True), (folder, False)):
            ended = subprocess.run([*test[:-1], here.replace("/run/secrets", str(place))], capture_output=True, check=False).returncode
            if (ended == 0) != healthy:
                yield f"redis: the health check ends with {ended} where it is{' ' if healthy else ' not '}well"
    except Failed as failed:
        yield str(failed)
    finally:
        process.end()


def started(judges, secret_folder, data, port, users=DEPLOY / "redis" / "users.acl"):
    """The command that starts Redis as its container does."""
    return [*with_environment({
        "REDIS_SECRETS": secret_folder, "REDIS_USERS": users, "REDIS_CONF": DEPLOY / "redis" / "redis.conf", "REDIS_RUN": data,
        "PATH": os.pathsep.join((os.path.dirname(judges.redis), os.environ.get("PATH", ""))),
    }), DEPLOY / "redis" / "start", "--bind", "127.0.0.1", "--port", port, "--dir", data]


def with_environment(environment):
    """The beginning of a command that gets it."""
    return ["env", *(f"{name}={value}" for name, value in environment.items())]


def asked(judges, secret_folder, port):
    """What it works by, and who may what. (Seen to fail with allkeys-lru, without appendonly, and without a password of `default`.)"""
    def say(user, *words):
        environment = {**os.environ}
        if user:
            name = {"weir": "redis_password", "default": "redis_admin_password"}[user]
            environment["REDISCLI_AUTH"] = (secret_folder / name).read_text().strip()
        command = [judges.redis_cli, "-p", str(port), *(["--user", user] if user else []), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stdout.split()

    for setting, value in (("maxmemory-policy", "noeviction"), ("appendonly", "yes"), ("appendfsync", "everysec"), ("save", "")):
        if (said := say("default", "config", "get", setting)) != [setting, *value.split()]:
            yield f"redis: {setting} is {said}"
    for user, words, wanted in (
        ("default", ["ping"], "PONG"), ("weir", ["hget", "{weir}:x", "y"], ""), ("weir", ["config", "get", "save"], "NOPERM"),
        ("weir", ["hget", "other", "y"], "NOPERM"), (None, ["ping"], "NOAUTH"),
    ):
        said = say(user, *words)
        if (said[0] if said else "") != wanted:
            yield f"redis: {user or 'nobody'} says {' '.join(words)} and hears {said}"


def collector(judges):
    """No program that reads it can be had without a container: at least what pipelines name must be there, also laid over."""
    base, over = (judges.yaml(DEPLOY / "otel" / name) for name in ("collector.yaml", "collector.stdout.yaml"))
    kinds = ("receivers", "processors", "exporters")
    known = {kind: {*base.get(kind, {}), *over.get(kind, {})} for kind in (*kinds, "extensions")}
    for file in (base, over):
        for name, pipeline in file["service"]["pipelines"].items():
            for kind in kinds:
                if missing := set(pipeline.get(kind, [])) - known[kind]:
                    yield f"collector: the pipeline {name} names {kind} that are none: {missing}"
    if missing := set(base["service"].get("extensions", [])) - known["extensions"]:
        yield f"collector: extensions that are none: {missing}"
    if set(over["service"]["pipelines"]) != set(base["service"]["pipelines"]):
        yield "collector.stdout.yaml: it has other pipelines"
