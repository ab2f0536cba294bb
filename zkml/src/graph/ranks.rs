//! Inputs of which nothing is taken but comparisons with constants, held by ranks.
//!
//! Invariant: the rank of a value is the number of its place's bounds that are at most it, in the order of the model's own floats.
//! A comparison with a constant asks whether a value is at least some bound, so that all answers follow from the rank, and of no
//! input is one of them rounded. A value that is no number has a rank of its own. Which bounds there are, the model file says; they
//! are part of the integer graph, and so of its digest.
//!
//! ```text
//! value > t     =  value ≥ the least float above t            value ≤ t    otherwise
//! value ≥ t     =  value ≥ the least float not below t        value < t    otherwise
//! ```

use serde::{Deserialize, Serialize};

use crate::canonical::integers;

/// Most bounds of an input, all places together.
pub const MAX_BOUNDS: usize = 1 << 18;
/// Most lists of bounds of an input.
pub const MAX_PLACES: usize = 1 << 14;

/// The floats that a model takes: what is given to it is rounded to the nearest of them, ties to even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FloatKind {
    /// Of 32 bits.
    Float32,
    /// Of 64 bits.
    Float64,
}

impl FloatKind {
    /// The place of a value in the order of all floats, that of 0 and of −0 being 0; none of a value that is no number.
    #[must_use]
    pub fn key(self, value: f64) -> Option<i64> {
        // Without its sign, a float's bits are in the order of its size.
        let signed = |negative: bool, size: i64| if negative { -size } else { size };
        match self {
            Self::Float32 => {
                let value = value as f32;
                let size = value.to_bits() & i32::MAX as u32;
                (!value.is_nan()).then(|| signed(value.is_sign_negative(), size.into()))
            }
            Self::Float64 => {
                let size = value.to_bits() & i64::MAX as u64;
                (!value.is_nan()).then(|| signed(value.is_sign_negative(), size as i64))
            }
        }
    }

    /// The float at a place of the order.
    #[must_use]
    pub fn value(self, key: i64) -> f64 {
        let size = match self {
            Self::Float32 => f32::from_bits(u32::try_from(key.unsigned_abs()).unwrap_or(u32::MAX)).into(),
            Self::Float64 => f64::from_bits(key.unsigned_abs()),
        };
        if key < 0 { -size } else { size }
    }

    /// Where the greatest finite float stands; its negative is the least.
    #[must_use]
    pub fn greatest(self) -> i64 {
        match self {
            Self::Float32 => f32::MAX.to_bits().into(),
            Self::Float64 => f64::MAX.to_bits() as i64,
        }
    }

    /// Where the least float stands that is not below a number; none where that is no number.
    #[must_use]
    pub fn not_below(self, number: f64) -> Option<i64> {
        let nearest = self.key(number)?;
        Some(nearest + i64::from(self.value(nearest) < number))
    }

    /// Where the least float stands that is above a number; none where that is no number.
    #[must_use]
    pub fn above(self, number: f64) -> Option<i64> {
        let nearest = self.key(number)?;
        Some(nearest + i64::from(self.value(nearest) <= number))
    }
}

/// Which rank a value has that is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Missing {
    /// The one above all others.
    Above,
    /// The one below all others, which are one more each.
    Below,
    /// None: such a value is refused, and so is an infinite one.
    Refused,
}

/// How the values at one place are ranked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranking {
    /// Places in the order of floats, ascending.
    #[serde(with = "integers")]
    pub bounds: Vec<i64>,
    /// What a missing value is.
    pub missing: Missing,
}

impl Ranking {
    /// The greatest rank.
    #[must_use]
    pub fn most(&self) -> i64 {
        self.bounds.len() as i64 + i64::from(self.missing != Missing::Refused)
    }

    /// From which rank on a value is at least this bound; none where it is not among the bounds.
    #[must_use]
    pub fn reaches(&self, bound: i64) -> Option<i64> {
        let at = self.bounds.binary_search(&bound).ok()?;
        Some(at as i64 + 1 + self.first())
    }

    /// The rank of the least number.
    fn first(&self) -> i64 {
        i64::from(self.missing == Missing::Below)
    }

    fn rank(&self, float: FloatKind, value: f64) -> Option<i64> {
        match float.key(value) {
            Some(key) if self.missing != Missing::Refused || key.abs() <= float.greatest() => {
                Some(self.bounds.partition_point(|bound| *bound <= key) as i64 + self.first())
            }
            Some(_) => None,
            None => match self.missing {
                Missing::Above => Some(self.most()),
                Missing::Below => Some(0),
                Missing::Refused => None,
            },
        }
    }

