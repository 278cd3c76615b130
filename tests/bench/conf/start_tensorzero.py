"""Starts the gateway that is inside the PyPI package `tensorzero`, and prints its address."""
import sys
import threading

from tensorzero.tensorzero import _start_http_gateway

gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None,
                              async_setup=False)
print(gateway.base_url, flush=True)
threading.Event().wait()  # it serves on threads of its own until this process is ended
