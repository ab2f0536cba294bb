//! What the API server says of tokens and rights, remembered for a while, and asked for no more often than it bears.
//!
//! Invariants: what it has not said within its time counts for nothing; of one address, and one whose they claim to be, only
//! so many tokens a second are asked about that turn out to be nobody's, and of one user so many rights that it turns out not to have,
//! and ten times as many that it has; what is known is answered whatever else comes from there; a token that was somebody's lately is
//! asked about again whatever else comes from there.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::dispatch::PoolId;
use crate::gateway::AuthUnavailable;

/// Answers that are remembered, of one kind.
const MOST: usize = 10_000;
/// Reviews at once.
const AT_ONCE: usize = 16;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// Unknown tokens and absent rights of one source that are asked about at once, and each second from then on.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 5.0;
/// What a right that is there costs of that: whoever has many asks about many.
const GRANTED: f64 = 0.1;

/// How long the API server's word that a token is somebody's counts.
const FRESH: Duration = Duration::from_secs(60);
/// How long a token that it did not know is not asked for again.
const UNKNOWN: Duration = Duration::from_secs(5);
/// How long a token that was somebody's pays nothing to be asked about again.
const LATELY: Duration = Duration::from_secs(3600);

/// How long a right that it granted counts, and one that it did not.
const ALLOWED: Duration = Duration::from_secs(10);
const DENIED: Duration = Duration::from_secs(5);

/// SHA-256 of a token.
pub(super) type Token = [u8; 32];

/// Answers with the time until which they count.
pub(super) struct Remembered<K, V> {
    answers: Mutex<HashMap<K, (V, Instant)>>,
}

impl<K: Hash + Eq, V: Clone> Remembered<K, V> {
    pub(super) fn new() -> Self {
        Self {
            answers: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (V, Instant)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let answers = self.lock();
        let (answer, until) = answers.get(key)?;
        (*until > Instant::now()).then(|| answer.clone())
    }

    fn remove(&self, key: &K) {
        self.lock().remove(key);
    }

    /// Where too many are remembered, those that count no more are forgotten; if none is, this one is not remembered.
    pub(super) fn insert(&self, key: K, answer: V, time: Duration) {
        let (mut answers, now) = (self.lock(), Instant::now());
        if answers.len() >= MOST {
            answers.retain(|_, (_, until)| *until > now);
        }
        if answers.len() < MOST {
            answers.insert(key, (answer, now + time));
        }
    }
}

/// Whose tokens are, as far as the API server has said.
pub(super) struct Tokens<V> {
    turns: Arc<Turns>,
    fresh: Duration,
    answers: Remembered<Token, Option<V>>,
    /// Those that were somebody's when they were last asked about: strangers make none, so they crowd none out.
    somebodys: Remembered<Token, ()>,
}

impl<V: Clone> Tokens<V> {
    pub(super) fn new(turns: Arc<Turns>) -> Self {
        Self {
            turns,
            fresh: FRESH,
            answers: Remembered::new(),
            somebodys: Remembered::new(),
        }
    }

    /// What was said of it and still counts.
    pub(super) fn known(&self, token: &Token) -> Option<Option<V>> {
        self.answers.get(token)
    }

    /// Asks by `review`, when its turn comes.
    ///
    /// # Errors
    /// Too many unknown tokens from there, too much to ask in all, or an API server that does not answer.
    pub(super) async fn ask(
        &self,
        token: Token,
        source: Option<Source>,
        review: impl Future<Output = Result<Option<V>, AuthUnavailable>>,
    ) -> Result<Option<V>, AuthUnavailable> {
        let source = source.filter(|_| self.somebodys.get(&token).is_none());
        let turn = self.turns.take(source).await?;
        // Somebody may have asked meanwhile.
        let whose = match self.answers.get(&token) {
            Some(known) => known,
            None => {
                let whose = review.await?;
                let time = if whose.is_some() { self.fresh } else { UNKNOWN };
                self.answers.insert(token, whose.clone(), time);
                match &whose {
                    Some(_) => self.somebodys.insert(token, (), LATELY),
                    None => self.somebodys.remove(&token),
                }
                whose
            }
        };
        if whose.is_some() {
            turn.costs(0.0);
        }
        Ok(whose)
    }
}

/// What users may, as far as the API server has said.
pub(super) struct Rights<K> {
    turns: Arc<Turns>,
    allowed: Remembered<K, bool>,
}

impl<K: Hash + Eq> Rights<K> {
    pub(super) fn new(turns: Arc<Turns>) -> Self {
        Self {
            turns,
            allowed: Remembered::new(),
        }
    }

