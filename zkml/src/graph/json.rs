//! Tensors as nested JSON lists, alone or by input name. JSON has no NaN: a missing value is `null`.
//!
//! Invariant: what is read is kept as values, a shape and names, and as nothing else: a file takes no more memory than its values do,
//! whatever it is made of. The first value beyond the caller's limit ends the reading, and so does whatever is no list of numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::other_file;
use super::tensor_file::{FloatInput, InputError, without_mark};
use super::validate::MAX_NAME_LEN;

/// Most tensors of a file: more than a model has inputs.
pub(super) const MAX_TENSORS: usize = 1024;

/// Reads nested lists of at most `max` numbers.
pub(super) fn read(bytes: &[u8], max: usize) -> Result<FloatInput, InputError> {
    let (mut lists, mut refused) = (Lists::new(max), None);
    parse(
        bytes,
        Item {
            depth: 0,
            lists: &mut lists,
            refused: &mut refused,
        },
    )
    .map_err(|e| refused.unwrap_or(e))?;
    lists.into_tensor()
}

/// Reads an object of nested lists, of together at most `max` numbers.
pub(super) fn read_by_name(bytes: &[u8], max: usize) -> Result<BTreeMap<String, FloatInput>, InputError> {
    let (mut tensors, mut refused) = (BTreeMap::new(), None);
    let all = ByName {
        max,
        tensors: &mut tensors,
        refused: &mut refused,
    };
    parse(bytes, all).map_err(|e| refused.unwrap_or(e))?;
    Ok(tensors)
}

/// Reads all of a text; an error says what the file is, where it is no JSON.
fn parse<'b>(bytes: &'b [u8], seed: impl DeserializeSeed<'b, Value = ()>) -> Result<(), InputError> {
    let bytes = without_mark(bytes);
    let mut text = serde_json::Deserializer::from_slice(bytes);
    seed.deserialize(&mut text)
        .and_then(|()| text.end())
        .map_err(|e| {
            let json = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
            InputError::Malformed(match other_file::recognise(bytes) {
                Some(other) if !json => format!("neither a .npy or .npz file nor JSON but {other}"),
                _ => format!("not JSON: {e}"),
            })
        })
}

/// Ends the reading with an error of ours, which the parser's has no room for.
fn refuse<T, E: Error>(refused: &mut Option<InputError>, why: InputError) -> Result<T, E> {
    let error = E::custom(&why);
    *refused = Some(why);
    Err(error)
}

/// A tensor of which the first lists have been read.
struct Lists {
    max: usize,
    values: Vec<f64>,
    /// By depth: the length of the lists there, once the first has ended.
    lengths: Vec<Option<usize>>,
    /// How deep the numbers stand, once there is one.
    rank: Option<usize>,
}

impl Lists {
    const fn new(max: usize) -> Self {
        Self {
            max,
            values: Vec::new(),
            lengths: Vec::new(),
            rank: None,
        }
    }

    fn number(&mut self, depth: usize, value: f64) -> Result<(), InputError> {
        if *self.rank.get_or_insert(depth) != depth {
            return Err(self.no_number());
        }
        if self.values.len() == self.max {
            return Err(InputError::TooLarge { max: self.max });
        }
        self.values.push(value);
        Ok(())
    }

    /// What stands where the next number belongs is none.
    fn no_number(&self) -> InputError {
        InputError::Malformed(format!(
            "expected nested lists of numbers; number {} is none",
            self.values.len()
        ))
    }

    /// A list begins.
    fn begin(&mut self, depth: usize) -> Result<(), InputError> {
        if self.rank.is_some_and(|rank| rank <= depth) {
            return Err(uneven());
        }
        // Only the first list of all that deep comes before there is a place for its length.
        if self.lengths.len() == depth {
            self.lengths.push(None);
        }
        Ok(())
    }

