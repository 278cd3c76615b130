//! Where an account is: preset, base URL, and what stands in the addresses of some providers.

use http::Uri;

use super::super::Notes;
use super::super::page;
use super::account::Wanted;
use super::words::{Environment, Worded};

/// Where an account is, as Weir's file has it.
#[derive(PartialEq, Eq)]
pub(super) struct Place {
    /// With references; `None`: the preset's.
    base_url: Option<Worded>,
    resource: Option<String>,
    region: Option<String>,
    project: Option<String>,
    api_version: Option<String>,
}

impl Place {
    pub(super) fn written(&self) -> Vec<(&'static str, String)> {
        let base_url = self.base_url.as_ref().map(Worded::part);
        let all = [
            ("base_url", base_url.as_ref()),
            ("resource", self.resource.as_ref()),
            ("region", self.region.as_ref()),
            ("project", self.project.as_ref()),
            ("api_version", self.api_version.as_ref()),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, page::quoted(value?)))).collect()
    }

    /// What tells it from others of its provider.
    pub(super) fn label(&self) -> Option<String> {
        let host = || Some(self.base_url.as_ref()?.clear()?.parse::<Uri>().ok()?.host()?.to_owned());
        let plain = |text: &&String| !text.contains("${");
        let resource = self.resource.as_ref().or(self.region.as_ref()).filter(plain).cloned();
        resource.or_else(host)
    }
}

/// The preset and the place.
pub(super) fn place(
    wanted: &Wanted<'_>,
    environment: &mut Environment,
    notes: &mut Notes,
) -> Result<(&'static str, Place), &'static str> {
    let base = wanted.params.get("api_base").or_else(|| wanted.params.get("base_url"));
    let base = base.or_else(|| wanted.params.get("aws_bedrock_runtime_endpoint"));
    let base = match base {
        Some(node) => Some(Worded::of(node).ok_or("its address is no string")?),
        None => None,
    };
    if let Some(Worded::Env(name)) = &base {
        environment.name(name, "an address");
    }
    let base = base.map(|base| tidy(base, wanted.known.preset)).transpose()?;
    let mut place = Place { base_url: None, resource: None, region: None, project: None, api_version: None };
    let mut preset = wanted.known.preset;
    match (preset, base) {
        ("openai", Some(base)) if base.clear() != Some("https://api.openai.com/v1") => {
            preset = "openai-compatible"; // LiteLLM's word for whoever speaks the dialect
            place.base_url = Some(base);
        }
        ("openai", _) => {}
        ("azure", base) => azure(base, ".openai.azure.com", &mut place, environment),
        ("azure-foundry", Some(base)) if resource(&base, ".services.ai.azure.com").is_some() => {
            place.resource = resource(&base, ".services.ai.azure.com");
        }
        ("azure-foundry", _) => {
            return Err(
                "of Azure AI only resources at NAME.services.ai.azure.com have a preset: give it an account with provider = \
                        \"openai-compatible\" if it speaks OpenAI's dialect",
            );
        }
        ("openai-compatible", None) if wanted.known.base_url.is_empty() => {
            return Err("`api_base` is missing, and this provider has no preset");
        }
        ("openai-compatible", None) => place.base_url = Some(Worded::Clear(wanted.known.base_url.to_owned())),
        (_, base) => place.base_url = base,
    }
    values(wanted, preset, &mut place, environment, notes);
    Ok((preset, place))
}

/// A resource, where the address shows one; else the address.
fn azure(base: Option<Worded>, ending: &str, place: &mut Place, environment: &mut Environment) {
    let base = base.unwrap_or_else(|| {
        environment.name("AZURE_API_BASE", "an address");
        Worded::Env("AZURE_API_BASE".to_owned())
    });
    match resource(&base, ending) {
        Some(name) => place.resource = Some(name),
        None => place.base_url = Some(base),
    }
}

fn resource(base: &Worded, ending: &str) -> Option<String> {
    let uri: Uri = base.clear()?.parse().ok()?;
    let name = uri.host()?.strip_suffix(ending)?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (is_name && uri.scheme_str() == Some("https") && uri.port().is_none()).then(|| name.to_owned())
}

/// Region, project and version of the API.
fn values(
    wanted: &Wanted<'_>,
    preset: &str,
    place: &mut Place,
    environment: &mut Environment,
    notes: &mut Notes,
) {
    let mut string = |keys: &[&str], environment: &mut Environment| {
        let (worded, node) = keys.iter().find_map(|key| wanted.params.worded(key, notes))?;
        match &worded {
            Worded::Env(name) => {
                environment.name(name, "");
            }
            Worded::Clear(text) if !is_label(text) => {
                notes.left(node, "it cannot stand in the provider's address");
                return None;
            }
            Worded::Clear(_) => {}
        }
        Some(worded.part())
    };
    match preset {
        "bedrock" => {
            let region =
                wanted.region.clone().or_else(|| string(&["aws_region_name", "region_name"], environment));
            place.region = Some(region.unwrap_or_else(|| environment.name("AWS_REGION", "a region of AWS")));
        }
        "vertex" => {
            let region = string(&["vertex_location", "vertex_ai_location", "region_name"], environment);
            let project = string(&["vertex_project", "vertex_ai_project"], environment);
            place.region =
                Some(region.unwrap_or_else(|| {
                    environment.name("VERTEXAI_LOCATION", "a region such as us-central1")
                }));
            place.project =
                Some(project.unwrap_or_else(|| {
                    environment.name("VERTEXAI_PROJECT", "id of the Google Cloud project")
                }));
        }
        _ => place.region = string(&["region_name"], environment),
    }
    if matches!(preset, "azure" | "azure-foundry") {
        place.api_version = string(&["api_version"], environment);
    }
}

/// A base URL without what Weir's presets put behind it.
fn tidy(base: Worded, preset: &str) -> Result<Worded, &'static str> {
    const WRONG: &str =
        "its address is no URL of the form https://host/path, without user, password and query";
    let Worded::Clear(text) = base else { return Ok(base) };
    if text.contains(['?', '#', '@']) || text.contains("${") {
        return Err(WRONG);
    }
    let uri: Uri = text.parse().map_err(|_| WRONG)?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or(WRONG)?;
    let port = uri.authority().and_then(|authority| authority.as_str().strip_prefix(host));
    let is_port = |port: &str| {
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) || !port.is_some_and(is_port) {
        return Err(WRONG);
    }
    let behind: &[&str] = match preset {
        "anthropic" => &["/v1/messages", "/v1"],
        "openai" | "openai-compatible" | "vllm" => &["/chat/completions"],
        _ => &[],
    };
    let text = text.trim_end_matches('/');
    let text = behind.iter().find_map(|behind| text.strip_suffix(behind)).unwrap_or(text);
    Ok(Worded::Clear(text.to_owned()))
}

/// May it stand in a host name and in a path?
fn is_label(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    text.len() <= 63 && text.split('-').all(is_part)
}
