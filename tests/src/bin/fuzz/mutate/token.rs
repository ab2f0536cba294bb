//! Tokens: a body and its code, both base64url, with a dot between.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=.";

/// Another text of the same make: parts of two tokens, another last letter (whose spare bits say nothing), padding, dots; or a
/// token of another kind.
pub(super) fn changed(token: &[u8], others: &[Vec<u8>], other_kind: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let split = |t: &[u8]| {
        let at = t.iter().position(|b| *b == b'.').unwrap_or(t.len());
        (t[..at].to_vec(), t.get(at + 1..).unwrap_or_default().to_vec())
    };
    let (mut body, mut code) = split(token);
    if rng.gen_range(0..10) == 0 {
        return other_kind.choose(rng).cloned().unwrap_or_default();
    }
    let part = if rng.r#gen() { &mut body } else { &mut code };
    match rng.gen_range(0..9) {
        0 => {
            if let Some(last) = part.last_mut() {
                *last = ALPHABET[rng.gen_range(0..ALPHABET.len())];
            }
        }
        1 => part.extend(b"=".repeat(rng.gen_range(1..4))),
        2 => {
            let at = rng.gen_range(0..=part.len());
            part.insert(at, ALPHABET[rng.gen_range(0..ALPHABET.len())]);
        }
        3 => part.truncate(rng.gen_range(0..=part.len())),
        4 => {
            let other = others.choose(rng).map(|o| split(o)).unwrap_or_default();
            code = other.1;
        }
        5 => part.iter_mut().for_each(|b| {
            // The other base64 alphabet.
            *b = match *b {
                b'-' => b'+',
                b'_' => b'/',
                b => b,
            };
        }),
        6 => part.extend(b"A".repeat(rng.gen_range(1..9000))),
        7 => std::mem::swap(&mut body, &mut code),
        _ => {
            let at = rng
                .gen_range(0..part.len().max(1))
                .min(part.len().saturating_sub(1));
            if let Some(b) = part.get_mut(at) {
                *b = ALPHABET[rng.gen_range(0..ALPHABET.len())];
            }
        }
    }
    [&body[..], b".", &code].concat()
}
