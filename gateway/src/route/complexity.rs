//! How hard a call seems: a score in [0, 1) that is cheap, the same on every replica, and reads no language.
//!
//! Six signs, each in [0, 1], are joined as if each alone might make the call hard: `1 - product of (1 - weight * sign)`.
//! So any of them raises the score, none lowers it, and several together raise it further. The signs:
//!
//! | sign | weight | 0 | 1 |
//! |---|---|---|---|
//! | length of the input, by its logarithm | 0.50 | 64 tokens | 16,384 tokens |
//! | structure of the user's last text: fences of code, signs of code and formulas | 0.45 | none | three fences, or one character of eight |
//! | demands: list items, numbered or not, and lines that end in `:` | 0.40 | one | eight |
//! | questions: marks of any script | 0.25 | one | five |
//! | tools | 0.25 | none | eight |
//! | turns of the user | 0.20 | one | ten |
//!
//! A greeting has about 0, a question of a sentence below 0.1, a page of requirements with code 0.5 and more. The numbers
//! are ours, chosen by hand: what they mean to the quality of answers is for users to find out.

use crate::dialect::request::Words;

/// The score of what is said, in a call of so much input, tokens.
pub fn complexity(words: &Words, input: u64) -> f64 {
    let text = Shape::of(&words.last);
    let length = (input.max(1) as f64 / 64.0).log2() / 8.0;
    let dense = 8.0 * text.signs as f64 / text.chars.max(64) as f64;
    let structure = (text.fences as f64 / 3.0).max(dense);
    let signs = [
        (0.50, length),
        (0.45, structure),
        (0.40, (text.demands as f64 - 1.0) / 7.0),
        (0.25, (text.questions as f64 - 1.0) / 4.0),
        (0.25, words.tools as f64 / 8.0),
        (0.20, (words.turns as f64 - 1.0) / 9.0),
    ];
    1.0 - signs.iter().map(|(weight, sign)| 1.0 - weight * sign.clamp(0.0, 1.0)).product::<f64>()
}

/// What a text looks like.
#[derive(Default)]
struct Shape {
    chars: usize,
    /// Fences of code that are opened.
    fences: usize,
    /// Characters that code and formulas have and prose has not.
    signs: usize,
    demands: usize,
    questions: usize,
}

impl Shape {
    fn of(text: &str) -> Shape {
        let mut shape = Shape::default();
        let mut fence_lines = 0;
        for line in text.lines() {
            let line = line.trim();
            fence_lines += usize::from(line.starts_with("```") || line.starts_with("~~~"));
            shape.demands += usize::from(is_item(line) || line.ends_with([':', '：']));
            for c in line.chars() {
                shape.chars += 1;
                shape.signs += usize::from("{}[]<>=;\\|^_$#&@~∑∫∂√≤≥≠∀∃∈→∞".contains(c));
                shape.questions += usize::from(matches!(c, '?' | '？' | '؟' | '⸮' | '՞' | '፧' | '\u{37e}'));
            }
        }
        shape.fences = fence_lines.div_ceil(2);
        shape
    }
}

/// `- x`, `* x`, `• x`, `1. x`, `2) x`, `（三）x`.
fn is_item(line: &str) -> bool {
    let rest = line.trim_start_matches(['(', '（']);
    let number = rest.trim_start_matches(|c: char| c.is_numeric() || "一二三四五六七八九十".contains(c));
    let numbered = number.len() < rest.len() && number.starts_with(['.', ')', '、', '）', '．']);
    numbered || ["- ", "* ", "+ ", "• ", "· ", "– "].iter().any(|mark| line.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(last: &str, input: u64) -> f64 {
        complexity(&Words { last: last.to_owned(), turns: 1, ..Words::default() }, input)
    }

    const TASK: &str = "Review this and say what to change:\n\n```rust\nfn f(x: &[u8]) -> Vec<u8> { x.iter().map(|b| b + 1).collect() }\n```\n\n\
        1. It must not panic.\n2. No allocation.\n3. Keep the name.\n4. Say why.\n5. Add a test.\nIs it sound? Is it fast?";
    const AUFGABE: &str = "Prüfe das und sage, was zu ändern ist:\n\n```rust\nfn f(x: &[u8]) -> Vec<u8> { x.iter().map(|b| b + 1).collect() }\n```\n\n\
        - Es darf nicht abstürzen.\n- Ohne Speicher anzufordern.\n- Der Name bleibt.\n- Mit Begründung.\n- Mit Test.\nStimmt es? Ist es schnell?";
    const RENWU: &str = "请审查以下代码并说明需要修改之处：\n\n```rust\nfn f(x: &[u8]) -> Vec<u8> { x.iter().map(|b| b + 1).collect() }\n```\n\n\
        一、不得崩溃。\n二、不得分配内存。\n三、保留名称。\n四、说明理由。\n五、添加测试。\n它正确吗？它快吗？";

    /// Broken on purpose to see it fail: items by `-` alone.
    #[test]
    fn hard_calls_score_above_easy_ones_in_any_language() {
        for easy in ["hi", "Danke!", "你好", "What is the capital of France?", "Wie spät ist es in Tokio?"]
        {
            assert!(score(easy, 20) < 0.1, "{easy}: {}", score(easy, 20));
        }
        let hard = [TASK, AUFGABE, RENWU].map(|task| score(task, 200));
        for score in hard {
            assert!((0.45..0.9).contains(&score), "{hard:?}");
        }
        assert!((hard[0] - hard[1]).abs() < 0.1 && (hard[0] - hard[2]).abs() < 0.15, "{hard:?}");
    }

    /// Broken on purpose to see it fail: questions counted without those of Chinese.
    #[test]
    fn every_sign_raises_the_score_and_none_takes_it_to_one() {
        let plain = Words { last: "word ".repeat(50), turns: 1, ..Words::default() };
        let base = complexity(&plain, 64);
        assert_eq!(base, 0.0);
        assert!((complexity(&plain, 16_384) - 0.5).abs() < 1e-9 && complexity(&plain, u64::MAX) == 0.5);
        assert!(complexity(&Words { tools: 4, ..plain.clone() }, 64) > 0.1);
        assert!(complexity(&Words { turns: 6, ..plain.clone() }, 64) > 0.1);
        for more in ["\n```\na\n```\n", "{}[]{}[]{}[];;;;", "\n- a\n- b\n- c", "? ? ?", "؟ ؟ ؟", "？？？"]
        {
            let said = Words { last: format!("{}{more}", plain.last), ..plain.clone() };
            assert!(complexity(&said, 64) > 0.05, "{more}");
        }
        let all =
            Words { last: format!("{TASK}\n{}", "- {x}?:\n".repeat(50)), tools: 99, turns: 99, ..plain };
        assert!((0.9..1.0).contains(&complexity(&all, 1 << 20)));
        assert_eq!(complexity(&Words::default(), 0), 0.0);
    }
}
