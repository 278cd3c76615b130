//! Where a session goes that cannot stay: of those that are about as good, to a deployment of the same model first, so
//! that it is answered as before, then to one of the same provider.
//!
//! One that can stay leaves only for who comes before by the user's own order (a lower priority, or a price) and costs less though
//! nothing of the conversation is cached there: that is how it comes back from where it went when there was no room.
//!
//! What is about as good the caller says by sets, which follow from its strategy; where only the shares in use count, those
//! are compared here. Nothing else of the order changes: a tier comes after the one before it, and load shifts as it does for
//! calls of no session.

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::{Look, Reserve, State};

/// Who is like whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kin {
    /// Of each candidate; empty: nobody is like anybody.
    pub of: Vec<Likeness>,
    /// Of the deployment that has just failed this call, and is no candidate any more.
    pub lost: Option<Likeness>,
    /// Shares in use that differ by no more than this are equal, millionths.
    pub within: u64,
    /// A session that need not leave goes nowhere where more than this share is in use, millionths.
    pub spare: u64,
}

/// What a deployment is like. The numbers mean nothing but that two are the same; 0 is like nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Likeness {
    /// The provider's name for the model.
    pub model: u64,
    /// Who provides it.
    pub provider: u64,
    /// Candidates of one tier and set are about equal.
    pub set: u64,
    /// What the call costs there if nothing of it is cached, nano-dollars; without a price [`DEAR`].
    pub cold: u64,
    /// A session is worth leaving here for who comes before, if the call costs less there than this. 0: for nobody.
    pub worth: u64,
}

/// More than any call costs.
pub const DEAR: u64 = (1 << 53) - 1;

impl Likeness {
    /// How near another one is; more is nearer.
    fn nearness(self, other: Likeness) -> u8 {
        let same = |one: u64, two: u64| u8::from(one == two && one != 0);
        2 * same(self.model, other.model) + same(self.provider, other.provider)
    }
}

impl Reserve {
    /// The candidates of an earlier tier that would serve a session's call for less, though they must read all of it.
    fn cheaper(&self, pinned: usize) -> impl Iterator<Item = usize> {
        let kin = self.session.as_ref().map(|session| &session.kin);
        let of = kin.map(|kin| &kin.of).filter(|of| of.len() == self.candidates.len());
        let before =
            (0..pinned).take_while(move |at| self.candidates[*at].tier < self.candidates[pinned].tier);
        before.filter(move |at| of.is_some_and(|of| of[*at].cold < of[pinned].worth))
    }

    /// Might a session leave where it is though it can stay?
    pub fn may_leave(&self, pinned: usize) -> bool {
        self.cheaper(pinned).next().is_some()
    }
}

impl State {
    /// One of an earlier tier that serves a session's call for less, though it must read all of it, than where the session is.
    pub(super) fn cheaper(
        &mut self,
        ask: &Reserve,
        pinned: usize,
        look: &mut dyn FnMut(&mut State, usize) -> Look,
    ) -> Option<(usize, u64)> {
        let kin = ask.session.as_ref().map(|session| &session.kin)?;
        ask.cheaper(pinned).find_map(|index| {
            let share = look(self, index).share().filter(|share| *share <= kin.spare)?;
            Some((index, share))
        })
    }

    /// The candidate that takes a session from where it was; none if no one can be taken before what is left, or nothing is known.
    pub(super) fn next_home(
        &mut self,
        ask: &Reserve,
        pinned: Option<usize>,
        look: &mut dyn FnMut(&mut State, usize) -> Look,
    ) -> Option<(usize, u64)> {
        let kin = ask.session.as_ref().map(|session| &session.kin)?;
        let of = (kin.of.len() == ask.candidates.len()).then_some(&kin.of)?;
        let home = pinned.map(|at| of[at]).or(kin.lost.filter(|lost| lost.model > 0))?;
        let mut first = 0;
        for tier in ask.candidates.chunk_by(|a, b| a.tier == b.tier) {
            let at = first..first + tier.len();
            first = at.end;
            let open: SmallVec<[(usize, u64); 8]> =
                at.filter_map(|index| Some((index, look(self, index).share()?))).collect();
            let Some(least) = open.iter().map(|(_, share)| *share).min() else { continue };
            let under = |(index, share): (usize, u64)| share <= ask.candidates[index].threshold;
            let best = open.iter().copied().find(|one| under(*one)).map(|(index, _)| of[index].set);
            let equal = |one: &(usize, u64)| match best {
                Some(set) => under(*one) && of[one.0].set == set,
                None => one.1 <= least + kin.within,
            };
            let nearest = |(index, share): &(usize, u64)| {
                let after = if best.is_some() { 0 } else { *share };
                (Reverse(of[*index].nearness(home)), after, *index)
            };
            return open.into_iter().filter(equal).min_by_key(nearest);
        }
        None
    }
}
