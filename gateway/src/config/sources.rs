//! Which files a configuration was read from and what they held, to notice that one has changed.
//!
//! Contents are compared, not names or times: what a symlink leads to may be swapped as a whole, a file may be written
//! anew with what it held.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Files and digests of what they held, directories and which files they had; none for what could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    files: BTreeMap<PathBuf, Option<[u8; 32]>>,
    folders: BTreeMap<PathBuf, Option<Vec<PathBuf>>>,
}

impl Sources {
    /// Reads a file and remembers what it held.
    pub fn read(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
        let read = std::fs::read(path);
        self.files.insert(path.to_owned(), read.as_ref().ok().map(|held| Sha256::digest(held).into()));
        read
    }

    /// Reads a file that is text and remembers what it held.
    pub fn read_text(&mut self, path: &Path) -> std::io::Result<String> {
        let not_text = |_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8");
        self.read(path).and_then(|held| String::from_utf8(held).map_err(not_text))
    }

    /// The `*.toml` of a directory, by name, and remembers which there were; what begins with a dot (as in a mounted
    /// ConfigMap) is none.
    pub fn list_toml(&mut self, dir: &Path) -> std::io::Result<Vec<PathBuf>> {
        let listed = toml_files(dir);
        self.folders.insert(dir.to_owned(), listed.as_ref().ok().cloned());
        listed
    }

    /// The same files as they are now.
    pub fn again(&self) -> Sources {
        let mut now = Sources::default();
        // What cannot be read is remembered as that.
        for path in self.files.keys() {
            let _ = now.read(path);
        }
        for dir in self.folders.keys() {
            let _ = now.list_toml(dir);
        }
        now
    }
}

fn toml_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension() == Some(OsStr::new("toml")) && !hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Decides from repeated looks when to read a configuration again.
#[derive(Debug)]
pub struct Watch {
    known: Sources,
    moving: Option<Sources>,
}

impl Watch {
    /// Of what was read last.
    pub fn new(known: Sources) -> Watch {
        Watch { known, moving: None }
    }

    /// What was read last.
    pub fn known(&self) -> &Sources {
        &self.known
    }

    /// Is it time to read again? Only if two looks in a row saw the same change: a file may be half written.
    pub fn settled(&mut self, now: Sources) -> bool {
        let changed = now != self.known;
        let still = self.moving.as_ref() == Some(&now);
        self.moving = changed.then_some(now);
        changed && still
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose once: `still` always true.
    #[test]
    fn a_change_counts_when_it_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let mut sources = Sources::default();
        sources.read(&path).unwrap();
        let mut watch = Watch::new(sources.clone());
        assert!(!watch.settled(sources.again()), "nothing has changed");
        std::fs::write(&path, "half of").unwrap();
        assert!(!watch.settled(sources.again()));
        std::fs::write(&path, "half of it").unwrap();
        assert!(!watch.settled(sources.again()), "it goes on changing");
        assert!(watch.settled(sources.again()));
        std::fs::write(&path, "one").unwrap();
        assert!(!watch.settled(sources.again()), "it is what it was");
        std::fs::remove_file(&path).unwrap();
        assert!(!watch.settled(sources.again()));
        assert!(watch.settled(sources.again()), "a file that went away is a change as well");
    }

    /// Kubernetes swaps a symlink to a folder.
    #[test]
    fn a_swapped_symlink_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [("one", "1"), ("two", "2")] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("file"), text).unwrap();
        }
        std::os::unix::fs::symlink("one", at("data")).unwrap();
        let mut sources = Sources::default();
        sources.read(&at("data").join("file")).unwrap();
        std::os::unix::fs::symlink("two", at("next")).unwrap();
        std::fs::rename(at("next"), at("data")).unwrap();
        assert_ne!(sources.again(), sources);
    }
}
