"""Processes of a run: started on free loopback ports, ended by pid whatever happens."""
import http.client
import os
import re
import signal
import socket
import subprocess
import time
from contextlib import ExitStack


def free_ports(n):
    """n different free ports: all are held open until the last is known."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class NotStarted(SystemExit):
    """A program that did not come up; what it said."""


class Procs:
    """Children of this run. As a context manager it ends all of them."""

    def __init__(self, run_dir):
        self.dir, self.children = run_dir, []
        os.makedirs(run_dir, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            self.stop(child)

    def start(self, name, cmd, port, env=None, wait=30, cwd=None):
        """Starts a program and waits until it listens on the port; its pid."""
        def listens(_log):
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        return self.launch(name, cmd, listens, env, wait, cwd)[0]

    def start_telling(self, name, cmd, pattern, env=None, wait=60):
        """Starts a program that chooses its port and tells it; (pid, port)."""
        def told(log):
            with open(log) as text:
                found = re.search(pattern, text.read())
            return found and int(found[1])
        return self.launch(name, cmd, told, env, wait, None)

    def launch(self, name, cmd, ready, env, wait, cwd):
        """Starts a program and waits until `ready` says something of its log file; (pid, what it said)."""
        log = f"{self.dir}/{name}.log"
        with open(log, "w") as out:
            child = subprocess.Popen(cmd, env={**os.environ, **(env or {})}, stdout=out, stderr=out, cwd=cwd,
                                     stdin=subprocess.DEVNULL, start_new_session=True)
        self.children.append(child)
        end = time.monotonic() + wait
        while time.monotonic() < end and child.poll() is None:
            if found := ready(log):
                return child.pid, found
            time.sleep(0.05)
        with open(log) as text:
            raise NotStarted(f"{name} did not start:\n{text.read()[-2000:]}")

    def stop(self, child):
        """Ends a child and, as each has a session of its own, the workers it started."""
        for how, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            if child.poll() is not None:
                return
            try:
                os.killpg(child.pid, how)
                child.wait(patience)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass


def request(port, path, body=None, headers=()):
    """One plain request; (status, body)."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    headers = {"Content-Type": "application/json", **dict(h.split(": ", 1) for h in headers)}
    try:
        link.request("GET" if body is None else "POST", path, body, headers)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def rss_kib(roots):
    """Resident memory of processes and their descendants, KiB."""
    kids = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                kids.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(pid))
        except OSError:
            continue  # ended meanwhile
    todo, total = list(roots), 0
    while todo:
        pid = todo.pop()
        todo += kids.get(pid, [])
        try:
            with open(f"/proc/{pid}/status") as f:
                total += next((int(line.split()[1]) for line in f if line.startswith("VmRSS:")), 0)
        except OSError:
            continue
    return total
