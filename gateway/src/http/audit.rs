//! Who was not let see or change something: records of the target `weir::audit`, beside those of what was changed, which are written
//! where that is done. They name who asked, by which method and for which path; nothing of what was sent stands in them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Method, StatusCode, header};
use parking_lot::Mutex;

use super::connection::Peer;

/// So many are told in a second, and of the rest how many there were: whoever reaches the listener can make more, and the log is of
/// calls as well.
const MOST: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Of a path, characters.
const LONGEST: usize = 200;

/// What has been told of refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Told>); // short sections

#[derive(Debug, Default)]
struct Told {
    since: Option<Instant>,
    told: u32,
    left_out: u64,
}

/// What is asked for, until it is known what comes of it.
#[derive(Debug)]
pub(super) struct Asked {
    method: Method,
    path: String,
    by: Option<IpAddr>,
    shows_something: bool,
}

impl Asked {
    /// By a request. (What stands behind `?` may be a key that somebody put there.)
    pub(super) fn of(request: &Parts) -> Asked {
        Asked {
            method: request.method.clone(),
            path: request.uri.path().chars().take(LONGEST).collect(),
            by: request.extensions.get::<Peer>().map(|Peer(peer)| peer.ip()),
            shows_something: request.headers.contains_key(header::AUTHORIZATION),
        }
    }

    /// Is it one for the record, if it is answered so? A change that was not made, whatever is wrong with it; anything that who asks may
    /// not. (A browser asks without a token first, to learn that it needs one.)
    fn is_refused(&self, status: StatusCode) -> bool {
        let may_not = match status {
            StatusCode::UNAUTHORIZED => self.shows_something,
            StatusCode::FORBIDDEN => true,
            _ => false,
        };
        may_not || status.is_client_error() && !self.method.is_safe()
    }
}

impl Refusals {
    /// Tells of a request that was answered so, if that is a refusal.
    pub(super) fn note(&self, asked: &Asked, status: StatusCode) {
        if !asked.is_refused(status) {
            return;
        }
        let Some(left_out) = self.0.lock().room(Instant::now()) else { return };
        let by = asked.by.map(|by| by.to_string()).unwrap_or_default();
        tracing::warn!(
            target: "weir::audit", action = "refused", method = %asked.method, path = asked.path, status = status.as_u16(), by, left_out,
            "asked for and not done"
        );
    }
}

impl Told {
    /// How many were left out before this one; none: it is left out as well.
    fn room(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SECOND) {
            (self.since, self.told) = (Some(now), 0);
        }
        if self.told == MOST {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(method: Method, headers: &[(&str, &str)]) -> Asked {
        let mut request = Request::builder().method(method).uri("/admin/v1/keys?key=sk-secret");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Asked::of(&request.body(()).unwrap().into_parts().0)
    }

    /// Broken on purpose to see it fail: changes that are wrong left out; reads taken as well; who asks without a token told of.
    #[test]
    fn what_was_not_let_is_for_the_record_and_what_was_seen_is_not() {
        let is = |method, headers: &[_], status: u16| {
            asked(method, headers).is_refused(StatusCode::from_u16(status).unwrap())
        };
        let token: &[(&str, &str)] = &[("authorization", "Bearer guessed")];
        assert!(is(Method::GET, token, 401) && is(Method::POST, &[], 401));
        assert!(!is(Method::GET, &[], 401), "a browser that is about to ask for the token");
        assert!(is(Method::GET, &[], 403), "a page from elsewhere");
        for status in [400, 404, 405, 409] {
            assert!(is(Method::PUT, token, status) && !is(Method::GET, token, status), "{status}");
        }
        assert!(
            !is(Method::POST, token, 201) && !is(Method::POST, token, 503),
            "that is told where it is done"
        );
    }

    /// Broken on purpose to see it fail: the whole address kept.
    #[test]
    fn nothing_of_a_query_is_kept() {
        assert_eq!(asked(Method::GET, &[]).path, "/admin/v1/keys");
    }

    /// Broken on purpose to see it fail: no bound; the count of those left out not given back.
    #[test]
    fn a_flood_of_refusals_is_counted_and_not_told() {
        let (mut told, now) = (Told::default(), Instant::now());
        let let_in = (0..50).filter(|_| told.room(now).is_some()).count();
        assert_eq!(let_in, MOST as usize);
        assert_eq!(told.room(now + SECOND), Some(40));
        assert_eq!(told.room(now + SECOND), Some(0));
    }
}
