//! The modules of one crate as its files declare them.
//!
//! Invariant: every file below the crate's `src/` is read, or is compiled for tests alone; `all_are_read` says which is
//! neither, so that no module stays unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::ItemMod;
use syn::ext::IdentExt;

use super::said::{self, Names};

/// Why a crate cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{file}: {why}")]
    File { file: PathBuf, why: std::io::Error },
    #[error("{file}:{line}: {why}")]
    Syntax {
        file: PathBuf,
        line: usize,
        why: syn::Error,
    },
    #[error("{file}: the file of module {module} is not found")]
    NoFile { file: PathBuf, module: String },
    #[error("{0} is of no module that is found: nothing is known of what it uses")]
    Unread(PathBuf),
}

/// Where a module stands in its tree.
pub(crate) type Id = usize;

/// A module.
#[derive(Debug)]
pub(crate) struct Module {
    /// The one around it.
    pub parent: Option<Id>,
    /// Those in it.
    pub children: BTreeMap<String, Id>,
    /// The file that holds it.
    pub file: PathBuf,
    /// The module directory of that file.
    pub folder: PathBuf,
    /// What its items declare and say.
    pub names: Names,
}

/// The modules of a crate; the root is the first.
#[derive(Debug)]
pub(crate) struct Tree {
    /// By `Id`.
    pub modules: Vec<Module>,
    /// The crate's name in paths.
    pub name: String,
    /// Files and folders that are compiled for tests alone.
    for_tests: BTreeSet<PathBuf>,
}

/// The root of a tree.
pub(crate) const ROOT: Id = 0;

impl Tree {
    /// Reads a crate from its first file on.
    pub(crate) fn read(root: &Path, name: &str) -> Result<Self, Error> {
        let mut tree = Self {
            modules: Vec::new(),
            name: name.to_owned(),
            for_tests: BTreeSet::new(),
        };
        let folder = root.parent().unwrap_or(Path::new(".")).to_path_buf();
        tree.file(None, root, &folder)?;
        Ok(tree)
    }

    /// Whether `inner` is `outer` or stands in it.
    pub(crate) fn holds(&self, outer: Id, inner: Id) -> bool {
        let mut at = Some(inner);
        while let Some(id) = at {
            if id == outer {
                return true;
            }
            at = self.modules[id].parent;
        }
        false
    }

    /// Reads a file as a module whose files are in `inside`.
    fn file(&mut self, parent: Option<Id>, file: &Path, inside: &Path) -> Result<Id, Error> {
        let text = std::fs::read_to_string(file).map_err(|why| Error::File {
            file: file.into(),
            why,
        })?;
        let parsed = syn::parse_file(&text).map_err(|why| Error::Syntax {
            file: file.into(),
            line: why.span().start().line,
            why,
        })?;
        // A file without files below it stands in the folder of its parent.
        let has_folder = parent.is_none() || inside.is_dir();
        let folder = if has_folder { Some(inside) } else { file.parent() };
        let folder = folder.unwrap_or(inside).to_path_buf();
        self.module(parent, file, &folder, inside, &parsed.items)
    }

    fn module(
        &mut self,
        parent: Option<Id>,
        file: &Path,
        folder: &Path,
        inside: &Path,
        items: &[syn::Item],
    ) -> Result<Id, Error> {
        let id = self.modules.len();
        let names = Names::of(items);
        let mut made_by_macros = names.in_item_macros.clone();
        let from_elsewhere = names.macro_from_elsewhere;
        self.modules.push(Module {
            parent,
            children: BTreeMap::new(),
            file: file.into(),
            folder: folder.into(),
            names,
        });
        for item in items {
            if let syn::Item::Mod(child) = item {
                self.child(id, child, inside)?;
            }
        }
        // A macro may declare modules; a name said in one is a module's where there is a file for it. A list of another crate's
        // is not read: each file of the folder may be in it.
        if from_elsewhere {
            made_by_macros.extend(names_of_files(inside)?);
        }
        for name in made_by_macros {
            if let Some((path, folder)) = found(inside, &name)
                && !self.modules[id].children.contains_key(&name)
                && !self.for_tests.contains(&path)
                && !self.for_tests.contains(&folder)
            {
                let made = self.file(Some(id), &path, &folder)?;
                self.modules[id].children.insert(name, made);
            }
        }
        Ok(id)
    }

    fn child(&mut self, parent: Id, item: &ItemMod, inside: &Path) -> Result<(), Error> {
        let name = item.ident.unraw().to_string();
        if said::for_tests_alone(&item.attrs) {
            self.for_tests.insert(inside.join(&name));
            self.for_tests.insert(inside.join(format!("{name}.rs")));
            return Ok(());
        }
        let (file, folder) = (
            self.modules[parent].file.clone(),
            self.modules[parent].folder.clone(),
        );
        let id = match &item.content {
            Some((_, items)) => self.module(Some(parent), &file, &folder, &inside.join(&name), items)?,
            None => {
                let (path, below) = found(inside, &name).ok_or(Error::NoFile {
                    file,
                    module: name.clone(),
                })?;
                self.file(Some(parent), &path, &below)?
            }
        };
        self.modules[parent].children.insert(name, id);
        Ok(())
    }
}

/// The file of a module declared by name, and the folder of the files below it.
fn found(inside: &Path, name: &str) -> Option<(PathBuf, PathBuf)> {
    let below = inside.join(name);
    [inside.join(format!("{name}.rs")), below.join("mod.rs")]
        .into_iter()
        .find(|file| file.is_file())
        .map(|file| (file, below))
}

/// What the modules would be called whose files, or folders with a `mod.rs`, are all those of a folder.
fn names_of_files(folder: &Path) -> Result<Vec<String>, Error> {
    let fault = |why| Error::File {
        file: folder.into(),
        why,
    };
    let mut names = Vec::new();
    if !folder.is_dir() {
        return Ok(names);
    }
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_stem().and_then(|n| n.to_str()).filter(|n| *n != "mod");
        let is_one = path.extension().is_some_and(|e| e == "rs") || path.join("mod.rs").is_file();
        if let Some(name) = name.filter(|_| is_one) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Refuses a Rust file below `src` that no tree has read and that is not for tests alone; says how many files are read.
pub(crate) fn all_are_read(src: &Path, trees: &[Tree]) -> Result<usize, Error> {
    let read: BTreeSet<&Path> = trees
        .iter()
        .flat_map(|t| t.modules.iter().map(|m| m.file.as_path()))
        .collect();
    let for_tests = |path: &Path| trees.iter().any(|t| t.for_tests.contains(path));
    let mut folders = vec![src.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let fault = |why| Error::File {
            file: folder.clone(),
            why,
        };
        for entry in std::fs::read_dir(&folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            if for_tests(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !read.contains(path.as_path()) {
                return Err(Error::Unread(path));
            }
        }
    }
    Ok(read.len())
}
