//! Problems found in a configuration, printed with file, line and caret.

use std::path::{Path, PathBuf};

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Byte range in the file's text; `None` for the file as a whole.
    pub span: Option<std::ops::Range<usize>>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Every problem of one file.
#[derive(Debug)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Its text, empty if it could not be read.
    pub text: String,
    /// In file order.
    pub problems: Vec<Problem>,
}

impl Report {
    /// A report of one problem that concerns the whole file.
    pub fn whole_file(file: &Path, message: String) -> Report {
        Report { file: file.to_owned(), text: String::new(), problems: vec![Problem { span: None, message }] }
    }
}
