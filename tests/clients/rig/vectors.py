"""What the scripted provider says on `/embeddings` and `/rerank`: a pure function of each text, so that a test can say
exactly which numbers must come out."""
import base64
import hashlib
import json
import struct

DIMENSIONS = 16  # unless the client asks for another number; at most 32


def embeddings(request):
    """One vector per input, as base64 of little-endian floats when that was asked for."""
    inputs = texts(request["input"])
    data = []
    for index, text in enumerate(inputs):
        floats = vector(text, request.get("dimensions") or DIMENSIONS)
        packed = base64.b64encode(struct.pack(f"<{len(floats)}f", *floats)).decode()
        embedding = packed if request.get("encoding_format") == "base64" else floats
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    count = sum(len(text.split()) for text in inputs)
    return {
        "object": "list", "data": data, "model": request["model"], "usage": {"prompt_tokens": count, "total_tokens": count}
    }


def texts(given):
    """The inputs as texts: one text, several, the tokens of one, or the tokens of several."""
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        return [json.dumps(given)]
    return [entry if isinstance(entry, str) else json.dumps(entry) for entry in given]


def vector(text, dimensions):
    """Numbers that a 32-bit float holds exactly: the bytes of the text's digest, from -2 to just below 2."""
    return [(byte - 128) / 64 for byte in hashlib.sha256(text.encode()).digest()[:dimensions]]


def rerank(request):
    """The documents by the words that they share with the query, as Jina and vLLM answer."""
    asked = set(request["query"].split())
    documents = [entry if isinstance(entry, str) else entry["text"] for entry in request["documents"]]
    scores = [len(asked & set(text.split())) / max(1, len(asked)) for text in documents]
    order = sorted(range(len(documents)), key=lambda index: (-scores[index], index))
    results = [
        {"index": index, "relevance_score": scores[index], "document": {"text": documents[index]}}
        for index in order[: request.get("top_n") or len(order)]
    ]
    count = sum(len(text.split()) for text in [request["query"], *documents])
    return {"id": "rerank-scripted", "model": request["model"], "results": results, "usage": {"total_tokens": count}}
