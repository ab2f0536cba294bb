//! Tokens under an HMAC, which survive a restart of the operator: the right to prove one slice, or to compile one model.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zkinfer_crds::wire::CompileTask;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex, encode};

use super::PoolId;

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8192;

/// The key that tokens are made with; kept in a Secret in a cluster.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// Wraps a key.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// What a claim token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimToken {
    /// The request.
    pub request: RequestUid,
    /// The slice.
    pub slice: SliceIndex,
    /// The claim.
    pub claim: ClaimId,
    /// The pool whose worker claimed.
    pub pool: PoolId,
    /// The miner in the statement.
    pub identity: Identity,
    /// Unix seconds by the gateway's clock.
    pub issued: u64,
    /// Unix seconds by the gateway's clock.
    pub expires: u64,
    /// Most bytes of an envelope.
    pub max_bytes: u64,
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token.
    #[error("not a token of this kind")]
    Malformed,
    /// Not made with this key.
    #[error("the token was not issued here")]
    BadSignature,
}

fn mac(key: &TokenKey, domain: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).ok()?;
    mac.update(domain.as_bytes());
    mac.update(body);
    Some(mac)
}

/// `<body>.<mac>`, both base64url. No domain is the beginning of another.
fn seal(what: &impl Serialize, domain: &str, key: &TokenKey) -> String {
    let body = encode(what);
    let tag = mac(key, domain, &body)
        .map(|m| m.finalize().into_bytes().to_vec())
        .unwrap_or_default();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(tag))
}

/// The comparison takes the same time for every wrong token.
fn open<T: DeserializeOwned>(token: &str, domain: &str, key: &TokenKey) -> Result<T, TokenError> {
    if token.len() > MAX_TOKEN {
        return Err(TokenError::Malformed);
    }
    let (body, tag) = token.split_once('.').ok_or(TokenError::Malformed)?;
    let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Malformed)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| TokenError::Malformed)?;
    let mac = mac(key, domain, &body).ok_or(TokenError::BadSignature)?;
    mac.verify_slice(&tag).map_err(|_| TokenError::BadSignature)?;
    serde_json::from_slice(&body).map_err(|_| TokenError::Malformed)
}

const CLAIM_DOMAIN: &str = "zkinfer/claim-token/v1";
const COMPILE_DOMAIN: &str = "zkinfer/compile-token/v1";
const AUTHOR_DOMAIN: &str = "zkinfer/author/v1";
const BENCHMARK_DOMAIN: &str = "zkinfer/benchmark/v1";
const SEED_DOMAIN: &str = "zkinfer/benchmark-seed/v1";

impl ClaimToken {
    /// The token as text.
    #[must_use]
    pub fn seal(&self, key: &TokenKey) -> String {
        seal(self, CLAIM_DOMAIN, key)
    }

    /// Opens a token. Whether it has expired is the caller's question.
    ///
    /// # Errors
    /// Anything that [`ClaimToken::seal`] with this key did not give.
    pub fn open(token: &str, key: &TokenKey) -> Result<Self, TokenError> {
        open(token, CLAIM_DOMAIN, key)
    }
}

/// The right to compile one model: it holds all that the compiler may read and under which key it reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompileToken {
    /// The Model's namespace and name.
    pub model: (String, String),
    /// The Model's uid.
    pub uid: String,
    /// All that the result depends on.
    pub key: Digest,
    /// What shall be made.
    pub task: CompileTask,
}

impl CompileToken {
    /// The token as text.
    #[must_use]
    pub fn seal(&self, key: &TokenKey) -> String {
        seal(self, COMPILE_DOMAIN, key)
    }

    /// Opens a token. Whether the result is still wanted is the caller's question.
    ///
    /// # Errors
    /// Anything that [`CompileToken::seal`] with this key did not give.
    pub fn open(token: &str, key: &TokenKey) -> Result<Self, TokenError> {
        open(token, COMPILE_DOMAIN, key)
    }
}

/// Who made a request through the gateway, as the operator notes it at the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Author {
    /// The request's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The API server's name of the user or service account.
    pub client: String,
}

impl Author {
    /// The note as text.
    #[must_use]
    pub fn seal(&self, key: &TokenKey) -> String {
        seal(self, AUTHOR_DOMAIN, key)
    }

    /// Opens a note. Whether it is of the request at which it stands is the caller's question.
    ///
    /// # Errors
    /// Anything that [`Author::seal`] with this key did not give.
    pub fn open(note: &str, key: &TokenKey) -> Result<Self, TokenError> {
        open(note, AUTHOR_DOMAIN, key)
    }
}

