//! Processes of a sandbox, by the numbers that they have outside of it.

use std::{collections::HashMap, fs, time::Duration};

use nix::{errno::Errno, sys::signal::Signal, unistd::Pid};

use super::{Error, Sandbox};

/// One process as the machine sees it from outside the sandbox.
#[derive(Debug, Clone)]
pub struct ProcessInfo {
    /// Its number outside.
    pub pid: u32,
    /// Its number inside.
    pub inner: u32,
    /// Its name, cut to 15 characters by the kernel.
    pub name: String,
    /// Its resident memory in KiB.
    pub rss_kib: u64,
}

impl Sandbox {
    /// Every process in the sandbox's PID namespace and in those of its pods.
    pub fn processes(&self) -> Vec<ProcessInfo> {
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid_for_children")).ok();
        let Some(ours) = namespace(self.init()) else {
            return Vec::new();
        };
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let all: Vec<(ProcessInfo, u32)> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().and_then(|pid| pid.parse().ok()))
            .filter_map(process_info)
            .collect();
        let parents: HashMap<u32, u32> = all
            .iter()
            .map(|(process, parent)| (process.pid, *parent))
            .collect();
        let descends = |pid: u32| {
            std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).any(|pid| pid == self.init())
        };
        all.into_iter()
            .map(|(process, _)| process)
            .filter(|process| descends(process.pid) || namespace(process.pid).as_ref() == Some(&ours))
            // nsenter itself lives outside, only its children do not.
            .filter(|process| process.inner != 0)
            .collect()
    }
}

/// The program behind a child that [`Sandbox::command`] started, as seen from outside; `None` once it has ended.
pub fn inner_pid(nsenter: u32) -> Option<u32> {
    // nsenter forks at once; the loop is for the moment before.
    for _ in 0..200 {
        let children = fs::read_to_string(format!("/proc/{nsenter}/task/{nsenter}/children")).ok()?;
        if let Some(pid) = children
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
        {
            return Some(pid);
        }
        if fs::read_to_string(format!("/proc/{nsenter}/stat"))
            .ok()?
            .contains(") Z ")
        {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Sends a signal to a process. One that has gone already is no error.
pub fn send(pid: u32, signal: Signal) -> Result<(), Error> {
    let Ok(target) = i32::try_from(pid) else {
        return Ok(());
    };
    match nix::sys::signal::kill(Pid::from_raw(target), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(Error::Io {
            what: format!("signal to process {pid}"),
            source: error.into(),
        }),
    }
}

/// A process and its parent's number.
fn process_info(pid: u32) -> Option<(ProcessInfo, u32)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    // One number per namespace, from ours inwards; a process of ours has one only.
    let inner = field("NSpid:")?
        .split_whitespace()
        .nth(1)
        .and_then(|pid| pid.parse().ok())
        .unwrap_or_default();
    let rss = field("VmRSS:").and_then(|rss| rss.split_whitespace().next()?.parse().ok());
    let process = ProcessInfo {
        pid,
        inner,
        name: field("Name:")?.to_owned(),
        rss_kib: rss.unwrap_or_default(),
    };
    Some((process, field("PPid:")?.parse().ok()?))
}
