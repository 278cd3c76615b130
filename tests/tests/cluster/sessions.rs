//! Sessions: a session's turns go to one deployment whichever replica gets them, and move together when they must.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use weir_tests::client::{Answer, Ask, Client};
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};
use weir_tests::trips::Trips;

use crate::in_turn;

const SESSIONS: usize = 1_000;
/// Calls at once.
const AT_ONCE: usize = 24;
const REST: Duration = Duration::from_secs(6);

/// Broken on purpose to see it fail: `affinity = false`; a Redis namespace for each replica, so that they do not
/// share what they know of sessions.
#[test]
fn sessions_stay_with_a_deployment_and_move_together_when_it_rests() -> Result<()> {
    in_turn(async {
        let site = Site::start(Plan::new("sessions", all())).await?;
        stay_and_move(&site, 7, 0).await
    })
}

/// The same on loans: replicas that know where a session is need not ask, and hear of those that move.
///
/// Broken on purpose to see it fail: of moves nothing told (when the deployment is back and lent again, replicas send to it what others had
/// moved).
#[test]
fn sessions_on_loans_stay_and_move_together() -> Result<()> {
    in_turn(async {
        let site = Site::start(Plan { leases: true, ..Plan::new("sessions-loans", all()) }).await?;
        let clients = clients(&site);
        for round in 0..4 {
            turn(&clients, round).await?;
        }
        let trips = Trips::watch(site.redis.addr())?;
        for round in 4..10 {
            turn(&clients, round).await?;
        }
        let per_call = trips.so_far() as f64 / (6 * SESSIONS) as f64;
        println!("{per_call:.3} questions a call");
        ensure!(per_call < 0.1, "{per_call} questions a call");
        stay_and_move(&site, 5, 3_000).await // replicas that made no call of a session meanwhile know where it is
    })
}

/// Three with more room than is needed.
fn all() -> Vec<Upstream> {
    let one = |name| {
        let fast = Upstream::new(name).behaving("--output 2 --latency 2ms");
        Upstream { rpm: Some(1_000_000), ..fast }
    };
    ["a", "b", "c"].map(one).into()
}

fn clients(site: &Site) -> Vec<Arc<Client>> {
    site.replicas.iter().map(|replica| Arc::new(Client::new(replica.addr()))).collect()
}

/// Before round `back` the rest of the deployment that sessions left is over, and so many calls of no session go to all.
async fn stay_and_move(site: &Site, back: usize, others: usize) -> Result<()> {
    let clients = clients(site);
    let first = turn(&clients, 0).await?;
    ensure!(spread(&first).len() == 3, "all sessions began on {:?}", spread(&first));
    for round in 1..4 {
        let answers = turn(&clients, round).await?;
        must_be_where_they_were(&first, &answers)?;
        ensure!(answers.iter().all(|answer| answer.session == "hit"), "a known session was not a hit");
    }

    site.providers[1].fail(&["status=429,retry-after=6"]).await?;
    let rest_began = Instant::now();
    let moved = turn(&clients, 4).await?;
    must_have_left(&first, &moved, "b")?;
    site.providers[1].fail(&[]).await?;
    for round in 5..8 {
        // Another replica for each session in every round.
        if round == back {
            tokio::time::sleep(REST.saturating_sub(rest_began.elapsed())).await;
            must_go_everywhere(&at_once(&clients, others, |_| Ask::new("m")).await?)?;
        }
        let answers = turn(&clients, round).await?;
        must_be_where_they_were(&moved, &answers)?;
    }
    Ok(())
}

/// Broken on purpose to see it fail: only one deployment in the plan.
#[test]
fn a_session_is_never_refused_while_another_deployment_has_room() -> Result<()> {
    in_turn(async {
        let upstream = |name, limit| {
            let fast = Upstream::new(name).behaving("--output 2 --latency 2ms");
            Upstream { rpm: Some(limit), ..fast }
        };
        // Each takes half of what is sent, all of them together more.
        let upstreams = vec![upstream("a", 60), upstream("b", 60), upstream("c", 60)];
        let site = Site::start(Plan::new("sessions-room", upstreams)).await?;
        let mut served: BTreeMap<String, usize> = BTreeMap::new();
        for at in 0..120 {
            let client = &site.replicas[at % 3].client;
            let answer = client.call(&Ask::new("m").session("pinned".to_owned())).await;
            ensure!(answer.is_good(false), "turn {at}: {answer:?}");
            *served.entry(answer.deployment).or_default() += 1;
        }
        ensure!(served.values().any(|turns| *turns == 60), "it left a deployment that had room: {served:?}");
        println!("turns by deployment: {served:?}");
        Ok(())
    })
}

/// One turn of every session, in order; session s goes to replica (s + round) mod 3.
async fn turn(clients: &[Arc<Client>], round: usize) -> Result<Vec<Answer>> {
    let mut replicas = clients.to_vec();
    replicas.rotate_left(round % clients.len());
    let answers = at_once(&replicas, SESSIONS, |at| Ask::new("m").session(format!("s-{at}"))).await?;
    println!("round {round}: {:?}", spread(&answers));
    Ok(answers)
}

/// So many calls, in order, to the replicas in turn; all are to be served.
async fn at_once(clients: &[Arc<Client>], calls: usize, ask: impl Fn(usize) -> Ask) -> Result<Vec<Answer>> {
    let mut answers = vec![Answer::default(); calls];
    let mut open: JoinSet<(usize, Answer)> = JoinSet::new();
    for at in 0..calls {
        if open.len() >= AT_ONCE
            && let Some(ended) = open.join_next().await
        {
            let (at, answer) = ended?;
            answers[at] = answer;
        }
        let (client, ask) = (clients[at % clients.len()].clone(), ask(at));
        open.spawn(async move { (at, client.call(&ask).await) });
    }
    for (at, answer) in open.join_all().await {
        answers[at] = answer;
    }
    for (at, answer) in answers.iter().enumerate() {
        ensure!(answer.is_good(false), "call {at}: {answer:?}");
    }
    Ok(answers)
}

/// All deployments serve calls of no session, if there are any.
fn must_go_everywhere(answers: &[Answer]) -> Result<()> {
    ensure!(answers.is_empty() || spread(answers).len() == 3, "{:?}", spread(answers));
    Ok(())
}

fn spread(answers: &[Answer]) -> BTreeMap<&str, usize> {
    let mut spread = BTreeMap::new();
    answers.iter().for_each(|answer| *spread.entry(answer.deployment.as_str()).or_default() += 1);
    spread
}

fn must_be_where_they_were(before: &[Answer], now: &[Answer]) -> Result<()> {
    let strayed: BTreeSet<usize> =
        (0..SESSIONS).filter(|at| before[*at].deployment != now[*at].deployment).collect();
    ensure!(strayed.is_empty(), "{} sessions strayed, such as {:?}", strayed.len(), strayed.first());
    Ok(())
}

/// Sessions of `left` went elsewhere and say so; all others stayed.
fn must_have_left(before: &[Answer], now: &[Answer], left: &str) -> Result<()> {
    for (session, (before, now)) in before.iter().zip(now).enumerate() {
        let was_there = before.deployment == left;
        ensure!(now.deployment != left, "session {session} is served by {left}, which rests");
        ensure!(was_there || before.deployment == now.deployment, "session {session} moved without need");
        ensure!(!was_there || now.session == "moved", "session {session} moved and says {:?}", now.session);
    }
    Ok(())
}
