//! One server, or an address behind which there is always the right one.

use redis::Value;

use super::dial::Dialer;
use super::{Fault, Open, ask, run_of, text};
use crate::config::Endpoint;

/// What a server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    Other,
    /// It does not say: a proxy that does not know the command, or a user who may not ask.
    Unknown,
}

/// Connects to `node`, unless that is a replica: what a replica has is about to be old.
pub(super) async fn open(dialer: &Dialer, node: &Endpoint) -> Result<Open, Fault> {
    let (open, role) = connect(dialer, node).await?;
    if role == Role::Other { Err(Fault::NoMaster(node.clone())) } else { Ok(open) }
}

/// Connects to `node` and asks it who it is.
pub(super) async fn connect(dialer: &Dialer, node: &Endpoint) -> Result<(Open, Role), Fault> {
    let connection = dialer.dial(node).await?;
    let (run, role) =
        tokio::join!(run_of(&connection, node, dialer.answer), role_of(connection.clone(), node, dialer));
    let open = Open { connection: connection.clone(), node: node.clone(), run: run?, term: 0 };
    Ok((open, role?))
}

/// Does it answer, and is it no replica by now?
pub(super) async fn confirms(dialer: &Dialer, open: &Open) -> bool {
    let role = role_of(open.connection.clone(), &open.node, dialer).await;
    matches!(role, Ok(Role::Master | Role::Unknown))
}

async fn role_of(
    connection: redis::aio::MultiplexedConnection,
    node: &Endpoint,
    dialer: &Dialer,
) -> Result<Role, Fault> {
    let answer = ask::<Vec<Value>>(connection, &redis::cmd("ROLE"), node, dialer.answer).await?;
    Ok(match answer.ok().and_then(|role| text(role.first()?)).as_deref() {
        Some("master") => Role::Master,
        Some(_) => Role::Other,
        None => Role::Unknown,
    })
}