    /// A value of this rank: the least one, or of those below all bounds the greatest; 0 where there is no bound.
    fn value(&self, float: FloatKind, rank: i64) -> Option<f64> {
        let missing = match self.missing {
            Missing::Above => rank == self.most(),
            Missing::Below => rank == 0,
            Missing::Refused => false,
        };
        if missing {
            return Some(f64::NAN);
        }
        let at = usize::try_from(rank.checked_sub(self.first())?).ok()?;
        match (at.checked_sub(1), self.bounds.first()) {
            (Some(last), _) => self.bounds.get(last).map(|bound| float.value(*bound)),
            (None, Some(first)) => Some(float.value(first.saturating_sub(1))),
            (None, None) => Some(0.0),
        }
    }
}

/// How an input's values are ranked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranks {
    /// The model's own floats.
    pub float: FloatKind,
    /// By place, over and over: of the value at `t` the one at `t` modulo their number.
    pub places: Vec<Ranking>,
}

impl Ranks {
    /// How the value at a place is ranked.
    #[must_use]
    pub fn place(&self, at: usize) -> Option<&Ranking> {
        self.places.get(at.checked_rem(self.places.len())?)
    }

    /// The rank of the value at a place; none where it is not taken: it is no number, or infinite.
    #[must_use]
    pub fn rank(&self, at: usize, value: f64) -> Option<i64> {
        self.place(at)?.rank(self.float, value)
    }

    /// A value that has this rank at a place, not a number where that is what it says; none where no value has it.
    #[must_use]
    pub fn value(&self, at: usize, rank: i64) -> Option<f64> {
        self.place(at)?.value(self.float, rank)
    }

    /// The greatest rank at a place.
    #[must_use]
    pub fn most(&self, at: usize) -> i64 {
        self.place(at).map_or(0, Ranking::most)
    }

    /// How many bounds there are, all places together.
    #[must_use]
    pub fn bounds(&self) -> usize {
        self.places.iter().map(|place| place.bounds.len()).sum()
    }

