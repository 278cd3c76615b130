"""Where recorded calls go: how the account of each kind is written, by which paths its provider is called, and by which
paths and headers the provider's own SDKs call the gateway."""
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

PROVIDERS = Path(__file__).resolve().parents[2] / "config" / "providers"
PROJECT, REGION = "replay", "us-east1"
CLOUD = f'region = "{REGION}"\nproject = "{PROJECT}"\n'
AZURE_VERSION = "2024-12-01-preview"  # of the preset, where a recording has none


@dataclass(frozen=True)
class Home:
    """A kind of account."""

    preset: str
    base: str = ""  # of its address, behind the line's number
    key: str = "authorization"  # the header that shows its key to the provider
    client_key: str = "authorization"  # the one that shows the client's to the gateway
    settings: str = ""  # further lines of the account

    @property
    def facts(self):
        """Its preset."""
        name = "vertex" if self.preset == "vertex-by-key" else self.preset
        return tomllib.loads((PROVIDERS / f"{name}.toml").read_text(encoding="utf-8"))


HOMES = {
    "compatible": Home("openai-compatible", base="/v1"),
    "azure": Home("azure", key="api-key", client_key="api-key"),
    "foundry": Home("azure-foundry", key="api-key", client_key="api-key"),
    "anthropic": Home("anthropic", key="x-api-key", client_key="x-api-key"),
    "gemini": Home("gemini", key="x-goog-api-key", client_key="x-goog-api-key"),
    # Google's tokens need a service that makes them; a key shows as much.
    "vertex": Home("vertex-by-key", client_key="x-goog-api-key", settings=CLOUD),
    "claude-on-vertex": Home("vertex-by-key", client_key="x-api-key", settings=CLOUD),
}
# Providers of OpenAI's dialect under their own names.
OWN = ("openai", "groq", "mistral", "deepseek", "xai", "openrouter", "together", "cerebras", "perplexity")
HOMES |= {name: Home(name, base="/v1") for name in OWN}
TAILS = {
    "chat_completions": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
    "responses_get": "/responses/",
    "messages": "/messages",
    "count_tokens": "/messages/count_tokens",
}
GOOGLES = ("generateContent", "streamGenerateContent", "countTokens", "batchEmbedContents", "embedContent")


def home_of(provider, endpoint, path):
    """The kind of account that a recording asks for."""
    if provider == "azure_openai":
        deployments = "/openai/deployments/" in (path or "")
        return "azure" if deployments or endpoint == "responses" else "foundry"
    if endpoint in GOOGLES:
        return "vertex" if provider == "vertex" else "gemini"
    return "anthropic" if endpoint in ("messages", "count_tokens") else "compatible"


def speaks(provider, endpoint):
    """Has the preset of that name a call for it, behind its base URL?"""
    call = {"chat_completions": "chat", "responses_get": "response"}.get(endpoint, endpoint)
    path = HOMES[provider].facts["paths"].get(call, "") if provider in OWN else ""
    return path == TAILS.get(endpoint, "") + ("{id}" if call == "response" else "") != ""


def at_provider(recording, model, tail):
    """Path and query by which the provider is called, without the line's number."""
    home, endpoint = recording.home, recording.endpoint
    version = re.search("api-version=([^&]+)", recording.query)
    versioned = f"?api-version={version[1] if version else AZURE_VERSION}"
    if home == "azure" and endpoint != "responses":
        return f"/openai/deployments/{model}{tail}{versioned}"
    if home == "foundry" and endpoint == "chat_completions":
        return f"/models{tail}{versioned}"
    if home in ("azure", "foundry"):
        return f"/openai/v1{tail}"
    vertex = f"projects/{PROJECT}/locations/{REGION}/publishers"
    if home == "claude-on-vertex":
        call = "streamRawPredict" if recording.stream else "rawPredict"
        name = "count-tokens" if endpoint == "count_tokens" else model
        return f"/v1/{vertex}/anthropic/models/{name}:{call}"
    if endpoint in GOOGLES:
        before = f"/v1beta1/{vertex}/google" if home == "vertex" else "/v1beta"
        return f"{before}/models/{model}:{endpoint}{'?alt=sse' if recording.stream else ''}"
    return f"/v1{tail}"


def at_gateway(recording, model, tail):
    """Path and query by which the client calls: its own where it is one that the gateway knows."""
    path, query = re.sub("^/+", "/", recording.path or ""), recording.query
    if recording.endpoint in GOOGLES:
        path = re.sub("(.*/models/).*", rf"\1{model}", path or "/v1beta/models/")
        path = path.replace("<GOOGLE_CLOUD_LOCATION>", REGION)
        return f"{path}:{recording.endpoint}{'?alt=sse' if recording.stream and not recording.array else ''}"
    if path.startswith("/openai/deployments/"):
        path = f"/openai/deployments/{model}{tail}"
    elif path.startswith("/openai/v1/"):
        path = f"/openai/v1{tail}"
    else:
        path = f"/v1{tail}"
    return f"{path}?{query}" if query else path


def presets(folder):
    """Vertex's preset with a key in the place of Google's tokens."""
    text = (PROVIDERS / "vertex.toml").read_text(encoding="utf-8")
    text = re.sub("(?m)^name = .*$", 'name = "vertex-by-key"', text, count=1)
    text = re.sub("(?m)^auth = .*$", 'auth = [{ kind = "bearer" }]', text, count=1)
    folder.mkdir()
    (folder / "vertex-by-key.toml").write_text(text, encoding="utf-8")


def account(line, base_url):
    """The account of a line."""
    recording = line.exchanges[0].recording
    home = HOMES[recording.home]
    version = re.search("api-version=([^&]+)", recording.query)
    settings = home.settings + (f'api_version = "{version[1]}"\n' if home.key == "api-key" and version else "")
    head = f'[[accounts]]\nname = "{line.model}"\nprovider = "{home.preset}"'
    return f'{head}\nbase_url = "{base_url(line)}{home.base}"\napi_key = "{line.key}"\n{settings}'


def shown(header, key):
    """The value of the header that shows a key."""
    return f"Bearer {key}" if header == "authorization" else key
