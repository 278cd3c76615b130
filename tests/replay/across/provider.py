"""A server that answers every call under `/NUMBER/` with that recording, in a process of its own."""
import multiprocessing
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from provider import pieces

SIZES = (1, 7, 4096)
PASSED = ("retry-after", "retry-after-ms", "x-should-retry", "x-amzn-errortype", "x-amzn-requestid", "request-id")


class Provider:
    """Runs until it is closed."""

    def __init__(self, served, spoil=lambda one: one.body):
        here, there = multiprocessing.Pipe()
        answers = {one.number: (one.status, head(one), spoil(one), size(one)) for one in served}
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


def size(one):
    """The size of the pieces in which a stream comes; None for an answer that comes whole."""
    return SIZES[one.number % len(SIZES)] if one.stream else None


def serve(answers, there):
    """The process."""
    server = Server(("127.0.0.1", 0), Handler)
    server.answers = answers
    there.send(server.server_port)
    server.serve_forever()


class Server(ThreadingHTTPServer):
    """Knows the answers by their numbers."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """The gateway leaves when an answer has ended, also if more was recorded; what it misses, its client shows."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection of the gateway."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):  # noqa: N802: the name is http.server's
        """Plays the answer."""
        self.rfile.read(int(self.headers.get("content-length") or 0))
        status, headers, body, size = self.server.answers[int(self.path.split("/")[1])]
        self.send_response_only(status)
        framing = ("transfer-encoding", "chunked") if size else ("content-length", str(len(body)))
        for name, value in [*headers, framing]:
            self.send_header(name, value)
        self.end_headers()
        for part in pieces(body, size or len(body), not size):
            self.wfile.write(part)

    def log_message(self, *_):
        """Says nothing."""
