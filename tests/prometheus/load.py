"""Clients: threads that call the replicas at a rate, each with a connection of its own."""

import http.client
import itertools
import json
import threading
import time


class Load:
    """So many calls a second of each kind, until ended. A kind is (calls a second, model, key, streamed, session)."""

    def __init__(self, ports, kinds):
        self.ports, self.ended, self.counts = ports, threading.Event(), {}
        self.threads = [threading.Thread(target=self.run, args=(at, *kind), daemon=True) for at, kind in enumerate(kinds)]
        for thread in self.threads:
            thread.start()

    def run(self, at, rate, model, key, streamed, session):
        """One kind's calls: several threads, so that those which wait hold up no others."""
        turns, lock, begun = itertools.count(), threading.Lock(), time.monotonic()

        def caller():
            while not self.ended.is_set():
                with lock:
                    turn = next(turns)
                due = begun + turn / rate
                if self.ended.wait(max(0.0, due - time.monotonic())):
                    return
                status = self.call(self.ports[(at + turn) % len(self.ports)], model, key, streamed, f"{model}-{turn % 7}" if session else None)
                self.counts[model, status] = self.counts.get((model, status), 0) + 1

        callers = [threading.Thread(target=caller, daemon=True) for _ in range(6)]
        for one in callers:
            one.start()
        for one in callers:
            one.join()

    @staticmethod
    def call(port, model, key, streamed, session):
        """One call; its status, or what went wrong with the connection."""
        body = {"model": model, "max_tokens": 40, "stream": streamed, "messages": [{"role": "user", "content": "Tell me a story."}]}
        headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        if session:
            headers["x-session-id"] = session
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException) as err:
            return type(err).__name__
        finally:
            connection.close()

    def end(self):
        """No more calls."""
        self.ended.set()
        for thread in self.threads:
            thread.join()
