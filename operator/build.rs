//! Embeds the web app that `scripts/build-web.sh` has built into `web/dist`. Invariant: the operator builds without it, and its
//! page then says so; with `ZKINFER_REQUIRE_WEB=1`, as for images, it does not.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../web/dist");
    println!("cargo::rerun-if-env-changed=ZKINFER_REQUIRE_WEB");
    // The folder is in the repository, empty: what is not there would be looked for at every build.
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    if root.is_dir() {
        collect(&root, &root, &mut files)?;
    }
    files.sort();
    let there = files.iter().any(|(name, _)| name == "index.html");
    if !there {
        files.clear();
        if env::var("ZKINFER_REQUIRE_WEB").is_ok_and(|v| v == "1") {
            return Err(
                "web/dist has no app: run scripts/build-web.sh (it needs Node 20 or later and npm)".into(),
            );
        }
    }
    let mut code = String::from("pub(super) static FILES: &[(&str, &[u8])] = &[\n");
    for (name, path) in &files {
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    code.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("web_files.rs"), code)?;
    Ok(())
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        if !name.starts_with('.') {
            files.push((name, path.canonicalize()?));
        }
    }
    Ok(())
}
