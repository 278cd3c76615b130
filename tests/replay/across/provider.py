"""A server that answers every call under `/NUMBER/` with that recording, in a process of its own."""
import multiprocessing
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PASSED = ("retry-after", "retry-after-ms", "x-should-retry", "x-amzn-errortype", "x-amzn-requestid", "request-id")


class Provider:
    """Runs until it is closed."""

    def __init__(self, served, spoil=lambda one: one.body):
        here, there = multiprocessing.Pipe()
        answers = {one.number: (one.status, head(one), spoil(one)) for one in served}
        self.process = multiprocessing.get_context("fork").Process(target=serve, args=(answers, there), daemon=True)
        self.process.start()
        self.port = here.recv()

    def base_url(self, one):
        """Where the account of a recording is."""
        return f"http://127.0.0.1:{self.port}/{one.number}"

    def close(self):
        """Ends it."""
        self.process.terminate()
        self.process.join()


def head(one):
    """The headers that say something of the answer."""
    said = [(name, values[0]) for name, values in one.headers.items() if name in PASSED]
    return [("content-type", one.content_type), *said]


def serve(answers, there):
    """The process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.request_queue_size, server.daemon_threads = 256, True
    server.server_bind()
    server.server_activate()
    server.answers = answers
    there.send(server.server_port)
    threading.Thread(target=server.serve_forever).run()


class Handler(BaseHTTPRequestHandler):
    """One connection of the gateway."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):  # noqa: N802: the name is http.server's
        """Plays the answer."""
        self.rfile.read(int(self.headers.get("content-length") or 0))
        status, headers, body = self.server.answers[int(self.path.split("/")[1])]
        self.send_response_only(status)
        for name, value in [*headers, ("content-length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""
