"""Requests: their bodies, and what clients of other dialects than the upstream's make of them."""
import json
import os
import re

from . import build

KEY = "sk-bench-client-0123456789"
PATH = "/v1/chat/completions"
MODEL = "mock-model"
BODIES = {"small": (190, False), "2k": (2048, False), "100k": (100_000, False), "stream": (190, True)}
# Clients of other dialects than the upstream's.
DIALECTS = ("responses", "messages", "gemini")
PATHS = {"responses": "/v1/responses", "messages": "/v1/messages", "gemini": "/v1beta/models/mock-model:generateContent"}
STREAMS = {**PATHS, "gemini": "/v1beta/models/mock-model:streamGenerateContent?alt=sse"}


def body_file(kind, model=MODEL):
    of = "" if model == MODEL else "@" + re.sub(r"\W+", "_", model)
    return f"{build.RUN}/body-{kind}{of}.json"


def body(size, stream, model):
    """A request of that many bytes, padded with text that JSON must escape."""
    text = 'Summarise the following "notes" for me:\n- The quick brown fox jumps over the lazy dog. '
    made = {"model": model, "max_tokens": 64, "messages": [
        {"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": ""}]}
    if stream:
        made["stream"] = True
    room = max(2, size - len(json.dumps(made)))
    plain = int(room * len(text) / (len(json.dumps(text)) - 2))
    made["messages"][1]["content"] = (text * (plain // len(text) + 1))[:plain]
    return made


def write_bodies(models=(MODEL,)):
    """The files of all bodies for all models, and of the dialects for our own."""
    for kind, (size, stream) in BODIES.items():
        for model in models:
            keep(body(size, stream, model), body_file(kind, model))
        for dialect in DIALECTS if kind in ("2k", "stream") else ():
            keep(said_in(dialect, body(size, stream, MODEL)), body_file(f"{kind}-{dialect}"))


def keep(made, name):
    """Writes a body so that whoever reads it meanwhile, such as another run, finds it whole."""
    with open(f"{name}.{os.getpid()}", "w") as f:
        json.dump(made, f)
    os.replace(f.name, name)


def said_in(dialect, asked):
    """A request of Chat's as a client of another dialect makes it."""
    system, user = (message["content"] for message in asked["messages"])
    if dialect == "gemini":
        return {"systemInstruction": {"parts": [{"text": system}]}, "generationConfig": {"maxOutputTokens": 64},
                "contents": [{"role": "user", "parts": [{"text": user}]}]}
    said = {"model": asked["model"], "stream": asked.get("stream", False)}
    if dialect == "messages":
        return {**said, "max_tokens": 64, "system": system, "messages": [{"role": "user", "content": user}]}
    return {**said, "max_output_tokens": 64, "instructions": system, "input": user}
