//! Messages of the world, the server that they reach, and everything bad that happens to it and to replicas.

use super::audit;
use super::checks;
use super::faults::FROZEN;
use super::judge::{Breach, breach};
use super::plan::{Op, what};
use super::world::{About, BORN, Event, Letter, Process, World};
use crate::state::core::{Command, Incarnation, Ms, PoolReport, Reply, Reserved, Stamp, State, Sync, TTL};

/// A command is given up after this.
pub(super) const TIMEOUT: Ms = 100;
/// The latest a message comes.
const LATEST: Ms = 1_500;

impl World {
    /// Sends a command; it may be lost, late, or come twice.
    pub(super) fn send(&mut self, from: Process, about: About, command: Command) {
        self.note_telling(from, about, &command);
        let replica = &self.replicas[from.who];
        let muted = replica.muted_until > self.t && matches!(about, About::Sync(_));
        let cut = replica.cut_until > self.t;
        self.letters.push(Letter { run: self.run, from, about, command });
        let letter = self.letters.len() - 1;
        self.schedule(self.t + TIMEOUT, Event::GiveUp(from, about));
        if !muted && !cut && !self.chance(self.plan.knobs.loss) {
            let at = self.t + self.delay();
            self.schedule(at, Event::Arrive(letter));
        }
        if !cut && self.chance(self.plan.knobs.double) {
            let at = self.t + self.delay();
            self.schedule(at, Event::Arrive(letter));
        }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.end.is_none() && self.noise.u8(..100) < percent
    }

    fn delay(&mut self) -> Ms {
        if !self.chance(self.plan.knobs.slow) {
            return self.noise.u64(0..3);
        }
        if self.noise.bool() { self.noise.u64(0..TIMEOUT) } else { self.noise.u64(0..LATEST) }
    }

    pub(super) fn arrive(&mut self, letter: usize) -> Result<(), Breach> {
        let Letter { run, from, about, command } = &self.letters[letter];
        if *run != self.run {
            return Ok(()); // its connection broke
        }
        if self.down_until > self.t {
            return Ok(());
        }
        if self.paused_until > self.t {
            self.schedule(self.paused_until, Event::Arrive(letter));
            return Ok(());
        }
        let (from, about, command) = (*from, *about, command.clone());
        let reply = self.serve(from, about, &command)?;
        let replica = &self.replicas[from.who];
        if replica.deaf_until.max(replica.cut_until) > self.t || self.chance(self.plan.knobs.loss) {
            return Ok(());
        }
        if self.chance(self.plan.knobs.double) {
            let at = self.t + self.delay();
            self.schedule(at, Event::Answer(from, about, reply.clone()));
        }
        let lag = if from.who == 0 { Ms::from(self.plan.knobs.lag) } else { 0 };
        let at = self.t + lag + self.delay();
        self.schedule(at, Event::Answer(from, about, reply));
        Ok(())
    }

