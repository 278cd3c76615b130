//! A server that wants TLS, a client certificate and the user of the ACL file that is shipped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Others, Shared};
use crate::clock::Clock;
use crate::place::workspace;
use crate::process::free_port;
use crate::redis_server::Redis;

/// Of the user `weir`.
pub(super) const PASSWORD: &str = "correct horse";
/// SHA-256 of it.
const DIGEST: &str = "4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631";

pub(super) async fn start(host: Ipv4Addr, clock: Option<Clock>, folder: &Path) -> Result<Shared> {
    make_certificates(host, folder)?;
    let tls = SocketAddr::from((host, free_port()?));
    let file = |name: &str| folder.join(name).display().to_string();
    let mut arguments: Vec<String> = vec!["--tls-port".into(), tls.port().to_string()];
    for (option, value) in [
        ("--tls-cert-file", file("server.pem")),
        ("--tls-key-file", file("server.key")),
        ("--tls-ca-cert-file", file("ca.pem")),
        ("--tls-auth-clients", "yes".into()),
        ("--aclfile", users(folder)?.display().to_string()),
    ] {
        arguments.extend([option.to_owned(), value]);
    }
    let redis = Redis::start_secure(tls, &arguments, clock, folder).await?;
    let settings = format!(
        "url = \"rediss://weir:{}@{tls}/0\"\ntls = {{ ca = \"{}\", cert = \"{}\", key = \"{}\" }}",
        PASSWORD.replace(' ', "%20"),
        file("ca.pem"),
        file("client.pem"),
        file("client.key"),
    );
    Ok(Shared { redis, others: Others::Nobody, settings })
}

/// The shipped users, with a password. The default user stays as it is, for the rig.
pub(super) fn users(folder: &Path) -> Result<PathBuf> {
    let shipped = std::fs::read_to_string(workspace().join("deploy/redis-users.acl"))?;
    let Some(rest) = shipped.strip_prefix("user weir on ") else { bail!("the user weir is not in the file") };
    let path = folder.join("users.acl");
    std::fs::write(&path, format!("user weir on #{DIGEST} {rest}"))?;
    Ok(path)
}

/// Writes into `folder` an authority (`ca.pem`), and by it a server's certificate for `host` (`server.pem`, `server.key`)
/// and a client's.
pub fn make_certificates(host: Ipv4Addr, folder: &Path) -> Result<()> {
    let key = "ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        folder,
        &format!("req -x509 -newkey {key} -keyout ca.key -out ca.pem -days 4 -subj /CN=authority"),
    )?;
    let server = format!("subjectAltName=IP:{host}");
    for (name, extension) in [("server", server.as_str()), ("client", "extendedKeyUsage=clientAuth")] {
        openssl(
            folder,
            &format!(
                "req -x509 -newkey {key} -keyout {name}.key -out {name}.pem -days 4 -subj /CN={name} \
                 -CA ca.pem -CAkey ca.key -addext basicConstraints=CA:FALSE -addext {extension}"
            ),
        )?;
    }
    Ok(())
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(arguments.split_whitespace()).current_dir(folder);
    Clock::shift(&mut command, "-2d"); // valid for a server whose clock is stepped back as well
    let output = command.output().context("is openssl installed?")?;
    if !output.status.success() {
        bail!("openssl {arguments}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
