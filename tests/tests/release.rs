//! What a release is made of: provenance that names commit and digests, commands that sign by digest, and clear words where
//! something is missing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use zkinfer_crds::Digest;
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::local::{Ran, repository, run};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const IMAGES: [&str; 2] = ["operator", "prover-worker"];

/// What `scripts/images.sh` leaves, with other bytes for images.
fn images(folder: &Path, change: &Value) {
    for name in IMAGES {
        let digest = Digest::of(name.as_bytes());
        std::fs::write(folder.join(format!("{name}.tar")), name).unwrap();
        std::fs::write(folder.join(format!("{name}.cdx.json")), "{}\n").unwrap();
        std::fs::write(folder.join(format!("{name}.digest")), digest.to_string()).unwrap();
    }
    let mut build = json!({
        "commit": COMMIT, "repository": "https://zkinfer.dev", "dirty": false, "target": "x86_64-unknown-linux-gnu",
        "profile": "dist", "builds": ["x86-64-v3"], "reproducible": true, "rustc": "rustc 1.95.0",
        "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T01:00:00Z", "builder": "https://zkinfer.dev/builders/by-hand",
    });
    for (key, value) in change.as_object().unwrap() {
        build[key] = value.clone();
    }
    std::fs::write(folder.join("build.json"), build.to_string()).unwrap();
}

fn script(name: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new(repository().join("scripts").join(name));
    run(command.args(arguments).current_dir(repository()))
}

