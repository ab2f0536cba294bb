//! Who may what, as whoever guards the objects says it.

use futures::future::BoxFuture;

use crate::gateway::auth::AuthUnavailable;
use crate::gateway::doors::Peer;

/// What a client wants to do, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Access {
    /// `get`, `list`, `create`.
    pub verb: &'static str,
    /// The resource, of our group.
    pub resource: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The object; absent: any.
    pub name: Option<String>,
}

/// Whether somebody may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Nobody knows whose token it is.
    Unknown,
    /// They may not.
    Denied,
    /// They may.
    Granted,
}

/// Says whose a token is and what they may do.
pub trait Guard: Send + Sync + 'static {
    /// Whose it is, by the API server's name; `None` for nobody's.
    fn user<'a>(
        &'a self,
        bearer: &'a str,
        from: Peer,
    ) -> BoxFuture<'a, Result<Option<String>, AuthUnavailable>>;

    /// Whether they may do this.
    fn right<'a>(
        &'a self,
        bearer: &'a str,
        from: Peer,
        access: Access,
    ) -> BoxFuture<'a, Result<Right, AuthUnavailable>>;
}
