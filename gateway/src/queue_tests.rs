use proptest::prelude::*;

use super::*;

const BOUNDS: config::Queue = config::Queue { max: 4, wait: Duration::from_secs(5) };

fn flow(tenant: &str, rank: u64, weight: f64) -> Flow {
    Flow { tenant: tenant.into(), rank, weight, set: 1 }
}

fn late() -> Instant {
    Instant::now() + BOUNDS.wait
}

/// Broken on purpose to see it fail: nobody called when the first leaves.
#[tokio::test]
async fn calls_of_a_flow_wait_behind_each_other_and_who_leaves_calls_the_next() {
    let queue = Arc::new(Queue::default());
    let (a, b) = (flow("a", 1, 1.0), flow("b", 1, 1.0));
    let first = queue.enter(&a, BOUNDS, late()).unwrap();
    let second = queue.enter(&a, BOUNDS, late()).unwrap();
    let third = queue.enter(&a, BOUNDS, late()).unwrap();
    let other = queue.enter(&b, BOUNDS, late()).unwrap();
    assert_eq!(first.first(late()).await, Ended::Ours);
    assert_eq!(other.first(late()).await, Ended::Ours, "flows do not wait for each other here");
    assert_eq!(second.first(Instant::now()).await, Ended::Over);
    assert!(first.has_more_behind() && !other.has_more_behind());
    let waiting = tokio::spawn(async move { (third.first(late()).await, third) });
    tokio::task::yield_now().await;
    drop(second); // its client has left
    first.served(false);
    let (turn, third) = waiting.await.unwrap();
    assert_eq!(turn, Ended::Ours);
    drop((third, other));
    assert!(queue.is_empty() && !queue.holds(&a));
}

/// Broken on purpose to see it fail: the newest of the largest flow put out, whatever its weight and rank.
#[tokio::test]
async fn a_full_queue_takes_who_has_more_of_a_right_for_the_newest_of_who_has_less() {
    let queue = Arc::new(Queue::default());
    let enter = |flow: &Flow| queue.enter(flow, BOUNDS, late());
    let (heavy, light) = (flow("heavy", 1, 2.0), flow("light", 1, 1.0));
    let mut heavies: Vec<Ticket> = (0..3).map(|_| enter(&heavy).unwrap()).collect();
    let one = enter(&light).unwrap();
    assert_eq!(enter(&light).unwrap_err(), Refusal::Full, "it has as many for its weight");
    assert_eq!(enter(&heavy).unwrap_err(), Refusal::Full);
    let urgent = enter(&flow("light", 0, 1.0)).unwrap();
    let out = heavies.pop().unwrap();
    assert_eq!(out.first(late()).await, Ended::Out, "the newest of those that count for most");
    drop(out);
    assert_eq!((queue.len(), one.first(late()).await), (4, Ended::Ours));
    let low = enter(&flow("c", 2, 9.0)).unwrap_err();
    assert_eq!(low, Refusal::Full);
    drop((heavies, one, urgent));
    assert!(queue.is_empty());
}

/// Broken on purpose to see it fail: nobody freed; who is freed stays so when there was none after all.
#[tokio::test]
async fn where_there_is_plenty_of_room_all_of_a_flow_ask() {
    let queue = Arc::new(Queue::default());
    let own = flow("a", 1, 1.0);
    let [first, second, third, fourth] = [(); 4].map(|()| queue.enter(&own, BOUNDS, late()).unwrap());
    let waiting = tokio::spawn(async move { (third.first(late()).await, third) });
    tokio::task::yield_now().await;
    first.served(true);
    let (ended, third) = waiting.await.unwrap();
    assert_eq!(ended, Ended::Ours);
    assert_eq!((second.first(late()).await, fourth.first(late()).await), (Ended::Ours, Ended::Ours));
    let soon = || Instant::now() + Duration::from_millis(20);
    assert_eq!(third.next(soon(), soon(), soon()).await, Ended::Over, "it is not the first");
    assert_eq!(second.next(soon(), soon(), late()).await, Ended::Ours);
}

