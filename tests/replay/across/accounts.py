"""The accounts of recordings that are served across: each provider is asked in the dialect of the recording."""
import re

import homes
from homes import CLOUD, PROVIDERS, REGION

KEY = "sk-of-the-account"
PLACE = f'region = "{REGION}"\n'
# Dialects as presets call them.
NAMES = {
    "chat": "openai-chat",
    "responses": "openai-responses",
    "messages": "anthropic-messages",
    "gemini": "gemini",
}
# The preset, what of the address stands behind the number, further settings.
OF_DIALECT = {
    "chat": ("chat-alone", "/v1", ""),
    "responses": ("responses-alone", "/v1", ""),
    "messages": ("anthropic", "", ""),
    "gemini": ("gemini", "", ""),
    "converse": ("bedrock", "", PLACE),
}
# Refusals are classed by provider.
OF_PROVIDER = {
    "anthropic": ("anthropic", "", ""),
    "azure_openai": ("azure", "", ""),
    "bedrock": ("bedrock", "", PLACE),
    "google_ai": ("gemini", "", ""),
    "vertex": ("vertex-by-key", "", CLOUD),
    "huggingface": ("openai-compatible", "/v1", ""),
    "openai_compatible": ("openai-compatible", "/v1", ""),
}


def account(one, base_url):
    """The account of a recording."""
    if one.status != 200:
        preset, base, more = OF_PROVIDER.get(one.provider, (one.provider, "/v1", ""))
    else:
        preset, base, more = OF_DIALECT[one.dialect]
    head = f'[[accounts]]\nname = "{one.model}"\nprovider = "{preset}"'
    return f'{head}\nbase_url = "{base_url(one)}{base}"\napi_key = "{KEY}"\n{more}'


def speaks(one):
    """The clients' dialects that the provider of a refusal speaks itself."""
    preset, _, _ = OF_PROVIDER.get(one.provider, (one.provider, "", ""))
    path = PROVIDERS / f"{'vertex' if preset == 'vertex-by-key' else preset}.toml"
    listed = re.search("(?m)^dialects = .*$", path.read_text(encoding="utf-8"))[0]
    return {client for client, name in NAMES.items() if f'"{name}"' in listed}


def presets(folder):
    """Besides Vertex by key: OpenAI's API with one of its two dialects each, so that the other is asked for across."""
    homes.presets(folder)
    text = (PROVIDERS / "openai-compatible.toml").read_text(encoding="utf-8")
    one_dialect(folder, text, "chat-alone", "openai-chat", "response")
    one_dialect(folder, text, "responses-alone", "openai-responses", "chat|completions|embeddings|rerank")


def one_dialect(folder, text, name, dialect, without):
    """A preset under another name, without the paths that begin so."""
    text = re.sub("(?m)^name = .*$", f'name = "{name}"', text, count=1)
    text = re.sub("(?m)^dialects = .*$", f'dialects = ["{dialect}"]', text)
    text = re.sub(rf'(?m)^(?:{without})s? = "/.*\n', "", text)
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
