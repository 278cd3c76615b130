//! What a client says of the trace that its call belongs to: the headers of W3C Trace Context.

use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use smallvec::SmallVec;

/// `tracestate` beyond this is left out: the standard asks for at least 512 characters to be passed on.
const LONGEST_STATE: usize = 2_048;
/// And beyond so many vendors' words, as it says.
const MOST_MEMBERS: usize = 32;

/// A client's span.
#[derive(Clone, Debug)]
pub(super) struct Parent {
    pub(super) ids: Ids,
    flags: u8,
    /// As they came, for who passes them on.
    pub(super) headers: Passed,
}

/// Which span of which trace, and whether it is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// It is told of.
    pub sampled: bool,
}

/// Headers of the standard.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    pub(super) traceparent: HeaderValue,
    pub(super) tracestate: SmallVec<[HeaderValue; 1]>,
}

impl Parent {
    /// What the headers of a request say; none if they say nothing that can be understood.
    pub(super) fn of(headers: &HeaderMap) -> Option<Parent> {
        let mut said = headers.get_all("traceparent").iter();
        let (traceparent, None) = (said.next()?, said.next()) else { return None };
        let (trace, span, flags) = parse(traceparent.as_bytes())?;
        let ids = Ids { trace, span, sampled: flags & 1 == 1 };
        let states = || headers.get_all("tracestate").iter();
        let tracestate = if is_state(states) { states().cloned().collect() } else { SmallVec::new() };
        Some(Parent { ids, flags, headers: Passed { traceparent: traceparent.clone(), tracestate } })
    }

    /// For the SDK, whose spans it is the parent of.
    pub(super) fn context(&self) -> SpanContext {
        let flags = TraceFlags::new(self.flags);
        SpanContext::new(self.ids.trace, self.ids.span, flags, true, self.headers.state())
    }
}

impl Passed {
    fn state(&self) -> TraceState {
        let parts: Vec<&str> = self.tracestate.iter().filter_map(|value| value.to_str().ok()).collect();
        parts.join(",").parse().unwrap_or_default() // the SDK may be stricter
    }
}

/// May it be passed on? Damaged state is left out, and what is longer than anybody needs to bear; the trace goes on without.
/// Providers get it beside our key, whether the call is told of or not: what they make of a head that is too large would be
/// held against them. (Nothing is allocated: most calls are not told of.)
fn is_state<'h, V: Iterator<Item = &'h HeaderValue>>(values: impl Fn() -> V) -> bool {
    let size = values().map(|value| value.len() + 1).sum::<usize>();
    let members = values().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let members = members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    size <= LONGEST_STATE + 1
        && members.enumerate().all(|(at, member)| at < MOST_MEMBERS && is_member(member))
}

/// `key=value`, in the letters that the standard allows.
fn is_member(member: &[u8]) -> bool {
    let Some(at) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..at], &member[at + 1..]);
    let of_key = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(byte);
    let of_value = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'=';
    (1..=256).contains(&key.len())
        && key.iter().all(of_key)
        && value.len() <= 256
        && value.iter().all(of_value)
}

/// `00-<trace>-<span>-<flags>`; later versions may say more behind it.
fn parse(value: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let (fields, rest) = value.split_at_checked(55)?;
    let version = hex::<1>(&fields[..2])?[0];
    let is_known = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest[0] == b'-',
    };
    if !is_known || [2, 35, 52].iter().any(|at| fields[*at] != b'-') {
        return None;
    }
    let trace = TraceId::from_bytes(hex::<16>(&fields[3..35])?);
    let span = SpanId::from_bytes(hex::<8>(&fields[36..52])?);
    let flags = hex::<1>(&fields[53..])?[0];
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some((trace, span, flags))
}

/// Lower-case digits only, as the standard wants them.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |letter: u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = digit(*text.get(2 * at)?)? << 4 | digit(*text.get(2 * at + 1)?)?;
    }
    Some(bytes)
}

