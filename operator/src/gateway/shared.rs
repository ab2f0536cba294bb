//! What the handlers of workers' and compilers' calls share.

use std::sync::Arc;
use std::time::Duration;

use super::auth::Authenticator;
use super::body::Bodies;
use super::clients::Clients;
use crate::dispatch::{CompileToken, Dispatcher};

/// What the gateway tells whoever follows compilations.
pub trait Compilations: Send + Sync + 'static {
    /// Whether the result is still waited for.
    fn wanted(&self, token: &CompileToken) -> bool;
    /// A compiler has said something.
    fn progress(&self, token: &CompileToken, line: String);
    /// A report is in the store.
    fn reported(&self, token: &CompileToken);
}

/// What the handlers share.
#[derive(Clone)]
pub struct Gateway {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) authenticator: Arc<dyn Authenticator>,
    pub(super) compilations: Option<Arc<dyn Compilations>>,
    pub(super) clients: Option<Clients>,
    pub(super) bodies: Bodies,
}

impl Gateway {
    /// A gateway in front of a dispatcher.
    #[must_use]
    pub fn new(dispatcher: Arc<Dispatcher>, authenticator: Arc<dyn Authenticator>) -> Self {
        Self {
            dispatcher,
            authenticator,
            compilations: None,
            clients: None,
            bodies: Bodies::default(),
        }
    }

    /// Serves compilers too.
    #[must_use]
    pub fn with_compilations(self, compilations: Arc<dyn Compilations>) -> Self {
        Self {
            compilations: Some(compilations),
            ..self
        }
    }

    /// Serves clients too; what everybody sends is on their account.
    #[must_use]
    pub fn with_clients(self, clients: Clients) -> Self {
        Self {
            bodies: clients.bodies.clone(),
            clients: Some(clients),
            ..self
        }
    }

    /// Another time for the whole of a body.
    #[must_use]
    pub fn with_body_time(mut self, body_time: Duration) -> Self {
        self.bodies = self.bodies.with_time(body_time);
        self
    }
}
