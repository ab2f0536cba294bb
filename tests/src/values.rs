//! The table of a chart's values, made of `values.yaml` and its comments.
//!
//! Invariant: a value that can be set is in the table, under the name by which `--set` knows it. It reads the small part of
//! YAML that our files of values are written in, and refuses by line whatever else it meets.

use std::fmt::Write as _;

/// Where the table stands in a README.
const BEGIN: &str =
    "<!-- values: made of values.yaml; ZKINFER_UPDATE=1 cargo test -p zkinfer-tests --test charts -->";
const END: &str = "<!-- end of the values -->";

/// A value, or a group of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// As `--set` takes it.
    pub name: String,
    /// As it is written; none for a group.
    pub default: Option<String>,
    /// Its comment.
    pub is: String,
}

/// The rows, in the file's order. A group is a row where it has a comment.
///
/// # Errors
/// A line that is neither blank, comment nor `key:` with a value on the same line.
pub fn rows(yaml: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    // The keys that lead to the line, and the comment that has been read for the next key.
    let mut path: Vec<String> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for (number, line) in yaml.lines().enumerate() {
        let words = line.trim();
        if words.is_empty() {
            comment.clear();
            continue;
        }
        if let Some(said) = words.strip_prefix('#') {
            comment.push(said.trim());
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let (key, value) = words
            .split_once(':')
            .filter(|(key, value)| {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
                !key.is_empty() && key.chars().all(plain) && (value.is_empty() || value.starts_with(' '))
            })
            .ok_or_else(|| format!("line {}: not `key: value`: {line}", number + 1))?;
        let depth = indent / 2;
        if indent % 2 == 1 || depth > path.len() {
            return Err(format!("line {}: indented otherwise: {line}", number + 1));
        }
        path.truncate(depth);
        path.push(key.replace('.', "\\."));
        let row = Row {
            name: path.join("."),
            default: Some(value.trim().to_owned()).filter(|value| !value.is_empty()),
            is: std::mem::take(&mut comment).join(" "),
        };
        if row.default.is_some() || !row.is.is_empty() {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The rows as a table.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut text = "| value | default | is |\n|---|---|---|\n".to_owned();
    for row in rows {
        let default = row
            .default
            .as_ref()
            .map_or_else(String::new, |d| format!("`{}`", cell(d)));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{}` | {default} | {} |", cell(&row.name), cell(&row.is));
    }
    text
}

/// The README with this table in the place of the one that it has.
///
/// # Errors
/// A README without the marks between which the table stands.
pub fn readme(old: &str, table: &str) -> Result<String, String> {
    let marks = || format!("no `{BEGIN}` with `{END}` after it");
    let (head, rest) = old.split_once(BEGIN).ok_or_else(marks)?;
    let (_, tail) = rest.split_once(END).ok_or_else(marks)?;
    Ok(format!("{head}{BEGIN}\n{table}{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, default: Option<&str>, is: &str) -> Row {
        Row {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            is: is.to_owned(),
        }
    }

    #[test]
    fn a_comment_belongs_to_the_key_that_follows_it_and_to_no_other() {
        let yaml = "# Of the file.\n\n# Two\n# lines.\na: 1\nb:\n  # Inner.\n  c.d/e: \"x|y\"\n  f:\n    g: []\nh: {}\n";
        let expected = [
            row("a", Some("1"), "Two lines."),
            row("b.c\\.d/e", Some("\"x|y\""), "Inner."),
            row("b.f.g", Some("[]"), ""),
            row("h", Some("{}"), ""),
        ];
        assert_eq!(rows(yaml).unwrap(), expected);
        let text = table(&expected);
        assert!(
            text.contains("| `b.c\\.d/e` | `\"x\\|y\"` | Inner. |\n"),
            "{text}"
        );
    }

    #[test]
    fn what_it_cannot_read_is_refused_by_line() {
        for (yaml, words) in [
            ("a: 1\n- b\n", "line 2"),
            ("a:\n    b: 1\n", "line 2: indented"),
            ("a:1\n", "line 1"),
        ] {
            let error = rows(yaml).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let old = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = readme(&old, "new\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(readme(&new, "new\n").unwrap(), new);
        readme("nothing", "").unwrap_err();
        readme(&format!("{END}{BEGIN}"), "").unwrap_err();
    }
}
