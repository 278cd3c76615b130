//! What a model's id tells of what Bedrock lets one ask of it. Converse itself is one form for all, yet a field that a
//! model does not know is refused with a 400; so what is only advice is left out for models known not to take it.

/// Who made a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// Anthropic: which generation, if the id says it.
    Anthropic(Option<(u32, u32)>),
    /// Amazon Nova.
    Nova,
    /// The id does not say (application inference profiles, provisioned models, prompt routers).
    Unknown,
    /// Somebody else.
    Other,
}

impl Maker {
    /// Of a model's id or ARN.
    pub(super) fn of(model: &str) -> Maker {
        let opaque =
            ["application-inference-profile/", "provisioned-model/", "prompt-router/", "imported-model/"];
        match model {
            _ if model.contains("anthropic") => Maker::Anthropic(generation(model)),
            _ if model.contains("amazon.nova") => Maker::Nova,
            _ if model.is_empty() || opaque.iter().any(|part| model.contains(part)) => Maker::Unknown,
            _ => Maker::Other,
        }
    }

    /// One of Anthropic's of this generation or a newer one. Ids without a number are of the newest.
    pub(super) fn claude_since(self, major: u32, minor: u32) -> bool {
        matches!(self, Maker::Anthropic(which) if which.is_none_or(|which| which >= (major, minor)))
    }

    /// It takes marks for the prompt cache, on tools if `tools`. Others answer them with an error.
    pub(super) fn caches(self, tools: bool) -> bool {
        match self {
            Maker::Anthropic(_) | Maker::Unknown => true,
            Maker::Nova => !tools,
            Maker::Other => false,
        }
    }

    /// It takes reasoning back that it signed.
    pub(super) fn takes_reasoning(self) -> bool {
        matches!(self, Maker::Anthropic(_) | Maker::Unknown)
    }

    /// It takes a `status` on a tool's result ("only supported by Amazon Nova and Anthropic Claude").
    pub(super) fn takes_status(self) -> bool {
        self != Maker::Other
    }

    /// It may take `strict` on a tool: structured output came with Claude 4.5; Nova does not have it.
    pub(super) fn takes_strict(self) -> bool {
        match self {
            Maker::Anthropic(_) => self.claude_since(4, 5),
            Maker::Nova => false,
            Maker::Unknown | Maker::Other => true,
        }
    }
}

/// `claude-3-7-sonnet-20250219-v1:0` is (3, 7), `claude-opus-5` is (5, 0), `claude-mythos-preview` says nothing.
fn generation(model: &str) -> Option<(u32, u32)> {
    let (_, name) = model.split_once("claude-")?;
    if name.starts_with("v2") || name.starts_with("instant") {
        return Some((2, 0));
    }
    // A date is not a minor version.
    let small = |part: &str| part.parse::<u32>().ok().filter(|number| *number < 100);
    let mut parts = name.split(['-', ':', '/', '@']).skip_while(|part| small(part).is_none());
    let major = parts.next().and_then(small)?;
    Some((major, parts.next().and_then(small).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_the_maker_and_the_generation() {
        let of = |model, maker| assert_eq!(Maker::of(model), maker, "{model}");
        of("us.anthropic.claude-3-7-sonnet-20250219-v1:0", Maker::Anthropic(Some((3, 7))));
        of("anthropic.claude-3-haiku-20240307-v1:0", Maker::Anthropic(Some((3, 0))));
        of("us.anthropic.claude-sonnet-4-20250514-v1:0", Maker::Anthropic(Some((4, 0))));
        of("global.anthropic.claude-haiku-4-5-20251001-v1:0", Maker::Anthropic(Some((4, 5))));
        of("anthropic.claude-opus-4-6-v1", Maker::Anthropic(Some((4, 6))));
        of("anthropic.claude-opus-5", Maker::Anthropic(Some((5, 0))));
        of("anthropic.claude-mythos-preview", Maker::Anthropic(None));
        of("anthropic.claude-v2:1", Maker::Anthropic(Some((2, 0))));
        of("us.amazon.nova-2-lite-v1:0", Maker::Nova);
        of("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1", Maker::Unknown);
        of("meta.llama3-2-1b-instruct-v1:0", Maker::Other);
        assert!(Maker::Anthropic(None).claude_since(4, 7));
        assert!(!Maker::Anthropic(Some((4, 5))).claude_since(4, 6));
        assert!(!Maker::Nova.claude_since(1, 0));
    }
}
