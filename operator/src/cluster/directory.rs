//! The objects of a cluster as clients see them. Invariant: what is read is what the watches have; what is made, the API
//! server makes.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::validator::Limits;
use zkinfer_crds::k8s::{InferenceRequest, Model, erasing};
use zkinfer_crds::slice_files::FileRole;

use super::operator::Operator;
use crate::controllers::request::MADE_FOR;
use crate::dispatch::Author;
use crate::gateway::{Directory, Left, NotMade};
use crate::world::Kept;

/// See the module.
pub(super) struct Objects(pub(super) Arc<Operator>);

fn not_made(error: kube::Error) -> NotMade {
    match error {
        kube::Error::Api(status) => NotMade::Refused {
            status: status.code,
            message: status.message.clone(),
        },
        e => NotMade::Unavailable(e.to_string()),
    }
}

/// A name that begins so, as the API server makes them, of at most 63 characters.
fn named(prefix: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    const LONGEST: usize = 63;
    const RANDOM: usize = 5;
    let mut name = prefix[..prefix.floor_char_boundary(LONGEST - RANDOM)].to_owned();
    let letters = rand::random::<[u8; RANDOM]>().map(|b| LETTERS[usize::from(b) % LETTERS.len()]);
    name.extend(letters.map(char::from));
    name
}

impl Directory for Objects {
    fn sees(&self, namespace: &str) -> bool {
        self.0.world.scope.sees(namespace)
    }

    fn other_class(&self, request: &InferenceRequest) -> Option<String> {
        let scope = &self.0.world.scope;
        (!scope.takes(request)).then(|| scope.class().to_owned())
    }

    fn requests(&self, namespace: &str, name: Option<&str>) -> Vec<Arc<InferenceRequest>> {
        let store = &self.0.world.stores.requests;
        match name {
            Some(name) => {
                let one = store.get(&ObjectRef::new(name).within(namespace));
                one.into_iter().collect()
            }
            None => {
                let all = store.state().into_iter();
                all.filter(|r| r.metadata.namespace.as_deref() == Some(namespace))
                    .collect()
            }
        }
    }

    fn limits(&self) -> Limits {
        self.0.world.in_force.get().limits.clone()
    }

    fn left(&self, namespace: &str) -> Result<Option<Left>, String> {
        let quotas = self.0.world.in_force.get().quotas.clone();
        let left = self.0.world.usage.left(&quotas, namespace, Kept::Uploads);
        let left = left.map_err(|reached| reached.to_string())?;
        Ok(left.map(|bytes| Left {
            bytes,
            beyond: format!(
                "the file is larger than the {bytes} bytes that namespace `{namespace}` may still hand in, by spec.quotas.uploadBytes of \
                 the Validator: delete what nobody needs, or ask an administrator for more"
            ),
        }))
    }

    fn uploaded(&self, namespace: &str, bytes: u64) {
        // Where nobody has a quota nothing is counted.
        if !self.0.world.in_force.get().quotas.is_empty() {
            self.0.world.usage.add(namespace, Kept::Uploads, bytes);
        }
    }

    fn may_begin(&self, namespace: &str) -> Result<(), String> {
        let (world, rules) = (&self.0.world, self.0.world.in_force.get());
        let may = world.usage.may_begin(&rules.quotas, namespace);
        may.map_err(|reached| reached.to_string())
    }

    fn make(
        &self,
        namespace: String,
        mut request: InferenceRequest,
        client: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>> {
        // The name is in the note of whose it is, so it is chosen here.
        let name = request.metadata.name.get_or_insert_with(|| {
            let prefix = request.metadata.generate_name.take();
            prefix.map(|prefix| named(&prefix)).unwrap_or_default()
        });
        let author = Author {
            namespace: namespace.clone(),
            name: name.clone(),
            client,
        };
        let note = self.0.world.dispatcher.seal_author(&author);
        request.annotations_mut().insert(MADE_FOR.to_owned(), note);
        let api: Api<InferenceRequest> = Api::namespaced(self.0.world.client.clone(), &namespace);
        async move {
            let made = api.create(&PostParams::default(), &request).await;
            made.map_err(not_made)
        }
        .boxed()
    }

    fn erase(
        &self,
        request: Arc<InferenceRequest>,
        client: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>> {
        let namespace = request.namespace().unwrap_or_default();
        let api: Api<InferenceRequest> = Api::namespaced(self.0.world.client.clone(), &namespace);
        async move {
            if request.spec.input.erased.is_some() {
                return Ok((*request).clone());
            }
            let mut patch = erasing(&request.spec.input, Some(&client));
            // Another request of this name is not meant.
            patch["metadata"]["uid"] = request.uid().into();
            let params = PatchParams {
                field_manager: Some(self.0.world.workers.class.manager()),
                ..PatchParams::default()
            };
            let erased = api
                .patch(&request.name_any(), &params, &Patch::Merge(patch))
                .await;
            erased.map_err(not_made)
        }
        .boxed()
    }

    fn model_files(&self, namespace: &str, name: &str) -> Vec<Digest> {
        let model = ObjectRef::<Model>::new(name).within(namespace);
        let model = self.0.world.stores.models.get(&model);
        let uid = model.and_then(|m| m.uid()).unwrap_or_default();
        let models = self.0.models.records();
        let known = models.get(&uid).and_then(|m| m.known.outcome.as_ref());
        let Some(CompileOutcome::Compiled(report)) = known.map(|known| &known.outcome) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for report in report.each() {
            let keys = report.slices.iter();
            let keys = keys.filter_map(|s| s.files.get(FileRole::VerifyingKey));
            all.extend([report.manifest.digest, report.graph.digest]);
            all.extend(keys.map(|key| key.digest));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_begins_as_asked_and_fits() {
        let name = named("request-");
        assert!(name.starts_with("request-") && name.len() == 13, "{name}");
        assert_ne!(name, named("request-"));
        assert_eq!(named(&"x".repeat(80)).len(), 63);
    }
}
