//! Runs a target on many inputs, and reports what fails: each place in the code once, with an input made short.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::mutate::mutant;
use crate::targets::Target;

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

#[derive(Clone, Debug)]
struct Panic {
    /// Where, and the beginning of the message: what makes it the same finding.
    mark: String,
    message: String,
}

/// How long to look for something.
pub(crate) enum Bound {
    Inputs(usize),
    Time(Duration),
}

/// Panics of targets are remembered instead of printed.
pub(crate) fn listen() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let message = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
        eprintln_outside(&place, &message);
        let words: String = message.split(['{', ':']).next().unwrap_or_default().chars().take(50).collect();
        LAST.with_borrow_mut(|last| *last = Some(Panic { mark: format!("{place} {words}"), message }));
    }));
}

thread_local! {
    static INSIDE: RefCell<bool> = const { RefCell::new(false) };
}

fn eprintln_outside(place: &str, message: &str) {
    if !INSIDE.with_borrow(|inside| *inside) {
        eprintln!("{place}: {message}");
    }
}

fn failure(target: &Target, input: &[u8]) -> Option<Panic> {
    INSIDE.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    INSIDE.set(false);
    result.err().map(|_| LAST.with_borrow_mut(Option::take).expect("the hook has seen it"))
}

/// What was found, as text; empty if nothing was.
#[derive(Default)]
pub(crate) struct Findings(BTreeMap<String, String>);

impl Findings {
    /// Runs it once.
    pub(crate) fn try_input(&mut self, target: &Target, input: &[u8]) {
        let Some(panic) = failure(target, input) else { return };
        if self.0.contains_key(&panic.mark) {
            return;
        }
        let short = shortened(target, input, &panic.mark);
        let panic = failure(target, &short).unwrap_or(panic);
        let file = kept(target, &short, &panic.mark);
        let repeat = format!(
            "WEIR_FUZZ_TARGET={} WEIR_FUZZ_INPUT={} cargo test -p weir --test fuzz one_input",
            target.name,
            file.display()
        );
        let text =
            format!("{}: {}\n  {:.1800}\n  repeat: {repeat}\n", target.name, panic.mark, panic.message);
        self.0.insert(panic.mark, text);
    }

    /// Fails with all of them.
    pub(crate) fn conclude(self) {
        let texts: Vec<String> = self.0.into_values().collect();
        assert!(texts.is_empty(), "{} findings\n{}", texts.len(), texts.join("\n"));
    }
}

/// Runs mutants of `corpus`; says how many.
pub(crate) fn search(
    target: &Target,
    corpus: &[Vec<u8>],
    seed: u64,
    bound: &Bound,
    found: &mut Findings,
) -> usize {
    let mut rng = Rng::with_seed(seed);
    let begin = Instant::now();
    let mut runs = 0;
    let goes_on = |runs: usize| match bound {
        Bound::Inputs(most) => runs < *most,
        Bound::Time(most) => begin.elapsed() < *most,
    };
    while goes_on(runs) {
        let (input, other) = (&corpus[rng.usize(0..corpus.len())], &corpus[rng.usize(0..corpus.len())]);
        found.try_input(target, &mutant(&mut rng, input, other));
        runs += 1;
    }
    runs
}

/// A shorter input that fails at the same place.
fn shortened(target: &Target, input: &[u8], mark: &str) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut size = best.len() / 2;
    let begin = Instant::now();
    while size > 0 && begin.elapsed() < Duration::from_secs(3) {
        let mut at = 0;
        while at < best.len() && begin.elapsed() < Duration::from_secs(3) {
            let end = (at + size).min(best.len());
            let less = [&best[..at], &best[end..]].concat();
            match failure(target, &less) {
                Some(panic) if panic.mark == mark => best = less,
                _ => at = end,
            }
        }
        size /= 2;
    }
    best
}

fn kept(target: &Target, input: &[u8], mark: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).expect("a folder for findings");
    let file = folder.join(format!("{}-{:08x}", target.name, crc32fast::hash(mark.as_bytes())));
    std::fs::write(&file, input).expect("a finding is written");
    file
}