    /// A list has ended after so many items.
    fn end(&mut self, depth: usize, count: usize) -> Result<(), InputError> {
        match self.lengths.get_mut(depth) {
            Some(None) if count == 0 => Err(InputError::Malformed("an empty list".to_owned())),
            Some(length) => match *length.get_or_insert(count) == count {
                true => Ok(()),
                false => Err(uneven()),
            },
            None => Err(uneven()),
        }
    }

    fn into_tensor(self) -> Result<FloatInput, InputError> {
        FloatInput::new(self.lengths.into_iter().flatten().collect(), self.values)
    }
}

fn uneven() -> InputError {
    InputError::Malformed("lists of uneven length".to_owned())
}

/// What stands in so many lists: a list, or a number.
struct Item<'t> {
    depth: usize,
    lists: &'t mut Lists,
    refused: &'t mut Option<InputError>,
}

impl Item<'_> {
    fn number<E: Error>(self, value: f64) -> Result<(), E> {
        let taken = self.lists.number(self.depth, value);
        taken.or_else(|why| refuse(self.refused, why))
    }

    fn no_number<E: Error>(self) -> Result<(), E> {
        let why = self.lists.no_number();
        refuse(self.refused, why)
    }
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nested lists of numbers")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f64)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.no_number()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.no_number()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.number(f64::NAN)
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        let what = "expected nested lists of numbers, found an object";
        refuse(self.refused, InputError::Malformed(what.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self {
            depth,
            lists,
            refused,
        } = self;
        if let Err(why) = lists.begin(depth) {
            return refuse(refused, why);
        }
        let mut count = 0usize;
        loop {
            let item = Item {
                depth: depth + 1,
                lists: &mut *lists,
                refused: &mut *refused,
            };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
            count += 1;
        }
        lists.end(depth, count).or_else(|why| refuse(refused, why))
    }
}

/// An object none of whose names stands twice: which of two tensors is meant is nobody's guess.
struct ByName<'t> {
    max: usize,
    tensors: &'t mut BTreeMap<String, FloatInput>,
    refused: &'t mut Option<InputError>,
}

impl<'de> DeserializeSeed<'de> for ByName<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ByName<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors by input name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self {
            max,
            tensors,
            refused,
        } = self;
        let malformed = |what: String| InputError::Malformed(what);
        let mut left = max;
        while let Some(Name(name)) = map.next_key()? {
            if tensors.contains_key(&name) {
                return refuse(refused, malformed(format!("`{name}` stands there twice")));
            }
            if tensors.len() == MAX_TENSORS {
                return refuse(refused, malformed(format!("more than {MAX_TENSORS} tensors")));
            }
            let mut lists = Lists::new(left);
            let item = Item {
                depth: 0,
                lists: &mut lists,
                refused: &mut *refused,
            };
            let read = map.next_value_seed(item);
            let of_name = |why: InputError| match why {
                InputError::TooLarge { .. } => InputError::TooLarge { max },
                other => malformed(format!("input `{name}`: {other}")),
            };
            *refused = refused.take().map(of_name);
            read?;
            match lists.into_tensor() {
                Ok(tensor) => {
                    left -= tensor.values.len();
                    tensors.insert(name, tensor);
                }
                Err(why) => return refuse(refused, of_name(why)),
            }
        }
        Ok(())
    }
}

