"""Runs llama.cpp's own HTTP server on a model: `python server.py MODEL PORT [embedding]`."""
import signal
import sys
import threading

import xllamacpp

SLOTS = 4


def settings(model, port, embedding):
    """One thread, loopback, with the pages that say what the server is doing."""
    wanted = xllamacpp.CommonParams()
    wanted.model.path = model
    wanted.hostnames, wanted.port = ["127.0.0.1"], port
    wanted.n_ctx, wanted.n_parallel, wanted.kv_unified = 32_768, SLOTS, True
    wanted.n_predict = -1  # as long as the call allows
    # One computing thread: several wait for each other by spinning, and on a busy machine that takes for ever.
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
    wanted.endpoint_metrics = wanted.endpoint_slots = True
    wanted.use_jinja, wanted.warmup, wanted.fit_params = True, False, False
    if embedding:
        wanted.embedding = True
        wanted.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return wanted


def main():
    """Until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    server = xllamacpp.Server(settings(sys.argv[1], int(sys.argv[2]), "embedding" in sys.argv[3:]))
    print("listening on", server.listening_address, flush=True)
    ended.wait()


if __name__ == "__main__":
    main()
