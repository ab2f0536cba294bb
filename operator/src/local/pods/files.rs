//! What a pod's process is started with: program, arguments, variables and the folders of its volumes.
//!
//! Invariant: what a pod asks for and is not understood keeps it from starting, and is never left out.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Secret, Volume};
use kube::ResourceExt;
use tempfile::TempDir;
use tokio::process::Command;

use super::node::Node;
use crate::local::api::{Id, Kind};
use crate::specs::labels;

/// Its one container, in its status.
pub(super) const CONTAINER: &str = "container";
/// The volume that all workers of this machine share.
const CACHE: &str = "cache";

/// Most bytes of a log that a status has.
const LAST_WORDS: u64 = 2048;

/// What is there for one pod, and goes with it.
pub(super) struct Files<'a> {
    node: &'a Node,
    folder: TempDir,
    /// Folders by the path under which the pod knows them.
    mounts: Vec<(String, PathBuf)>,
    tokens: Vec<String>,
}

impl Drop for Files<'_> {
    fn drop(&mut self) {
        for token in &self.tokens {
            self.node.tokens.take_back(token);
        }
    }
}

/// The pod's spec and container.
fn parts(pod: &Pod) -> Result<(&PodSpec, &Container), String> {
    let spec = pod.spec.as_ref().ok_or("the pod has no spec")?;
    match &spec.containers[..] {
        [container] if spec.init_containers.is_none() => Ok((spec, container)),
        _ => Err("a pod has one container here".to_owned()),
    }
}

/// The program that a pod's process runs, with its first arguments.
pub(super) fn program(node: &Node, pod: &Pod) -> Result<(String, Vec<String>), String> {
    let pool = pod.labels().get(labels::POOL);
    let pool = pool.map(|pool| format!("{}/{pool}", pod.namespace().unwrap_or_default()));
    if let Some(command) = pool.and_then(|pool| node.provers.get(&pool)) {
        let (program, arguments) = command
            .split_first()
            .ok_or("the pool's prover names no program")?;
        return Ok((program.clone(), arguments.to_vec()));
    }
    let (_, container) = parts(pod)?;
    let arguments = container.args.clone().unwrap_or_default();
    Ok((node.worker.display().to_string(), arguments))
}

impl<'a> Files<'a> {
    /// Makes the volumes.
    pub(super) fn make(node: &'a Node, pod: &Pod) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("pod-").tempdir_in(&node.volumes);
        let folder =
            folder.map_err(|e| format!("cannot make a folder in {}: {e}", node.volumes.display()))?;
        let mut files = Self {
            node,
            folder,
            mounts: Vec::new(),
            tokens: Vec::new(),
        };
        let (spec, container) = parts(pod)?;
        for mount in container.volume_mounts.iter().flatten() {
            let volume = spec.volumes.iter().flatten().find(|v| v.name == mount.name);
            let volume = volume.ok_or_else(|| format!("there is no volume {}", mount.name))?;
            let place = files.volume(pod, spec, volume)?;
            files.mounts.push((mount.mount_path.clone(), place));
        }
        Ok(files)
    }

    fn volume(&mut self, pod: &Pod, spec: &PodSpec, volume: &Volume) -> Result<PathBuf, String> {
        let place = self.folder.path().join(&volume.name);
        let failed = |path: &Path, e: std::io::Error| format!("cannot write {}: {e}", path.display());
        std::fs::create_dir_all(&place).map_err(|e| failed(&place, e))?;
        let namespace = pod.namespace().unwrap_or_default();
        let write = |name: &str, bytes: &[u8]| {
            let path = place.join(name);
            std::fs::write(&path, bytes).map_err(|e| failed(&path, e))
        };
        if volume.empty_dir.is_some() {
            return Ok(if volume.name == CACHE {
                self.node.cache.clone()
            } else {
                place
            });
        }
        if let Some(name) = volume.secret.as_ref().and_then(|s| s.secret_name.as_ref()) {
            let found = self.node.store.get(&Id::new(Kind::Secret, &namespace, name));
            let found = found.ok_or_else(|| format!("there is no Secret {name}"))?;
            let secret: Secret = serde_json::from_value((*found).clone()).map_err(|e| e.to_string())?;
            for (name, bytes) in secret.data.iter().flatten() {
                write(name, &bytes.0)?;
            }
            return Ok(place);
        }
        let sources = volume.projected.as_ref().and_then(|p| p.sources.as_ref());
        let sources =
            sources.ok_or_else(|| format!("volume {} is of no kind that is known here", volume.name))?;
        for source in sources {
            let token = source.service_account_token.as_ref();
            let token = token.ok_or_else(|| format!("volume {} has more than a token", volume.name))?;
            let account = spec.service_account_name.as_deref().unwrap_or("default");
            let user = format!("system:serviceaccount:{namespace}:{account}");
            let given = self.node.tokens.give(&user);
            write(&token.path, given.as_bytes())?;
            self.tokens.push(given);
        }
        Ok(place)
    }

    /// The command; what it writes to standard error is kept under this name.
    pub(super) fn command(&self, pod: &Pod, log: &str) -> Result<Command, String> {
        let (program, arguments) = program(self.node, pod)?;
        let (_, container) = parts(pod)?;
        let log = self.log(log);
        let file = std::fs::File::options().create(true).append(true).open(&log);
        let file = file.map_err(|e| format!("cannot write {}: {e}", log.display()))?;
        let mut command = Command::new(program);
        command.args(arguments.iter().map(|a| self.at_home(a)));
        for variable in container.env.iter().flatten() {
            let field = variable.value_from.as_ref().map(|from| from.field_ref.as_ref());
            let value = match field {
                None => self.at_home(variable.value.as_deref().unwrap_or_default()),
                Some(Some(field)) if field.field_path == "metadata.name" => pod.name_any(),
                Some(_) => {
                    return Err(format!(
                        "the source of variable {} is not known here",
                        variable.name
                    ));
                }
            };
            command.env(&variable.name, value);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true);
        Ok(command)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.node.logs.join(format!("{name}.log"))
    }

    /// How much stands in the log of this name: a process writes behind it.
    pub(super) fn logged(&self, log: &str) -> u64 {
        std::fs::metadata(self.log(log)).map_or(0, |file| file.len())
    }

    /// What a process said last of what it wrote to its log, behind what was there `before`, and where the log is; empty where it
    /// said nothing. As of a kubelet that falls back to logs.
    pub(super) fn last_words(&self, log: &str, before: u64) -> String {
        let path = self.log(log);
        let end = || -> std::io::Result<Vec<u8>> {
            let mut file = std::fs::File::open(&path)?;
            let from = file.metadata()?.len().saturating_sub(LAST_WORDS).max(before);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(LAST_WORDS).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match end() {
            Ok(bytes) if bytes.trim_ascii().is_empty() => String::new(),
            Ok(bytes) => format!(
                "{}\n({})",
                String::from_utf8_lossy(&bytes).trim_end(),
                path.display()
            ),
            Err(e) => format!("(cannot read {}: {e})", path.display()),
        }
    }

    /// A path in a volume, as the process finds it.
    fn at_home(&self, text: &str) -> String {
        let found = self.mounts.iter().find_map(|(path, place)| {
            let rest = text.strip_prefix(path.as_str())?;
            let whole = rest.is_empty() || rest.starts_with('/');
            whole.then(|| format!("{}{rest}", place.display()))
        });
        found.unwrap_or_else(|| text.to_owned())
    }
}