    /// One step of the shared state, looked at from all sides.
    pub(super) fn serve(&mut self, from: Process, about: About, command: &Command) -> Result<Reply, Breach> {
        let inc = caller(command);
        let with_session = matches!(command, Command::Reserve(ask) if ask.session.is_some());
        let before = with_session.then(|| self.state.clone());
        let (lives, epoch) = (self.state.lives.len(), self.state.epoch);
        let now = self.t.saturating_add_signed(self.ahead);
        let stamp = Stamp { now, nonce: self.noise.u64(1..1 << 50), run: self.run };
        if std::mem::take(&mut self.flushed) {
            self.state = State::lost(stamp);
        }
        self.copy();
        let reply = self.state.step(command, stamp);
        self.note_losses(from, about, epoch, command, &reply);
        if self.traced {
            println!("{} {about:?} {command:?}\n  {reply:?}\n  {:?}", self.t - BORN, self.state.in_short());
        }
        self.tally.steps += 1;
        self.tally.deaths += lives.saturating_sub(self.state.lives.len()) as u64;
        self.tally.gone += u64::from(matches!(reply, Reply::Gone(_)));
        self.audit.after(&self.state, inc)?;
        self.hears(from, inc)?;
        match (command, &reply) {
            (Command::Reserve(ask), Reply::Reserved(reserved)) => {
                if let (Reserved::Granted(granted), About::Reserve(call)) = (reserved, about) {
                    audit::within_caps(&self.state, ask, granted.index)?;
                    self.note_grant(call, granted.index)?;
                }
                checks::sessions(before, &self.state, ask, reserved, now)?;
                self.tally.checked += checks::denial(&self.state, ask, reserved)?;
                self.tally.denied += u64::from(matches!(reserved, Reserved::Denied(_)));
            }
            (Command::Sync(sync), Reply::Synced(_)) => {
                if about == About::Lie {
                    return Err(breach("I4 reports agree with grants", format!("taken: {sync:?}")));
                }
                self.note_posts(inc);
                self.note_rests(sync);
            }
            _ => {}
        }
        Ok(reply)
    }

    fn note_grant(&mut self, call: usize, index: usize) -> Result<(), Breach> {
        self.tally.granted += 1;
        self.calls[call].grants.push((self.state.clock.l, self.t));
        let ask = self.calls[call].ask.clone();
        for draw in ask.common.iter().chain(&ask.candidates[index].draws) {
            if self.t < self.rests[draw.pool] && !self.stepped && !self.plan.knobs.losses {
                return Err(breach("a resting pool is left alone", format!("pool {}", draw.pool)));
            }
            self.pace(&ask, draw)?;
        }
        Ok(())
    }

    /// Over any interval a paced meter admits its burst (or one larger draw) and its rate, not more.
    fn pace(
        &mut self,
        ask: &crate::state::core::Reserve,
        draw: &crate::state::core::Draw,
    ) -> Result<(), Breach> {
        let l = self.state.clock.l;
        for (at, (declared, amount)) in ask.pools[draw.pool].meters.iter().zip(&draw.amounts).enumerate() {
            if declared.pace == 0 || *amount == 0 || self.plan.knobs.losses {
                continue;
            }
            let admitted = self.paced.entry((draw.pool, at)).or_default();
            admitted.push((l, *amount));
            let cap = declared.cap * if self.plan.knobs.configs { 2 } else { 1 }; // any configuration's
            let mut total = 0;
            for (since, amount_then) in admitted.iter().rev() {
                total += amount_then;
                let most = (cap * declared.pace).max(amount * declared.shape.span()) + cap * (l - since);
                if total * declared.shape.span() > most {
                    let detail = format!("pool {}: {total} since {since} at {l}", draw.pool);
                    return Err(breach("I2 no interval above its pace", detail));
                }
            }
        }
        Ok(())
    }

    /// The life of a replica that has heard nothing lately is not prolonged.
    fn hears(&mut self, from: Process, inc: &Incarnation) -> Result<(), Breach> {
        let replica = &self.replicas[from.who];
        let own = replica.ledger().is_some_and(|l| l.inc() == *inc && l.epoch() == self.state.epoch);
        let Some(life) = self.state.lives.get(inc).filter(|_| own) else { return Ok(()) };
        if life.exp > replica.side.heard_at() + TTL / 2 + TTL {
            let detail = format!("{inc} heard {} and lives until {}", replica.side.heard_at(), life.exp);
            return Err(breach("a deaf replica's life ends", detail));
        }
        Ok(())
    }

    /// Notes when the state learns of costs above the estimate.
    fn note_posts(&mut self, inc: &Incarnation) {
        let (state, judge, t) = (&self.state, &mut self.judge, self.t);
        let pools = &self.replicas[0].infos;
        self.unheard.retain(|(of, pool, meter, target, charge)| {
            let posted = || Some(state.lives.get(inc)?.counters.get(&pools[*pool].decl.key)?[*meter].posted);
            let heard = of == inc && posted().is_some_and(|posted| posted >= *target);
            if heard && let Some(charges) = judge.charges.get_mut(&(*pool, *meter)) {
                charges[*charge].known = Some(t);
            }
            !heard
        });
    }

