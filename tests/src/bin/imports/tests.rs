//! Small crates, and the rings in them.

use tempfile::TempDir;

use super::tree::{self, Tree};
use super::{length, resolve, rings};

/// A crate of these files: its rings of folders, and its rings of files.
fn rings_of(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let (folder, tree) = read(files);
    let edges = resolve::edges(&tree);
    (
        rings::of_folders(&edges, folder.path()),
        rings::of_files(&edges, folder.path()),
    )
}

fn read(files: &[(&str, &str)]) -> (TempDir, Tree) {
    let folder = written(files);
    let tree = Tree::read(&folder.path().join("lib.rs"), "house").unwrap();
    (folder, tree)
}

fn written(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// Two folders, `kitchen` with this in `stove.rs`, and `cellar`, whose `wine.rs` uses the kitchen; whether that is a ring.
fn is_ring(lib: &str, stove: &str) -> bool {
    let (folders, files) = rings_of(&[
        ("lib.rs", &format!("mod kitchen; mod cellar; {lib}")),
        ("kitchen/mod.rs", "mod stove; pub use stove::Stove;"),
        ("kitchen/stove.rs", &format!("{stove}\npub struct Stove;")),
        (
            "cellar/mod.rs",
            "mod wine; pub use self::wine::{Wine, Drink}; pub use wine as bottles;",
        ),
        (
            "cellar/wine.rs",
            "use crate::kitchen::Stove; pub struct Wine(Stove); pub trait Drink {} pub fn pour() {}",
        ),
    ]);
    assert_eq!(folders.len(), files.len(), "{folders:?} {files:?}");
    !folders.is_empty()
}

#[test]
fn passes_a_straight_tree() {
    assert!(!is_ring("", ""));
    assert!(!is_ring("pub use cellar::Wine; pub use kitchen::Stove;", ""));
    assert!(!is_ring(
        "",
        "use std::fmt; struct Wine; fn f(_: &Wine) -> fmt::Result { Ok(()) }"
    ));
}

#[test]
fn another_crates_names_are_nobodys() {
    let lib = "fn cook(_: &kitchen::Stove) {}";
    assert!(!is_ring(
        lib,
        "use std::fmt; fn f(_: &dyn fmt::Debug) -> std::io::Result<()> { tokio::join!() }"
    ));
    assert!(is_ring(lib, "fn f() { crate::cook(&Stove) }"));
}

#[test]
fn re_exporting_what_stands_inside_is_no_use_of_it() {
    let files = |kitchen: &str| {
        rings_of(&[
            ("lib.rs", "mod kitchen;"),
            ("kitchen/mod.rs", kitchen),
            (
                "kitchen/oven/mod.rs",
                "mod door; pub use door::Door; pub struct Oven(super::Heat); pub trait Bake {}",
            ),
            ("kitchen/oven/door.rs", "pub struct Door;"),
        ])
    };
    let straight = (vec![], vec![]);
    assert_eq!(
        files("mod oven; pub use oven::{Door, Oven}; pub use oven::*; pub struct Heat;"),
        straight
    );
    for used in [
        "pub use oven::Oven; fn f(_: Oven) {}",
        "use oven::Oven;",
        "use oven::Oven as _;",
        "use oven::*;",
    ] {
        let (folders, _) = files(&format!("mod oven; pub struct Heat; {used}"));
        assert_eq!(folders.len(), 1, "{used}");
    }
}

#[test]
fn finds_a_ring_behind_a_re_export() {
    assert!(is_ring("", "use crate::cellar::Wine;"));
    assert!(is_ring("", "pub use crate::cellar::Wine;"));
    assert!(is_ring("pub use cellar::Wine as Drop;", "use crate::Drop;"));
    assert!(is_ring(
        "pub use cellar as below;",
        "use super::super::below::{Wine as W};"
    ));
    assert!(is_ring(
        "mod names { pub use crate::cellar::*; }",
        "use crate::names::Wine;"
    ));
}

#[test]
fn a_re_export_is_looked_through_to_the_file_that_defines() {
    // Whoever names the wine by way of the kitchen uses the cellar alone.
    let files = [
        ("lib.rs", "mod kitchen; mod cellar; mod guest;"),
        ("guest/mod.rs", "pub struct Guest(crate::kitchen::Wine);"),
        (
            "kitchen/mod.rs",
            "pub use crate::cellar::Wine; pub fn serve(_: &crate::guest::Guest) {}",
        ),
        ("cellar/mod.rs", "pub struct Wine;"),
    ];
    assert_eq!(rings_of(&files), (vec![], vec![]));
}

#[test]
fn finds_paths_in_code() {
    for stove in [
        "fn f() { crate::cellar::bottles::pour() }",
        "fn f() { house::cellar::bottles::pour() }",
        "use super::super::cellar; fn f(_: &cellar::Wine) {}",
        "use crate::{cellar::{self as below}}; fn f(_: Vec<Option<below::Wine>>) {}",
        "fn f() { use crate::cellar::bottles::pour as p; p() }",
        "fn f() { println!(\"{:?}\", crate::cellar::bottles::pour()) }",
        "#[serde(with = \"crate::cellar::bottles\")] struct S; #[serde(default = \"crate::cellar::bottles::pour\")] struct T;",
        "mod inner { fn f(_: &crate::cellar::Wine) {} }",
        "impl crate::cellar::Drink for Stove {}",
        "macro_rules! m { () => { $crate::cellar::bottles::pour() } }",
    ] {
        assert!(is_ring("", stove), "{stove}");
    }
}

#[test]
fn a_glob_counts_for_what_is_said_of_it_and_for_traits() {
    assert!(is_ring("", "use crate::cellar::*; fn f(_: &Wine) {}"));
    assert!(
        is_ring("", "use crate::cellar::*;"),
        "a trait's methods may be used anywhere"
    );
    assert!(is_ring("pub use cellar::*;", "use crate::*; struct S(Wine);"));
    let files = |stove| {
        rings_of(&[
            ("lib.rs", "mod kitchen; mod cellar;"),
            ("kitchen/mod.rs", stove),
            (
                "cellar/mod.rs",
                "use crate::kitchen::Stove; pub struct Wine(Stove); struct Rat;",
            ),
        ])
    };
    let (folders, _) = files("use crate::cellar::*; pub struct Stove; fn f(_: &Wine) {}");
    assert_eq!(folders.len(), 1);
    let straight = (vec![], vec![]);
    assert_eq!(
        files("use crate::cellar::*; pub struct Stove; fn f(_: &Stove) {}"),
        straight
    );
    assert_eq!(
        files("use crate::cellar::*; pub struct Stove; fn f(_: &Rat) {}"),
        straight
    );
}

#[test]
fn leaves_out_what_is_compiled_for_tests_alone() {
    for stove in [
        "#[cfg(test)] use crate::cellar::Wine;",
        "#[cfg(test)] mod tests { use crate::cellar::Wine; }",
        "#[cfg(all(test, unix))] fn f(_: &crate::cellar::Wine) {}",
        "#[test] fn f() { crate::cellar::bottles::pour() }",
        "impl Stove { #[cfg(test)] fn f(_: &crate::cellar::Wine) {} }",
    ] {
        assert!(!is_ring("", stove), "{stove}");
    }
    assert!(is_ring("", "#[cfg(not(test))] use crate::cellar::Wine;"));
    assert!(is_ring("", "#[cfg(any(test, unix))] use crate::cellar::Wine;"));
}

#[test]
fn a_ring_of_files_in_one_folder_is_none_of_folders() {
    let (folders, files) = rings_of(&[
        ("lib.rs", "mod kitchen;"),
        ("kitchen/mod.rs", "mod oven; mod stove;"),
        (
            "kitchen/oven.rs",
            "pub struct Oven; fn f(_: super::stove::Stove) {}",
        ),
        (
            "kitchen/stove.rs",
            "use super::oven::Oven; pub struct Stove(Oven);",
        ),
    ]);
    assert_eq!((folders.len(), files.len()), (0, 1));
}

#[test]
fn a_folder_counts_as_one_with_all_that_is_in_it() {
    // No file reaches itself, yet neither folder can be read before the other.
    let (folders, files) = rings_of(&[
        ("lib.rs", "mod kitchen; mod cellar;"),
        ("kitchen/mod.rs", "pub mod oven; pub mod stove;"),
        ("kitchen/oven/mod.rs", "mod door; pub struct Oven;"),
        ("kitchen/oven/door.rs", "use crate::cellar::Key;"),
        ("kitchen/stove.rs", "pub struct Stove;"),
        ("cellar.rs", "mod lamp; pub struct Key;"),
        ("cellar/lamp.rs", "use crate::kitchen::stove::Stove;"),
    ]);
    assert_eq!((folders.len(), files.len()), (1, 0), "{folders:?}");
}

#[test]
fn finds_a_ring_of_a_folder_and_a_file_beside_it() {
    let (folders, _) = rings_of(&[
        ("lib.rs", "mod kitchen; mod cellar;"),
        (
            "kitchen/mod.rs",
            "use crate::cellar::Wine; pub struct Stove(Wine);",
        ),
        ("cellar.rs", "pub struct Wine; fn f(_: &crate::kitchen::Stove) {}"),
    ]);
    assert_eq!(folders.len(), 1);
}

#[test]
fn names_the_lines_of_a_ring() {
    let (folders, _) = rings_of(&[
        ("lib.rs", "mod kitchen; mod cellar; pub use cellar::Wine;"),
        (
            "kitchen/mod.rs",
            "//! Warm.\n\nuse crate::Wine;\n\npub struct Stove;",
        ),
        ("cellar/mod.rs", "mod wine;\npub use wine::Wine;"),
        (
            "cellar/wine.rs",
            "pub struct Wine;\n\nimpl Wine {\n    fn warm(_: crate::kitchen::Stove) {}\n}",
        ),
    ]);
    let text = "a ring of 2:
  cellar uses kitchen:
    cellar/wine.rs:4: crate::kitchen::Stove, which is of kitchen/mod.rs
  kitchen uses cellar:
    kitchen/mod.rs:3: crate::Wine, which is of cellar/wine.rs";
    assert_eq!(folders, [text]);
}

#[test]
fn takes_what_no_item_is_for_a_macros() {
    let (folders, _) = rings_of(&[
        ("lib.rs", "mod kitchen; mod cellar;"),
        ("kitchen/mod.rs", "use crate::cellar::Wine; pub struct Stove;"),
        ("cellar/mod.rs", "drinks! { Wine of crate::kitchen::Stove }"),
    ]);
    assert_eq!(folders.len(), 1);
}

#[test]
fn reads_the_modules_that_a_macro_declares() {
    let files = [
        ("lib.rs", "mod kitchen; mod cellar;"),
        ("kitchen/mod.rs", "rooms! { stove }"),
        ("kitchen/stove.rs", "use crate::cellar::Wine; pub struct Stove;"),
        ("cellar/mod.rs", "pub struct Wine(crate::kitchen::stove::Stove);"),
    ];
    assert_eq!(rings_of(&files).0.len(), 1);
}

#[test]
fn reads_the_folders_that_another_crates_list_declares_and_not_those_of_tests() {
    let kitchen = "house::rooms!(declare); #[cfg(test)] mod tests;";
    let used = |file| {
        rings_of(&[
            ("lib.rs", "mod kitchen; mod cellar;"),
            ("kitchen/mod.rs", kitchen),
            ("kitchen/stove/mod.rs", "pub struct Stove;"),
            ("kitchen/tests/mod.rs", ""),
            (file, "use crate::cellar::Wine; pub struct Stove;"),
            ("cellar/mod.rs", "pub struct Wine(crate::kitchen::stove::Stove);"),
        ])
    };
    assert_eq!(used("kitchen/stove/mod.rs").0.len(), 1);
    assert_eq!(used("kitchen/tests/mod.rs").0.len(), 0);
}

#[test]
fn reads_the_modules_that_another_crates_list_declares() {
    let files = |kitchen| {
        [
            ("lib.rs", "mod kitchen; mod cellar;"),
            ("kitchen/mod.rs", kitchen),
            ("kitchen/stove.rs", "use crate::cellar::Wine; pub struct Stove;"),
            ("kitchen/tests.rs", ""),
            ("cellar/mod.rs", "pub struct Wine(crate::kitchen::stove::Stove);"),
        ]
    };
    let of = files("house::rooms!(declare); #[cfg(test)] mod tests;");
    assert_eq!(rings_of(&of).0.len(), 1);
    for (kitchen, read_all) in [
        ("house::rooms!(declare); #[cfg(test)] mod tests;", true),
        ("rooms!(declare); #[cfg(test)] mod tests;", false),
    ] {
        let (folder, tree) = read(&files(kitchen));
        let all = tree::all_are_read(folder.path(), &[tree]);
        assert_eq!(all.is_ok(), read_all, "{kitchen}");
    }
}

#[test]
fn refuses_a_file_that_no_module_declares() {
    let files = |lib| [("lib.rs", lib), ("kitchen/mod.rs", ""), ("kitchen/tests.rs", "")];
    for (lib, kitchen, read_all) in [
        ("mod kitchen;", "#[cfg(test)] mod tests;", true),
        ("#[cfg(test)] mod kitchen;", "", true),
        ("mod kitchen;", "", false),
        ("", "", false),
    ] {
        let mut files = files(lib);
        files[1].1 = kitchen;
        let (folder, tree) = read(&files);
        let all = tree::all_are_read(folder.path(), &[tree]);
        assert_eq!(all.is_ok(), read_all, "{lib} {kitchen}");
    }
}

#[test]
fn refuses_what_is_not_rust_by_file_and_line() {
    let folder = written(&[("lib.rs", "mod kitchen;"), ("kitchen.rs", "fn f() {}\nfn {")]);
    let why = Tree::read(&folder.path().join("lib.rs"), "house").unwrap_err();
    assert!(why.to_string().contains("kitchen.rs:2: "), "{why}");
    let folder = written(&[("lib.rs", "mod kitchen;")]);
    let why = Tree::read(&folder.path().join("lib.rs"), "house").unwrap_err();
    assert!(why.to_string().contains("kitchen is not found"), "{why}");
}

#[test]
fn imports_of_each_other_end() {
    let files = [
        ("lib.rs", "mod kitchen; mod cellar;"),
        (
            "kitchen/mod.rs",
            "pub use crate::cellar::{Wine, Nothing}; pub use crate::cellar::*;",
        ),
        (
            "cellar/mod.rs",
            "pub use crate::kitchen::{Wine, Nothing}; pub use crate::kitchen::*; struct S(Lost);",
        ),
    ];
    let _ = rings_of(&files);
}

#[test]
fn refuses_a_file_of_more_than_five_hundred_lines() {
    assert_eq!(length::fault("a.rs", &"\n".repeat(500)), None);
    let fault = length::fault("a.rs", &"\n".repeat(501));
    assert_eq!(fault.as_deref(), Some("a.rs has 501 lines; the most is 500"));
}
