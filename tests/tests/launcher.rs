//! The worker starts the build of itself that fits the processor, from the folder in which it lies, as in its image.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zkinfer_tests::local::{Ran, program, run};

/// A program that is being written cannot be started, also where it is written by another thread's child.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Says under which name, as which process and with what it was started.
const STAND_IN: &str = "#!/bin/sh
echo \"name ${0##*/}\"
echo \"process $$\"
echo \"variable $ZKINFER_PROBE\"
for word in \"$@\"; do echo \"word <$word>\"; done
exit 7
";

/// A folder that holds the worker's program, as an image does.
struct Image {
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Image {
    fn new() -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let built = program("prover-worker");
        let folder = tempfile::tempdir_in(built.parent().unwrap()).unwrap();
        fs::copy(built, folder.path().join("prover-worker")).unwrap();
        Self { folder, _turn: turn }
    }

    fn with(self, build: &str, text: &[u8], mode: u32) -> Self {
        let path = self.path(build);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        self
    }

    fn stand_in(self, build: &str) -> Self {
        self.with(build, STAND_IN.as_bytes(), 0o755)
    }

    fn path(&self, build: &str) -> PathBuf {
        self.folder.path().join(format!("prover-worker.{build}"))
    }

    fn start(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(self.folder.path().join("prover-worker"));
        run(command.args(words).env("ZKINFER_PROBE", "as given"))
    }
}

/// The builds that this processor runs, the best one first; not by the program's own means, but as the kernel says.
fn runs_here() -> Vec<&'static str> {
    let mut builds = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let has = |flags: &[&str]| flags.iter().all(|f| processor_flags().iter().any(|has| has == f));
        let v3 = has(&["avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"]);
        let v4 = has(&["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]);
        if v3 && v4 {
            builds.push("x86-64-v4");
        }
        if v3 {
            builds.push("x86-64-v3");
        }
    }
    builds
}

/// The processor's properties.
#[cfg(target_arch = "x86_64")]
fn processor_flags() -> Vec<String> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap();
    let flags = text.lines().find_map(|l| l.strip_prefix("flags")).unwrap();
    flags.split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn is_the_program_itself(ran: &Ran) {
    let baseline = format!("prover-worker {} (baseline)", env!("CARGO_PKG_VERSION"));
    assert_eq!((ran.code, ran.stdout.trim()), (0, baseline.as_str()), "{ran:?}");
}

#[test]
fn the_best_build_for_this_processor_takes_the_programs_place() {
    let mut here = runs_here();
    let image = Image::new().stand_in("x86-64-v3").stand_in("x86-64-v4");
    if here.is_empty() {
        let ran = image.start(&["--version"]);
        is_the_program_itself(&ran);
        assert_eq!(ran.stderr, "");
    }
    while let Some(build) = (!here.is_empty()).then(|| here.remove(0)) {
        let ran = image.start(&["work", "--name", "two words", ""]);
        let expected = format!(
            "name prover-worker.{build}\nprocess {}\nvariable as given\n\
             word <work>\nword <--name>\nword <two words>\nword <>\n",
            ran.pid
        );
        assert_eq!((ran.code, &ran.stdout, ran.stderr.as_str()), (7, &expected, ""));
        // Then the next best.
        fs::remove_file(image.path(build)).unwrap();
    }
}

#[test]
fn alone_or_beside_builds_of_other_names_it_runs_as_it_is() {
    for image in [
        Image::new,
        || Image::new().stand_in("x86-64-v2"),
        || Image::new().stand_in("aarch64"),
    ] {
        let ran = image().start(&["--version"]);
        is_the_program_itself(&ran);
        assert_eq!(ran.stderr, "");
    }
}

#[test]
fn where_the_build_beside_it_does_not_start_the_program_goes_on_and_says_so() {
    let Some(best) = runs_here().first().copied() else {
        return zkinfer_tests::tell("*** NOT RUN: this processor runs no build but the first");
    };
    for (what, text, mode) in [
        ("empty", &b""[..], 0o755),
        ("words", b"these are words\n", 0o755),
        ("the beginning of a program", b"\x7fELF\x02\x01\x01", 0o755),
        ("its interpreter is not there", b"#!/nowhere/sh\n", 0o755),
        ("not executable", STAND_IN.as_bytes(), 0o644),
    ] {
        let image = Image::new().with(best, text, mode);
        let ran = image.start(&["--version"]);
        is_the_program_itself(&ran);
        let path = image.path(best).display().to_string();
        assert!(
            ran.stderr.contains(&path) && ran.stderr.contains("does not start, going on without it"),
            "{what}: {}",
            ran.stderr
        );
    }
}