    fn note_rests(&mut self, sync: &Sync) {
        for rest in &sync.rests {
            let pool = self.replicas[0].infos.iter().position(|info| info.decl.key == rest.key);
            if let Some(pool) = pool {
                self.rests[pool] = self.rests[pool].max(self.t + rest.for_ms);
            }
        }
    }

    /// Something happens.
    pub(super) fn act(&mut self, op: Op) {
        let who = op.who as usize % self.replicas.len();
        let long = 20 + op.n % 1_800;
        match op.what {
            what::CRASH | what::LEAVE if self.plan.knobs.outages => self.go_away(op.n),
            what::CRASH | what::LEAVE if self.plan.knobs.is_mild() => self.lose(op.n),
            what::MUTE | what::DEAFEN if self.plan.knobs.is_mild() => {}
            what::CUT | what::PAUSE | what::FREEZE | what::FELL | what::LOSE => self.fault(op, who),
            what::BURST => (0..2 + op.n % 5).for_each(|at| {
                let who = (who + at as usize) % self.replicas.len();
                self.begin_call(who, op.n.wrapping_add(at), 0);
            }),
            what::CRASH => self.crash(who),
            // (Whoever has shared must tell in time.)
            what::STALL if self.plan.knobs.outages => self.replicas[who].stalled_until = self.t + long / 3,
            what::STALL => self.replicas[who].stalled_until = self.t + long,
            what::MUTE => self.replicas[who].muted_until = self.t + 2 * long,
            what::DEAFEN => self.replicas[who].deaf_until = self.t + 2 * long,
            what::STEP => self.step_clock(op.n),
            what::REST => {
                let pool = op.n as usize % self.replicas[who].infos.len();
                let key = self.replicas[who].infos[pool].decl.key.clone();
                let other = (who + 1) % self.replicas.len();
                for (who, time) in [(who, long / 4), (other, long / 16)] {
                    self.replicas[who].side.rest(key.clone(), self.t + time, false);
                    self.sync(who);
                }
            }
            what::LEAVE => {
                self.replicas[who].leaving = true;
                self.sync(who);
            }
            what::LIE if op.n.is_multiple_of(16) => self.lie(who), // what follows is learning, without grants
            what::LIE => {}
            what::REPLAY => self.replay(op.n),
            _ => self.begin_call(who, op.n, 0),
        }
    }

    /// Copies the state for a server that takes over one day. Not between a loss and the first step after it: such a copy
    /// holds less than what was known when it was made.
    fn copy(&mut self) {
        let due = self.copies.back().is_none_or(|(at, ..)| *at + 20 <= self.t);
        if self.plan.knobs.losses && due && self.forgotten.kept.is_none() {
            self.copies.push_back((self.t, self.state.clone(), self.forgotten.learning.clone()));
            if self.copies.len() > 10 {
                self.copies.pop_front();
            }
        }
    }

    /// The data set is lost, or another server takes over with what it had got.
    pub(super) fn lose(&mut self, n: u64) {
        let older = self.copies.len().checked_sub(1 + (n / 2) as usize % 10);
        match older.and_then(|at| self.copies.get(at)) {
            Some((at, copy, learning)) if n.is_multiple_of(2) => {
                (self.flushed, self.forgotten.kept) = (false, Some((*at, learning.clone())));
                self.state = copy.clone();
                self.run += 1;
                self.copies.clear();
            }
            _ => (self.flushed, self.forgotten.kept) = (true, Some((0, Vec::new()))),
        }
        self.tally.losses += 1;
    }

