//! The gateway's calls as data: method, path, who may call, body, answer. The operator's router, every client and
//! `docs/openapi.yaml` are made from them.
//!
//! Invariant: a call stands here once and nowhere else as text; whoever serves, makes or documents it names its type, so
//! that a path, a limit or a type that changes is changed for all of them, or they do not compile.
//!
//! [`work`] has the workers' calls, [`compile`] those of the compilers that the operator starts itself, [`clients`] those of
//! people and their programs. Nothing here assumes that caller and gateway share a cluster; time is measured by the
//! gateway's clock.

#[cfg(feature = "k8s")]
pub mod clients;
pub mod compile;
pub mod content;
#[cfg(feature = "k8s")]
mod openapi;
pub mod reason;
pub mod work;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

#[cfg(feature = "k8s")]
pub use content::Object;
pub use content::{Carries, Cbor, Content, File, Json, NoBody, Text};
#[cfg(feature = "k8s")]
pub use openapi::openapi;
pub use reason::Reason;

use crate::words::{ClaimId, Digest};

/// One call of the gateway.
pub trait Call {
    /// What the path names, in the path's order.
    type Named: Named;
    /// What stands behind the `?`.
    type Query: Serialize + JsonSchema;
    /// What the caller sends.
    type Body: Content;
    /// What an answer that is no error carries.
    type Answer: Content;
    /// The method.
    const METHOD: Method;
    /// The path, names in braces.
    const PATH: &'static str;
    /// The most bytes of a body that the gateway reads.
    const MAX_BODY: u64;
    /// The most bytes of an answer that a caller reads.
    const MAX_ANSWER: u64;
    /// What documents say of it.
    const ABOUT: About;

    /// The path with its names filled in.
    fn path(named: &Self::Named) -> String {
        let mut values = named.values().into_iter();
        let segment = |s: &'static str| match name_in(s) {
            Some(_) => encoded(&values.next().unwrap_or_default()),
            None => s.to_owned(),
        };
        Self::PATH.split('/').map(segment).collect::<Vec<_>>().join("/")
    }
}

/// What documents say of a call.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The operation's name in the OpenAPI document.
    pub id: &'static str,
    /// A line, and after it what else there is to say.
    pub text: &'static str,
    /// Whose token comes with it.
    pub bearer: Bearer,
    /// Headers beside those that every call has.
    pub headers: &'static [Header],
    /// What is said of the body.
    pub body: &'static str,
    /// The answers of its own; every call may be answered with [`Reason::ANY`] too.
    pub replies: &'static [Reply],
}

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes or does something.
    Post,
    /// Puts something where its path says.
    Put,
}

impl Method {
    /// As it stands in HTTP.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// Whose bearer token comes with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// A worker's, of its pool.
    Worker,
    /// That of a claim.
    Claim,
    /// That of one compilation.
    Compiler,
    /// The caller's own, which the API server knows; it also says what the caller may do.
    Kubernetes,
}

/// A header of a call.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub means: &'static str,
    /// Its schema where it carries JSON.
    pub json: Option<fn(&mut SchemaGenerator) -> Schema>,
}

/// One way in which a call is answered.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// It went well, and the answer carries what it carries.
    Answer(u16, &'static str),
    /// It went well, and there is nothing to carry.
    Empty(u16, &'static str),
    /// It did not, for one of these reasons.
    Problem(u16, &'static [(Reason, &'static str)]),
}

impl Reply {
    /// Its status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Answer(status, _) | Self::Empty(status, _) | Self::Problem(status, _) => *status,
        }
    }
}

/// What a path names.
pub trait Named {
    /// How many values there are.
    const COUNT: usize;

    /// The values, in order.
    fn values(&self) -> Vec<String>;
}

impl Named for () {
    const COUNT: usize = 0;

