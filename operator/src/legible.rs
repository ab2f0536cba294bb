//! What strangers wrote, as it may be shown to a person.
//!
//! Invariant: nothing in it paints over, or turns round, what is shown beside it; it is one line.

use zkml::canonical::is_legible;

/// The text with a space for each character that cannot be shown.
#[must_use]
pub fn legible(text: &str) -> String {
    let shown = |c: char| {
        if is_legible(c.encode_utf8(&mut [0; 4])) {
            c
        } else {
            ' '
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_terminals_cursor_or_turns_a_line_is_a_space() {
        let hostile = "no\u{1b}[2J\u{1b}[1;1Hdigits: 7\r\nvalid\u{202e}dilav";
        assert_eq!(legible(hostile), "no [2J [1;1Hdigits: 7  valid dilav");
        assert_eq!(legible("größer als 4 µs"), "größer als 4 µs");
    }
}
