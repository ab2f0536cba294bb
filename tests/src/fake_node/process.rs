//! The process of a pod, from outside: `nsenter`, which waits for the program in the sandbox's PID namespace and ends as
//! it does.
//!
//! Invariant: both are one process group, which the node's registry knows from the start of the process to its end, so
//! that a node that is lost or dropped can kill it. Only a process that the registry knows is started.

use std::{
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, ExitStatus},
    time::Duration,
};

use nix::{sys::signal::Signal, unistd::Pid};
use tokio::process::Child;

use super::{Error, registry::Shared};
use crate::cluster::inner_pid;

/// A started process.
#[derive(Debug)]
pub(super) struct Process {
    nsenter: Child,
    program: Option<Pid>,
}

impl Process {
    /// Starts a command of [`Sandbox::command_outside`](crate::cluster::Sandbox::command_outside), unless the node is
    /// closed.
    pub(super) async fn start(shared: &Shared, uid: &str, mut command: Command) -> Result<Self, Error> {
        command.process_group(0);
        let nsenter = {
            let mut registry = shared.registry();
            let closed = registry.closed;
            let entry = registry
                .pods
                .get_mut(uid)
                .filter(|_| !closed)
                .ok_or(Error::Lost)?;
            let child = tokio::process::Command::from(command).spawn();
            let child = child.map_err(Error::io("the pod's process"))?;
            entry.group = child.id().and_then(pid);
            child
        };
        let number = nsenter.id().unwrap_or_default();
        let program = tokio::task::spawn_blocking(move || inner_pid(number))
            .await
            .ok()
            .flatten();
        let program = program.and_then(pid);
        if let Some(entry) = shared.registry().pods.get_mut(uid) {
            entry.program = program;
        }
        Ok(Self { nsenter, program })
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.nsenter.wait().await
    }

    /// SIGTERM, and SIGKILL after the grace time or when nobody asks any more.
    pub(super) async fn terminate(
        &mut self,
        shared: &Shared,
        uid: &str,
        grace: Duration,
        abandoned: impl Future<Output = ()>,
    ) -> io::Result<ExitStatus> {
        if let Some(program) = self.program {
            // To the program alone: whoever waits for it must live to tell how it ended.
            let _ = nix::sys::signal::kill(program, Signal::SIGTERM);
            tokio::select! {
                status = self.nsenter.wait() => return status,
                () = abandoned => {}
                () = tokio::time::sleep(grace) => {}
            }
        }
        if let Some(entry) = shared.registry().pods.get(uid) {
            entry.kill();
        }
        self.nsenter.wait().await
    }
}

/// Kills what an ended process has left behind, as in a container; whether it was to look like a want of memory.
pub(super) fn clear(shared: &Shared, uid: &str) -> bool {
    let mut registry = shared.registry();
    let Some(entry) = registry.pods.get_mut(uid) else {
        return false;
    };
    entry.kill();
    (entry.group, entry.program) = (None, None);
    std::mem::take(&mut entry.out_of_memory)
}

/// As a container runtime tells it: a signal counts from 128.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_containers() {
        let code = |raw| exit_code(ExitStatus::from_raw(raw));
        assert_eq!([code(0), code(42 << 8), code(9), code(15)], [0, 42, 137, 143]);
    }
}