    /// An old message comes once more; often a JOIN.
    fn replay(&mut self, n: u64) {
        let joins = n.is_multiple_of(2);
        let fit = |letter: &Letter| match letter.about {
            About::Join(_) => true,
            About::Lie => false,
            About::Reserve(_) | About::Sync(_) | About::Bye | About::Over(_) => !joins,
        };
        let fit: Vec<usize> = (0..self.letters.len()).filter(|at| fit(&self.letters[*at])).collect();
        if !fit.is_empty() {
            self.schedule(self.t, Event::Arrive(fit[(n / 2) as usize % fit.len()]));
        }
    }

    /// Back by any amount; forward at most once, by what is believed or by an hour.
    fn step_clock(&mut self, n: u64) {
        if !self.plan.knobs.clock {
            return;
        }
        match n % 4 {
            0 => self.ahead -= (n / 4 % 5_000) as i64,
            1 => self.ahead -= 3_600_000,
            _ if self.stepped => {}
            2 => self.ahead += (n / 4 % 1_000) as i64 + 1,
            _ => self.ahead += 3_600_000,
        }
        self.stepped |= n % 4 >= 2;
    }

    /// A report that claims more than was granted; it must change nothing.
    fn lie(&mut self, who: usize) {
        let Some(ledger) = self.replicas[who].ledger() else { return };
        let Some(life) = self.state.lives.get(&ledger.inc()) else { return };
        let Some((key, counters)) = life.counters.iter().find(|(_, c)| !c.is_empty()) else { return };
        let returned = counters.iter().map(|c| c.granted + 9_999).collect();
        let posted = counters.iter().map(|c| c.posted + 50).collect();
        let report =
            PoolReport { key: key.clone(), returned, posted, look: false, said: vec![], wants: vec![] };
        let caller = self.replicas[who].caller(self.t);
        let sync = Sync {
            caller,
            reports: vec![report],
            rests: vec![],
            outcomes: vec![],
            telling: None,
            count: false,
        };
        let process = self.replicas[who].process();
        self.letters.push(Letter {
            run: self.run,
            from: process,
            about: About::Lie,
            command: Command::Sync(sync),
        });
        self.schedule(self.t, Event::Arrive(self.letters.len() - 1));
    }

    /// From now on nothing bad happens; all is over when every hold, window and deadline must be.
    pub(super) fn calm_down(&mut self) {
        for replica in &mut self.replicas {
            (replica.stalled_until, replica.muted_until, replica.deaf_until) = (0, 0, 0);
            replica.cut_until = 0;
        }
        (self.paused_until, self.down_until) = (0, 0);
        if !self.replicas.iter().any(|replica| replica.up) {
            self.start(0);
        }
        let (d_head, d_end) = self.plan.deadlines();
        let freezes = self.plan.ops.iter().any(|op| op.what == what::FREEZE);
        let latest = if freezes { FROZEN } else { LATEST };
        self.end = Some(self.t + latest + 3 * TTL + d_head + d_end + 2 * self.plan.longest() + 2_000);
    }

    pub(super) fn crash(&mut self, who: usize) {
        self.replicas[who].up = false;
        if self.end.is_some() || self.noise.u8(..4) > 0 {
            let at = self.t + self.noise.u64(5..1_500);
            self.schedule(at, Event::Start(who));
        }
    }

    pub(super) fn start(&mut self, who: usize) {
        if self.replicas[who].up {
            return;
        }
        self.replicas[who] = self.replicas[who].restarted(&self.plan, self.t);
        let process = self.replicas[who].process();
        self.schedule(self.t, Event::Tick(process));
    }
}

fn caller(command: &Command) -> &Incarnation {
    match command {
        Command::Join(join) => &join.inc,
        Command::Reserve(ask) => &ask.caller.inc,
        Command::Sync(sync) => &sync.caller.inc,
        Command::Bye(caller) => &caller.inc,
    }
}
