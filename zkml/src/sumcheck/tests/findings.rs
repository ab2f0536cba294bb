//! What attacks on the design have found, and the tests that hold each of them: the page names them, and they exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const TITLE: &str = "## 8. ";

/// Every finding that the page has to have a row of: of what would break soundness, of costs, of what would be refused.
const FINDINGS: [&str; 25] = [
    "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "H1", "H2", "H3", "H4", "M1", "M2", "M3", "M4", "M5",
    "M6", "M7", "M8", "M9", "M10", "M11", "L1", "L2",
];

/// Finding by its number: what stands today, and which tests are named.
fn rows(page: &str) -> BTreeMap<String, (String, Vec<String>)> {
    let section = page.split(TITLE).nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let row = |line: &str| {
        let cells: Vec<&str> = line
            .strip_prefix('|')?
            .strip_suffix('|')?
            .split(" | ")
            .map(str::trim)
            .collect();
        let [number, _, today, tests] = cells[..] else {
            return None;
        };
        let names = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((number.to_owned(), (today.to_owned(), names)))
    };
    section.lines().filter_map(row).collect()
}

/// The names of all tests in the Rust files of a folder.
fn tests(folder: &Path, names: &mut BTreeSet<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            tests(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(str::trim);
            // Attributes and comments stand between.
            while lines.by_ref().any(|line| line == "#[test]") {
                let named = lines.by_ref().find_map(|line| line.strip_prefix("fn "));
                names.extend(named.and_then(|n| n.split('(').next()).map(str::to_owned));
            }
        }
    }
}

#[test]
fn each_finding_has_tests_that_exist_or_a_reason_why_it_is_not_built() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/relations.md")).unwrap();
    let rows = rows(&page);
    let mut names = BTreeSet::new();
    tests(&Path::new(ROOT).join("zkml"), &mut names);
    assert!(
        names.len() > 300
            && names.contains("each_finding_has_tests_that_exist_or_a_reason_why_it_is_not_built")
    );
    let numbers: BTreeSet<&str> = rows.keys().map(String::as_str).collect();
    assert!(FINDINGS.iter().all(|f| numbers.contains(f)), "{numbers:?}");
    for (number, (today, tests)) in &rows {
        if ["#", "---"].contains(&number.as_str()) {
            continue;
        }
        assert!(FINDINGS.contains(&number.as_str()), "{number} is no finding");
        let reason = today.starts_with("not built, because ") || today.starts_with("no soundness: ");
        assert!(
            reason || !tests.is_empty(),
            "{number} has neither a test nor a reason"
        );
        for test in tests {
            assert!(names.contains(test), "{number} names `{test}`, which is no test");
        }
    }
}
