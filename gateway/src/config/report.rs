//! Problems found in a configuration, printed with file, line and caret.

use std::fmt;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Byte range in the file's text; `None` for the file as a whole.
    pub span: Option<std::ops::Range<usize>>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Every problem of one file, and of those that belong to it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Its text with the secrets masked (byte positions are those of the file), empty if it could not be read.
    pub text: String,
    /// In file order; those of the whole file first.
    pub problems: Vec<Problem>,
    /// Of presets that the file names a directory of.
    pub others: Vec<Report>,
}

impl Report {
    /// A report of one problem that concerns the whole file.
    pub fn whole_file(file: &Path, message: String) -> Report {
        let problems = vec![Problem { span: None, message }];
        Report { file: file.to_owned(), text: String::new(), problems, others: Vec::new() }
    }

    /// A report of `problems`, sorted by place, each once. `masked` is the file's text without its secrets.
    pub(crate) fn new(file: &Path, masked: String, mut problems: Vec<Problem>) -> Report {
        let place = |problem: &Problem| problem.span.as_ref().map(|span| (span.start, span.end));
        problems.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.message.cmp(&b.message)));
        problems.dedup();
        Report { file: file.to_owned(), text: masked, problems, others: Vec::new() }
    }

    /// Line and column (characters) of a problem, both counted from 1.
    pub fn position(&self, problem: &Problem) -> Option<(usize, usize)> {
        let before = self.text.get(..problem.span.as_ref()?.start)?;
        let line = before.rsplit('\n').next().unwrap_or_default();
        Some((1 + before.matches('\n').count(), 1 + line.chars().count()))
    }

    /// Each problem in a line: `file:line:column: message`.
    pub fn lines(&self) -> Vec<String> {
        let file = self.file.display();
        let line = |problem: &Problem| match self.position(problem) {
            Some((line, column)) => format!("{file}:{line}:{column}: {}", problem.message),
            None => format!("{file}: {}", problem.message),
        };
        let others = self.others.iter().flat_map(Report::lines);
        self.problems.iter().map(line).chain(others).collect()
    }

    /// One problem as a group of output: message, place, line with caret.
    fn group<'a>(&'a self, file: &'a str, problem: &'a Problem) -> Group<'a> {
        let title = Level::ERROR.primary_title(&problem.message);
        match &problem.span {
            None => title.element(Origin::path(file)),
            Some(span) => {
                // Only the first line of a longer place is shown.
                let rest = self.text.get(span.clone()).unwrap_or_default();
                let end = rest.find(['\n', '\r']).map_or(span.end, |length| span.start + length);
                let caret = AnnotationKind::Primary.span(span.start..end);
                title.element(Snippet::source(self.text.as_str()).path(file).annotation(caret))
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display().to_string();
        let renderer = Renderer::plain();
        for problem in &self.problems {
            writeln!(out, "{}\n", renderer.render(&[self.group(&file, problem)]))?;
        }
        match self.problems.len() {
            0 => {}
            1 => write!(out, "1 problem in {file}")?,
            many => write!(out, "{many} problems in {file}")?,
        }
        for (nth, other) in self.others.iter().enumerate() {
            let apart = if nth > 0 || !self.problems.is_empty() { "\n\n" } else { "" };
            write!(out, "{apart}{other}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