/// That the operator has made a benchmark, and all of what it made, as it notes it at the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkNote {
    /// The uid of the Validator that it is of.
    pub validator: String,
    /// Which benchmark of that Validator it is, from 1.
    pub number: u64,
    /// The request's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The Model's namespace and name.
    pub model: (String, String),
    /// Its input.
    pub input: Digest,
    /// When it was made, in Unix seconds.
    pub made: u64,
}

impl BenchmarkNote {
    /// The note as text.
    #[must_use]
    pub fn seal(&self, key: &TokenKey) -> String {
        seal(self, BENCHMARK_DOMAIN, key)
    }

    /// Opens a note. Whether it is of the request at which it stands is the caller's question.
    ///
    /// # Errors
    /// Anything that [`BenchmarkNote::seal`] with this key did not give.
    pub fn open(note: &str, key: &TokenKey) -> Result<Self, TokenError> {
        open(note, BENCHMARK_DOMAIN, key)
    }
}

/// What a Validator's benchmark of this number is drawn with: the same after a crash, and known beforehand to nobody who has not
/// the key. `None` never happens: every key is one of the HMAC.
#[must_use]
pub fn benchmark_seed(validator: &str, number: u64, key: &TokenKey) -> Option<[u8; 32]> {
    let mut body = number.to_be_bytes().to_vec();
    body.extend(validator.as_bytes());
    Some(mac(key, SEED_DOMAIN, &body)?.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> ClaimToken {
        ClaimToken {
            request: RequestUid::new([1; 16]),
            slice: SliceIndex(2),
            claim: ClaimId::new([3; 16]),
            pool: PoolId::new("default", "alpha"),
            identity: Identity::new([4; 32]),
            issued: 10,
            expires: 20,
            max_bytes: 30,
        }
    }

    #[test]
    fn opens_what_it_sealed() {
        let key = TokenKey::new([9; 32]);
        assert_eq!(ClaimToken::open(&token().seal(&key), &key), Ok(token()));
        assert_eq!(
            ClaimToken::open(&token().seal(&key), &TokenKey::new([8; 32])),
            Err(TokenError::BadSignature)
        );
    }

    #[test]
    fn a_note_of_who_made_a_request_is_no_other_token_and_nobody_else_writes_one() {
        let key = TokenKey::new([9; 32]);
        let author = Author {
            namespace: "n".to_owned(),
            name: "r".to_owned(),
            client: "alice".to_owned(),
        };
        let note = author.seal(&key);
        assert_eq!(Author::open(&note, &key), Ok(author.clone()));
        assert!(ClaimToken::open(&note, &key).is_err());
        let foreign = author.seal(&TokenKey::new([8; 32]));
        assert_eq!(Author::open(&foreign, &key), Err(TokenError::BadSignature));
        let claim = token().seal(&key);
        assert_eq!(Author::open(&claim, &key), Err(TokenError::BadSignature));
    }

    #[test]
    fn seeds_are_the_same_for_a_number_and_others_for_another_number_validator_or_key() {
        let (key, other) = (TokenKey::new([9; 32]), TokenKey::new([8; 32]));
        let seed = benchmark_seed("uid", 1, &key);
        assert!(seed.is_some());
        assert_eq!(seed, benchmark_seed("uid", 1, &key));
        for another in [
            benchmark_seed("uid", 2, &key),
            benchmark_seed("vid", 1, &key),
            benchmark_seed("uid", 1, &other),
        ] {
            assert_ne!(seed, another);
        }
    }

    #[test]
    fn a_note_of_a_benchmark_is_opened_by_the_key_that_sealed_it_and_is_no_note_of_an_author() {
        let key = TokenKey::new([9; 32]);
        let note = BenchmarkNote {
            validator: "uid".to_owned(),
            number: 3,
            namespace: "system".to_owned(),
            name: "b".to_owned(),
            model: ("a".to_owned(), "wine".to_owned()),
            input: Digest::of(b"x"),
            made: 7,
        };
        let sealed = note.seal(&key);
        assert_eq!(BenchmarkNote::open(&sealed, &key), Ok(note.clone()));
        assert!(Author::open(&sealed, &key).is_err());
        let foreign = note.seal(&TokenKey::new([8; 32]));
        assert_eq!(BenchmarkNote::open(&foreign, &key), Err(TokenError::BadSignature));
    }

    #[test]
    fn refuses_a_change_of_any_byte() {
        let key = TokenKey::new([9; 32]);
        let good = token().seal(&key);
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).unwrap();
            assert!(ClaimToken::open(&bad, &key).is_err(), "byte {at}");
        }
        for end in 0..good.len() {
            assert!(ClaimToken::open(&good[..end], &key).is_err());
        }
    }
}
