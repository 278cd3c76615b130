//! Images of windows: what a meter had counted when somebody looked, told by replicas after a loss of data.
//!
//! What replicas saw of a window are images of one history, told apart by how much had ever been posted: the fullest
//! is the newest and includes the others. It goes into a ring of its own ([`super::Meter::image`]); what the data set
//! itself had kept is such an image too. What each replica posted since it looked is posted anew, now.
//!
//! Of two losses soon after one another a replica may have missed the first: its images are of a history that nobody
//! went on with. Such a one is fuller than an image that was looked at long after it, which in one history cannot be
//! ([`History`]). Neither may hide the other then: both count, bucket by bucket, for histories follow one another in time.

use super::mutant::{Mutant, on};
use super::{Learn, Meter, Ms, Pool, TTL};

/// How a told image stands to the one that is remembered, by when they were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    /// At about one time: of one history.
    One,
    /// Long before.
    Earlier,
    /// Long after.
    Later,
    /// Learning is over, and with it what was known of times.
    Untold,
}

impl Learn {
    /// Of an image of the pool that was looked at then. No message is under way for as long as [`TTL`].
    pub(super) fn history(&self, pool: &str, seen: Ms) -> History {
        let (from, to) = self.looked.get(pool).map_or(self.known, |at| (*at, *at));
        match () {
            () if self.whole || on(Mutant::HistoriesMixed) => History::One, // a data set that was only silent has one
            () if seen + TTL < from => History::Earlier,
            () if seen > to + TTL => History::Later,
            () => History::One,
        }
    }
}

impl Pool {
    /// The pool in this epoch: what it had counted in the one before becomes an image, unless that was all told while
    /// learning, which goes on. Done when it is next used.
    pub(super) fn current(&mut self, epoch: u64, l: Ms, learn: Option<&Learn>) -> &mut Pool {
        let last = std::mem::replace(&mut self.epoch, epoch);
        if last != epoch && !learn.is_some_and(|learn| learn.cut.contains(&last)) {
            self.meters.iter_mut().for_each(|meter| meter.set_aside(l));
        }
        self
    }
}

impl Meter {
    /// What was posted so far becomes an image like those that replicas tell.
    fn set_aside(&mut self, l: Ms) {
        self.advance(l);
        let slots = self.shape.slots();
        self.image_posted = self.posted;
        if slots == 0 || self.sum == 0 || on(Mutant::ImageMergedIntoWindow) {
            return;
        }
        self.image.resize(slots as usize, 0);
        self.ring[(self.last % slots) as usize] = self.cur;
        self.image.iter_mut().zip(&mut self.ring).for_each(|(old, ring)| *old += std::mem::take(ring));
        (self.image_sum, self.sum, self.cur) = (self.image_sum + self.sum, 0, 0);
    }

    /// Takes an image that is `age` old: of one history in place of what this meter remembers, if more had been posted by
    /// then; of another beside it. Is what it tells of how much was posted what counts from now on?
    pub(super) fn remember(
        &mut self,
        window: &[(Ms, u64)],
        posted: u64,
        age: Ms,
        l: Ms,
        history: History,
    ) -> bool {
        let slots = self.shape.slots();
        let fuller = posted > self.image_posted;
        let takes = fuller || history == History::Later && posted > 0;
        if slots == 0 || !takes {
            return false;
        }
        let nothing = self.image_posted == 0;
        let beside = match history {
            History::One => false,
            History::Later => !fuller,
            History::Earlier | History::Untold => true,
        };
        let counts = history != History::Earlier || nothing;
        if counts {
            self.posted += posted.saturating_sub(self.image_posted);
            self.image_posted = posted;
        }
        let old = std::mem::replace(&mut self.image, vec![0; slots as usize]);
        for (ended, amount) in window {
            // A bucket that has ended holds nothing of the instant of its end.
            let newest = l.saturating_sub(age + ended + u64::from(*ended > 0));
            let bucket = newest / self.shape.width;
            if bucket + slots > self.last {
                self.image[(bucket % slots) as usize] += amount;
            }
        }
        if beside {
            // Should it be of one history after all, the fuller of each bucket is what was posted in it.
            self.image.iter_mut().zip(old).for_each(|(told, old)| *told = old.max(*told));
        }
        self.image_sum = self.image.iter().sum();
        if self.image_sum == 0 {
            self.image = Vec::new();
        }
        if on(Mutant::ImageMergedIntoWindow) {
            self.merge_into_window();
        }
        counts
    }

    /// Broken: one ring for both.
    fn merge_into_window(&mut self) {
        let at = (self.last % self.shape.slots()) as usize;
        self.ring[at] = self.cur;
        self.ring.iter_mut().zip(&self.image).for_each(|(ring, image)| *ring = (*ring).max(*image));
        self.cur = std::mem::take(&mut self.ring[at]);
        self.sum = self.cur + self.ring.iter().sum::<u64>();
        (self.image, self.image_sum) = (Vec::new(), 0);
    }

    /// What the window holds, for a replica to remember: how long ago each bucket ended, and its units.
    pub fn window(&self, l: Ms) -> Vec<(Ms, u64)> {
        let slots = self.shape.slots();
        let held = |bucket: u64| {
            let at = (bucket % slots) as usize;
            let own = if bucket == self.last { self.cur } else { self.ring[at] };
            own + self.image.get(at).copied().unwrap_or(0)
        };
        let ended = |bucket: u64| l.saturating_sub((bucket + 1) * self.shape.width);
        let from = (self.last + 1).saturating_sub(slots);
        (from..=self.last)
            .filter(|_| slots > 0)
            .map(|b| (ended(b), held(b)))
            .filter(|(_, n)| *n > 0)
            .collect()
    }
}
