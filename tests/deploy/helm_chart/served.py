"""What the chart gives a gateway, given to one: its configuration is checked, and a pod of it is started as a process, asked by the
chart's own probes and test, and ended; with the chart's Redis, by its own arguments and users.

What was broken in the chart, and was noticed: readiness asked by HTTP where the listener speaks TLS; asked at a listener that wants the
PROXY header; the test without that header, and without `--insecure`; `user default off` left out; another hash of the password; `-@all`
behind the user's rights; another word than `serve`; the certificate mounted elsewhere; a change of the ConfigMap that does not arrive."""

import base64
import http.client
import re
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from chart import over
from pod import Pod, free

PATIENCE = 20  # seconds for what takes one


def faults(chart, gateway):
    """Yields what a gateway does not take, and what does not go as the chart says."""
    if not gateway:
        return
    gateway = str(Path(gateway).resolve())
    for name, values in chart.sets().items():
        yield from (f"{name}: weir check: {said}" for said in checked(chart.render(values), gateway))
    tls = chart.sets()["tls"]
    plain = over(tls, {"config": tls["config"].replace("proxy_protocol = true", "proxy_protocol = false")})
    lives = {
        "redis-trial": lambda: with_redis(chart.render(chart.sets()["redis-trial"]), gateway),
        "tls": lambda: alone(chart.render(tls), gateway),
        "tls without PROXY": lambda: alone(chart.render(plain), gateway),
    }
    with ThreadPoolExecutor() as pool:
        for name, said in zip(lives, pool.map(lambda life: list(life()), lives.values()), strict=True):
            yield from (f"{name}: {fault}" for fault in said)


def checked(release, gateway):
    """What `weir check` says of what is mounted."""
    with tempfile.TemporaryDirectory(prefix="weir-pod-") as folder:
        pod = Pod(release, folder)
        command = [gateway, "check", *pod.command(gateway)[2:]]
        done = subprocess.run(command, env=pod.environment(), capture_output=True, text=True, check=False, timeout=PATIENCE)
        if done.returncode != 0:
            yield (done.stdout + done.stderr).strip()


def alone(release, gateway):
    """A pod whose Redis is away: it is ready all the same."""
    with tempfile.TemporaryDirectory(prefix="weir-pod-") as folder:
        pod = Pod(release, folder)
        yield from lived(pod, gateway, pod.move(("[server]\n", '[server]\ndrain_delay = "2s"\n')))


def with_redis(release, gateway):
    """A pod beside the chart's Redis: it is there for the gateway, and for nobody else."""
    with tempfile.TemporaryDirectory(prefix="weir-pod-") as folder, redis(release, Path(folder)) as port:
        pod = Pod(release, folder)
        password = pod.at("/etc/weir/secrets/REDIS_PASSWORD").read_text()
        for login, command, wanted in (
            ([], ["TIME"], "NOAUTH"),
            (["--user", "default", "--pass", password], ["TIME"], "WRONGPASS"),
            (["--user", "weir", "--pass", "another-password-0"], ["TIME"], "WRONGPASS"),
            (["--user", "weir", "--pass", password], ["FLUSHALL"], "NOPERM"),
            (["--user", "weir", "--pass", password], ["GET", "other"], "NOPERM"),
        ):
            asked = ["redis-cli", "-p", str(port), "--no-auth-warning", *login, *command]
            done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=PATIENCE)
            if wanted not in done.stdout + done.stderr:
                yield f"redis: {login[:2]} {command}: {done.stdout}{done.stderr}"
        ports = pod.move(("@weir-redis:6379/", f"@127.0.0.1:{port}/"))
        yield from lived(pod, gateway, ports, heard=True)


@contextmanager
def redis(release, folder):
    """The StatefulSet's container as a process; its port."""
    container = release.one("StatefulSet", "weir-redis")["spec"]["template"]["spec"]["containers"][0]
    (folder / "data").mkdir()
    users = folder / "users.acl"
    users.write_bytes(base64.b64decode(release.one("Secret", "weir-redis")["data"]["users.acl"]))
    here = {"/etc/redis/users.acl": str(users), "/data": str(folder / "data")}
    port = free()
    command = [here.get(arg, arg) for arg in container["args"]] + ["--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait(lambda: subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True, text=True, check=False).stdout, "NOAUTH")
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def lived(pod, gateway, ports, heard=False):
    """Starts it, asks its probes and the chart's test, ends it; yields what went otherwise than the chart says."""
    log = pod.folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(pod.command(gateway), env=pod.environment(), stdout=output, stderr=output)
    try:
        probes = [pod.container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
        for probe in probes:
            if (status := wait(lambda probe=probe: process.poll() or asked(probe, ports), 200)) != 200:
                yield f"{probe['path']} at {probe['port']} says {status}: {log.read_text()[-500:]}"
                return
        yield from tested(pod, ports)
        if heard:
            yield from reconfigured(pod, ports)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        # What a balancer sees at once, and still serves behind.
        if (status := wait(lambda: asked(probes[2], ports), 503, within=1.8)) != 503:
            yield f"after SIGTERM it is still ready: {status}"
        if (status := asked(probes[1], ports)) != 200:
            yield f"after SIGTERM it does not live: {status}"
        code = process.wait(pod.spec["terminationGracePeriodSeconds"])
        if code != 0 or time.monotonic() - began < 1:
            yield f"it ended with {code} after {time.monotonic() - began:.1f} s: {log.read_text()[-500:]}"
    finally:
        process.kill()
        process.wait()


def reconfigured(pod, ports):
    """Does it work with the shared state, and by another configuration soon after a kubelet has brought it?"""
    if wait(lambda: gauge(ports["metrics"], "weir_degraded"), "0") != "0":
        yield "Redis is away for it"
        return
    before, end = gauge(ports["metrics"], "weir_config_hash"), time.monotonic() + PATIENCE
    pod.reconfigure("rpm = 500", "rpm = 400")
    while gauge(ports["metrics"], "weir_config_hash") == before:
        if time.monotonic() > end:
            yield "it works by the file of before, though its ConfigMap has changed"
            return
        time.sleep(0.05)


def tested(pod, ports):
    """Runs what `helm test` would, with the address of here in the place of the Service's."""
    args = pod.release.all("Pod")[0]["spec"]["containers"][0]["args"]
    scheme = args[-1].split("://")[0]
    command = ["curl", *args[:-1], f"{scheme}://127.0.0.1:{ports['client']}/readyz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # (it ends by itself, after ten tries)
    if done.returncode != 0 or done.stdout != "ok\n":
        yield f"helm test says {done.returncode}: {done.stdout}{done.stderr}"


def asked(probe, ports):
    """What a kubelet hears: a status, or why there is none. It does not look at whose the certificate is."""
    address = f"{probe['scheme'].lower()}://127.0.0.1:{ports[probe['port']]}{probe['path']}"
    context = ssl._create_unverified_context()  # noqa: S323 (as a kubelet)
    try:
        with urllib.request.urlopen(address, timeout=2, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException) as error:
        return str(error)


def gauge(port, name):
    """One that the replica tells of itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        return re.search(rf"(?m)^{name}(?:\{{.*\}})? (\S+)$", answer.read().decode())[1]


def wait(ask, wanted, within=PATIENCE):
    """Asks until the answer is, or has in it, what is waited for; the last answer."""
    end = time.monotonic() + within
    while True:
        answer = ask()
        if answer == wanted or (isinstance(wanted, str) and wanted in str(answer)) or time.monotonic() > end:
            return answer
        time.sleep(0.05)
