//! Was that right? Looks at what the client got and how often the providers were asked.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Case, Expect};
use crate::gate::LONGEST_REST;
use crate::hostile::judge::{is_error, said_rightly};
use crate::wire::{Answer, find, shown};

/// Says what is wrong with it, if anything. `asked`: how often the two providers were.
pub(crate) fn judge(case: &Case, answer: &Answer, asked: [usize; 2]) -> Result<()> {
    said_rightly(answer)?;
    ensure!(find(&answer.body, b"POISON").is_none(), "what belongs to nobody was passed on");
    for (_, value) in &answer.head.fields {
        ensure!(find(value, b"POISON").is_none() && find(value, b"SECRET").is_none(), "{:?}", answer.head);
    }
    met(case, &case.lie.expect, answer, asked)
}

fn met(case: &Case, expect: &Expect, answer: &Answer, asked: [usize; 2]) -> Result<()> {
    if let Expect::OneOf(several) = expect {
        let faults = several.iter().map(|expect| met(case, expect, answer, asked));
        let faults: Vec<String> = faults.filter_map(|met| met.err().map(|err| format!("{err:#}"))).collect();
        ensure!(faults.len() < several.len(), "none of: {}", faults.join("; "));
        return Ok(());
    }
    let moves = case.backed && matches!(expect, Expect::Moved(_));
    let right = [1, usize::from(moves)];
    // A call whose time is over may have been on its way to the second.
    ensure!(asked == right || matches!(expect, Expect::Late), "the providers were asked {asked:?} times");
    match expect {
        Expect::Passed(body) => passed(answer, body, "bad"),
        Expect::Moved(_) if case.backed => whole(case, answer, &case.id, "good"),
        Expect::Moved(statuses) => failed(answer, statuses),
        Expect::Refused(status, Some(body)) => {
            ensure!(
                answer.status == *status && answer.body == *body,
                "{} {}",
                answer.status,
                shown(&answer.body)
            );
            Ok(())
        }
        Expect::Refused(status, None) => failed(answer, &[*status]),
        Expect::Broken(sent) => broken(answer, sent),
        Expect::Late => failed(answer, &[504]),
        Expect::OneOf(_) => Ok(()), // seen to above
    }
}

/// The honest answer to the call `id`.
pub(crate) fn whole(case: &Case, answer: &Answer, id: &str, by: &str) -> Result<()> {
    let body = if case.streamed { case.endpoint.stream(id) } else { case.endpoint.answer(id) };
    passed(answer, body.as_bytes(), by)
}

fn passed(answer: &Answer, body: &[u8], by: &str) -> Result<()> {
    ensure!(answer.status == 200, "{} {}", answer.status, shown(&answer.body));
    ensure!(answer.body == body, "got {} instead of {}", shown(&answer.body), shown(body));
    ensure!(answer.head.text("x-weir-deployment")?.starts_with(by), "answered by another: {:?}", answer.head);
    Ok(())
}

fn failed(answer: &Answer, statuses: &[u16]) -> Result<()> {
    ensure!(statuses.contains(&answer.status), "{} {}", answer.status, shown(&answer.body));
    is_error(answer)?;
    let said = answer.head.text("x-should-retry")?;
    if matches!(answer.status, 502 | 504) {
        ensure!(said == "false", "x-should-retry: {said:?}");
    }
    if answer.status == 429 {
        let rest: u128 = answer.head.text("retry-after-ms")?.parse().context("retry-after-ms")?;
        ensure!(rest <= LONGEST_REST.as_millis(), "retry-after-ms: {rest}");
        ensure!(answer.head.text("retry-after")? == "1", "{:?}", answer.head);
    }
    Ok(())
}

/// Whole events of what was sent, then an error, or that the response has failed, and no `[DONE]`.
fn broken(answer: &Answer, sent: &[u8]) -> Result<()> {
    let text = String::from_utf8(answer.body.clone())?;
    let shown = || shown(&answer.body[answer.body.len().saturating_sub(100)..]);
    ensure!(answer.status == 200, "{} {}", answer.status, shown());
    ensure!(!text.contains("[DONE]"), "it ends as if it were whole: {}", shown());
    let events = text.strip_suffix("\n\n").with_context(|| format!("no end of an event: {}", shown()))?;
    let at = events.rfind("\n\n").map_or(0, |at| at + 2);
    ensure!(sent.starts_with(&text.as_bytes()[..at]), "not what was sent: {}", shown());
    ensure!(at > 0, "nothing before the error");
    let data = events[at..].lines().find_map(|line| line.strip_prefix("data: "));
    let end: Value = serde_json::from_str(data.context("no data")?)?;
    if end["type"] == "response.failed" {
        let said = &end["response"]["error"];
        ensure!(said["message"].is_string() && said["code"].is_string(), "it says not why: {}", shown());
        return Ok(());
    }
    let said = &end["error"];
    let is_error = said.is_string() || said["message"].is_string() && said["type"].is_string();
    ensure!(is_error, "the end is no error: {}", shown());
    Ok(())
}
