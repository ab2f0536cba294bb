//! DEFLATE (RFC 1951), as zip archives have it: bytes that were packed, unpacked.
//!
//! Invariant: no more is made than the caller allows, and none of it before it is known; every step reads at least a bit, so that
//! it ends with the data.

/// Longest code of a symbol, in bits.
const MAX_BITS: usize = 15;
/// Lengths of copies by symbol from 257 on: the least, and how many bits say how much longer.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// The same of distances.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];
/// In this order a block states how long the codes of code lengths are.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Why bytes are no packed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InflateError {
    /// The data ends too early.
    #[error("its packed data is cut off")]
    CutOff,
    /// A code, length or distance that there is not.
    #[error("its packed data is damaged")]
    Damaged,
    /// More comes out than was said.
    #[error("it unpacks to more than it says")]
    TooLong,
}

/// Unpacks all of `data`, to exactly `len` bytes.
///
/// # Errors
/// Data that is damaged, or makes another number of bytes.
pub(super) fn inflate(data: &[u8], len: usize) -> Result<Vec<u8>, InflateError> {
    let mut bits = Bits {
        data,
        at: 0,
        held: 0,
        count: 0,
    };
    let mut made = Vec::new();
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut made, len)?,
            1 => coded(&mut bits, &mut made, len, &fixed()?)?,
            2 => {
                let codes = dynamic(&mut bits)?;
                coded(&mut bits, &mut made, len, &codes)?;
            }
            _ => return Err(InflateError::Damaged),
        }
        if last {
            break;
        }
    }
    let rest = data.len() - bits.at;
    if made.len() == len && rest == 0 {
        Ok(made)
    } else {
        Err(InflateError::Damaged)
    }
}

/// The data bit by bit, the lowest of a byte first.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    /// Up to 16 bits as a number.
    fn take(&mut self, bits: u32) -> Result<u32, InflateError> {
        while self.count < bits {
            let byte = *self.data.get(self.at).ok_or(InflateError::CutOff)?;
            self.held |= u32::from(byte) << self.count;
            (self.at, self.count) = (self.at + 1, self.count + 8);
        }
        let value = self.held & ((1 << bits) - 1);
        (self.held, self.count) = (self.held >> bits, self.count - bits);
        Ok(value)
    }

    /// The next symbol. Codes of each length follow those of the length before, in the order of their symbols.
    fn symbol(&mut self, code: &Code) -> Result<usize, InflateError> {
        let (mut value, mut first, mut index) = (0u32, 0u32, 0u32);
        for &count in &code.counts[1..] {
            value |= self.take(1)?;
            let count = u32::from(count);
            if value < first + count {
                let at = (index + value - first) as usize;
                return code
                    .symbols
                    .get(at)
                    .map(|&s| s.into())
                    .ok_or(InflateError::Damaged);
            }
            (index, first) = (index + count, (first + count) << 1);
            value <<= 1;
        }
        Err(InflateError::Damaged)
    }
}

/// A prefix code, by the lengths of its symbols' codes.
struct Code {
    /// How many symbols have codes of each length.
    counts: [u16; MAX_BITS + 1],
    /// The symbols in the order of their codes.
    symbols: Vec<u16>,
}

impl Code {
    /// One of which no two codes begin alike. A code that leaves some bits without a symbol is one: with a single distance there is
    /// no other.
    fn new(lengths: &[u8]) -> Result<Self, InflateError> {
        let mut counts = [0u16; MAX_BITS + 1];
        for &length in lengths {
            *counts.get_mut(usize::from(length)).ok_or(InflateError::Damaged)? += 1;
        }
        let mut left = 1i32;
        for &count in &counts[1..] {
            left = 2 * left - i32::from(count);
            if left < 0 {
                return Err(InflateError::Damaged);
            }
        }
        let mut symbols: Vec<u16> = (0..lengths.len() as u16)
            .filter(|&s| lengths[usize::from(s)] > 0)
            .collect();
        symbols.sort_by_key(|&s| lengths[usize::from(s)]);
        Ok(Self { counts, symbols })
    }
}

/// Bytes that stand there as they are, from the next whole byte on.
fn stored(bits: &mut Bits<'_>, made: &mut Vec<u8>, len: usize) -> Result<(), InflateError> {
    // Fewer than eight bits are held: the others of this byte mean nothing.
    (bits.held, bits.count) = (0, 0);
    let head = bits.data.get(bits.at..bits.at + 4).ok_or(InflateError::CutOff)?;
    let size = u16::from_le_bytes([head[0], head[1]]);
    if size != !u16::from_le_bytes([head[2], head[3]]) {
        return Err(InflateError::Damaged);
    }
    let (from, size) = (bits.at + 4, usize::from(size));
    let part = bits.data.get(from..from + size).ok_or(InflateError::CutOff)?;
    if size > len - made.len() {
        return Err(InflateError::TooLong);
    }
    made.extend_from_slice(part);
    bits.at = from + size;
    Ok(())
}

/// Codes of lengths and bytes, and of distances.
type Codes = [Code; 2];

fn fixed() -> Result<Codes, InflateError> {
    let length = |symbol: usize| match symbol {
        0..144 => 8,
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    };
    let lengths: Vec<u8> = (0..288).map(length).collect();
    Ok([Code::new(&lengths)?, Code::new(&[5; 30])?])
}

