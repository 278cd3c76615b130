//! What the command line says, and the requests that are made of it.
use crate::cpu::Group;
use std::fs;

#[derive(Default)]
pub struct Options {
    /// Who is called: connection n calls the one at n modulo their number.
    pub addresses: Vec<String>,
    /// Whole requests, sent one after the other, again from the first at the end.
    pub requests: Vec<Vec<u8>>,
    pub conns: usize,
    pub duration: f64,
    pub warmup: f64,
    pub rate: f64,
    /// Seconds over which the connections' first calls are spread.
    pub ramp: f64,
    /// Seconds for which the open loop sends a tenth of its rate, and then for as long what is left of the mean.
    pub wave: f64,
    pub over: Option<u32>,
    /// The text whose first occurrence in an answer is its first content; empty: nothing is looked for.
    pub content: Vec<u8>,
    pub redis: Option<String>,
    pub groups: Vec<Group>,
}

impl Options {
    /// When call number `index` of the open loop is due, seconds from the start.
    pub fn due(&self, index: u64) -> f64 {
        if self.wave == 0.0 {
            return index as f64 / self.rate;
        }
        let (quiet, busy) = (0.1 * self.rate, 1.9 * self.rate);
        let each = 2.0 * self.rate * self.wave;
        let (waves, within) = ((index as f64 / each).floor(), index as f64 % each);
        let before = 2.0 * self.wave * waves;
        if within < quiet * self.wave {
            before + within / quiet
        } else {
            before + self.wave + (within - quiet * self.wave) / busy
        }
    }

    /// How many calls of the open loop are due before this many seconds.
    pub fn due_until(&self, seconds: f64) -> u64 {
        (0..).find(|&index| self.due(index) >= seconds).unwrap_or(0)
    }
}

/// The parts that requests are made of.
#[derive(Default)]
struct Parts {
    path: String,
    headers: String,
    bodies: Vec<Vec<u8>>,
    keys: Vec<String>,
}

pub fn options() -> Options {
    let mut parts = Parts::default();
    let mut o =
        Options { conns: 1, duration: 3.0, warmup: 0.5, groups: vec![Group::own()], ..Options::default() };
    let mut args = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match name.as_str() {
            "--url" => {
                let rest = value.strip_prefix("http://").expect("--url http://HOST:PORT/PATH");
                let (address, path) = rest.split_once('/').expect("--url with a path");
                o.addresses.push(address.into());
                parts.path = path.into();
            }
            "-H" => parts.headers += &format!("{value}\r\n"),
            "--body-file" => parts.bodies.push(fs::read(value).expect("--body-file FILE")),
            "--keys-file" => {
                let text = fs::read_to_string(value).expect("--keys-file FILE");
                parts.keys = text.lines().map(str::to_owned).collect();
            }
            "--conns" => o.conns = value.parse().expect("--conns N"),
            "--duration" => o.duration = value.parse().expect("--duration SECONDS"),
            "--warmup" => o.warmup = value.parse().expect("--warmup SECONDS"),
            "--rate" => o.rate = value.parse().expect("--rate CALLS_PER_SECOND"),
            "--ramp" => o.ramp = value.parse().expect("--ramp SECONDS"),
            "--wave" => o.wave = value.parse().expect("--wave SECONDS"),
            "--over" => o.over = Some(value.parse().expect("--over MICROSECONDS")),
            "--content" => o.content = value.into_bytes(),
            "--redis" => o.redis = Some(value),
            "--proc" => o.groups.push(Group::parse(&value).expect("--proc NAME=PID,PID")),
            _ => panic!("unknown option {name}"),
        }
    }
    o.requests = requests(o.addresses.first().expect("--url"), &parts);
    o
}

/// As many requests as there are bodies or keys, whichever are more.
fn requests(host: &str, parts: &Parts) -> Vec<Vec<u8>> {
    let Parts { path, headers, bodies, keys } = parts;
    assert!(!bodies.is_empty(), "--body-file FILE");
    let request = |at: usize| {
        let body = &bodies[at % bodies.len()];
        let key = match keys.len() {
            0 => String::new(),
            n => format!("Authorization: Bearer {}\r\n", keys[at % n]),
        };
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nAccept: */*\r\n{headers}{key}\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    (0..bodies.len().max(keys.len())).map(request).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_have_the_rate_as_their_mean() {
        let waves = Options { rate: 10.0, wave: 20.0, ..Options::default() };
        for (index, due) in [(0, 0.0), (10, 10.0), (20, 20.0), (210, 30.0), (400, 40.0), (410, 50.0)] {
            assert!((waves.due(index) - due).abs() < 1e-9, "{index}: {}", waves.due(index));
        }
        assert_eq!((waves.due_until(20.0), waves.due_until(40.0), waves.due_until(80.0)), (20, 400, 800));
        assert_eq!(Options { rate: 10.0, ..Options::default() }.due(40), 4.0);
    }

    #[test]
    fn bodies_and_keys_are_taken_in_turn() {
        let parts = Parts {
            path: "v1".into(),
            bodies: vec![b"a".to_vec(), b"bb".to_vec()],
            keys: vec!["k0".into(), "k1".into(), "k2".into()],
            ..Parts::default()
        };
        let made: Vec<String> =
            requests("h:1", &parts).into_iter().map(|r| String::from_utf8(r).unwrap()).collect();
        assert_eq!(made.len(), 3);
        assert!(made[1].starts_with("POST /v1 HTTP/1.1\r\nHost: h:1\r\n"));
        assert!(made[1].contains("Content-Length: 2\r\n") && made[1].ends_with("\r\n\r\nbb"));
        assert!(made[2].contains("Authorization: Bearer k2\r\n") && made[2].ends_with("\r\n\r\na"));
    }
}