/// An input's name, no longer than a model's may be.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an input's name of at most {MAX_NAME_LEN} bytes")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
        match name.len() {
            0..=MAX_NAME_LEN => Ok(Name(name.to_owned())),
            len => Err(E::invalid_length(len, &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str, max: usize) -> String {
        read(json.as_bytes(), max).unwrap_err().to_string()
    }

    fn said_by_name(json: &str, max: usize) -> String {
        read_by_name(json.as_bytes(), max).unwrap_err().to_string()
    }

    #[test]
    fn nested_lists_are_a_tensor_of_their_lengths() {
        for (json, shape, values) in [
            ("2", &[][..], &[2.0][..]),
            ("[1]", &[1], &[1.0]),
            (
                "[[1, -2.5e1], [3, 18446744073709551615]]",
                &[2, 2],
                &[1.0, -25.0, 3.0, 18_446_744_073_709_551_615.0],
            ),
            ("[[[1], [2]]]", &[1, 2, 1], &[1.0, 2.0]),
        ] {
            let read = read(json.as_bytes(), 4).unwrap();
            assert_eq!(
                (read.shape.as_slice(), read.values.as_slice()),
                (shape, values),
                "{json}"
            );
        }
    }

    #[test]
    fn a_null_is_a_missing_value() {
        let read = read(b"[[1, null]]", 2).unwrap();
        assert!(read.values[0] == 1.0 && read.values[1].is_nan());
    }

    #[test]
    fn what_is_no_tensor_is_refused_where_it_stands() {
        for (json, what) in [
            ("[[1, 2], [3]]", "uneven"),
            ("[[1], [2, 3]]", "uneven"),
            ("[[1], []]", "uneven"),
            ("[1, [2]]", "uneven"),
            ("[[[1]], [[2], [3]]]", "uneven"),
            ("[[1], 2]", "number 1 is none"),
            ("[1, \"NaN\"]", "number 1 is none"),
            ("[true]", "number 0 is none"),
            ("[]", "empty"),
            ("[[]]", "empty"),
            ("[{}]", "found an object"),
            ("[1, 2", "not JSON"),
            ("[1] 2", "not JSON"),
        ] {
            let said = said(json, 9);
            assert!(said.contains(what), "{json}: {said}");
        }
        // As deep as the parser follows, and deeper.
        for depth in [100, 1000, 100_000] {
            assert!(read("[".repeat(depth).as_bytes(), 9).is_err());
        }
    }

    #[test]
    fn the_first_value_beyond_the_limit_ends_the_reading() {
        // What comes behind is not looked at.
        assert_eq!(read(b"[1, 2, 3, \"x\"", 2), Err(InputError::TooLarge { max: 2 }));
        assert_eq!(
            read(b"[[1], [2], [3], nonsense", 2),
            Err(InputError::TooLarge { max: 2 })
        );
        assert!(said("[1, 2, \"x\"]", 2).contains("number 2 is none"));
        assert!(read(b"[1, 2]", 2).is_ok());
    }

    #[test]
    fn tensors_by_name_share_the_limit_and_have_names_of_their_own() {
        let read = read_by_name(br#"{"a": [1, 2], "b": [[3]]}"#, 3).unwrap();
        assert_eq!((read["a"].values.len(), read["b"].shape.len()), (2, 2));
        let both = br#"{"a": [1, 2], "b": [[3], [4]]}"#;
        assert_eq!(read_by_name(both, 3), Err(InputError::TooLarge { max: 3 }));
        for (json, what) in [
            (r#"{"a": [1], "b": [[1], 2]}"#, "input `b`: expected nested lists"),
            (r#"{"a": []}"#, "input `a`: an empty list"),
            (
                r#"{"shape": [1], "data": {}}"#,
                "input `data`: expected nested lists of numbers, found an object",
            ),
            (r#"{"a": [1], "a": [2]}"#, "`a` stands there twice"),
            (r#"{"a": [1]"#, "not JSON"),
            (r#"{"a": [1}"#, "not JSON"),
        ] {
            let said = said_by_name(json, 9);
            assert!(said.contains(what), "{json}: {said}");
        }
        let many: Vec<String> = (0..=MAX_TENSORS).map(|at| format!("\"{at}\":[0]")).collect();
        let said = said_by_name(&format!("{{{}}}", many.join(",")), 1 << 20);
        assert!(said.contains("more than 1024 tensors"), "{said}");
        let long = format!("{{\"{}\": [1]}}", "n".repeat(MAX_NAME_LEN + 1));
        assert!(said_by_name(&long, 9).contains("at most 1024 bytes"));
    }
}
