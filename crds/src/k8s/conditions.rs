//! Conditions: one fact about an object, with its reason and the time since when it holds.
//!
//! Invariant: `lastTransitionTime` changes exactly when `status` changes, so writing the same facts twice gives
//! the same bytes and a controller does not wake itself by its own writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The longest message that is kept, in bytes.
pub const MAX_MESSAGE: usize = 1024;

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody can tell yet.
    Unknown,
}

impl Truth {
    /// The word in a condition's `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Truth {
    /// What a condition says; `None` of a word that is none of these, which only another writer than the operator has.
    #[must_use]
    pub fn of(condition: &Condition) -> Option<Self> {
        let all = [Self::True, Self::False, Self::Unknown];
        all.into_iter().find(|truth| truth.as_str() == condition.status)
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Sets the condition `type_` and says whether anything but a time changed.
///
/// The list keeps its order; a new type goes to the end. A message longer than [`MAX_MESSAGE`] is cut.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: Truth,
    reason: &str,
    message: &str,
    observed_generation: Option<i64>,
    now: &Time,
) -> bool {
    let message = cut(message);
    let Some(old) = conditions.iter_mut().find(|c| c.type_ == type_) else {
        conditions.push(Condition {
            type_: type_.to_owned(),
            status: status.as_str().to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation,
            last_transition_time: whole_seconds(now),
        });
        return true;
    };
    let new = Condition {
        type_: type_.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation,
        last_transition_time: if old.status == status.as_str() {
            old.last_transition_time.clone()
        } else {
            whole_seconds(now)
        },
    };
    let changed = !same_fact(old, &new);
    *old = new;
    changed
}

/// The condition of this type.
#[must_use]
pub fn find_condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether a condition holds.
#[must_use]
pub fn holds(condition: &Condition) -> bool {
    Truth::of(condition) == Some(Truth::True)
}

/// Whether the condition of this type is there and holds.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find_condition(conditions, type_).is_some_and(holds)
}

/// Whether both lists state the same facts, whatever their times and their order.
#[must_use]
pub fn same_conditions(a: &[Condition], b: &[Condition]) -> bool {
    a.len() == b.len()
        && a.iter()
            .all(|x| find_condition(b, &x.type_).is_some_and(|y| same_fact(x, y)))
        && b.iter().all(|y| find_condition(a, &y.type_).is_some())
}

fn same_fact(a: &Condition, b: &Condition) -> bool {
    a.type_ == b.type_
        && a.status == b.status
        && a.reason == b.reason
        && a.message == b.message
        && a.observed_generation == b.observed_generation
}

/// The API stores whole seconds; a fraction would make an object differ from what is read back.
fn whole_seconds(time: &Time) -> Time {
    Time(Timestamp::from_second(time.0.as_second()).unwrap_or(time.0))
}

fn cut(message: &str) -> String {
    const MARK: &str = "...";
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE - MARK.len();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::new(second, 500_000_000).unwrap())
    }

    #[test]
    fn the_time_changes_only_with_the_status() {
        let mut all = Vec::new();
        assert!(set_condition(
            &mut all,
            "Ready",
            Truth::False,
            "Compiling",
            "2 of 3",
            Some(1),
            &at(10)
        ));
        assert!(!set_condition(
            &mut all,
            "Ready",
            Truth::False,
            "Compiling",
            "2 of 3",
            Some(1),
            &at(20)
        ));
        assert!(set_condition(
            &mut all,
            "Ready",
            Truth::False,
            "Compiling",
            "3 of 3",
            Some(1),
            &at(30)
        ));
        assert_eq!(all[0].last_transition_time.0.as_second(), 10);
        assert_eq!(
            all[0].last_transition_time.0.subsec_nanosecond(),
            0,
            "reads back as written"
        );
        assert!(set_condition(
            &mut all,
            "Ready",
            Truth::True,
            "Compiled",
            "",
            Some(2),
            &at(40)
        ));
        assert_eq!(all[0].last_transition_time.0.as_second(), 40);
        assert!(is_true(&all, "Ready") && !is_true(&all, "Compiled") && all.len() == 1);
    }

    #[test]
    fn comparison_ignores_times_and_order() {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        set_condition(&mut a, "X", Truth::True, "R", "m", None, &at(1));
        set_condition(&mut a, "Y", Truth::Unknown, "R", "m", None, &at(1));
        set_condition(&mut b, "Y", Truth::Unknown, "R", "m", None, &at(2));
        assert!(!same_conditions(&a, &b));
        set_condition(&mut b, "X", Truth::True, "R", "m", None, &at(2));
        assert!(same_conditions(&a, &b));
        set_condition(&mut b, "X", Truth::True, "Other", "m", None, &at(2));
        assert!(!same_conditions(&a, &b));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let mut all = Vec::new();
        set_condition(
            &mut all,
            "Ready",
            Truth::False,
            "R",
            &"ü".repeat(2000),
            None,
            &at(1),
        );
        assert!(all[0].message.len() <= MAX_MESSAGE && all[0].message.ends_with("ü..."));
    }
}
