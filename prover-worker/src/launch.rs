//! Starts the build of this program that fits the processor, where one lies beside it.
//!
//! Instruction sets are chosen when a program is compiled, and wide ones halve the time of a proof. So an image holds this
//! program in its baseline build, which runs everywhere, and beside it `prover-worker.x86-64-v4` and
//! `prover-worker.x86-64-v3`.
//!
//! Invariant: a build is started only on a processor that has all of its instructions, with the same arguments, environment
//! and process id; where there is none, or one that does not start, this program goes on as it is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The builds and whether this processor runs them, the best one first.
fn builds() -> [(&'static str, bool); 2] {
    #[cfg(target_arch = "x86_64")]
    {
        // x86-64-v2, and what v3 and v4 add to it.
        let v2 = is_x86_feature_detected!("cmpxchg16b")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("sse3")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("sse4.2");
        let v3 = v2
            && is_x86_feature_detected!("avx")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe");
        let v4 = v3
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        [("x86-64-v4", v4), ("x86-64-v3", v3)]
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        [("x86-64-v4", false), ("x86-64-v3", false)]
    }
}

/// The best build beside `program` among those that run here.
fn beside(program: &Path, builds: &[(&str, bool)]) -> Option<PathBuf> {
    let name = program.file_name()?;
    builds.iter().filter(|(_, runs)| *runs).find_map(|(build, _)| {
        let mut file = name.to_owned();
        file.push(OsStr::new("."));
        file.push(OsStr::new(build));
        let path = program.with_file_name(file);
        path.is_file().then_some(path)
    })
}

/// Becomes the best build for this processor. Returns where there is none, and where this is one.
pub(crate) fn launch() {
    if zkml::processor::instruction_set() != zkml::processor::BASELINE {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    if let Some(best) = beside(&program, &builds()) {
        become_program(&best);
    }
}

#[cfg(unix)]
fn become_program(best: &Path) {
    let error = execute(best);
    eprintln!("{} does not start, going on without it: {error}", best.display());
}

/// Returns only where `best` cannot be executed. Not `CommandExt::exec`: what the kernel refuses as no program, such as an
/// empty file, the C library's search for a program then gives to a shell, which does nothing and calls that a success.
#[cfg(unix)]
fn execute(best: &Path) -> std::io::Error {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt as _;

    let words = std::iter::once(best.as_os_str().to_owned()).chain(std::env::args_os().skip(1));
    let words: Result<Vec<CString>, _> = words.map(|word| CString::new(word.as_bytes())).collect();
    match words {
        Ok(words) => {
            let Err(error) = nix::unistd::execv(&words[0], &words);
            error.into()
        }
        Err(error) => error.into(),
    }
}

#[cfg(not(unix))]
fn become_program(_best: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_build_that_runs_here_and_is_there_is_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("prover-worker");
        let both = [("v4", true), ("v3", true)];
        assert_eq!(beside(&program, &both), None);
        let file = |build: &str| {
            let path = folder.path().join(format!("prover-worker.{build}"));
            std::fs::write(&path, "").unwrap();
            path
        };
        let v3 = file("v3");
        assert_eq!(beside(&program, &both), Some(v3.clone()));
        let v4 = file("v4");
        assert_eq!(beside(&program, &both), Some(v4));
        assert_eq!(beside(&program, &[("v4", false), ("v3", true)]), Some(v3));
        assert_eq!(beside(&program, &[("v4", false), ("v3", false)]), None);
    }
}