/// The codes that a block states for itself.
fn dynamic(bits: &mut Bits<'_>) -> Result<Codes, InflateError> {
    let (literals, distances) = (bits.take(5)? as usize + 257, bits.take(5)? as usize + 1);
    let stated = bits.take(4)? as usize + 4;
    if literals > 286 || distances > 30 {
        return Err(InflateError::Damaged);
    }
    let mut lengths = [0u8; 19];
    for &at in &ORDER[..stated] {
        lengths[at] = bits.take(3)? as u8;
    }
    let code = Code::new(&lengths)?;
    let all = literals + distances;
    let mut lengths = Vec::with_capacity(all);
    while lengths.len() < all {
        let (value, times) = match bits.symbol(&code)? {
            symbol @ 0..16 => (symbol as u8, 1),
            16 => (*lengths.last().ok_or(InflateError::Damaged)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            _ => (0, 11 + bits.take(7)?),
        };
        lengths.extend(std::iter::repeat_n(value, times as usize));
    }
    let (of_literals, of_distances) = lengths.split_at(literals);
    // Without its end a block has none.
    if lengths.len() != all || of_literals[256] == 0 {
        return Err(InflateError::Damaged);
    }
    Ok([Code::new(of_literals)?, Code::new(of_distances)?])
}

/// Bytes, and copies of what was made before, up to the block's end.
fn coded(bits: &mut Bits<'_>, made: &mut Vec<u8>, len: usize, codes: &Codes) -> Result<(), InflateError> {
    let [literals, distances] = codes;
    loop {
        let symbol = bits.symbol(literals)?;
        if symbol == 256 {
            return Ok(());
        }
        if symbol < 256 {
            if made.len() == len {
                return Err(InflateError::TooLong);
            }
            made.push(symbol as u8);
            continue;
        }
        let &(least, more) = LENGTHS.get(symbol - 257).ok_or(InflateError::Damaged)?;
        let length = usize::from(least) + bits.take(more.into())? as usize;
        let &(least, more) = DISTANCES
            .get(bits.symbol(distances)?)
            .ok_or(InflateError::Damaged)?;
        let distance = usize::from(least) + bits.take(more.into())? as usize;
        let from = made.len().checked_sub(distance).ok_or(InflateError::Damaged)?;
        if length > len - made.len() {
            return Err(InflateError::TooLong);
        }
        // It may reach into itself.
        for at in from..from + length {
            made.push(made[at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).unwrap()
    }

    /// Runs of a few bytes, for which zlib makes codes of its own.
    fn steps() -> Vec<u8> {
        let run = |i: usize| vec![(i % 7) as u8; i * i % 11 + 1];
        (0..120).flat_map(run).collect()
    }

    const STEPS: &str = "dd91d1158030080381a2fb8f6c6c23207502ef977b24b4a26a3723f0c9014e20130d28fb9a729ccab32a972c282b833cc8f17b89652b480c6a3522a964642b480c6a3522c9be2e87c4a05663d467d92e87c4a05643eab36c9743faed075c";

    /// What zlib makes (`zlib.compressobj(level, wbits=-15)`), of each kind of block.
    #[test]
    fn unpacks_what_zlib_packs() {
        let text = b"one tensor, two tensors, three tensors; ".repeat(5);
        for (packed, expected) in [
            (
                "012800d7ff6f6e652074656e736f722c2074776f2074656e736f72732c2074687265652074656e736f72733b20",
                &text[..40],
            ),
            (
                "cbcf4b552849cd2bce2fd2512829cf87b28b819c8ca2549854b1b542fe20570700",
                &text[..],
            ),
            (STEPS, &steps()[..]),
            ("0300", &[][..]),
        ] {
            assert_eq!(inflate(&bytes(packed), expected.len()), Ok(expected.to_vec()));
        }
    }

    #[test]
    fn no_byte_more_is_made_than_was_said_and_none_less() {
        let packed = bytes("63601805c40200");
        assert_eq!(inflate(&packed, 300), Ok(vec![0; 300]));
        assert_eq!(inflate(&packed, 299), Err(InflateError::TooLong));
        assert_eq!(inflate(&packed, 301), Err(InflateError::Damaged));
        assert_eq!(
            inflate(&[&packed[..], &[0]].concat(), 300),
            Err(InflateError::Damaged)
        );
        let stored = [&[1, 4, 0, 0xfb, 0xff][..], b"four"].concat();
        assert_eq!(inflate(&stored, 4), Ok(b"four".to_vec()));
        assert_eq!(inflate(&stored, 3), Err(InflateError::TooLong));
    }

    #[test]
    fn data_that_is_cut_off_or_changed_is_refused_or_other_data_of_that_length() {
        let text = steps();
        let packed = bytes(STEPS);
        for len in 0..packed.len() {
            assert!(inflate(&packed[..len], text.len()).is_err(), "{len}");
        }
        for at in 0..packed.len() * 8 {
            let mut other = packed.clone();
            other[at / 8] ^= 1 << (at % 8);
            if let Ok(made) = inflate(&other, text.len()) {
                assert_eq!(made.len(), text.len());
            }
        }
    }

    #[test]
    fn what_there_is_not_is_refused() {
        for (packed, error) in [
            (&[][..], InflateError::CutOff),
            // The fourth kind of block.
            (&[7], InflateError::Damaged),
            // A length that is not its complement's.
            (&[1, 4, 0, 4, 0], InflateError::Damaged),
            // A copy of what is before the beginning: length 3 at distance 1, by the fixed codes.
            (&[0x03, 0x02, 0], InflateError::Damaged),
            // 287 codes of literals.
            (&[0xf5, 0, 0], InflateError::Damaged),
        ] {
            assert_eq!(inflate(packed, 10), Err(error), "{packed:?}");
        }
    }
}
