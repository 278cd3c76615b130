"""The client: sends every exchange of a line, one after the other, and keeps what it got."""
import http.client
import queue
import threading

PATIENCE = 60  # s


def play(lines, port, workers):
    """Every line, a bounded number of them at once."""
    waiting = queue.SimpleQueue()
    for line in lines:
        waiting.put(line)
    threads = [threading.Thread(target=work, args=(waiting, port)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def work(waiting, port):
    """One connection to the gateway at a time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    while True:
        try:
            line = waiting.get_nowait()
        except queue.Empty:
            return connection.close()
        for exchange in line.exchanges:
            line.now = exchange
            try:
                send(connection, exchange)
            except (OSError, http.client.HTTPException) as err:
                exchange.seen.broken = repr(err)
                connection.close()
            line.now = None


def send(connection, exchange):
    """One call."""
    body, seen = exchange.body_for(exchange.line.model), exchange.seen
    connection.putrequest(exchange.recording.method, exchange.target, skip_accept_encoding=True)
    for name, value in exchange.headers.items():
        connection.putheader(name, value)
    if exchange.recording.method != "GET":
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    seen.status, seen.headers = answer.status, {name.lower(): value for name, value in answer.getheaders()}
    seen.body = answer.read()
