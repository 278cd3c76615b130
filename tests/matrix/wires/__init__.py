"""The wires that providers speak: each checks a request, reads what it asks, and writes an answer, whole or as a stream."""

from . import chat, converse, gemini, messages, responses

WIRES = {"chat": chat, "responses": responses, "messages": messages, "gemini": gemini, "converse": converse}