    /// What was said of it and still counts; else what is said by `review`, when the user's turn comes.
    ///
    /// # Errors
    /// Too much that the user may not do, too much to ask in all, or an API server that does not answer.
    pub(super) async fn ask(
        &self,
        key: K,
        user: &str,
        review: impl Future<Output = Result<bool, AuthUnavailable>>,
    ) -> Result<bool, AuthUnavailable> {
        if let Some(known) = self.allowed.get(&key) {
            return Ok(known);
        }
        let turn = self.turns.take(Some(Source::User(user.to_owned()))).await?;
        // Somebody may have asked meanwhile.
        let allowed = match self.allowed.get(&key) {
            Some(known) => known,
            None => {
                let allowed = review.await?;
                self.allowed
                    .insert(key, allowed, if allowed { ALLOWED } else { DENIED });
                allowed
            }
        };
        if allowed {
            turn.costs(GRANTED);
        }
        Ok(allowed)
    }
}

/// Where a question comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A token's address, and the pool whose it claims to be, of which there are only so many: everybody who comes through a
    /// port-forward shares an address.
    Token(IpAddr, Option<PoolId>),
    /// The user whose rights are asked about.
    User(String),
}

impl Source {
    const fn many(&self) -> &'static str {
        match self {
            Self::Token(..) => "too many tokens that nobody knows came from this address",
            Self::User(_) => "too much was asked for that this user may not do",
        }
    }
}

/// Who may ask the API server now.
pub(super) struct Turns {
    turns: Semaphore,
    unknown: Mutex<HashMap<Source, (f64, Instant)>>,
}

/// A review's turn. It costs its source one, unless the answer is one that costs less.
pub(super) struct Turn<'a> {
    _permit: SemaphorePermit<'a>,
    turns: &'a Turns,
    source: Option<Source>,
}

