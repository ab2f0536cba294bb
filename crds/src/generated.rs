//! Parts of files that are made of the code, between two marks; the rest of such a file is written by hand.
//!
//! A part begins after a line with `generated: NAME` in a comment, and ends before one with `end of what is generated`.
//! `scripts/recipe.sh` knows by the same marks what somebody had to write.
//!
//! Invariant: nothing outside the marks is touched, and a mark that nobody fills is an error, not an old text that stays.

/// What a part begins after, in a comment of YAML or of Markdown, with its name behind it.
const BEGINS: [&str; 2] = ["# generated: ", "<!-- generated: "];
/// What it ends before.
const ENDS: [&str; 2] = ["# end of what is generated", "<!-- end of what is generated"];

/// Why a file cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// A part of which nobody knows what it holds.
    #[error("line {line}: nothing generates `{name}`")]
    Unknown {
        /// The line of its mark.
        line: usize,
        /// Its name.
        name: String,
    },
    /// A part without an end, or an end without a part.
    #[error("line {line}: marks come in pairs, and no part is inside another")]
    Unpaired {
        /// The line of the mark that stands alone.
        line: usize,
    },
    /// A file without parts.
    #[error("no part of the file is marked as generated")]
    Nothing,
}

/// The file with every part as `part` makes it, of its name and its mark's indentation. What `part` makes ends with its line.
///
/// # Errors
/// See [`FillError`].
pub fn filled(text: &str, part: impl Fn(&str, usize) -> Option<String>) -> Result<String, FillError> {
    let (mut filled, mut open, mut parts) = (String::with_capacity(text.len()), None, 0);
    for (line, said) in (1..).zip(text.split_inclusive('\n')) {
        let mark = said.trim();
        let begins = BEGINS.iter().find_map(|begins| mark.strip_prefix(begins));
        let ends = ENDS.iter().any(|ends| mark.starts_with(ends));
        match (begins, ends, open) {
            (Some(rest), _, None) => {
                let name = rest.split([' ', ',']).next().unwrap_or_default();
                let indent = said.len() - said.trim_start().len();
                let made = part(name, indent).ok_or_else(|| FillError::Unknown {
                    line,
                    name: name.to_owned(),
                })?;
                filled.extend([said, &made]);
                (open, parts) = (Some(line), parts + 1);
            }
            (None, true, Some(_)) => {
                filled.push_str(said);
                open = None;
            }
            (Some(_), _, Some(_)) | (None, true, None) => return Err(FillError::Unpaired { line }),
            (None, false, None) => filled.push_str(said),
            (None, false, Some(_)) => {}
        }
    }
    match (open, parts) {
        (Some(line), _) => Err(FillError::Unpaired { line }),
        (None, 0) => Err(FillError::Nothing),
        (None, _) => Ok(filled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, FillError> {
        filled(text, |name, indent| {
            (name == "known").then(|| format!("{:indent$}new\n", ""))
        })
    }

    #[test]
    fn a_part_is_made_anew_and_the_rest_stays() {
        let old = "a\n  # generated: known, of this\n  old\n  older\n  # end of what is generated\nb";
        let new = "a\n  # generated: known, of this\n  new\n  # end of what is generated\nb";
        assert_eq!(fill(old).as_deref(), Ok(new));
        assert_eq!(fill(new).as_deref(), Ok(new));
        let page = "<!-- generated: known -->\n<!-- end of what is generated -->\n";
        let made = "<!-- generated: known -->\nnew\n<!-- end of what is generated -->\n";
        assert_eq!(fill(page).as_deref(), Ok(made));
    }

    #[test]
    fn refuses_marks_that_are_not_pairs_and_names_that_nobody_fills() {
        let (begin, end) = ("# generated: known\n", "# end of what is generated\n");
        assert_eq!(fill(begin), Err(FillError::Unpaired { line: 1 }));
        assert_eq!(fill(&format!("a\n{end}")), Err(FillError::Unpaired { line: 2 }));
        assert_eq!(
            fill(&format!("{begin}{begin}{end}")),
            Err(FillError::Unpaired { line: 2 })
        );
        assert_eq!(
            fill(&format!("# generated: other\n{end}")),
            Err(FillError::Unknown {
                line: 1,
                name: "other".to_owned()
            })
        );
        assert_eq!(fill("a\n"), Err(FillError::Nothing));
    }
}
