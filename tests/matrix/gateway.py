"""The gateway before the provider: one account of each kind, with a deployment for each scenario behind a model of its own."""

import re
from contextlib import contextmanager

import story
from provider import AWS_KEY, AWS_SECRET, KEY
from toolchain import REPOSITORY, Process, free_port, says_200

HEAD = """version = 1
providers_dir = "{presets}"

[server]
listen = "127.0.0.1:{listen}"
admin_listen = "127.0.0.1:{admin}"

[defaults]
retry = {{ attempts = 1 }}
circuit = {{ enabled = false }}
timeouts = {{ connect = "2s", first_token = "15s", idle = "15s", total = "30s" }}
"""


def account_of(kind, url):
    """How the account of a kind is written."""
    key = f'api_key = "{KEY}"'
    aws = f'credentials = {{ kind = "aws", access_key_id = "{AWS_KEY}", secret_access_key = "{AWS_SECRET}" }}'
    return {
        "chat": f'provider = "openai-chat"\nbase_url = "{url}/v1"\n{key}',
        "responses": f'provider = "openai-responses"\nbase_url = "{url}/v1"\n{key}',
        "azure": f'provider = "azure"\nbase_url = "{url}"\n{key}',
        "anthropic": f'provider = "anthropic"\nbase_url = "{url}"\n{key}',
        "gemini": f'provider = "gemini"\nbase_url = "{url}"\n{key}',
        "bedrock": f'provider = "bedrock"\nbase_url = "{url}"\nregion = "us-east-1"\n{aws}',
        "vertex": f'provider = "vertex-by-key"\nbase_url = "{url}"\nregion = "us-east1"\nproject = "matrix"\n{key}',
    }[kind]


def model_of(kind, scenario):
    """The name that clients ask for."""
    return f"{kind}--{scenario}"


def config(url, presets, listen, admin):
    """The gateway's configuration."""
    parts = [HEAD.format(presets=presets, listen=listen, admin=admin)]
    for kind in story.KINDS:
        parts.append(f'[[accounts]]\nname = "{kind}"\n{account_of(kind, url)}\n')
        for scenario in (*story.SCENARIOS, *story.FRAMEWORKS):
            name, model = model_of(kind, scenario), story.upstream_model(kind, scenario)
            parts.append(f'[[deployments]]\nname = "{name}"\naccount = "{kind}"\nmodel = "{model}"\n')
            parts.append(f'[[models]]\nname = "{name}"\ndeployments = ["{name}"]\n')
    return "\n".join(parts)


def write_presets(folder):
    """OpenAI's preset twice, with one of its two dialects each, and Vertex's with a key in place of Google's tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    presets = REPOSITORY / "config" / "providers"
    openai = (presets / "openai.toml").read_text()
    (folder / "openai-chat.toml").write_text(preset(openai, "openai-chat", ["openai-chat"], "response|input-tokens"))
    (folder / "openai-responses.toml").write_text(
        preset(openai, "openai-responses", ["openai-responses"], "chat|completions|embeddings")
    )
    vertex = (presets / "vertex.toml").read_text()
    vertex = re.sub(r"(?m)^auth = .*$", 'auth = [{ kind = "bearer" }]', vertex)
    (folder / "vertex-by-key.toml").write_text(preset(vertex, "vertex-by-key", ["gemini", "anthropic-messages"], "-"))


def preset(text, name, dialects, without):
    """A preset under another name, for these dialects, without the paths that begin so."""
    text = re.sub(r'(?m)^name = ".*"$', f'name = "{name}"', text, count=1)
    text = re.sub(r"(?m)^dialects = .*$", f"dialects = {dialects}".replace("'", '"'), text)
    return re.sub(rf"(?m)^({without})[a-z-]* = \"/.*\n", "", text)


@contextmanager
def serving(weir, url, folder):
    """A gateway before the provider at `url`; gives its address."""
    folder.mkdir(parents=True, exist_ok=True)
    write_presets(folder / "presets")
    listen, admin = free_port(), free_port()
    path = folder / "gateway.toml"
    path.write_text(config(url, folder / "presets", listen, admin))
    process = Process("gateway", [weir, "serve", "--config", path], folder / "gateway.log")
    try:
        process.wait_until(lambda: says_200(f"http://127.0.0.1:{listen}/readyz"))
        yield f"http://127.0.0.1:{listen}"
    finally:
        process.end()
