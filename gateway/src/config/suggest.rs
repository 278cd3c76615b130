//! "Did you mean": the nearest of a list of words.

/// ` (did you mean `x`?)`, or nothing if no word is near.
pub(crate) fn did_you_mean(written: &str, words: &[&str]) -> String {
    match nearest(written, words) {
        Some(word) => format!(" (did you mean `{word}`?)"),
        None => String::new(),
    }
}

/// The word nearest to `written`, if at most a third of it differs.
pub(crate) fn nearest<'w>(written: &str, words: &[&'w str]) -> Option<&'w str> {
    let most = written.chars().count() / 3;
    let near = words.iter().map(|word| (distance(written, word), *word)).filter(|(far, _)| *far <= most);
    near.min_by_key(|(far, _)| *far).map(|(_, word)| word)
}

/// `` `a`, `b` ``.
pub(crate) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn either(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => format!("`{last}`"),
        Some((last, rest)) => format!("{} or `{last}`", quoted(rest)),
        None => String::new(),
    }
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`; case does not count.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substitute = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = substitute.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        assert_eq!(nearest("tiemout", &["timeout", "listen"]), Some("timeout"));
        assert_eq!(nearest("admin-token", &["admin_token", "admin_listen"]), Some("admin_token"));
        assert_eq!(nearest("rpn", &["rps", "rpm", "tpm"]), Some("rps"));
        assert_eq!(nearest("colour", &["timeout", "listen"]), None);
    }

    #[test]
    fn lists_read_as_text() {
        assert_eq!(either(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(either(&["a"]), "`a`");
        assert_eq!(quoted(&["a", "b"]), "`a`, `b`");
    }
}
