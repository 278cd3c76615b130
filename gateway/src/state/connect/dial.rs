//! One connection to one node.

use std::time::Duration;

use deadpool::managed::Manager as _;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisResult, TlsCertificates,
};
use secrecy::ExposeSecret;

use super::{Fault, SHORTEST_ANSWER, SHORTEST_CONNECT};
use crate::config::{Endpoint, Login, Tls};

/// Many calls wait on one connection; the default of 50 halves what it carries.
const PIPELINE_BUFFER: usize = 2048;

/// Connects to nodes in one way: as whom, with which TLS, within which time.
pub(super) struct Dialer {
    login: RedisConnectionInfo,
    tls: Option<TlsCertificates>,
    connect: Duration,
    /// How long a question on the way may take.
    pub(super) answer: Duration,
}

impl Dialer {
    pub(super) fn new(login: &Login, tls: Option<&Tls>, timeout: Duration) -> Dialer {
        // What is not asked for needs no permission: no CLIENT SETINFO, which Redis 6.2 does not know either.
        let mut info = RedisConnectionInfo::default().set_skip_set_lib_name().set_db(login.db.into());
        if let Some(username) = &login.username {
            info = info.set_username(username);
        }
        if let Some(password) = &login.password {
            info = info.set_password(password.expose_secret());
        }
        let connect = timeout.max(SHORTEST_CONNECT);
        Dialer { login: info, tls: tls.map(certificates), connect, answer: timeout.max(SHORTEST_ANSWER) }
    }

    /// Connects and logs in. What calls may wait for is bounded where they are made; the connection's own timer
    /// would be a second one.
    pub(super) async fn dial(&self, node: &Endpoint) -> Result<MultiplexedConnection, Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER);
        let info = self.info(node).map_err(|err| Fault::of(node, &err))?;
        let stock = deadpool_redis::Manager::new_with_config(info, config);
        let connection = async { stock?.create().await }.await;
        connection
            .map_err(|err| if err.is_timeout() { Fault::Late(node.clone()) } else { Fault::of(node, &err) })
    }

    fn info(&self, node: &Endpoint) -> RedisResult<ConnectionInfo> {
        let Endpoint { host, port } = node.clone();
        let Some(certificates) = &self.tls else {
            return Ok(ConnectionAddr::Tcp(host, port)
                .into_connection_info()?
                .set_redis_settings(self.login.clone()));
        };
        let addr = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
        let info = addr.into_connection_info()?.set_redis_settings(self.login.clone());
        Ok(Client::build_with_tls(info, certificates.clone())?.get_connection_info().clone())
    }
}

fn certificates(tls: &Tls) -> TlsCertificates {
    let client_tls = tls.identity.as_ref().map(|identity| ClientTlsConfig {
        client_cert: identity.cert.clone(),
        client_key: identity.key.expose_secret().to_vec(),
    });
    TlsCertificates { client_tls, root_cert: tls.ca.clone() }
}