#[test]
fn a_statement_of_provenance_names_the_image_by_digest_and_the_sources_by_commit() {
    let folder = tempfile::tempdir().unwrap();
    images(folder.path(), &json!({}));
    let path = folder.path().display().to_string();
    for name in IMAGES {
        let ran = script(
            "provenance.py",
            &[&path, name, "--registry", "registry.example/z"],
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let said: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(said["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(said["predicateType"], "https://slsa.dev/provenance/v1");
        let hex = Digest::of(name.as_bytes()).to_string();
        let hex = hex.strip_prefix("sha256:").unwrap();
        assert_eq!(
            said["subject"],
            json!([{ "name": format!("registry.example/z/{name}"), "digest": { "sha256": hex } }])
        );
        let definition = &said["predicate"]["buildDefinition"];
        assert_eq!(
            definition["resolvedDependencies"][0]["digest"],
            json!({ "gitCommit": COMMIT })
        );
        assert_eq!(definition["internalParameters"]["reproducible"], true);
        let details = &said["predicate"]["runDetails"];
        assert_eq!(details["metadata"]["startedOn"], "2026-01-01T00:00:00Z");
        // Beside the image: its archive, whose bytes are its name here, and its bill of materials.
        let byproducts = details["byproducts"].as_array().unwrap();
        let of = |file: String| {
            let found = byproducts.iter().find(|b| b["name"] == file.as_str());
            found.unwrap_or_else(|| panic!("{file}: {byproducts:?}"))["digest"]["sha256"].clone()
        };
        assert_eq!(of(format!("{name}.tar")), hex);
        of(format!("{name}.cdx.json"));
    }
}

#[test]
fn what_is_in_no_commit_has_no_provenance() {
    for (change, words) in [
        (json!({ "dirty": true }), "what was built is in no commit"),
        (json!({ "commit": "none" }), "`none` is no commit"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        images(folder.path(), &change);
        let ran = script(
            "provenance.py",
            &[&folder.path().display().to_string(), "operator"],
        );
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let empty = tempfile::tempdir().unwrap();
    let ran = script(
        "provenance.py",
        &[&empty.path().display().to_string(), "operator"],
    );
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("build.json: No such file"), "{}", ran.stderr);
}

/// The version that the charts have.
fn version() -> String {
    let chart = std::fs::read_to_string(repository().join("charts/zkinfer/Chart.yaml")).unwrap();
    let line = chart.lines().find_map(|line| line.strip_prefix("version: "));
    line.unwrap().to_owned()
}

#[test]
fn a_release_has_checksums_and_commands_that_sign_what_was_built_by_its_digest() {
    if !can_run() {
        return;
    }
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    images(from.path(), &json!({}));
    let (from, out) = (from.path().display().to_string(), to.path().display().to_string());
    let version = version();
    let ran = script(
        "release.sh",
        &[&version, "registry.example/z", "--images", &from, "--out", &out],
    );
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let mut sums = Command::new("sha256sum");
    let checked = run(sums
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(to.path()));
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    for name in ["operator.provenance.json", "prover-worker.cdx.json", "build.json"] {
        assert!(
            checked.stdout.contains(&format!("{name}: OK")),
            "{}",
            checked.stdout
        );
    }
    for chart in ["zkinfer", "zkinfer-miner"] {
        assert!(
            to.path().join(format!("{chart}-{version}.tgz")).is_file(),
            "{chart}"
        );
    }
    let commands = std::fs::read_to_string(to.path().join("publish.sh")).unwrap();
    let mut syntax = Command::new("bash");
    assert_eq!(
        run(syntax.arg("-n").arg(to.path().join("publish.sh"))).code,
        0,
        "{commands}"
    );
    for name in IMAGES {
        let digest = Digest::of(name.as_bytes());
        for line in [
            format!(
                "skopeo copy --preserve-digests oci-archive:{name}.tar docker://registry.example/z/{name}:{version}"
            ),
            format!("cosign sign \"${{key[@]}}\" registry.example/z/{name}@{digest}"),
            format!(
                "cosign attest \"${{key[@]}}\" --type slsaprovenance1 --predicate {name}.predicate.json registry.example/z/{name}@{digest}"
            ),
        ] {
            assert!(commands.lines().any(|l| l == line), "{line}\n{commands}");
        }
        // What cosign takes is the statement's predicate.
        let read = |end: &str| -> Value {
            let text = std::fs::read_to_string(to.path().join(format!("{name}.{end}.json"))).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(read("provenance")["predicate"], read("predicate"));
    }
}

/// An archive with one image for a processor, as buildah writes it; the image's digest.
fn archive(path: &Path, architecture: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let blob = |bytes: &[u8]| -> Value {
        let digest = Digest::of(bytes);
        let name = digest.to_string();
        std::fs::write(blobs.join(name.strip_prefix("sha256:").unwrap()), bytes).unwrap();
        json!({ "digest": name, "size": bytes.len() })
    };
    let config = blob(
        json!({ "architecture": architecture, "os": "linux" })
            .to_string()
            .as_bytes(),
    );
    let layer = blob(format!("a program for {architecture}").as_bytes());
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let mut of = blob(manifest.to_string().as_bytes());
    of["mediaType"] = "application/vnd.oci.image.manifest.v1+json".into();
    let index = json!({ "schemaVersion": 2, "manifests": [of] });
    std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    std::fs::write(
        folder.path().join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let mut tar = Command::new("tar");
    let ran = run(tar.arg("-cf").arg(path).arg("-C").arg(folder.path()).arg("."));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    of["digest"].as_str().unwrap().to_owned()
}

/// What is in a file of an archive.
fn member(archive: &Path, name: &str) -> Vec<u8> {
    let mut tar = Command::new("tar");
    let ran = tar.arg("-xOf").arg(archive).arg(name).output().unwrap();
    assert!(ran.status.success(), "{name}");
    ran.stdout
}

/// [`images`] whose archives are such, and their digests by name.
fn images_for(folder: &Path, architecture: &str, change: &Value) -> Vec<String> {
    images(folder, change);
    IMAGES
        .iter()
        .map(|name| {
            let digest = archive(&folder.join(format!("{name}.tar")), architecture);
            std::fs::write(folder.join(format!("{name}.digest")), &digest).unwrap();
            digest
        })
        .collect()
}

#[test]
fn a_release_for_two_processors_has_an_index_of_the_images_that_it_signs() {
    if !can_run() {
        return;
    }
    let [x86, arm, to] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let arm_target = json!({ "target": "aarch64-unknown-linux-gnu", "builds": [] });
    let digests = [
        images_for(x86.path(), "amd64", &json!({})),
        images_for(arm.path(), "arm64", &arm_target),
    ];
    let path = |folder: &tempfile::TempDir| folder.path().display().to_string();
    let (version, out) = (version(), path(&to));
    let with = |arm64: &str| {
        let line = [
            &version,
            "registry.example/z",
            "--images",
            &path(&x86),
            "--out",
            &out,
            "--arm64",
            arm64,
        ];
        script("release.sh", &line)
    };
    let ran = with(&path(&arm));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let commands = std::fs::read_to_string(to.path().join("publish.sh")).unwrap();
    let sums = std::fs::read_to_string(to.path().join("SHA256SUMS")).unwrap();
    for (at, name) in IMAGES.iter().enumerate() {
        let file = |end: &str| to.path().join(format!("{name}.index.{end}"));
        let digest = std::fs::read_to_string(file("digest")).unwrap().trim().to_owned();
        let hex = digest.strip_prefix("sha256:").unwrap();
        let bytes = member(&file("tar"), &format!("blobs/sha256/{hex}"));
        assert_eq!(Digest::of(&bytes).to_string(), digest);
        let index: Value = serde_json::from_slice(&bytes).unwrap();
        let named: Vec<(&str, &str)> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|image| (&image["platform"]["architecture"], &image["digest"]))
            .map(|(architecture, digest)| (architecture.as_str().unwrap(), digest.as_str().unwrap()))
            .collect();
        assert_eq!(named, [("amd64", &*digests[0][at]), ("arm64", &*digests[1][at])]);
        // Both images are in it whole.
        for (_, digest) in named {
            let blob = |digest: &str| {
                member(
                    &file("tar"),
                    &format!("blobs/sha256/{}", &digest["sha256:".len()..]),
                )
            };
            let manifest: Value = serde_json::from_slice(&blob(digest)).unwrap();
            for part in [&manifest["config"], &manifest["layers"][0]] {
                let digest = part["digest"].as_str().unwrap();
                assert_eq!(Digest::of(&blob(digest)).to_string(), digest);
            }
        }
        let image = format!("registry.example/z/{name}");
        for line in [
            format!(
                "skopeo copy --all --preserve-digests oci-archive:{name}.index.tar docker://{image}:{version}"
            ),
            format!("cosign sign \"${{key[@]}}\" {image}@{digest}"),
            format!("cosign sign \"${{key[@]}}\" {image}@{}", digests[1][at]),
            format!(
                "cosign attest \"${{key[@]}}\" --type slsaprovenance1 --predicate arm64/{name}.predicate.json {image}@{}",
                digests[1][at]
            ),
        ] {
            assert!(commands.lines().any(|l| l == line), "{line}\n{commands}");
        }
        for file in [
            format!("arm64/{name}.provenance.json"),
            format!("{name}.index.tar"),
        ] {
            assert!(sums.contains(&format!("  {file}\n")), "{file}: {sums}");
        }
    }
    // What is signed is what is pushed.
    let digest = x86.path().join("operator.digest");
    std::fs::write(&digest, &digests[1][0]).unwrap();
    let ran = with(&path(&arm));
    assert!(
        ran.code != 0 && ran.stderr.contains("is not what"),
        "{}",
        ran.stderr
    );
    std::fs::write(&digest, &digests[0][0]).unwrap();
    // Two of the same processor, or of different sources, are no such release.
    let ran = with(&path(&x86));
    assert!(
        ran.code == 2 && ran.stderr.contains("has images for x86_64"),
        "{}",
        ran.stderr
    );
    let other = json!({ "target": "aarch64-unknown-linux-gnu", "commit": "f".repeat(40) });
    images_for(arm.path(), "arm64", &other);
    let ran = with(&path(&arm));
    assert!(
        ran.code == 2 && ran.stderr.contains("differ in commit"),
        "{}",
        ran.stderr
    );
    images_for(arm.path(), "amd64", &arm_target);
    let ran = with(&path(&arm));
    assert!(
        ran.code != 0 && ran.stderr.contains("two images are for linux/amd64"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_release_of_another_version_or_to_no_registry_is_refused_before_anything_is_made() {
    for (arguments, words) in [
        (["one", "registry.example/z"], "`one` is no version"),
        (["99.0.0", "registry.example/z"], "says version"),
        ([&*version(), "https://registry.example/z"], "is no registry"),
    ] {
        let ran = script("release.sh", &arguments);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

/// Whether it can be built here or not: what is no target is refused, and what is lacking for one is named with its package.
#[test]
fn images_for_another_processor_name_what_this_machine_lacks() {
    let ran = script("images.sh", &["--target", "riscv64gc-unknown-linux-gnu"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("is no target"), "{}", ran.stderr);
    let mut command = Command::new(repository().join("scripts/images.sh"));
    command.args(["--target", "aarch64-unknown-linux-gnu"]);
    // Without the linkers that a machine may have.
    let empty = tempfile::tempdir().unwrap();
    for name in ["bash", "dirname", "uname", "rustc", "cargo", "cc", "id"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        if let Some(found) = found {
            std::os::unix::fs::symlink(found, empty.path().join(name)).unwrap();
        }
    }
    if std::env::consts::ARCH != "aarch64" {
        let ran = run(command.env("PATH", empty.path()).current_dir(repository()));
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(
            ran.stderr
                .contains("this machine lacks: aarch64-linux-gnu-gcc (Debian: gcc-aarch64-linux-gnu"),
            "{}",
            ran.stderr
        );
    }
}

/// A clone of the advisory database that says something of one crate.
fn advisories(patched: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let crates = folder.path().join("crates/serde");
    std::fs::create_dir_all(&crates).unwrap();
    let text = format!(
        "```toml\n[advisory]\nid = \"RUSTSEC-2026-9999\"\npackage = \"serde\"\ndate = \"2026-01-01\"\n\n[versions]\n\
         patched = [\">= {patched}\"]\n```\n\n# A weakness\n\nOf a test.\n"
    );
    std::fs::write(crates.join("RUSTSEC-2026-9999.md"), text).unwrap();
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "commit",
            "--quiet",
            "-m",
            "x",
        ],
    ] {
        let mut git = Command::new("git");
        assert_eq!(run(git.args(arguments).current_dir(folder.path())).code, 0);
    }
    folder
}

#[test]
fn a_known_weakness_fails_the_check_by_its_number_and_none_passes() {
    let has = Command::new("cargo").args(["deny", "--version"]).output();
    if !has.is_ok_and(|ran| ran.status.success()) {
        println!("NOT RUN: this machine lacks cargo-deny, which ./check installs");
        return;
    }
    let check = |folder: &Path| {
        let mut command = Command::new(repository().join("check"));
        run(command.arg("--advisories").arg(folder).current_dir(repository()))
    };
    let patched = check(advisories("0.1.0").path());
    assert_eq!(patched.code, 0, "{}{}", patched.stdout, patched.stderr);
    assert!(
        patched.stdout.contains("advisories: none, by "),
        "{}",
        patched.stdout
    );
    let weak = check(advisories("99.0.0").path());
    assert_ne!(weak.code, 0);
    assert!(weak.stderr.contains("RUSTSEC-2026-9999"), "{}", weak.stderr);
    let nowhere = check(tempfile::tempdir().unwrap().path());
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.stderr.contains("is no clone of"), "{}", nowhere.stderr);
}
