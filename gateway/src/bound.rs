//! A bound on something that a replica has at once: calls, or bytes of request bodies. What exceeds it is refused at
//! once, for a replica that takes on more than it can carry fails all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bodies up to this size are not counted, for most are small and `max_calls` bounds their number. Bytes.
pub const UNCOUNTED: usize = 16 << 10;

/// How much there may be, and is.
#[derive(Debug)]
pub struct Bound {
    most: AtomicUsize,
    used: AtomicUsize,
}

impl Bound {
    /// At most `most`.
    pub fn new(most: usize) -> Arc<Bound> {
        Arc::new(Bound { most: AtomicUsize::new(most), used: AtomicUsize::new(0) })
    }

    /// Another bound from now on; what is above it stays.
    pub fn set(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// How much there is.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A part of nothing yet.
    pub fn part(self: &Arc<Self>) -> Part {
        Part { of: self.clone(), size: 0 }
    }
}

/// A part of a [`Bound`], given back when dropped.
#[derive(Debug)]
pub struct Part {
    of: Arc<Bound>,
    size: usize,
}

impl Part {
    /// Takes `more`; false if that does not fit, and then nothing is taken.
    #[must_use]
    pub fn grow(&mut self, more: usize) -> bool {
        let most = self.of.most.load(Ordering::Relaxed);
        let fits = |used: usize| used.checked_add(more).filter(|used| *used <= most);
        // The number guards nothing but itself.
        let grown = self.of.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if grown {
            self.size += more;
        }
        grown
    }

    /// Takes `more` even if that does not fit: what is there already must be counted.
    pub fn force(&mut self, more: usize) {
        self.of.used.fetch_add(more, Ordering::Relaxed);
        self.size += more;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.of.used.fetch_sub(self.size, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bound_counts_from_the_next_on() {
        let bound = Bound::new(3);
        let mut part = bound.part();
        assert!(part.grow(3));
        bound.set(2);
        assert!(!part.grow(0) && !bound.part().grow(1), "above it nothing is taken");
        drop(part);
        assert!(bound.part().grow(2) && !bound.part().grow(3));
        assert_eq!(bound.used(), 0);
    }

    #[test]
    fn what_is_forced_in_leaves_no_room_until_it_is_gone() {
        let bound = Bound::new(3);
        let mut part = bound.part();
        part.force(5);
        assert!(bound.used() == 5 && !bound.part().grow(1));
        drop(part);
        assert!(bound.part().grow(3));
    }

    /// Broken on purpose once: `grow` that loads and then adds.
    #[test]
    fn threads_never_exceed_it_and_leave_nothing() {
        let bound = Bound::new(5);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let mut part = bound.part();
                        let _ = part.grow(1) && part.grow(2);
                        assert!(bound.used() <= 5);
                    }
                });
            }
        });
        assert_eq!(bound.used(), 0);
    }
}
