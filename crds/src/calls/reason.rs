//! Why the gateway says no: the words of a [`Problem`](crate::wire::Problem).
//!
//! Invariant: a word that was once on the wire keeps its meaning; the list is closed, and every one has a status.

/// Defines the words.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:literal,)+) => {
        /// Why the gateway says no.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The status that goes with it, where no call says another.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }
        }
    };
}

reasons! {
    /// The body is not what the call takes.
    InvalidBody = 400,
    /// What stands behind the `?` is not what the call takes.
    InvalidQuery = 400,
    /// What should be a digest is none.
    InvalidDigest = 400,
    /// The body broke off.
    BrokenOff = 400,
    /// The bearer token is absent or not known.
    UnknownToken = 401,
    /// The token is of another claim.
    OtherClaim = 401,
    /// The caller may not do this.
    Forbidden = 403,
    /// There is no such thing, or not for this caller.
    NotFound = 404,
    /// The operator does not watch the namespace.
    NamespaceNotWatched = 404,
    /// The object is for another operator of the cluster.
    OtherControllerClass = 422,
    /// There is no such path.
    UnknownPath = 404,
    /// The path has no such method.
    UnknownMethod = 405,
    /// The body came too slowly.
    TooSlow = 408,
    /// Another proof of this claim was taken.
    OtherProof = 409,
    /// The request is over, or there will be no more work.
    Over = 410,
    /// The lease has ended, or the request is over.
    ClaimOver = 410,
    /// The result of the compilation is not waited for.
    NotWanted = 410,
    /// The body is too large.
    TooLarge = 413,
    /// The namespace takes as much of the store as the Validator's quotas allow.
    QuotaReached = 403,
    /// As many calls of this caller are at work as the Validator's limits allow.
    LimitReached = 429,
    /// The bytes are not those that the digest names.
    OtherDigest = 422,
    /// A file that the report names was not handed in.
    BlobMissing = 422,
    /// The API server says no, with a status of its own.
    Refused = 502,
    /// Nobody could be asked whose token it is.
    AuthenticationUnavailable = 503,
    /// The artifact store failed.
    StoreUnavailable = 503,
    /// Too many bodies are being read.
    Busy = 503,
}

impl Reason {
    /// With which any call may be answered.
    pub const ANY: &[Self] = &[
        Self::InvalidBody,
        Self::BrokenOff,
        Self::UnknownToken,
        Self::UnknownPath,
        Self::UnknownMethod,
        Self::TooSlow,
        Self::TooLarge,
        Self::AuthenticationUnavailable,
        Self::StoreUnavailable,
        Self::Busy,
    ];
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
