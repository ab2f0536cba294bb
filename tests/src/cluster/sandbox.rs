//! The place in which one cluster lives: network, mount and PID namespaces and a cgroup root of its own.
//!
//! Invariant: everything in a sandbox ends with the test process, however that ends. The test process holds the only
//! write end of a pipe; the first process of the PID namespace leaves when it is closed, and the kernel kills the rest.
//! See `supervisor.sh`, which also removes what a kernel keeps, and `init.sh`, the first process.
//!
//! Two ways lead in: [`Sandbox::start`] for daemons, which become children of the first process, and
//! [`Sandbox::command`] for programs whose output and exit code the test wants.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{Error, pids::send, tools::search_path};

const SUPERVISOR: &str = include_str!("supervisor.sh");
const INIT: &str = include_str!("init.sh");

/// How long the supervisor may take to remove everything before [`Drop`] stops waiting for it (it goes on by itself).
const TEARDOWN: Duration = Duration::from_secs(30);

/// A running sandbox; dropping it removes everything in it.
#[derive(Debug)]
pub struct Sandbox {
    slot: u8,
    init: u32,
    state: PathBuf,
    pipe: Mutex<Option<ChildStdin>>,
    supervisor: Mutex<Child>,
}

impl Sandbox {
    /// Makes a sandbox whose files are in the existing folder `state`, which the supervisor removes at the end.
    pub fn new(state: &Path) -> Result<Self, Error> {
        for folder in ["run", "log"] {
            fs::create_dir_all(state.join(folder)).map_err(Error::io(folder))?;
        }
        for (name, text) in [("supervisor.sh", SUPERVISOR), ("init.sh", INIT)] {
            fs::write(state.join(name), text).map_err(Error::io(name))?;
        }
        let log = tempfile::tempfile().map_err(Error::io("the supervisor's log"))?;
        let log_copy = log.try_clone().map_err(Error::io("the supervisor's log"))?;
        // A session of its own, so that no signal to the test's terminal or process group reaches it.
        let mut supervisor = Command::new("setsid")
            .arg("sh")
            .arg(state.join("supervisor.sh"))
            .arg(state)
            .env("PATH", search_path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_copy)
            .spawn()
            .map_err(Error::io("setsid sh supervisor.sh"))?;
        let pipe = supervisor.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = supervisor.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(Error::io("the supervisor's answer"))?;
        }
        let mut words = line.split_whitespace().skip(1).map(str::parse::<u32>);
        let (Some(Ok(slot)), Some(Ok(init))) = (words.next(), words.next()) else {
            drop(pipe);
            let _ = supervisor.wait();
            return Err(Error::Sandbox(read_from_start(log)));
        };
        let slot = u8::try_from(slot).map_err(|_| Error::Sandbox(line.clone()))?;
        Ok(Self {
            slot,
            init,
            state: state.to_owned(),
            pipe: Mutex::new(pipe),
            supervisor: Mutex::new(supervisor),
        })
    }

    /// This cluster's number on the machine, from 1.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// The number of the sandbox's first process, seen from outside.
    pub fn init(&self) -> u32 {
        self.init
    }

    /// Where the sandbox is reached from the test process.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.slot, 1)
    }

    /// Where the test process is reached from the sandbox.
    pub fn host_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.slot, 2)
    }

    /// The name of this cluster's root cgroup, with a leading slash.
    pub fn cgroup(&self) -> String {
        format!("/zkinfer-{}", self.slot)
    }

    /// The log of a daemon.
    pub fn log(&self, daemon: &str) -> PathBuf {
        self.state.join("log").join(format!("{daemon}.log"))
    }

    /// Starts (or starts again) a daemon in the sandbox, with its output in [`Self::log`].
    pub fn start(&self, name: &str, command: &[String]) -> Result<(), Error> {
        let words: Vec<String> = command.iter().map(|word| quote(word)).collect();
        let file = self.state.join("run").join(name);
        let at = file.display();
        // The files beside the script tell the inner PID, and the exit code once there is one.
        let script = format!(
            "rm -f {at}.ended\n{} &\necho $! >{at}.pid\nwait $!\necho $? >{at}.ended\n",
            words.join(" ")
        );
        fs::write(&file, script).map_err(Error::io(file.display().to_string()))?;
        self.start_again(name)
    }

    /// Starts a daemon that was started before and has ended.
    pub fn start_again(&self, name: &str) -> Result<(), Error> {
        let _ = fs::remove_file(self.state.join("run").join(format!("{name}.ended")));
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = pipe
            .as_mut()
            .ok_or_else(|| Error::Sandbox("already gone".into()))?;
        writeln!(pipe, "{name}").map_err(Error::io(format!("starting {name}")))
    }

    /// An error if the daemon has ended.
    pub fn check(&self, name: &str) -> Result<(), Error> {
        if !self.state.join("run").join(format!("{name}.ended")).exists() {
            return Ok(());
        }
        let log = self.log(name);
        Err(Error::Ended {
            daemon: name.to_owned(),
            tail: tail(&log, 15),
            log,
        })
    }

    /// Sends a signal to a daemon and waits until it has ended.
    pub async fn stop(&self, name: &str, signal: Signal) -> Result<(), Error> {
        let run = self.state.join("run");
        let inner =
            fs::read_to_string(run.join(format!("{name}.pid"))).map_err(Error::io(format!("{name}.pid")))?;
        let inner = inner.trim().parse::<u32>().unwrap_or_default();
        if let Some(process) = self
            .processes()
            .into_iter()
            .find(|process| process.inner == inner)
        {
            send(process.pid, signal)?;
        }
        let limit = Duration::from_secs(20);
        let start = Instant::now();
        while !run.join(format!("{name}.ended")).exists() {
            if start.elapsed() > limit {
                return Err(Error::Timeout {
                    what: format!("the end of {name}"),
                    limit,
                    last: "alive".into(),
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// A command that runs in the sandbox's network, mount and PID namespaces, in the folder `/`. The process that it
    /// starts is `nsenter`; [`Process`](super::Process) finds the program itself, to which signals must go.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command
            .arg(format!("--target={}", self.init))
            .args(["--net", "--mount", "--pid", "--wd=/", "--"])
            .arg(program)
            .env("PATH", search_path())
            .stdin(Stdio::null());
        command
    }

    /// A command that sees the machine (its network, its files) and yet ends with the sandbox, since it is in the
    /// sandbox's PID namespace.
    pub fn command_outside(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command
            .arg(format!("--target={}", self.init))
            .args(["--pid", "--"])
            .arg(program)
            .stdin(Stdio::null());
        command
    }

    /// Asks the supervisor to leave the logs where they are when it removes everything else.
    pub fn keep_logs(&self) -> PathBuf {
        let _ = fs::write(self.state.join("keep"), "");
        self.state.join("log")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        while matches!(supervisor.try_wait(), Ok(None)) && start.elapsed() < TEARDOWN {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The last lines of a file; empty if it cannot be read.
pub fn tail(file: &Path, lines: usize) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn read_from_start(mut file: fs::File) -> String {
    use std::io::{Read as _, Seek as _};
    let mut text = String::new();
    let _ = file.rewind();
    let _ = file.read_to_string(&mut text);
    text
}
