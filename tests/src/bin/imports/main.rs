//! Finds import cycles: folders of a crate that use each other in a ring, and files of more than 500 lines.
//!
//! ```text
//! target/release/imports crds zkml/compile                   # rings of folders, in each crate
//! target/release/imports --within operator operator crds     # in operator, rings of files too
//! ```
//!
//! Every `use` and every path in the code counts, and counts as one of the file that defines what it names: a re-export is
//! looked through. What is compiled for tests alone does not count. It ends with 1, and says which lines make a ring, where
//! there is one.

mod length;
mod packages;
mod resolve;
mod rings;
mod said;
#[cfg(test)]
mod tests;
mod tree;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use self::packages::Package;
use self::tree::Tree;

/// Finds import cycles, and files that are too long.
#[derive(Debug, Parser)]
struct Args {
    /// A crate in which files may not use each other in a ring either.
    #[arg(long)]
    within: Vec<PathBuf>,
    /// The folders of crates of this workspace.
    #[arg(required = true)]
    crates: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            for fault in faults {
                eprintln!("{fault}");
            }
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// What is wrong, each as a text for people.
fn run(args: &Args) -> Result<Vec<String>, Box<dyn Error>> {
    let here = std::env::current_dir()?.canonicalize()?;
    let packages = packages::of_workspace()?;
    let mut faults = length::too_long(&here)?;
    let mut read = 0;
    for folder in &args.crates {
        let folder = folder
            .canonicalize()
            .map_err(|e| format!("{}: {e}", folder.display()))?;
        let within = is_among(&folder, &args.within)?;
        let package = packages
            .iter()
            .find(|p| p.folder == folder)
            .ok_or_else(|| format!("{} is no crate of this workspace", folder.display()))?;
        let (found, files) = faults_of(package, within, &here)?;
        faults.extend(found);
        read += files;
    }
    println!(
        "{read} files of {} crates, {} faults",
        args.crates.len(),
        faults.len()
    );
    Ok(faults)
}

fn is_among(folder: &Path, list: &[PathBuf]) -> Result<bool, Box<dyn Error>> {
    for one in list {
        if one
            .canonicalize()
            .map_err(|e| format!("{}: {e}", one.display()))?
            == folder
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The rings of a package, with paths as from `here`, and how many files it has.
fn faults_of(package: &Package, within: bool, here: &Path) -> Result<(Vec<String>, usize), tree::Error> {
    let (mut faults, mut trees) = (Vec::new(), Vec::new());
    for target in &package.targets {
        let tree = Tree::read(&target.root, &target.name)?;
        let edges = resolve::edges(&tree);
        faults.extend(rings::of_folders(&edges, here));
        if within {
            faults.extend(rings::of_files(&edges, here));
        }
        trees.push(tree);
    }
    let files = tree::all_are_read(&package.folder.join("src"), &trees)?;
    Ok((faults, files))
}
