//! What a model takes, by its name. Anthropic refuses a request with a field that its model does not know, so a request
//! from another dialect must not have it. Names that are no Claude's belong to servers that imitate the API: these are
//! lenient, and know the older fields best.

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// How it is asked to think.
    pub(super) thinks: Thinks,
    /// Which sampling fields it takes.
    pub(super) sampling: Sampling,
    /// It takes `output_config.format`.
    pub(super) schemas: bool,
    /// The highest `output_config.effort`.
    pub(super) effort: Efforts,
    /// It takes instructions between the turns.
    pub(super) instructed: bool,
}

/// How a model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinks {
    /// It cannot.
    Never,
    /// By a budget.
    Budget,
    /// By a budget, or adaptive.
    Either,
    /// Adaptive only.
    Adaptive,
}

/// Which of `temperature`, `top_p` and `top_k` a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    /// All.
    All,
    /// All, but not temperature and top_p together.
    Either,
    /// None.
    None,
}

/// Which words of effort a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Efforts {
    /// None.
    None,
    /// `low` to `high`.
    High,
    /// And `max`.
    Max,
    /// And `xhigh`.
    All,
}

impl Model {
    /// By the name that the provider knows it by (`claude-opus-4-1-20250805`, `us.anthropic.claude-sonnet-4-5-v1:0`).
    pub(super) fn of(name: &str) -> Model {
        let name = name.to_ascii_lowercase();
        let Some((_, behind)) = name.split_once("claude") else {
            let (thinks, effort) = (Thinks::Budget, Efforts::All);
            return Model { thinks, sampling: Sampling::All, schemas: true, effort, instructed: false };
        };
        let version = version(behind);
        let opus = behind.contains("opus");
        Model {
            thinks: match version {
                ..=306 => Thinks::Never,
                307..=405 => Thinks::Budget,
                406 => Thinks::Either,
                _ => Thinks::Adaptive,
            },
            sampling: match version {
                ..=400 => Sampling::All,
                401..=406 => Sampling::Either,
                _ => Sampling::None,
            },
            schemas: version >= 405 || version == 401,
            effort: match version {
                405 if opus => Efforts::High,
                ..=405 => Efforts::None,
                406 => Efforts::Max,
                _ => Efforts::All,
            },
            // Opus 4.8 was the first; Sonnet 5 refuses them.
            instructed: version >= 408 && ["opus", "fable"].iter().any(|family| behind.contains(family)),
        }
    }
}

/// The version in a name, 307 for 3.7: `-3-7-sonnet-20250219`, `-opus-4-1`, `-sonnet-4.5@20250929`. None: newer than all.
fn version(behind: &str) -> u32 {
    let mut words = behind.split(|letter: char| !letter.is_ascii_alphanumeric());
    // Longer numbers are dates.
    let small = |word: &str| word.parse::<u32>().ok().filter(|_| word.len() <= 2);
    let old = |word: &str| word.strip_prefix('v').and_then(small);
    let Some(major) = words.find_map(|word| small(word).or_else(|| old(word))) else { return u32::MAX };
    major * 100 + words.next().and_then(small).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names() {
        for (name, wanted) in [
            ("-3-7-sonnet-20250219", 307),
            ("-3-haiku-20240307", 300),
            ("-sonnet-4-20250514-v1:0", 400),
            ("-opus-4-1-20250805", 401),
            ("-opus-4.5", 405),
            ("-haiku-4-5@20251001", 405),
            ("-v2", 200),
            ("-next-5", 500),
            ("-latest", u32::MAX),
        ] {
            assert_eq!(version(name), wanted, "{name}");
        }
    }

    #[test]
    fn models_take_what_they_know() {
        assert_eq!(Model::of("claude-3-5-haiku-20241022").thinks, Thinks::Never);
        assert_eq!(Model::of("us.anthropic.claude-sonnet-4-20250514-v1:0").thinks, Thinks::Budget);
        assert_eq!(Model::of("claude-sonnet-4-6").thinks, Thinks::Either);
        assert_eq!(Model::of("claude-opus-4-7").thinks, Thinks::Adaptive);
        assert_eq!(Model::of("claude-opus-4-7").sampling, Sampling::None);
        assert_eq!(Model::of("claude-sonnet-4-5").sampling, Sampling::Either);
        assert_eq!(Model::of("claude-opus-4-5").effort, Efforts::High);
        assert_eq!(Model::of("claude-sonnet-4-5").effort, Efforts::None);
        assert!(!Model::of("claude-sonnet-4-0").schemas);
        assert!(Model::of("claude-opus-4-8").instructed && !Model::of("claude-opus-4-7").instructed);
        assert_eq!(Model::of("some-model").thinks, Thinks::Budget);
    }
}
