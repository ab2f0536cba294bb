//! Rings: files or folders each of which reaches all others of the ring by uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::resolve::{Edge, Place};

/// So many uses of each arrow are said.
const MOST_USES: usize = 5;

/// From each node to others, with the uses that make the arrow.
type Arrows<'a> = BTreeMap<PathBuf, BTreeMap<PathBuf, Vec<&'a Edge>>>;

/// The rings that go through folders. In each folder, those in it count as one with all that is in them, and its own files
/// each by itself; so whatever ring of files has two folders in it is found where they part. A ring of files of one folder is
/// none of these.
pub(crate) fn of_folders(edges: &BTreeSet<Edge>, here: &Path) -> Vec<String> {
    let mut levels: BTreeMap<PathBuf, Arrows<'_>> = BTreeMap::new();
    for edge in edges {
        let folder = common(&edge.from.folder, &edge.to.folder);
        let (from, to) = (node(&edge.from, &folder), node(&edge.to, &folder));
        if from != to {
            let arrows = levels.entry(folder).or_default();
            arrows.entry(from).or_default().entry(to).or_default().push(edge);
        }
    }
    let mut faults = Vec::new();
    for arrows in levels.values() {
        let of_folder = |ring: &Vec<&Path>| ring.iter().any(|n| n.is_dir());
        faults.extend(
            rings(arrows)
                .iter()
                .filter(|&r| of_folder(r))
                .map(|r| text(arrows, r, here)),
        );
    }
    faults
}

/// The rings of files.
pub(crate) fn of_files(edges: &BTreeSet<Edge>, here: &Path) -> Vec<String> {
    let mut arrows = Arrows::new();
    for edge in edges {
        let to = arrows.entry(edge.from.file.clone()).or_default();
        to.entry(edge.to.file.clone()).or_default().push(edge);
    }
    rings(&arrows).iter().map(|r| text(&arrows, r, here)).collect()
}

/// The folder in which both are.
fn common(one: &Path, other: &Path) -> PathBuf {
    let both = one.components().zip(other.components());
    both.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

/// What a file belongs to in a folder: the folder in it that holds the file, or the file itself.
fn node(place: &Place, folder: &Path) -> PathBuf {
    let below = place.folder.strip_prefix(folder).ok();
    match below.and_then(|b| b.components().next()) {
        Some(next) => folder.join(next),
        None => place.file.clone(),
    }
}

/// The sets of nodes that reach each other.
fn rings<'a>(arrows: &'a Arrows<'_>) -> Vec<Vec<&'a Path>> {
    let reach: BTreeMap<&Path, BTreeSet<&Path>> =
        arrows.keys().map(|n| (n.as_path(), reached(arrows, n))).collect();
    let reaches = |from: &Path, to: &Path| reach.get(from).is_some_and(|r| r.contains(to));
    let mut rings: Vec<Vec<&Path>> = Vec::new();
    for first in arrows.keys() {
        let is_told = rings.iter().any(|r| r.contains(&first.as_path()));
        if !is_told && reaches(first, first) {
            let nodes = arrows.keys().map(PathBuf::as_path);
            rings.push(nodes.filter(|n| reaches(first, n) && reaches(n, first)).collect());
        }
    }
    rings
}

/// What is reached from a node by one arrow or more.
fn reached<'a>(arrows: &'a Arrows<'_>, from: &Path) -> BTreeSet<&'a Path> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(node) = next.pop() {
        for to in arrows.get(node).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(to.as_path()) {
                next.push(to);
            }
        }
    }
    seen
}

fn text(arrows: &Arrows<'_>, ring: &[&Path], here: &Path) -> String {
    let short = |path: &Path| path.strip_prefix(here).unwrap_or(path).display().to_string();
    let mut text = format!("a ring of {}:", ring.len());
    for &from in ring {
        let inside = |to: &Path| ring.contains(&to);
        for (to, uses) in arrows
            .get(from)
            .into_iter()
            .flatten()
            .filter(|(to, _)| inside(to))
        {
            let _ = write!(text, "\n  {} uses {}:", short(from), short(to));
            for edge in uses.iter().take(MOST_USES) {
                let (file, line, defined) = (short(&edge.from.file), edge.line, short(&edge.to.file));
                let _ = write!(text, "\n    {file}:{line}: {}, which is of {defined}", edge.path);
            }
            if uses.len() > MOST_USES {
                let _ = write!(text, "\n    and {} more", uses.len() - MOST_USES);
            }
        }
    }
    text
}
