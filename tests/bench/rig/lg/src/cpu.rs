//! CPU time of processes, with all their descendants and threads, from /proc.
use std::collections::HashMap;
use std::fs;

/// A named group of processes: roots and all their descendants at the time it was made.
pub struct Group {
    pub name: String,
    pids: Vec<u32>,
}

impl Group {
    /// Parses NAME=PID,PID.
    pub fn parse(text: &str) -> Option<Group> {
        let (name, pids) = text.split_once('=')?;
        let pids = pids.split(',').map(|pid| pid.parse().ok()).collect::<Option<Vec<u32>>>()?;
        Some(Group { name: name.into(), pids: with_descendants(pids) })
    }

    /// This process.
    pub fn own() -> Group {
        Group { name: "lg".into(), pids: vec![std::process::id()] }
    }

    /// Nanoseconds on a CPU so far, of all threads that live (one that ended is lost).
    pub fn cpu_ns(&self) -> u64 {
        let threads = self.pids.iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task"))).flatten();
        let spent = threads.flatten().filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        spent.sum()
    }
}

fn with_descendants(mut pids: Vec<u32>) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, parent) in fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| parent_of(&e)) {
        children.entry(parent).or_default().push(pid);
    }
    let mut next = 0;
    while next < pids.len() {
        let found = children.remove(&pids[next]).unwrap_or_default();
        for pid in found {
            if !pids.contains(&pid) {
                pids.push(pid);
            }
        }
        next += 1;
    }
    pids
}

fn parent_of(entry: &fs::DirEntry) -> Option<(u32, u32)> {
    let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
    let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
    // pid (name, which may hold anything) state parent ...
    let parent = stat[stat.rfind(')')? + 2..].split(' ').nth(1)?.parse().ok()?;
    Some((pid, parent))
}