    fn values(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Of one word.
macro_rules! named {
    ($($word:ty),*) => { $(
        impl Named for $word {
            const COUNT: usize = 1;

            fn values(&self) -> Vec<String> {
                vec![self.to_string()]
            }
        }
    )* };
}
named!(Digest, ClaimId, String);

impl<A: Named, B: Named> Named for (A, B) {
    const COUNT: usize = A::COUNT + B::COUNT;

    fn values(&self) -> Vec<String> {
        [self.0.values(), self.1.values()].concat()
    }
}

impl<A: Named, B: Named, C: Named> Named for (A, B, C) {
    const COUNT: usize = A::COUNT + B::COUNT + C::COUNT;

    fn values(&self) -> Vec<String> {
        [self.0.values(), self.1.values(), self.2.values()].concat()
    }
}

/// The name that a segment of a path stands for.
fn name_in(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A value as a segment of a path (RFC 3986).
fn encoded(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:".contains(&b);
    let one = |b: u8| {
        if plain(b) {
            char::from(b).to_string()
        } else {
            format!("%{b:02X}")
        }
    };
    value.bytes().map(one).collect()
}

/// A call that asks for nothing behind its `?`.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct NoQuery {}

/// The media type of what is carried, absent where there is nothing, and its schema.
pub type Carried = (Option<&'static str>, fn(&mut SchemaGenerator) -> Option<Schema>);

/// A call as documents and tests see it.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// The method.
    pub method: Method,
    /// The path, names in braces.
    pub path: &'static str,
    /// How many values the call's type has for the path.
    pub named: usize,
    /// The most bytes of a body.
    pub max_body: u64,
    /// What is said of it.
    pub about: About,
    /// The type of what stands behind the `?`.
    pub query: fn(&mut SchemaGenerator) -> Schema,
    /// What its body carries.
    pub body: Carried,
    /// What its answer carries.
    pub answer: Carried,
}

impl Described {
    /// Describes a call.
    #[must_use]
    pub const fn of<C: Call>() -> Self {
        Self {
            method: C::METHOD,
            path: C::PATH,
            named: C::Named::COUNT,
            max_body: C::MAX_BODY,
            about: C::ABOUT,
            query: |generator| C::Query::json_schema(generator),
            body: (C::Body::MEDIA, C::Body::schema),
            answer: (C::Answer::MEDIA, C::Answer::schema),
        }
    }

    /// The names in the path.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(name_in)
    }
}

/// Every call, by who makes it.
#[must_use]
pub fn all() -> Vec<Described> {
    let groups = [
        work::ALL,
        compile::ALL,
        #[cfg(feature = "k8s")]
        clients::ALL,
    ];
    groups.concat()
}

/// Defines calls, and `ALL` with each of them. The doc comment is what the OpenAPI document says.
macro_rules! calls {
    ($(
        $(#[doc = $text:literal])+
        $name:ident {
            id: $id:literal,
            call: $method:ident $path:literal,
            bearer: $bearer:ident,
            named: $named:ty,
            query: $query:ty,
            headers: $headers:expr,
            body: $body:ty, $body_text:literal, $max_body:expr;
            answer: $answer:ty, $max_answer:expr;
            replies: $replies:expr,
        }
    )+) => {
        $(
            $(#[doc = $text])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $crate::calls::Call for $name {
                type Named = $named;
                type Query = $query;
                type Body = $body;
                type Answer = $answer;
                const METHOD: $crate::calls::Method = $crate::calls::Method::$method;
                const PATH: &'static str = $path;
                const MAX_BODY: u64 = $max_body;
                const MAX_ANSWER: u64 = $max_answer;
                const ABOUT: $crate::calls::About = $crate::calls::About {
                    id: $id,
                    text: concat!($($text, "\n"),+),
                    bearer: $crate::calls::Bearer::$bearer,
                    headers: $headers,
                    body: $body_text,
                    replies: $replies,
                };
            }
        )+

        /// Each of these calls.
        pub const ALL: &[$crate::calls::Described] = &[$($crate::calls::Described::of::<$name>()),+];
    };
}
use calls;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_path_names_as_much_as_its_call_has_values_for() {
        for call in all() {
            assert_eq!(call.names().count(), call.named, "{}", call.path);
            assert!(call.path.starts_with("/v1/"), "{}", call.path);
        }
    }

    #[test]
    fn no_two_calls_are_alike() {
        let all = all();
        let places: BTreeSet<_> = all.iter().map(|c| (c.method.as_str(), c.path)).collect();
        let ids: BTreeSet<_> = all.iter().map(|c| c.about.id).collect();
        assert_eq!((places.len(), ids.len()), (all.len(), all.len()));
    }

    #[test]
    fn only_a_call_with_a_body_has_a_limit_of_one() {
        for call in all() {
            assert_eq!(call.body.0.is_some(), call.max_body > 0, "{}", call.path);
        }
    }

    #[test]
    fn every_status_is_answered_once_and_each_call_can_go_well() {
        for call in all() {
            let replies = call.about.replies;
            let statuses: BTreeSet<u16> = replies.iter().map(Reply::status).collect();
            assert_eq!(statuses.len(), replies.len(), "{}", call.path);
            let good = |r: &Reply| !matches!(r, Reply::Problem(..)) && r.status() < 300;
            assert!(replies.iter().any(good), "{}", call.path);
        }
    }

    #[test]
    fn names_are_filled_in_and_cannot_leave_their_segment() {
        let claim = ClaimId::new([7; 16]);
        let path = work::Submit::path(&claim);
        assert_eq!(path, format!("/v1/work/claims/{claim}/proof"));
        assert_eq!(encoded("a/../b?c d"), "a%2F..%2Fb%3Fc%20d");
        let digest = Digest::new([1; 32]);
        assert_eq!(encoded(&digest.to_string()), digest.to_string());
    }
}
