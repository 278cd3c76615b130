//! What the process says by its exit code.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use weir_tests::place;

const SOUND: &str =
    "version = 1\n\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"127.0.0.1:0\"\nanonymous = true\n";

fn weir(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(place::weir()?);
    command.args(arguments).env_remove("WEIR_CONFIG");
    command.output().context("weir cannot be started")
}

/// Broken on purpose to see it fail: `check` that succeeds whatever it finds.
#[test]
fn exit_codes_tell_mistakes_of_the_configuration_from_those_of_the_command_line() -> Result<()> {
    let folder = place::folder("life-codes")?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let write = |name: &str, text: String| -> Result<String> {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let sound = write("sound.toml", SOUND.replace("LISTEN", &taken.local_addr()?.to_string()))?;
    let wrong = write("wrong.toml", SOUND.replace("LISTEN", "nowhere") + "colour = 5\n")?;
    let absent = folder.join("absent.toml").display().to_string();
    for (arguments, code, words) in [
        (vec!["check", "--config", &sound], 0, vec!["no problems"]),
        (vec!["check", "--config", &wrong], 1, vec!["wrong.toml:4", "colour"]),
        (vec!["check", "--config", &absent], 1, vec!["absent.toml"]),
        (vec!["serve", "--config", &wrong], 1, vec!["wrong.toml:4", "colour"]),
        (vec!["serve", "--config", &absent], 1, vec!["absent.toml"]),
        (vec!["serve", "--config", &sound], 1, vec!["cannot listen on"]),
        (vec!["serve"], 2, vec!["--config"]),
        (vec!["serve", "--config", &sound, "--colour"], 2, vec!["--colour"]),
        (vec!["--version"], 0, vec!["weir"]),
    ] {
        let output = weir(&arguments)?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(output.status.code() == Some(code), "{arguments:?}: {:?}\n{said}", output.status.code());
        for word in words {
            ensure!(said.contains(word), "{arguments:?} does not say {word}:\n{said}");
        }
    }
    Ok(())
}
