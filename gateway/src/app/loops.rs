//! What a replica does beside its calls, in loops that are told to end together.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};

use super::Ports;
use crate::cost;
use crate::experiment::told::Teller;
use crate::keys::heard::Hearer;
use crate::shared::{Over, Shared, Worker};
use crate::state::{FIRST_CONTACT, Port};
use crate::upstream::Upstreams;
use crate::{alerts, checks, periods};

/// Some of them.
#[derive(Debug)]
pub(super) struct Loops {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Loops {
    fn new() -> Loops {
        Loops { stop: watch::Sender::new(false), tasks: Vec::new() }
    }

    /// Those of the shared state, which stay until the last call has ended. What comes besides is told when it is known what was set at run
    /// time, or that nobody can say so.
    pub(super) fn of_state(
        shared: &Arc<Shared>,
        ports: &Ports,
    ) -> anyhow::Result<(Loops, oneshot::Receiver<()>)> {
        let mut loops = Loops::new();
        let (port, client) = (ports.open()?, shared.client.clone());
        let announcing = client.clone().announce(ports.open()?, loops.stopping());
        let stopping = loops.stopping();
        loops.run(async move {
            port.opened(FIRST_CONTACT).await;
            client.keep(port, stopping).await;
        });
        loops.run(announcing);
        // (What no call waits for has one connection.)
        let aside = ports.open()?;
        let (heard, first_heard) = oneshot::channel();
        loops.run(Teller::new(shared.clone(), aside.clone()).run(loops.stopping(), heard));
        loops.run(cost::told::Teller::new(shared.clone(), aside.clone()).run(loops.stopping()));
        loops.run(Hearer::new(shared.clone(), aside).run(loops.stopping()));
        loops.run(periods::keep(shared.clone(), loops.stopping()));
        Ok((loops, first_heard))
    }

    /// Those that one replica does for all: health checks and alerts. They end with the calls: until this replica leaves, others take it
    /// for the one who does.
    pub(super) fn for_all(shared: &Arc<Shared>, port: &Port) -> Loops {
        let mut loops = Loops::new();
        let (upstreams, over) = (Upstreams::default(), Arc::<Over>::default());
        let checking = Arc::new(Worker { shared: shared.clone(), port: port.clone(), upstreams, over });
        loops.run(checks::keep(checking, loops.stopping()));
        loops.run(alerts::keep(shared.clone(), port.clone(), loops.stopping()));
        loops
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }

    /// Tells them to end, and waits for that. One that has panicked keeps the others from nothing.
    pub(super) async fn end(self) -> Result<(), JoinError> {
        self.stop.send_replace(true);
        let mut well = Ok(());
        for task in self.tasks {
            well = well.and(task.await);
        }
        well
    }
}