/// The header for a span.
pub(super) fn traceparent(ids: Ids) -> Option<HeaderValue> {
    let flags = if ids.sampled { "01" } else { "00" };
    HeaderValue::try_from(format!("00-{}-{}-{flags}", ids.trace, ids.span)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(value: &str) -> Option<Ids> {
        let headers = HeaderMap::from_iter([("traceparent".parse().unwrap(), value.parse().unwrap())]);
        Parent::of(&headers).map(|parent| parent.ids)
    }

    /// Broken on purpose to see it fail: upper-case digits taken, more behind version 00 taken.
    #[test]
    fn a_parent_is_read_as_the_standard_says() {
        let ids = read(GOOD).unwrap();
        assert_eq!(ids.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((ids.span.to_string().as_str(), ids.sampled), ("b7ad6b7169203331", true));
        assert_eq!(traceparent(ids).unwrap(), GOOD);
        assert!(!read(&GOOD.replace("-01", "-02")).unwrap().sampled);
        assert!(read(&GOOD.replace("-01", "-03")).unwrap().sampled);
        assert!(read(&GOOD.replacen("00-", "cc-", 1)).is_some(), "a later version");
        assert!(read(&format!("{}-what-comes", GOOD.replacen("00-", "cc-", 1))).is_some());
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &format!("{}.more", GOOD.replacen("00-", "cc-", 1)),
            &GOOD.replacen("00-", "ff-", 1),
            &GOOD.replace("0af7", "0AF7"),
            &GOOD.replace("0af7", "0ag7"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("c-b", "cxb"),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        /// Any bytes that a header may hold: no panic, and what is understood is understood alike when it is passed on.
        #[test]
        fn whatever_a_client_says_is_read_or_passed_over(
            parent in "[0-9a-fA-F-]{0,60}|00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]|[ -~é]{0,70}", state in "[ -~é]{0,64}",
        ) {
            let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
            let mut headers = HeaderMap::from_iter([("traceparent".parse().unwrap(), value(&parent))]);
            headers.insert("tracestate", value(&state));
            if let Some(parent) = Parent::of(&headers) {
                let _ = parent.context();
                let again = traceparent(parent.ids).unwrap();
                proptest::prop_assert_eq!(read(again.to_str().unwrap()), Some(parent.ids));
            }
        }
    }

    #[test]
    fn two_parents_are_none_and_states_are_one() {
        let header = |name: &'static str, value: &str| (name.parse().unwrap(), value.parse().unwrap());
        let mut headers = HeaderMap::from_iter([header("traceparent", GOOD), header("tracestate", "a=1")]);
        headers.append("tracestate", "b=2".parse().unwrap());
        let context = Parent::of(&headers).unwrap().context();
        assert_eq!(context.trace_state().header(), "a=1,b=2");
        assert!(context.is_remote() && context.is_sampled());
        headers.append("tracestate", "no state at all".parse().unwrap());
        assert_eq!(Parent::of(&headers).unwrap().context().trace_state().header(), "");
        headers.append("traceparent", GOOD.parse().unwrap());
        assert!(Parent::of(&headers).is_none());
    }

    /// It was passed to providers as it came where the call was not told of: 60 KiB in ninety fields, for which many close the
    /// connection, and that opens circuits for everybody. Broken on purpose to see it fail: not looked at.
    #[test]
    fn what_is_no_state_or_too_much_of_it_goes_nowhere() {
        let passed = |states: &[String]| {
            let mut headers = HeaderMap::from_iter([("traceparent".parse().unwrap(), GOOD.parse().unwrap())]);
            for state in states {
                headers.append("tracestate", HeaderValue::from_bytes(state.as_bytes()).unwrap());
            }
            Parent::of(&headers).unwrap().headers.tracestate.len()
        };
        let members = |most: usize| (0..most).map(|n| format!("v{n}={}", "x".repeat(8))).collect::<Vec<_>>();
        assert_eq!(passed(&["vendor=1, other@sys=a b".to_owned(), String::new()]), 2);
        assert_eq!(passed(&members(32)), 32);
        for bad in [
            members(33),
            (0..90).map(|n| format!("v{n}={}", "x".repeat(240))).collect(),
            (0..12).map(|n| format!("v{n}={}", "x".repeat(200))).collect(),
            vec![format!("v={}", "x".repeat(257))],
            vec!["no state".to_owned()],
            vec!["V=1".to_owned()],
            vec!["v=a=b".to_owned()],
            vec!["v=\u{e9}".to_owned()],
            vec!["good=1".to_owned(), "=1".to_owned()],
        ] {
            assert_eq!(passed(&bad), 0, "{bad:?}");
        }
    }
}
