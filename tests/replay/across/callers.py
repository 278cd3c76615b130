"""The clients: the official SDK of each dialect asks one simple thing, and gives the answer as JSON of its dialect.

What an SDK makes of an answer is dumped again: what it did not understand is lost or has failed before.
"""
import anthropic
import openai
from google import genai
from google.genai import errors as google_errors
from google.genai import types

from across.streams import WHOLE

ASK = "Say it again."
PATIENCE = 30.0  # s
CLIENTS = ("chat", "responses", "messages", "gemini")
FAILED = (openai.APIError, anthropic.APIError, google_errors.APIError)


class Callers:
    """One client of each SDK, for one thread."""

    def __init__(self, base):
        key = "sk-of-the-client"
        strict = {"max_retries": 0, "timeout": PATIENCE, "api_key": key, "_strict_response_validation": True}
        self.openai = openai.OpenAI(base_url=f"{base}/v1", **strict)
        self.anthropic = anthropic.Anthropic(base_url=base, **strict)
        options = types.HttpOptions(base_url=base, timeout=int(PATIENCE * 1000))
        self.google = genai.Client(api_key=key, vertexai=False, http_options=options)

    def call(self, dialect, model, stream):
        """The answer."""
        answer = getattr(self, dialect)(model, stream)
        return WHOLE[dialect](map(dump, answer)) if stream else dump(answer)

    def chat(self, model, stream):
        """Chat Completions."""
        more = {"stream_options": {"include_usage": True}} if stream else {}
        said = [{"role": "user", "content": ASK}]
        return self.openai.chat.completions.create(model=model, messages=said, stream=stream, **more)

    def responses(self, model, stream):
        """Responses."""
        return self.openai.responses.create(model=model, input=ASK, stream=stream)

    def messages(self, model, stream):
        """Messages."""
        said = [{"role": "user", "content": ASK}]
        return self.anthropic.messages.create(model=model, max_tokens=64, messages=said, stream=stream)

    def gemini(self, model, stream):
        """generateContent."""
        models = self.google.models
        return (models.generate_content_stream if stream else models.generate_content)(model=model, contents=ASK)


def dump(value):
    """As JSON, by the names of the wire."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)
