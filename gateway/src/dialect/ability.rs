//! What calls use that not every model can do, as far as a look at the request tells.

/// Something that a model can do or cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Tools or functions are offered.
    Tools,
    /// The input holds images.
    Images,
    /// The answer is to keep to a schema.
    JsonSchema,
    /// The input holds sounds.
    Audio,
    /// The input holds films.
    Video,
    /// The input holds documents.
    Files,
    /// The model is asked to think first.
    Reasoning,
}

impl Ability {
    /// Every one.
    pub const ALL: [Ability; 7] = [
        Ability::Tools,
        Ability::Images,
        Ability::JsonSchema,
        Ability::Audio,
        Ability::Video,
        Ability::Files,
        Ability::Reasoning,
    ];

    /// The word for it in configurations and messages.
    pub fn word(self) -> &'static str {
        match self {
            Ability::Tools => "tools",
            Ability::Images => "images",
            Ability::JsonSchema => "json_schema",
            Ability::Audio => "audio",
            Ability::Video => "video",
            Ability::Files => "files",
            Ability::Reasoning => "reasoning",
        }
    }
}

/// Several of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities(u8);

impl Abilities {
    /// These.
    pub fn of(list: impl IntoIterator<Item = Ability>) -> Abilities {
        list.into_iter().fold(Abilities::default(), |all, one| all.with(one, true))
    }

    /// One more, if `there`.
    #[must_use]
    pub fn with(self, one: Ability, there: bool) -> Abilities {
        Abilities(self.0 | u8::from(there) << one as u8)
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Abilities) -> Abilities {
        Abilities(self.0 | other.0)
    }

    /// Is it one of them?
    pub fn has(self, one: Ability) -> bool {
        self.0 & 1 << one as u8 != 0
    }

    /// The first that `other` has not.
    pub fn beyond(self, other: Abilities) -> Option<Ability> {
        let missing = Abilities(self.0 & !other.0);
        if missing.0 == 0 { None } else { Ability::ALL.into_iter().find(|one| missing.has(*one)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_others_is_the_first_that_they_have_not() {
        let asked = Abilities::of([Ability::Images, Ability::Reasoning]);
        assert_eq!(asked.beyond(Abilities::of(Ability::ALL)), None);
        assert_eq!(asked.beyond(Abilities::of([Ability::Images, Ability::Tools])), Some(Ability::Reasoning));
        assert_eq!(asked.beyond(Abilities::default()), Some(Ability::Images));
        assert_eq!(Abilities::default().beyond(Abilities::default()), None);
        assert!(Ability::ALL.iter().all(|one| Abilities::default().with(*one, true).has(*one)));
    }
}
