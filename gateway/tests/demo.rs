//! The demo as a user meets it: the built program, its curl line, its end.
#![expect(clippy::unwrap_used, reason = "a failure is the test's")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A demo that is stopped if the test fails.
struct Demo(Child);

impl Demo {
    fn start(arguments: &[&str]) -> (Demo, BufReader<std::process::ChildStdout>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["demo", "--plain", "--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        (Demo(child), out)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the line to paste asks for: address, headers, body.
#[derive(Debug)]
struct Curl {
    addr: String,
    path: String,
    headers: Vec<String>,
    body: String,
}

impl Curl {
    /// Reads output up to the end of the curl line.
    fn read(out: &mut impl BufRead) -> Curl {
        let mut line = String::new();
        let found = out.lines().map(Result::unwrap).skip_while(|line| !line.starts_with("curl "));
        for part in found {
            line.push_str(part.trim_end_matches('\\'));
            if !part.ends_with('\\') {
                break;
            }
        }
        let url = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).unwrap();
        let (addr, path) = url.split_once('/').unwrap();
        let quoted: Vec<&str> = line.split('\'').collect();
        let after = |flag: &str| -> Vec<String> {
            let pairs = quoted.windows(2).filter(|pair| pair[0].trim_end().ends_with(flag));
            pairs.map(|pair| pair[1].to_owned()).collect()
        };
        Curl {
            addr: addr.to_owned(),
            path: format!("/{path}"),
            headers: after("-H"),
            body: after("-d").pop().unwrap(),
        }
    }

    /// Performs it; the whole answer as text.
    fn perform(&self) -> String {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let Curl { addr, path, headers, body } = self;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: {}\r\n{}\r\n\r\n{body}",
            body.len(),
            headers.join("\r\n")
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn the_curl_line_is_answered_and_every_limit_holds_to_the_end() {
    let started = Instant::now();
    let (mut demo, mut out) = Demo::start(&["--seconds", "8"]);
    let curl = Curl::read(&mut out);
    let answer = curl.perform();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("x-weir-replica: weir-1") && answer.contains("\"usage\""), "{answer}");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(demo.0.wait().unwrap().success(), "{rest}");
    assert!(rest.ends_with("Every limit held: provider 429s: 0, violations: 0.\n"), "{rest}");
    assert!(rest.contains(" 0 failed,"), "{rest}");
}

#[test]
fn an_interrupt_ends_it_with_a_summary_and_success() {
    let (mut demo, mut out) = Demo::start(&["--no-load"]);
    let answer = Curl::read(&mut out).perform();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let pid = demo.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(demo.0.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("1 calls served, 0 refused, 0 failed"), "{rest}");
}
