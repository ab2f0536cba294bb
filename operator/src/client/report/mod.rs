//! `report`: what somebody who is asked for help needs to see of an installation, in one file that may be sent.
//!
//! Invariant: no input, no answer, no Secret and no ConfigMap is in it; what could not be read is listed in it.

mod archive;
mod gather;
mod redact;

use std::path::PathBuf;

use self::gather::{Asked, Gathered};
use super::{ClientError, Cluster};

/// What to report on, and where to.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// The file that is written.
    pub out: PathBuf,
    /// The cluster; with a namespace, only the objects of that one.
    pub cluster: Cluster,
    /// The operator's namespace.
    pub operator_namespace: String,
    /// Of each log, from its end.
    pub log_lines: u32,
}

/// A report that was made.
#[derive(Debug)]
pub struct Reported {
    /// How many files are in it.
    pub files: usize,
    /// What could not be read; it is in the report too.
    pub missing: Vec<String>,
}

/// The folder that everything is in when the report is unpacked.
const FOLDER: &str = "zkinfer-report";

/// Reads all of it, and writes the file.
///
/// # Errors
/// No cluster, or a file that cannot be written.
pub async fn report(options: &ReportOptions) -> Result<Reported, ClientError> {
    let (_, client, _) = options.cluster.connect().await?;
    let asked = Asked {
        client: &client,
        namespace: options.cluster.namespace.as_deref(),
        system: &options.operator_namespace,
        lines: i64::from(options.log_lines),
    };
    let mut gathered = Gathered::new();
    asked.versions(&mut gathered).await;
    asked.objects(&mut gathered).await;
    asked.operator(&mut gathered).await;
    asked.logs(&mut gathered).await;
    let Gathered { mut files, missing } = gathered;
    let listed = missing.iter().map(|line| format!("{line}\n")).collect();
    files.insert("missing.txt".to_owned(), listed);
    let files = files
        .into_iter()
        .map(|(name, text)| (format!("{FOLDER}/{name}"), text))
        .collect();
    let bytes = archive::tar_gz(&files).map_err(ClientError::Other)?;
    std::fs::write(&options.out, bytes).map_err(|source| ClientError::Path {
        path: options.out.clone(),
        source,
    })?;
    Ok(Reported {
        files: files.len(),
        missing,
    })
}
