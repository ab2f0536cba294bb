//! What compilers tell, for the Models.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;

use super::Context;
use crate::dispatch::CompileToken;
use crate::gateway::Compilations;

pub(super) struct Models(pub(super) Arc<Context>);

impl Models {
    fn wake(&self, token: &CompileToken) {
        let (namespace, name) = &token.model;
        self.0.wake.model(ObjectRef::new(name).within(namespace));
    }
}

impl Compilations for Models {
    fn wanted(&self, token: &CompileToken) -> bool {
        let uid = Some(token.uid.as_str());
        let model = self.0.stores.models.find(|m| m.metadata.uid.as_deref() == uid);
        let compiled = self
            .0
            .models()
            .get(&token.uid)
            .is_some_and(|m| m.outcome.is_some());
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
        self.0.models().entry(token.uid.clone()).or_default().progress = Some(said);
        self.wake(token);
    }

    fn reported(&self, token: &CompileToken) {
        self.wake(token);
    }
}
