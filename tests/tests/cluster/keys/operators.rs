//! `weir keys` and the admin listener, as operators use them.

use std::process::{Command, Output};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_tests::client::post;
use weir_tests::place;
use weir_tests::site::{Plan, Site};

use super::{call, clients, everywhere, is_refused, plan, start, tenant};
use crate::in_turn;

const TOKEN: &str = "correct-horse";

/// `weir keys` with these words, at a replica, with a token or without.
fn weir(site: &Site, at: usize, token: Option<&str>, words: &[&str]) -> Result<Output> {
    let mut command = Command::new(place::weir()?);
    command.arg("keys").args(words).env_remove("WEIR_ADMIN").env_remove("WEIR_ADMIN_TOKEN");
    command.args(["--admin", &format!("http://{}", site.replicas[at].admin())]);
    command.envs(token.map(|token| ("WEIR_ADMIN_TOKEN", token)));
    Ok(command.output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn keys_are_made_listed_rotated_and_revoked_from_the_command_line() -> Result<()> {
    in_turn(async {
        let server = format!("admin_token = \"{TOKEN}\"\n");
        let plan =
            Plan { server: format!("{}{server}", plan("keys-command").server), ..plan("keys-command") };
        let site = start(plan, &tenant()).await?;
        let clients = clients(&site);
        let wanted = [
            "create",
            "--tenant",
            "t",
            "--name",
            "ci",
            "--expires",
            "30d",
            "--limit",
            "rpm=1_000",
            "--metadata",
            "owner=ann",
        ];
        let refused = weir(&site, 0, None, &wanted)?;
        ensure!(refused.status.code() == Some(1) && refused.stdout.is_empty(), "{refused:?}");
        ensure!(text(&refused.stderr).contains("token"), "{}", text(&refused.stderr));
        let made = weir(&site, 0, Some(TOKEN), &wanted)?;
        ensure!(made.status.success(), "{}", text(&made.stderr));
        let old = text(&made.stdout).trim_end().to_owned();
        ensure!(old.starts_with("sk-weir-") && old.lines().count() == 1, "nothing else on standard output");
        everywhere(&clients, &old, std::time::Instant::now(), |answer| answer.is_good(false)).await?;
        let listed: Value =
            serde_json::from_slice(&weir(&site, 1, Some(TOKEN), &["list", "--json"])?.stdout)?;
        let key = &listed["keys"][0];
        ensure!(
            key["metadata"] == json!({ "owner": "ann" }) && key["limits"] == json!({ "rpm": 1_000 }),
            "{key}"
        );
        let id = key["id"].as_str().unwrap_or_default().to_owned();
        let table = text(&weir(&site, 2, Some(TOKEN), &["list", "--tenant", "t"])?.stdout);
        ensure!(
            table.contains(&id) && table.contains(&old[old.len() - 4..]) && !table.contains(&old),
            "{table}"
        );
        let rotated = weir(&site, 1, Some(TOKEN), &["rotate", &id, "--grace", "0s"])?;
        let new = text(&rotated.stdout).trim_end().to_owned();
        everywhere(&clients, &old, std::time::Instant::now(), is_refused).await?;
        ensure!(call(&clients[2], &new).await.is_good(false));
        let ended = weir(&site, 2, Some(TOKEN), &["revoke", &id])?;
        ensure!(ended.status.success() && text(&ended.stdout).contains("revoked"), "{ended:?}");
        everywhere(&clients, &new, std::time::Instant::now(), is_refused).await?;
        let dead = weir(&site, 2, Some(TOKEN), &["rotate", &id, "--grace", "1h"])?;
        ensure!(dead.status.code() == Some(1) && text(&dead.stderr).contains("revoked"), "{dead:?}");
        let wrong = weir(&site, 0, Some(TOKEN), &["create", "--tenant", "nobody"])?;
        ensure!(wrong.status.code() == Some(1) && text(&wrong.stderr).contains("no tenant"), "{wrong:?}");
        let (status, _) =
            post(site.replicas[0].admin(), "/admin/v1/keys", json!({ "tenant": "t" }).to_string()).await?;
        ensure!(status == 401, "without the token: {status}");
        Ok(())
    })
}
