//! Who makes objects for viewers. Invariant: it acts with the viewer's token alone.

use kube::Client;

/// Acts at the API server for whoever holds a token.
pub trait Maker: Send + Sync + 'static {
    /// A client that has this token's rights, and no others.
    ///
    /// # Errors
    /// A token of nobody, an API server that cannot be reached.
    fn client(&self, bearer: &str) -> Result<Client, String>;
}
