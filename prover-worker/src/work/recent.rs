//! A few values that are dear to make, by key.
//!
//! Invariant: there are never more than were allowed; what was not asked for the longest goes first.

/// See the module. The latest stands last; there are so few that they are looked through.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    most: usize,
    held: Vec<(K, V)>,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    pub(super) const fn new(most: usize) -> Self {
        let held = Vec::new();
        Self { most, held }
    }

    /// The value of a key, which was asked for now.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        let at = self.held.iter().position(|(held, _)| held == key)?;
        self.held[at..].rotate_left(1);
        self.held.last().map(|(_, value)| value.clone())
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        self.held.retain(|(held, _)| *held != key);
        self.held.push((key, value));
        let excess = self.held.len().saturating_sub(self.most);
        self.held.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first() {
        let mut recent = Recent::new(3);
        for key in [9, 1, 5] {
            recent.put(key, key * 10);
        }
        assert_eq!(recent.get(&9), Some(90));
        recent.put(0, 0);
        assert_eq!(
            recent.get(&1),
            None,
            "it was the first of those that nobody asked for"
        );
        assert_eq!(
            [9, 5, 0].map(|key| recent.get(&key)),
            [Some(90), Some(50), Some(0)]
        );
        recent.put(5, 51);
        assert_eq!(recent.held.len(), 3, "one of each key");
        assert_eq!(recent.get(&5), Some(51));
    }
}
