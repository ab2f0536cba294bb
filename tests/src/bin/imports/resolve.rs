//! What a path names, and so which file uses which.
//!
//! Invariant: a use is one of the file that defines what is named, through however many re-exports. A path that leads into a
//! module and on to a name which no item of it has is taken for an item of that module, made there by a macro. A name that
//! leads nowhere is another crate's or local.
//!
//! A module that re-exports what stands in it uses nothing by that. A glob counts for each name of it that is said, and for
//! every trait that it brings, since nobody sees which method is whose.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::said::{Binding, Said};
use super::tree::{Id, ROOT, Tree};

/// One file's use of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    /// Who uses.
    pub from: Place,
    /// The line of it.
    pub line: usize,
    /// The path as it is written.
    pub path: String,
    /// Who defines.
    pub to: Place,
}

/// A file, and the folder of modules in which it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// The file.
    pub file: PathBuf,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Module(Id),
    Item { of: Id, is_trait: bool },
}

/// Every use of one file by another, in order.
pub(crate) fn edges(tree: &Tree) -> BTreeSet<Edge> {
    let mut edges = BTreeSet::new();
    for from in 0..tree.modules.len() {
        let names = &tree.modules[from].names;
        for said in names.said.iter().chain(&names.unnamed) {
            add(tree, &mut edges, from, said, &resolve(tree, from, &said.path));
        }
        for binding in names.bound.values().flatten() {
            if let Binding::Import { public, said } = binding {
                let mut targets = resolve(tree, from, &said.path);
                targets.retain(|&t| !(*public && tree.holds(from, module_of(t))));
                add(tree, &mut edges, from, said, &targets);
            }
        }
        for glob in &names.globs {
            let mut brought = Vec::new();
            for target in resolve(tree, from, &glob.said.path) {
                match target {
                    Target::Module(of) => traits(tree, from, of, &mut BTreeSet::new(), &mut brought),
                    Target::Item { .. } => brought.push(target),
                }
            }
            brought.retain(|&t| !(glob.public && tree.holds(from, module_of(t))));
            add(tree, &mut edges, from, &glob.said, &brought);
        }
    }
    edges
}

fn module_of(target: Target) -> Id {
    match target {
        Target::Module(of) | Target::Item { of, .. } => of,
    }
}

/// Items are used; of a module only what is named in it.
fn add(tree: &Tree, edges: &mut BTreeSet<Edge>, from: Id, said: &Said, targets: &[Target]) {
    let place = |id: Id| Place {
        folder: tree.modules[id].folder.clone(),
        file: tree.modules[id].file.clone(),
    };
    for target in targets {
        let of = match *target {
            Target::Item { of, .. } => of,
            // The macro that declares a module uses it.
            Target::Module(of) => match &said.path[..] {
                [name] if tree.modules[from].names.in_item_macros.contains(name) => of,
                _ => continue,
            },
        };
        if tree.modules[of].file != tree.modules[from].file {
            let (from, to) = (place(from), place(of));
            edges.insert(Edge {
                from,
                line: said.line,
                path: said.path.join("::"),
                to,
            });
        }
    }
}

/// What is being looked up, so that imports of each other end.
type Seen = BTreeSet<(Id, String)>;

fn resolve(tree: &Tree, from: Id, path: &[String]) -> Vec<Target> {
    follow(tree, from, path, &mut Seen::new())
}

fn follow(tree: &Tree, from: Id, path: &[String], seen: &mut Seen) -> Vec<Target> {
    let Some((first, mut rest)) = path.split_first() else {
        return Vec::new();
    };
    let mut at = match first.as_str() {
        "crate" => vec![Target::Module(ROOT)],
        "self" => vec![Target::Module(from)],
        "super" => tree.modules[from]
            .parent
            .map(Target::Module)
            .into_iter()
            .collect(),
        name => {
            let found = look_up(tree, from, name, seen);
            if found.is_empty() && name == tree.name {
                vec![Target::Module(ROOT)]
            } else {
                found
            }
        }
    };
    while let Some((name, after)) = rest.split_first() {
        let modules: Vec<Id> = at
            .iter()
            .filter_map(|t| match t {
                Target::Module(id) => Some(*id),
                Target::Item { .. } => None,
            })
            .collect();
        if modules.is_empty() {
            break; // a variant, or what an item is associated with
        }
        at = modules
            .iter()
            .flat_map(|&id| step(tree, id, name, seen))
            .collect();
        rest = after;
    }
    at
}

/// A name in a module that a path leads into.
fn step(tree: &Tree, module: Id, name: &str, seen: &mut Seen) -> Vec<Target> {
    if name == "super" {
        return tree.modules[module]
            .parent
            .map(Target::Module)
            .into_iter()
            .collect();
    }
    let has_name = tree.modules[module].names.bound.contains_key(name);
    let found = look_up(tree, module, name, seen);
    if found.is_empty() && !has_name {
        return vec![Target::Item {
            of: module,
            is_trait: false,
        }];
    }
    found
}

/// A name in the scope of a module.
fn look_up(tree: &Tree, module: Id, name: &str, seen: &mut Seen) -> Vec<Target> {
    if !seen.insert((module, name.to_owned())) {
        return Vec::new();
    }
    let here = &tree.modules[module];
    let mut found: Vec<Target> = here
        .children
        .get(name)
        .copied()
        .map(Target::Module)
        .into_iter()
        .collect();
    for binding in here.names.bound.get(name).into_iter().flatten() {
        match binding {
            Binding::Item { is_trait, .. } => found.push(Target::Item {
                of: module,
                is_trait: *is_trait,
            }),
            Binding::Import { said, .. } => found.extend(follow(tree, module, &said.path, seen)),
        }
    }
    if found.is_empty() && !here.names.bound.contains_key(name) {
        for glob in &here.names.globs {
            for target in follow(tree, module, &glob.said.path, seen) {
                if let Target::Module(of) = target
                    && brings(tree, module, of, name)
                {
                    found.extend(look_up(tree, of, name, seen));
                }
            }
        }
    }
    seen.remove(&(module, name.to_owned()));
    found
}

/// Whether a glob in `to` may bring this name of `of`: one that is seen there.
fn brings(tree: &Tree, to: Id, of: Id, name: &str) -> bool {
    tree.holds(of, to)
        || tree.modules[of].names.bound.get(name).is_none_or(|bindings| {
            bindings.iter().any(|b| match b {
                Binding::Item { public, .. } | Binding::Import { public, .. } => *public,
            })
        })
}

/// The traits that a glob in `to` brings of `of`.
fn traits(tree: &Tree, to: Id, of: Id, seen: &mut BTreeSet<Id>, into: &mut Vec<Target>) {
    if !seen.insert(of) {
        return;
    }
    for name in tree.modules[of].names.bound.keys() {
        if brings(tree, to, of, name) {
            let targets = look_up(tree, of, name, &mut Seen::new());
            into.extend(
                targets
                    .into_iter()
                    .filter(|t| matches!(t, Target::Item { is_trait: true, .. })),
            );
        }
    }
    for glob in &tree.modules[of].names.globs {
        if glob.public || tree.holds(of, to) {
            for target in resolve(tree, of, &glob.said.path) {
                if let Target::Module(further) = target {
                    traits(tree, to, further, seen, into);
                }
            }
        }
    }
}
