//! SS58: how a chain writes a public key for people.
//!
//! ```text
//! address  = base58(prefix key checksum)
//! prefix   = one byte below 64, or two that hold 14 bits
//! checksum = the first two bytes of blake2b-512("SS58PRE" prefix key)
//! ```
//!
//! Invariant: one key has one address under a prefix, and nothing else is taken for it: what decodes, encodes to the same text.

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Two bytes of prefix, 32 of a key and two of checksum have at most this many digits.
const MOST_DIGITS: usize = 50;

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ss58Error {
    /// A prefix has 14 bits.
    #[error("SS58 prefix {0} is more than 16383")]
    Prefix(u16),
    /// It is no address of a 32-byte key.
    #[error("an SS58 address of a 32-byte key has 47 to 50 characters of base 58, and this is none: {0:?}")]
    Form(String),
    /// A letter was mistaken.
    #[error("the checksum of SS58 address {0:?} is wrong: it was mistyped or cut")]
    Checksum(String),
    /// It is of another network.
    #[error("SS58 address {text:?} has prefix {got}, and {expected} is expected")]
    OtherPrefix {
        /// The address.
        text: String,
        /// Its prefix.
        got: u16,
        /// The one that is asked for.
        expected: u16,
    },
}

/// A prefix: whose addresses they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix(u16);

impl Prefix {
    /// Of chains that have no number of their own, and of the one that weights go to.
    pub const SUBSTRATE: Self = Self(42);

    /// A prefix by its number.
    ///
    /// # Errors
    /// More than 14 bits.
    pub const fn new(number: u16) -> Result<Self, Ss58Error> {
        if number > 0x3fff {
            return Err(Ss58Error::Prefix(number));
        }
        Ok(Self(number))
    }

    fn bytes(self) -> Vec<u8> {
        match u8::try_from(self.0) {
            Ok(byte @ 0..=63) => vec![byte],
            // The six bits above the lowest two, then those two before the highest six.
            _ => vec![
                0x40 | (self.0 >> 2) as u8 & 0x3f,
                (self.0 >> 8) as u8 | (self.0 as u8 & 3) << 6,
            ],
        }
    }
}

fn checksum(body: &[u8]) -> [u8; 2] {
    let mut hash = blake2b_simd::State::new();
    hash.update(b"SS58PRE").update(body);
    let hash = hash.finalize();
    [hash.as_bytes()[0], hash.as_bytes()[1]]
}

/// The address of a key.
#[must_use]
pub fn encode(key: &[u8; 32], prefix: Prefix) -> String {
    let mut bytes = prefix.bytes();
    bytes.extend(key);
    let sum = checksum(&bytes);
    bytes.extend(sum);
    base58(&bytes)
}

/// The key of an address.
///
/// # Errors
/// What is no address, is mistyped, or has another prefix.
pub fn decode(text: &str, prefix: Prefix) -> Result<[u8; 32], Ss58Error> {
    let shown = || text.chars().take(80).collect::<String>();
    let form = || Ss58Error::Form(shown());
    let bytes = from_base58(text).ok_or_else(form)?;
    let (body, sum) = bytes.split_last_chunk::<2>().ok_or_else(form)?;
    let (head, key) = body.split_last_chunk::<32>().ok_or_else(form)?;
    let got = match head {
        [one @ 0..=63] => u16::from(*one),
        [one @ 64..=127, two] => {
            let (one, two) = (u16::from(*one), u16::from(*two));
            (one & 0x3f) << 2 | two >> 6 | (two & 0x3f) << 8
        }
        _ => return Err(form()),
    };
    // A prefix that has one byte is not written with two.
    if Prefix(got).bytes() != head {
        return Err(form());
    }
    if checksum(body) != *sum {
        return Err(Ss58Error::Checksum(shown()));
    }
    if got != prefix.0 {
        return Err(Ss58Error::OtherPrefix {
            text: shown(),
            got,
            expected: prefix.0,
        });
    }
    Ok(*key)
}

fn base58(bytes: &[u8]) -> String {
    // Digits, the least first.
    let mut digits: Vec<u8> = Vec::with_capacity(MOST_DIGITS);
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = std::iter::repeat_n(0, zeros).chain(digits.into_iter().rev());
    digits
        .map(|digit| char::from(ALPHABET[usize::from(digit)]))
        .collect()
}

fn from_base58(text: &str) -> Option<Vec<u8>> {
    if text.len() > MOST_DIGITS {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::new();
    for letter in text.bytes() {
        let mut carry = ALPHABET.iter().position(|known| *known == letter)? as u32;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    let zeros = text.bytes().take_while(|letter| *letter == ALPHABET[0]).count();
    bytes.extend(std::iter::repeat_n(0, zeros));
    bytes.reverse();
    Some(bytes)
}
