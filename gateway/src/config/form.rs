//! What may be written for a value, as data: the reader of each type says it beside [`Read`](super::tree::Read), and the schema
//! for editors (`schema.rs`) is made of it. It says less than the reader where a rule is about a value's size or about
//! another key: those rules are in [`check`](super::check).

/// What may be written for a value. A string may always hold `${}` references.
pub(crate) enum Form {
    /// Any string.
    Text,
    /// A string that this regular expression (of ECMA 262) matches somewhere.
    Pattern(&'static str),
    /// One of these strings.
    Words(Vec<&'static str>),
    Bool,
    /// This one alone.
    Only(bool),
    Number,
    /// A number above 0.
    Positive,
    /// A whole number.
    Whole {
        from: u64,
        to: u64,
    },
    List(Box<Form>),
    OneOf(Vec<Form>),
    /// A table whose keys are declared.
    Table(fn() -> Layout),
    /// A table whose keys are the user's own.
    Map(Box<Form>),
}

/// A table that is declared.
pub(crate) struct Layout {
    /// In the code, and among the schema's definitions.
    pub(crate) name: &'static str,
    /// Those that work.
    pub(crate) keys: Vec<Key>,
}

/// A key of it.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) form: fn() -> Form,
    pub(crate) is_required: bool,
    /// Its doc comment in the declaration; often none, for keys are described in `config/production.toml`.
    pub(crate) doc: &'static str,
}
