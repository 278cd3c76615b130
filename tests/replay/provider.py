"""A server that answers for every provider: each line has a base URL of its own, and its recorded answer comes back
in pieces of a given size."""
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from exchange import Arrival

# They describe the connection to the provider, which is another one now.
OF_THE_CONNECTION = {"connection", "content-length", "transfer-encoding", "content-encoding", "keep-alive", "date"}
# What tells about an account at a provider; none of it may reach a client.
CANARIES = {"openai-organization": "org-canary", "x-request-id": "upstream-canary", "set-cookie": "session=canary"}
UNKNOWN = b'{"error":{"message":"No such response here.","type":"invalid_request_error","param":null,"code":null}}'


class Provider(ThreadingHTTPServer):
    """Runs until it is closed; `lines` are known by their numbers."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, lines, size, spoil):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lines, self.size, self.spoil = lines, size, spoil
        self.strays = []  # what came and belongs to no call under way
        threading.Thread(target=self.serve_forever, name="provider").start()

    def base_url(self, line):
        """Where the account of a line is."""
        return f"http://127.0.0.1:{self.server_port}/{line.number}"

    def close(self):
        """Ends it."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A connection that breaks is seen where the answer is missed; anything else is a fault as well."""
        fault = sys.exc_info()[1]
        if not isinstance(fault, ConnectionError):
            self.strays.append(repr(fault))


class Handler(BaseHTTPRequestHandler):
    """One connection of the gateway."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        """Notes the request and plays the answer of the exchange that it belongs to."""
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        arrival = Arrival(self.command, url.path, url.query, dict(self.headers.items()), body)
        number, place = re.fullmatch(r"/(\d+)(/.+)", self.path).groups()
        exchange = self.server.lines[int(number)].now
        if exchange and belongs(exchange, self.command, place):
            exchange.seen.arrivals.append(arrival)
            self.play(*self.server.spoil(exchange))
        else:
            # A gateway that does not know who made a response may ask everybody for it.
            if self.command != "GET":
                self.server.strays.append(f"{self.command} {self.path} on its own")
            self.play(404, {}, UNKNOWN, False)

    do_GET = do_POST = do_DELETE = answer

    def play(self, status, headers, body, stream):
        """A recorded answer, in pieces."""
        usual = "text/event-stream" if stream and status == 200 else "application/json"
        self.send_response_only(status)
        for name, values in {"content-type": [usual], **headers}.items():
            for value in values if name not in OF_THE_CONNECTION else []:
                self.send_header(name, value)
        for name, value in CANARIES.items():
            self.send_header(name, value)
        whole = self.server.size >= 4096 and not stream  # so that both framings are met
        self.send_header(*(("content-length", str(len(body))) if whole else ("transfer-encoding", "chunked")))
        self.end_headers()
        for part in pieces(body, self.server.size, whole):
            self.wfile.write(part)

    def log_message(self, *_):
        """Says nothing."""


def belongs(exchange, method, place):
    """Is a request that of the exchange? Whether the query of a retrieval is its own, is judged later."""
    path = place.partition("?")[0] if method == "GET" else place
    return (method, path) == (exchange.recording.method, exchange.place)


def pieces(body, size, whole):
    """What is written at a time: a piece, or for the small ones many of them, each an HTTP chunk of its own, which
    the reader gets one by one."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    if whole:
        return parts
    framed = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"]
    at_once = max(1, 4096 // size)
    return [b"".join(framed[at : at + at_once]) for at in range(0, len(framed), at_once)]
