//! Rings: files or folders each of which reaches all others of the ring by uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::resolve::{Edge, Place};

/// So many uses of each arrow are said.
const MOST_USES: usize = 5;

/// The rings of folders.
pub(crate) fn of_folders(edges: &BTreeSet<Edge>, here: &Path) -> Vec<String> {
    rings(edges, "folders", |place| &place.folder, here)
}

/// The rings of files.
pub(crate) fn of_files(edges: &BTreeSet<Edge>, here: &Path) -> Vec<String> {
    rings(edges, "files", |place| &place.file, here)
}

fn rings(edges: &BTreeSet<Edge>, of: &str, node: impl Fn(&Place) -> &Path, here: &Path) -> Vec<String> {
    let mut arrows: BTreeMap<&Path, BTreeMap<&Path, Vec<&Edge>>> = BTreeMap::new();
    for edge in edges {
        let (from, to) = (node(&edge.from), node(&edge.to));
        if from != to {
            arrows.entry(from).or_default().entry(to).or_default().push(edge);
        }
    }
    let reach: BTreeMap<&Path, BTreeSet<&Path>> = arrows.keys().map(|&n| (n, reached(&arrows, n))).collect();
    let reaches = |from: &Path, to: &Path| reach.get(from).is_some_and(|r| r.contains(to));
    let mut told: BTreeSet<&Path> = BTreeSet::new();
    let mut faults = Vec::new();
    for &first in arrows.keys() {
        if told.contains(first) || !reaches(first, first) {
            continue;
        }
        let ring: Vec<&Path> = arrows
            .keys()
            .copied()
            .filter(|&n| reaches(first, n) && reaches(n, first))
            .collect();
        told.extend(&ring);
        faults.push(text(&arrows, &ring, of, here));
    }
    faults
}

/// What is reached from a node by one arrow or more.
fn reached<'a>(
    arrows: &BTreeMap<&'a Path, BTreeMap<&'a Path, Vec<&Edge>>>,
    from: &'a Path,
) -> BTreeSet<&'a Path> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(node) = next.pop() {
        for &to in arrows.get(node).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(to) {
                next.push(to);
            }
        }
    }
    seen
}

fn text(
    arrows: &BTreeMap<&Path, BTreeMap<&Path, Vec<&Edge>>>,
    ring: &[&Path],
    of: &str,
    here: &Path,
) -> String {
    let short = |path: &Path| path.strip_prefix(here).unwrap_or(path).display().to_string();
    let mut text = format!("a ring of {} {of}:", ring.len());
    for from in ring {
        for (to, uses) in arrows
            .get(from)
            .into_iter()
            .flatten()
            .filter(|(to, _)| ring.contains(to))
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
