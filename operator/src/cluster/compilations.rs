//! What compilers tell, for the Models.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;

use super::operator::Operator;
use crate::dispatch::CompileToken;
use crate::gateway::Compilations;

pub(super) struct Compilers(pub(super) Arc<Operator>);

impl Compilers {
    fn wake(&self, token: &CompileToken) {
        let (namespace, name) = &token.model;
        self.0.world.wake.model(ObjectRef::new(name).within(namespace));
    }
}

impl Compilations for Compilers {
    fn wanted(&self, token: &CompileToken) -> bool {
        let uid = Some(token.uid.as_str());
        let model = self
            .0
            .world
            .stores
            .models
            .find(|m| m.metadata.uid.as_deref() == uid);
        let compiled = self
            .0
            .models
            .records()
            .get(&token.uid)
            .is_some_and(|m| m.known.outcome.is_some());
        model.is_some() && !compiled
    }

    fn progress(&self, token: &CompileToken, line: String) {
        let (namespace, name) = &token.model;
        tracing::info!(
            model = format!("{namespace}/{name}"),
            line = line.trim(),
            "compiling"
        );
        let said = (line, std::time::Instant::now());
        self.0
            .models
            .records()
            .entry(token.uid.clone())
            .or_default()
            .progress = Some(said);
        self.wake(token);
    }

    fn reported(&self, token: &CompileToken) {
        self.wake(token);
    }
}
