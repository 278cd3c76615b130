"""Processes on loopback: started with a log each, awaited until they answer, ended by their own pid."""
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request

READY_WITHIN = 30.0  # s; a busy machine takes long to start anything
END_WITHIN = 5.0  # s, then it is killed


class Failed(Exception):
    """A process did not come up; the text says why and shows its log."""


class Process:
    """One child process and its log file."""

    def __init__(self, name, command, log, cwd=None):
        self.name, self.log = name, log
        with open(log, "wb") as out:
            self.child = subprocess.Popen(
                [str(part) for part in command], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd
            )

    def wait_until(self, answers):
        """Polls `answers()` until it is true; fails early when the process ends."""
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise Failed(f"{self.name} ended at once with code {self.child.returncode}:\n{self.tail()}")
            if answers():
                return
            time.sleep(0.02)
        raise Failed(f"{self.name} did not answer within {READY_WITHIN:.0f} s:\n{self.tail()}")

    def alive(self):
        """Is it still running?"""
        return self.child.poll() is None

    def end(self):
        """SIGTERM, then SIGKILL when that is not enough."""
        if not self.alive():
            return
        self.child.terminate()
        try:
            self.child.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def tail(self, lines=40):
        """The last lines of its log, indented."""
        with open(self.log, encoding="utf-8", errors="replace") as text:
            return "".join(f"    | {line}" for line in text.readlines()[-lines:]) or "    | (it wrote nothing)"


def free_port():
    """A loopback port that nobody uses, below the range from which the kernel draws ports of outgoing connections."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def accepts(port):
    """Does something listen on `port`?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def says_200(url):
    """Does a GET answer with 200?"""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