/// Broken on purpose to see it fail: each flow counted by itself.
#[tokio::test]
async fn who_waits_for_many_sets_of_deployments_has_no_more_of_a_right() {
    let queue = Arc::new(Queue::default());
    let of = |set: u64| Flow { set, ..flow("a", 1, 1.0) };
    let (one, two) =
        (queue.enter(&of(1), BOUNDS, late()).unwrap(), queue.enter(&of(2), BOUNDS, late()).unwrap());
    assert_eq!((one.first(late()).await, two.first(late()).await), (Ended::Ours, Ended::Ours));
    let _more = [3, 4].map(|set| queue.enter(&of(set), BOUNDS, late()).unwrap());
    assert_eq!(queue.enter(&of(5), BOUNDS, late()).unwrap_err(), Refusal::Full);
    let others = [1, 2].map(|_| queue.enter(&flow("b", 1, 1.0), BOUNDS, late()));
    assert!(others.iter().all(Result::is_ok));
    assert_eq!(queue.enter(&flow("b", 1, 1.0), BOUNDS, late()).unwrap_err(), Refusal::Full);
}

/// Broken on purpose to see it fail: the pace never kept.
/// Broken on purpose to see it fail: a turn that comes too late taken.
#[tokio::test]
async fn a_turn_that_comes_too_late_is_none() {
    let (queue, a) = (Arc::<Queue>::default(), flow("a", 1, 1.0));
    let until = Instant::now() + Duration::from_millis(20);
    let ticket = queue.enter(&a, BOUNDS, until).unwrap();
    assert_eq!(ticket.first(until).await, Ended::Ours);
    let later = Instant::now() + Duration::from_secs(1);
    assert_eq!(ticket.next(until, later, until).await, Ended::Over);
}

#[tokio::test(start_paused = true)]
async fn who_would_come_too_late_is_told_at_once() {
    let queue = Arc::new(Queue::default());
    let own = flow("a", 1, 1.0);
    let bounds = config::Queue { max: 100, ..BOUNDS };
    let mut tickets: VecDeque<Ticket> = (0..40).map(|_| queue.enter(&own, bounds, late()).unwrap()).collect();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(10));
        tickets.pop_front().unwrap().served(false);
    }
    let soon = Instant::now() + Duration::from_millis(50);
    let Err(Refusal::TooLate(wait)) = queue.enter(&own, bounds, soon) else { panic!("it waits") };
    assert!((Duration::from_millis(150)..Duration::from_secs(3)).contains(&wait), "{wait:?}");
    assert!(queue.enter(&own, bounds, Instant::now() + 2 * wait).is_ok());
}

/// Broken on purpose to see it fail: the time in which nobody waited taken for the wait of who came next.
#[tokio::test]
async fn a_time_in_which_nobody_waited_is_nobodys_wait() {
    let queue = Arc::new(Queue::default());
    let own = flow("a", 1, 1.0);
    let enter = || queue.enter(&own, BOUNDS, late()).unwrap();
    let pace = || queue.inner.lock().find(&own).and_then(|waiting| waiting.pace).unwrap();
    let mut behind = enter();
    for _ in 0..4 {
        let next = enter();
        std::thread::sleep(Duration::from_millis(2));
        std::mem::replace(&mut behind, next).served(false);
    }
    let before = pace();
    drop(behind); // its client has left
    std::thread::sleep(Duration::from_millis(300));
    let (next, _behind) = (enter(), enter());
    next.served(false);
    assert_eq!(pace(), before);
}

proptest! {
    /// Whoever comes and goes in whatever order: the bound holds, the count is right, and each flow's first may ask.
    #[test]
    fn the_bound_is_never_passed(steps in proptest::collection::vec((0u64..9, 0usize..9), 1..60)) {
        let queue = Arc::new(Queue::default());
        let mut tickets: Vec<Ticket> = Vec::new();
        for (who, at) in steps {
            if at < tickets.len() {
                drop(tickets.remove(at));
            } else {
                let flow = flow(["a", "b", "c"][who as usize % 3], who / 3, (who + 1) as f64);
                tickets.extend(queue.enter(&flow, BOUNDS, late()));
            }
            tickets.retain(|ticket| !ticket.place.out.load(Ordering::Acquire));
            prop_assert!(tickets.len() <= BOUNDS.max);
            prop_assert_eq!(queue.len(), tickets.len());
            for ticket in &tickets {
                let first = tickets.iter().find(|other| other.flow == ticket.flow).unwrap();
                prop_assert_eq!(ticket.look().is_some(), Arc::ptr_eq(&first.place, &ticket.place));
            }
        }
    }
}
