//! What Google's models differ in, so far as it decides how a request must be written.

/// The model that a request is for, by its name; empty if only the path names it.
#[derive(Clone, Copy)]
pub(super) struct Model<'a>(pub(super) &'a str);

impl Model<'_> {
    /// The number behind `gemini-`.
    fn generation(self) -> Option<u32> {
        let number = self.0.split("gemini-").nth(1)?;
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    /// Before Gemini 3: thinks by a budget, knows no thinking level, cannot take media inside a tool's result.
    pub(super) fn old(self) -> bool {
        self.generation().is_some_and(|generation| generation < 3)
    }

    /// Gemini 3 or later, by its name.
    pub(super) fn modern(self) -> bool {
        self.generation().is_some_and(|generation| generation >= 3)
    }

    pub(super) fn pro(self) -> bool {
        self.0.contains("-pro")
    }

    pub(super) fn lite(self) -> bool {
        self.0.contains("-lite")
    }

    /// Refuses calls in the history that have no thought signature: every Gemini since 3. A name that we cannot place
    /// is taken for a new one, none for a client of Google's own dialect, who knows what to send.
    pub(super) fn wants_signatures(self) -> bool {
        !self.0.is_empty() && !self.old() && !self.0.contains("gemma")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_generation() {
        for (name, old, wants) in [
            ("gemini-2.5-flash", true, false),
            ("publishers/google/models/gemini-1.5-pro-002", true, false),
            ("gemini-3.1-pro-preview", false, true),
            ("gemini-flash-latest", false, true),
            ("gemma-3-27b-it", false, false),
            ("", false, false),
        ] {
            assert_eq!((Model(name).old(), Model(name).wants_signatures()), (old, wants), "{name}");
        }
    }
}
