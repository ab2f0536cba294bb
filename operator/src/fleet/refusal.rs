//! What the API server refused to take, and when it is asked again.

use std::time::Duration;

use zkinfer_client::Pauses;

/// A quota that was raised is made use of after the longest at the latest.
const PAUSES: Pauses = Pauses::new(Duration::from_secs(5), Duration::from_secs(60));
/// What nobody asks for again for so long after its pause is forgotten: whoever waits for it may ask then.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was refused, in the API server's words.
    pub words: String,
    tries: u32,
    at: Duration,
}

impl Refusal {
    /// Another refusal, after `old` or the first; `now` is time since any fixed moment.
    #[must_use]
    pub fn after(old: Option<&Self>, words: String, now: Duration) -> Self {
        Self {
            words,
            tries: old.map_or(0, |old| old.tries.saturating_add(1)),
            at: now,
        }
    }

    /// How long after it nobody asks.
    #[must_use]
    pub fn pause(&self) -> Duration {
        PAUSES.mean(self.tries.saturating_add(1))
    }

    /// It is time to ask again.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) >= self.pause()
    }

    /// It was time to ask again a while ago, and nobody has: nothing is known any more.
    #[must_use]
    pub fn is_stale(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) >= self.pause() + FORGOTTEN
    }

    /// Whether an error is the API server's no, about which its owner can do something. Everything else passes.
    #[must_use]
    pub fn words_of(error: &kube::Error) -> Option<&str> {
        match error {
            kube::Error::Api(status)
                if (400..500).contains(&status.code) && ![409, 429].contains(&status.code) =>
            {
                Some(&status.message)
            }
            _ => None,
        }
    }
}

/// The reason in a refusal of a pod, without the pod's name: each try has another.
#[must_use]
pub fn without_name(words: &str) -> &str {
    words
        .split_once(" is forbidden: ")
        .map_or(words, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_at_a_pod_is_refused_in_the_same_words() {
        let words = |name: &str| {
            format!(
                "Error creating: pods \"{name}\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0"
            )
        };
        let (one, two) = (words("j-b5mkk"), words("j-gw8w6"));
        assert_eq!(without_name(&one), without_name(&two));
        assert_eq!(
            without_name(&one),
            "exceeded quota: q, requested: pods=1, used: pods=0"
        );
        assert_eq!(without_name("no such thing"), "no such thing");
    }

    #[test]
    fn pauses_double_and_end_at_a_minute() {
        let second = Duration::from_secs;
        let mut refusal = Refusal::after(None, String::new(), second(0));
        let mut pauses = Vec::new();
        for _ in 0..40 {
            pauses.push(refusal.pause().as_secs());
            assert!(!refusal.is_due(refusal.at + refusal.pause() - second(1)));
            assert!(refusal.is_due(refusal.at + refusal.pause()));
            refusal = Refusal::after(Some(&refusal), String::new(), second(100));
        }
        assert_eq!(pauses[..5], [5, 10, 20, 40, 60]);
        assert!(pauses[5..].iter().all(|p| *p == 60));
    }
}
