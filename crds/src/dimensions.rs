//! The sizes of dimensions that a model's file leaves free, as people write them.
//!
//! Invariant: each name has one size.

use std::collections::BTreeMap;

/// Sizes by name: the file's name of a dimension, or `INPUT.AXIS` of one without a name, the outermost 0.
pub type Dimensions = BTreeMap<String, u32>;

/// `NAME=SIZE`.
///
/// # Errors
/// Another form, or a size that is none.
pub fn dimension(text: &str) -> Result<(String, u32), String> {
    let (name, size) = text.rsplit_once('=').ok_or("it is not NAME=SIZE")?;
    match size.parse() {
        Ok(0) => Err(format!("`{name}` has size 0, and so no values")),
        Ok(size) => Ok((name.to_owned(), size)),
        Err(e) => Err(format!("the size of `{name}`: {e}")),
    }
}

/// Those of a command line.
///
/// # Errors
/// A name that is given twice.
pub fn dimensions(given: &[(String, u32)]) -> Result<Dimensions, String> {
    let mut dimensions = Dimensions::new();
    for (name, size) in given {
        if dimensions.insert(name.clone(), *size).is_some() {
            return Err(format!("the size of `{name}` is given twice"));
        }
    }
    Ok(dimensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_name_and_a_name_one_size() {
        let read = |text: &str| dimension(text).unwrap();
        assert_eq!(read("seq=16"), ("seq".to_owned(), 16));
        // Names are the file's: exporters write sums.
        assert_eq!(read("a=b+1=4"), ("a=b+1".to_owned(), 4));
        for bad in ["seq", "seq=", "seq=-1", "seq=0", "seq=1.5", "seq=4294967296"] {
            assert!(dimension(bad).is_err(), "{bad}");
        }
        assert_eq!(dimensions(&[read("a=1"), read("b=1")]).unwrap().len(), 2);
        let said = dimensions(&[read("a=1"), read("a=1")]).unwrap_err();
        assert_eq!(said, "the size of `a` is given twice");
    }
}
