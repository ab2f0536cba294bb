//! Whole numbers from a least one to a greatest one, and what becomes of them.
//!
//! Invariant: `least <= most`. Every result has in it whatever the operation makes of the numbers; ends beyond those of 64 bits
//! are the last that there are, which is beyond whatever is held.

use zkml::graph::IntRange;

/// The whole numbers between two, both among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    least: i64,
    most: i64,
}

impl From<u32> for Interval {
    /// All up to this in absolute value.
    fn from(bound: u32) -> Self {
        Self::new(-i64::from(bound), bound.into())
    }
}

impl From<IntRange> for Interval {
    fn from(range: IntRange) -> Self {
        Self::new(range.lo(), range.hi())
    }
}

impl Interval {
    /// Between two numbers, in whatever order.
    #[must_use]
    pub const fn new(one: i64, other: i64) -> Self {
        let (least, most) = if one <= other { (one, other) } else { (other, one) };
        Self { least, most }
    }

    /// The narrowest that has all of these, where they are whole and below 2^53; none where there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut found: Option<Self> = None;
        for value in values {
            if value.fract() != 0.0 || value.abs() >= 9_007_199_254_740_992.0 {
                return None;
            }
            let one = Self::new(value as i64, value as i64);
            found = Some(found.map_or(one, |all| all.with(one)));
        }
        found
    }

    /// The least.
    #[must_use]
    pub const fn least(self) -> i64 {
        self.least
    }

    /// The greatest.
    #[must_use]
    pub const fn most(self) -> i64 {
        self.most
    }

    /// The greatest absolute value.
    #[must_use]
    pub fn magnitude(self) -> u64 {
        self.least.unsigned_abs().max(self.most.unsigned_abs())
    }

    /// Bits of the narrowest signed range that has all of them, no fewer than two.
    #[must_use]
    pub fn bits(self) -> u32 {
        // Of n ≥ 0 as many as it has and a sign; of n < 0 those of −n − 1.
        let of = |n: i64| 65 - (if n < 0 { !n } else { n }).leading_zeros();
        of(self.least).max(of(self.most)).max(2)
    }

    /// All that an input of these has room for: the narrowest range that has them, whose ends are powers of two.
    #[must_use]
    pub fn held(self) -> Self {
        // Far below 63 of whatever is held.
        let half = 1i64 << (self.bits().min(63) - 1);
        if self.least >= 0 {
            Self::new(0, half - 1)
        } else {
            Self::new(-half, half - 1)
        }
    }

    /// Whether all of another are among these.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.least <= other.least && other.most <= self.most
    }

    /// These and those of another.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
        }
    }

    /// Those that are among another's too, where there are any.
    #[must_use]
    pub fn within(self, other: Self) -> Option<Self> {
        let (least, most) = (self.least.max(other.least), self.most.min(other.most));
        (least <= most).then_some(Self { least, most })
    }

    /// `a + b`.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            least: self.least.saturating_add(other.least),
            most: self.most.saturating_add(other.most),
        }
    }

    /// `−a`.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self {
            least: self.most.saturating_neg(),
            most: self.least.saturating_neg(),
        }
    }

    /// `a − b`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    /// `a · b`, of two that have nothing to do with each other.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let ends = [
            self.least.saturating_mul(other.least),
            self.least.saturating_mul(other.most),
            self.most.saturating_mul(other.least),
            self.most.saturating_mul(other.most),
        ];
        Self {
            least: ends.into_iter().fold(i64::MAX, i64::min),
            most: ends.into_iter().fold(i64::MIN, i64::max),
        }
    }

    /// `max(a, 0)`.
    #[must_use]
    pub fn rectified(self) -> Self {
        Self {
            least: self.least.max(0),
            most: self.most.max(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_what_its_numbers_make_and_its_ends_are_reached() {
        let all: Vec<Interval> = (-4..4)
            .flat_map(|a| (a..5).map(move |b| Interval::new(a, b)))
            .collect();
        let numbers = |of: Interval| of.least()..=of.most();
        for a in &all {
            for b in &all {
                for (made, op) in [
                    (a.plus(*b), (|x, y| x + y) as fn(i64, i64) -> i64),
                    (a.minus(*b), |x, y| x - y),
                    (a.times(*b), |x, y| x * y),
                ] {
                    let each = || numbers(*a).flat_map(|x| numbers(*b).map(move |y| op(x, y)));
                    assert_eq!(
                        (each().min(), each().max()),
                        (Some(made.least()), Some(made.most())),
                        "{a:?} {b:?}"
                    );
                }
            }
            let each = || numbers(*a).map(|x| -x);
            assert_eq!(each().min(), Some(a.negated().least()));
            assert_eq!(a.rectified().least(), a.least().max(0));
        }
    }

    #[test]
    fn the_bits_are_the_fewest_whose_range_has_all() {
        for (least, most, bits) in [
            (0, 0, 2),
            (-1, 1, 2),
            (-2, 1, 2),
            (-2, 2, 3),
            (-128, 127, 8),
            (-127, 128, 9),
            (0, 255, 9),
            (-3, 4, 4),
            (i64::MIN, i64::MAX, 64),
        ] {
            assert_eq!(Interval::new(least, most).bits(), bits, "{least} {most}");
        }
        for bound in [1u32, 2, 3, 4, 7, 8, 4_194_304] {
            assert_eq!(Interval::from(bound).bits(), bound.ilog2() + 2, "{bound}");
        }
    }

    #[test]
    fn an_input_has_room_for_no_more_than_its_bits_hold() {
        for (least, most, held) in [
            (0, 1, (0, 1)),
            (0, 255, (0, 255)),
            (0, 199, (0, 255)),
            (-128, 127, (-128, 127)),
            (-5, 4, (-8, 7)),
            (-4, 3, (-4, 3)),
        ] {
            let of = Interval::new(least, most).held();
            assert_eq!((of.least(), of.most()), held, "{least} {most}");
        }
    }

    #[test]
    fn numbers_that_are_not_whole_have_none() {
        assert_eq!(Interval::of([3.0, -2.0, 1.0]), Some(Interval::new(-2, 3)));
        assert_eq!(Interval::of([0.5]), None);
        assert_eq!(Interval::of([f64::INFINITY]), None);
        assert_eq!(Interval::of([]), None);
    }

    #[test]
    fn what_is_beyond_64_bits_stays_beyond_whatever_is_held() {
        let far = Interval::new(i64::MIN, i64::MAX);
        for made in [far.plus(far), far.minus(far), far.times(far), far.negated()] {
            assert!(made.magnitude() > 1 << 62, "{made:?}");
        }
    }
}
