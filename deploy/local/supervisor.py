"""Processes that are started in an order, started again when they end, and ended by their ids."""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

READY_WITHIN = 60.0  # s; a busy machine takes long to start anything
END_WITHIN = 15.0  # s, then it is killed
LOOK_EVERY = 0.05  # s
# As Docker does: the pause before a start doubles from here to there, and is forgotten by who has run for so long.
PAUSE, LONGEST_PAUSE, STEADY = 0.1, 60.0, 10.0


class Failed(Exception):
    """A process did not come up; the text says why and shows its log."""


@dataclass
class Service:
    """One process: how it is started, when it is ready, how it is told to end."""

    name: str
    command: list
    ready: Callable[[], bool]
    port: int
    environment: dict = field(default_factory=dict)
    end_by: int = signal.SIGTERM


class Child:
    """A service that runs, or is about to again."""

    def __init__(self, service, folder):
        self.service, self.folder = service, folder
        self.log = folder / f"{service.name}.log"
        self.process, self.starts, self.pause, self.since, self.next = None, 0, PAUSE, 0.0, 0.0

    def start(self):
        """Starts it; what it writes is added to its log. A session of its own, so that Ctrl-C is ours to pass on."""
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                [str(part) for part in self.service.command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                cwd=self.folder, env={**os.environ, **self.service.environment}, start_new_session=True,
            )
        self.starts += 1
        self.since = time.monotonic()

    def alive(self):
        """Is it running?"""
        return self.process is not None and self.process.poll() is None

    def tend(self):
        """Starts it again when it has ended and its pause is over; true if anything happened."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            if now - self.since >= STEADY:
                self.pause = PAUSE
            self.next, self.pause = now + self.pause, min(2 * self.pause, LONGEST_PAUSE)
            self.process = None
            return True
        if self.process is None and now >= self.next:
            self.start()
            return True
        return False

    def end(self):
        """Ends it, kindly first."""
        if not self.alive():
            return
        self.process.send_signal(self.service.end_by)
        try:
            self.process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def tail(self, lines=20):
        """The last lines of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "".join(f"    | {line}\n" for line in text.splitlines()[-lines:])


class Supervisor:
    """All of them."""

    def __init__(self, services, folder):
        self.folder = Path(folder)
        self.children = [Child(service, self.folder) for service in services]
        self.stopping = False

    def stop(self):
        """To be called when it is time to end; from a signal as well."""
        self.stopping = True

    def start(self):
        """One after the other, each when those before it are ready; false if it was told to stop."""
        for child in self.children:
            child.start()
            self.tell()
            deadline = time.monotonic() + READY_WITHIN
            while not child.service.ready():
                if self.stopping:
                    return False
                if not child.alive():
                    raise Failed(f"{child.service.name} ended at once with code {child.process.returncode}:\n{child.tail()}")
                if time.monotonic() > deadline:
                    raise Failed(f"{child.service.name} is not ready after {READY_WITHIN:.0f} s:\n{child.tail()}")
                time.sleep(LOOK_EVERY)
        return not self.stopping

    def tend(self):
        """Until it is told to stop: whoever ends is started again."""
        while not self.stopping:
            if any([child.tend() for child in self.children]):
                self.tell()
            time.sleep(LOOK_EVERY)

    def end(self):
        """Everything that was started, the last one first."""
        for child in reversed(self.children):
            child.end()
        (self.folder / "topology.json").unlink(missing_ok=True)

    def tell(self):
        """Writes who runs where, all at once."""
        told = {
            child.service.name: {
                "pid": child.process.pid if child.alive() else None, "port": child.service.port, "starts": child.starts,
            }
            for child in self.children
        }
        new = self.folder / "topology.json.new"
        new.write_text(json.dumps(told, indent=1), encoding="utf-8")
        new.replace(self.folder / "topology.json")