    /// Whether these are ranks of a tensor of so many values, from a least one to a greatest one.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self, len: usize, [least, most]: [i64; 2]) -> Result<(), &'static str> {
        if self.places.len() > MAX_PLACES || self.bounds() > MAX_BOUNDS {
            return Err("it has more bounds than an input may have");
        }
        if self.places.is_empty() || !len.is_multiple_of(self.places.len()) {
            return Err("its lists of bounds are not those of its values");
        }
        let last = self.float.greatest();
        let ascending = |place: &Ranking| place.bounds.windows(2).all(|pair| pair[0] < pair[1]);
        // Above the least finite float, so that there is one below the first.
        let finite = |place: &Ranking| place.bounds.iter().all(|bound| (1 - last..=last).contains(bound));
        if !self.places.iter().all(|place| ascending(place) && finite(place)) {
            return Err("its bounds are not ascending finite floats");
        }
        let greatest = self.places.iter().map(Ranking::most).max().unwrap_or(0);
        if least != 0 || greatest > most {
            return Err("its range does not hold its ranks");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINGLE: FloatKind = FloatKind::Float32;

    fn ranking(bounds: &[f32], missing: Missing) -> Ranks {
        let bounds = bounds.iter().filter_map(|b| SINGLE.key((*b).into())).collect();
        Ranks {
            float: SINGLE,
            places: vec![Ranking { bounds, missing }],
        }
    }

    #[test]
    fn keys_are_in_the_order_of_floats_and_lead_back_to_them() {
        let floats = [
            f32::NEG_INFINITY,
            f32::MIN,
            -1.0,
            -f32::MIN_POSITIVE,
            -f32::from_bits(1),
            0.0,
            f32::from_bits(1),
            0.1,
            f32::MAX,
            f32::INFINITY,
        ];
        for float in [FloatKind::Float32, FloatKind::Float64] {
            let keys: Vec<i64> = floats.iter().map(|f| float.key((*f).into()).unwrap()).collect();
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
            for (key, value) in keys.iter().zip(floats) {
                assert_eq!(float.value(*key), f64::from(value));
            }
            assert_eq!((float.key(-0.0), float.key(f64::NAN)), (Some(0), None));
        }
        assert_eq!(SINGLE.key(1e300), SINGLE.key(f64::INFINITY));
    }

    /// The bounds of a comparison against the comparison, at a threshold, an ulp beside it, and where the threshold is no float of
    /// the model's.
    #[test]
    fn a_bound_is_where_a_comparison_turns() {
        let single = [0.1f32, -0.7, 0.0, 3.0, f32::MIN_POSITIVE, 16_777_216.0];
        let double = [0.1f64, -0.7, 1e-50, -1e-50, 2.5];
        let beside = |t: f64| [0.9999 * t, 1.0001 * t, t - 1e-40, t + 1e-40];
        for t in single.iter().map(|t| f64::from(*t)).chain(double) {
            let near = t as f32;
            let values = [
                near.next_down(),
                near,
                near.next_up(),
                -0.0,
                f32::INFINITY,
                f32::NEG_INFINITY,
            ];
            let more = beside(t).map(|v| v as f32);
            for x in values.into_iter().chain(more).map(f64::from) {
                let key = SINGLE.key(x).unwrap();
                assert_eq!(key >= SINGLE.above(t).unwrap(), x > t, "{x:e} > {t:e}");
                assert_eq!(key >= SINGLE.not_below(t).unwrap(), x >= t, "{x:e} >= {t:e}");
            }
        }
    }

    #[test]
    fn a_rank_counts_the_bounds_that_are_at_most_a_value() {
        let (below, at, above) = (0.1f32.next_down(), 0.1f32, 0.1f32.next_up());
        for (missing, least, nan) in [
            (Missing::Above, 0, Some(3)),
            (Missing::Below, 1, Some(0)),
            (Missing::Refused, 0, None),
        ] {
            let ranks = ranking(&[-2.0, 0.1], missing);
            let rank = |v: f32| ranks.rank(7, v.into());
            assert_eq!(
                [rank(-3.0), rank(-2.0), rank(below)],
                [least, least + 1, least + 1].map(Some)
            );
            assert_eq!([rank(at), rank(above)], [Some(least + 2); 2]);
            assert_eq!(ranks.rank(0, f64::NAN), nan);
            // Rounded first: this is the float 0.1, and the one that is written 0.1 is too.
            assert_eq!(ranks.rank(0, 0.100_000_000_1), Some(least + 2));
            assert_eq!(ranks.rank(0, 0.1), Some(least + 2));
            let infinite = (missing != Missing::Refused).then_some(least + 2);
            assert_eq!(ranks.rank(0, f64::INFINITY), infinite);
            assert_eq!(ranks.rank(0, 1e300), infinite);
        }
    }

    #[test]
    fn the_value_of_a_rank_has_it() {
        for missing in [Missing::Above, Missing::Below, Missing::Refused] {
            for bounds in [&[][..], &[0.0], &[-5.5, 0.1, 3.0]] {
                let ranks = ranking(bounds, missing);
                for rank in 0..=ranks.most(0) {
                    let value = ranks.value(0, rank).unwrap();
                    assert_eq!(ranks.rank(0, value), Some(rank), "{missing:?} {bounds:?} {value}");
                }
                assert_eq!([ranks.value(0, ranks.most(0) + 1), ranks.value(0, -1)], [None; 2]);
            }
        }
    }

    #[test]
    fn ranks_that_no_model_has_are_refused() {
        let good = ranking(&[-1.0, 2.0], Missing::Above);
        assert_eq!(good.check(6, [0, 3]), Ok(()));
        let change = |change: &dyn Fn(&mut Ranks)| {
            let mut ranks = good.clone();
            change(&mut ranks);
            ranks.check(6, [0, 3])
        };
        assert!(change(&|r| r.places.clear()).is_err());
        assert!(change(&|r| r.places = vec![r.places[0].clone(); 4]).is_err());
        assert!(change(&|r| r.places[0].bounds.reverse()).is_err());
        assert!(change(&|r| r.places[0].bounds[1] = r.places[0].bounds[0]).is_err());
        assert!(change(&|r| r.places[0].bounds[1] = SINGLE.greatest() + 1).is_err());
        assert!(change(&|r| r.places[0].bounds[0] = -SINGLE.greatest()).is_err());
        assert!(change(&|r| r.places[0].bounds = (0..4).collect()).is_err());
        assert!(change(&|r| r.places[0].bounds = (0..=MAX_BOUNDS as i64).collect()).is_err());
        assert!(good.check(6, [-4, 3]).is_err());
    }
}
