//! The look of the view: colours, bars, numbers, widths.

use std::time::Duration;

/// Columns that the view is laid out for.
pub(super) const COLUMNS: usize = 80;

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub(super) colour: bool,
    /// Block glyphs; else ASCII.
    pub(super) blocks: bool,
    /// Columns.
    pub(super) width: usize,
}

/// A colour or weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Tint {
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
    Cyan,
}

impl Style {
    /// For files and pipes.
    pub(super) fn plain() -> Style {
        Style { colour: false, blocks: false, width: COLUMNS }
    }

    pub(super) fn tint(self, tint: Tint, text: &str) -> String {
        let code = match tint {
            Tint::Bold => "1",
            Tint::Dim => "2",
            Tint::Green => "32",
            Tint::Yellow => "33",
            Tint::Red => "1;31",
            Tint::Cyan => "36",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A heading of a table.
    pub(super) fn heading(self, text: &str) -> String {
        self.tint(Tint::Dim, text)
    }

    /// A count that must stay 0.
    pub(super) fn must_be_zero(self, count: u64, width: usize) -> String {
        self.tint(if count == 0 { Tint::Green } else { Tint::Red }, &format!("{count:>width$}"))
    }
}

/// What is used, in eighths where there are glyphs for them, and the room that is left.
pub(super) fn bar(share: f64, width: usize, style: Style) -> (String, String) {
    const PARTS_OF_BLOCK: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = share.clamp(0.0, 1.0);
    if !style.blocks {
        let full = (share * width as f64).round() as usize;
        return ("#".repeat(full), ".".repeat(width - full));
    }
    let eighths = (share * width as f64 * 8.0).round() as usize;
    let full = format!("{}{}", "█".repeat(eighths / 8), PARTS_OF_BLOCK[eighths % 8]);
    let rest = "·".repeat(width - eighths.div_ceil(8));
    (full, rest)
}

/// `0:07`, `12:30`.
pub(super) fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// `40ms`, `1.5s`.
pub(super) fn brief(ms: u64) -> String {
    if ms < 1_000 { format!("{ms}ms") } else { format!("{:.1}s", ms as f64 / 1_000.0) }
}

/// As [`grouped`], large numbers in thousands or millions.
pub(super) fn short(number: u64) -> String {
    match number {
        0..100_000 => grouped(number),
        100_000..10_000_000 => format!("{}k", grouped(number / 1_000)),
        _ => format!("{}M", grouped(number / 1_000_000)),
    }
}

/// `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns of a line: its characters without the escape sequences. Every glyph here is one column wide.
pub(super) fn columns(line: &str) -> usize {
    let mut escaped = false;
    let visible = line.chars().filter(|c| {
        let shown = !escaped && *c != '\x1b';
        escaped = (escaped || *c == '\x1b') && *c != 'm';
        shown
    });
    visible.count()
}

/// The line, cut to a width.
pub(super) fn fit(line: &str, width: usize) -> String {
    if columns(line) <= width {
        return line.to_owned();
    }
    let (mut cut, mut left, mut escaped) = (String::with_capacity(line.len()), width, false);
    for c in line.chars() {
        if c == '\x1b' || escaped {
            escaped = c != 'm';
            cut.push(c);
        } else if left > 0 {
            left -= 1;
            cut.push(c);
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_full_at_the_limit_and_empty_without_use() {
        let blocks = Style { colour: false, blocks: true, width: 80 };
        assert_eq!(bar(1.0, 3, blocks), ("███".to_owned(), String::new()));
        assert_eq!(bar(2.0, 3, blocks), ("███".to_owned(), String::new()));
        assert_eq!(bar(0.5, 3, blocks), ("█▌".to_owned(), "·".to_owned()));
        assert_eq!(bar(0.0, 3, Style::plain()), (String::new(), "...".to_owned()));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let texts = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }
}