impl Turns {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            turns: Semaphore::new(AT_ONCE),
            unknown: Mutex::default(),
        })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// Too many unknown tokens from there, or too much to ask in all.
    pub(super) async fn take(&self, source: Option<Source>) -> Result<Turn<'_>, AuthUnavailable> {
        if !self.pay(source.as_ref(), Instant::now()) {
            let many = source
                .as_ref()
                .map_or_else(String::new, |source| source.many().to_owned());
            return Err(AuthUnavailable(many));
        }
        let turn = tokio::time::timeout(TURN, self.turns.acquire()).await;
        let permit = turn
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| AuthUnavailable("too many tokens and rights are being asked about".to_owned()))?;
        Ok(Turn {
            _permit: permit,
            turns: self,
            source,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, (f64, Instant)>> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pay(&self, source: Option<&Source>, now: Instant) -> bool {
        let Some(source) = source else { return true };
        let mut unknown = self.lock();
        if unknown.len() >= MOST {
            unknown.retain(|_, (left, at)| refilled(*left, *at, now) < BURST);
        }
        let (left, at) = unknown.get(source).copied().unwrap_or((BURST, now));
        let left = refilled(left, at, now);
        let pays = left >= 1.0;
        unknown.insert(source.clone(), (if pays { left - 1.0 } else { left }, now));
        pays
    }
}

fn refilled(left: f64, at: Instant, now: Instant) -> f64 {
    let since = now.saturating_duration_since(at).as_secs_f64();
    (left + since * PER_SECOND).min(BURST)
}

impl Turn<'_> {
    /// It costs so much of what it was paid for with.
    fn costs(self, of_one: f64) {
        let Some(source) = &self.source else { return };
        if let Some((left, _)) = self.turns.lock().get_mut(source) {
            *left = (*left + 1.0 - of_one).min(BURST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_unknown_tokens_of_one_source_are_rationed() {
        let turns = Turns::new();
        let loud = Some(Source::Token(IpAddr::from([10, 0, 0, 1]), None));
        for _ in 0..3 * BURST as u32 {
            turns.take(loud.clone()).await.unwrap().costs(0.0);
        }
        let mut asked = 0;
        while turns.take(loud.clone()).await.is_ok() {
            asked += 1;
        }
        assert!((20..=22).contains(&asked), "{asked}");
        for calm in [
            Source::Token(IpAddr::from([10, 0, 0, 2]), None),
            Source::Token(IpAddr::from([10, 0, 0, 1]), Some(PoolId::new("miner", "own"))),
            Source::User("alice".to_owned()),
        ] {
            turns.take(Some(calm)).await.unwrap();
        }
        let later = Instant::now() + Duration::from_secs(2);
        assert!(turns.pay(loud.as_ref(), later), "it may again");
    }

    #[tokio::test]
    async fn a_token_that_was_somebodys_is_served_beside_unknown_ones_of_its_address() {
        let tokens = Tokens {
            fresh: Duration::ZERO,
            ..Tokens::new(Turns::new())
        };
        let source = || Some(Source::Token(IpAddr::from([10, 0, 0, 1]), None));
        let is = async |token: Token, whose| tokens.ask(token, source(), async { Ok(whose) }).await;
        let honest = [255; 32];
        assert_eq!(is(honest, Some("me")).await.unwrap(), Some("me"));
        let mut asked = 0;
        while is([asked; 32], None).await.is_ok() {
            asked += 1;
        }
        assert!((20..=22).contains(&asked), "{asked}");
        // The answer counts no more, so that each time the API server is asked.
        for _ in 0..50 {
            assert_eq!(is(honest, Some("me")).await.unwrap(), Some("me"));
        }
        assert!(
            is([254; 32], Some("new")).await.is_err(),
            "nobody has said whose it is"
        );
        // Nor is it taken for somebody's once it is nobody's.
        assert_eq!(is(honest, None).await.unwrap(), None);
        tokens.answers.remove(&honest);
        assert!(is(honest, Some("me")).await.is_err());
    }

    #[tokio::test]
    async fn rights_that_a_user_has_not_are_rationed_and_what_is_known_is_answered_beside_them() {
        let rights = Rights::new(Turns::new());
        let asked = std::cell::Cell::new(0u32);
        let ask = async |user: &str, name: u32, may: bool| {
            let review = async {
                asked.set(asked.get() + 1);
                Ok(may)
            };
            rights.ask((user.to_owned(), name), user, review).await
        };
        assert_eq!(ask("alice", 0, true).await, Ok(true));
        let mut rationed = 0;
        for name in 1..200 {
            rationed += u32::from(ask("alice", name, false).await.is_err());
            assert_eq!(ask("alice", 0, true).await, Ok(true), "after {name} others");
        }
        assert!(
            (19..=24).contains(&asked.get()) && rationed >= 176,
            "{asked:?} {rationed}"
        );
        // Whoever else asks pays nothing for it.
        assert_eq!(ask("bob", 0, false).await, Ok(false));
        // Of rights that a user has there are ten times as many.
        asked.set(0);
        for name in 0..190 {
            assert_eq!(ask("carol", name, true).await, Ok(true), "{name}");
        }
        assert_eq!(asked.get(), 190);
        while ask("carol", asked.get(), true).await.is_ok() {
            assert!(asked.get() < 1000, "granted rights are asked about without end");
        }
    }

    #[test]
    fn an_answer_counts_for_its_time() {
        let known = Remembered::new();
        known.insert(1, 'a', Duration::from_secs(60));
        known.insert(2, 'b', Duration::ZERO);
        assert_eq!(
            (known.get(&1), known.get(&2), known.get(&3)),
            (Some('a'), None, None)
        );
        for key in 0..2 * MOST {
            known.insert(key + 10, 'c', Duration::from_secs(60));
        }
        assert!(known.lock().len() <= MOST);
        assert_eq!(known.get(&1), Some('a'));
    }
}
