//! The ConfigMaps `zkinfer-consent` as the API server has them, and what follows from them and the Models for every run.
//!
//! Invariants: of a ConfigMap only the list is kept, so nobody's takes memory; a change is in force for open claims and
//! files before anything is reconciled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{collections::BTreeMap, mem};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event, watcher};
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::{CONSENT_CONFIG_MAP, InferenceRequest, Model, ServedBy};

use super::{Context, Part, RunRecord, follow, named};
use crate::consent::{Consent, Listing, Lists, decide};

/// ConfigMaps are up to 1 MiB: so many are read at once.
const PAGE: u32 = 8;

/// The lists by namespace.
#[derive(Debug, Default)]
pub struct Consents {
    lists: Mutex<BTreeMap<String, Listing>>,
    /// Held from looking to telling the dispatcher, so that nobody tells it what was true before.
    deciding: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// Who may serve the requests of a Model.
    #[must_use]
    pub fn consent_of(&self, model: &Model) -> Consent {
        let namespace = model.namespace().unwrap_or_default();
        self.decide(&namespace, &model.name_any(), model.spec.served_by.as_deref())
    }

    /// Who may serve a request of this Model; absent: of the one that was there when the request was begun.
    #[must_use]
    pub fn consent_for(&self, request: &InferenceRequest, model: Option<&Model>) -> Consent {
        if let Some(model) = model {
            return self.consent_of(model);
        }
        let uid = request.metadata.uid.as_deref().and_then(|uid| uid.parse().ok());
        let served_by =
            uid.and_then(|uid: RequestUid| self.runs().get(&uid).and_then(|r| r.served_by.clone()));
        let namespace = request.namespace().unwrap_or_default();
        self.decide(&namespace, &request.spec.model_ref.name, served_by.as_deref())
    }

    fn decide(&self, namespace: &str, name: &str, served_by: Option<&[ServedBy]>) -> Consent {
        let lists = lock(&self.consents.lists);
        let operator = self.workers.namespace.as_str();
        let lists = Lists {
            own: lists.get(namespace),
            operator_namespace: operator,
            operator: lists.get(operator),
        };
        decide(namespace, name, served_by, &lists)
    }

    /// Which namespaces of the list that decides are not watched, in a sentence.
    #[must_use]
    pub fn unseen(&self, consent: &Consent) -> Option<String> {
        let (at, namespaces) = consent.list()?;
        let unseen = self.scope.unseen(namespaces)?;
        Some(format!("{at}: {unseen}"))
    }

    /// Tells the dispatcher who may see a run; whether that is something else than before. What a Model said last counts
    /// on when it is gone.
    pub fn consent_to(&self, uid: RequestUid) -> bool {
        let _deciding = lock(&self.consents.deciding);
        let consent = {
            let mut runs = self.runs();
            let Some(record) = runs.get_mut(&uid) else {
                return false;
            };
            let found = self.stores.models.find(|m| {
                m.metadata.namespace == record.key.namespace
                    && m.metadata.name.as_ref() == Some(&record.model)
            });
            if let Some(model) = found {
                record.served_by.clone_from(&model.spec.served_by);
            }
            let namespace = record.key.namespace.as_deref().unwrap_or_default();
            self.decide(namespace, &record.model, record.served_by.as_deref())
        };
        self.dispatcher.consent(uid, consent)
    }

    /// A Model is as it was not before.
    pub(super) fn model_seen(&self, model: &Model) {
        let name = model.metadata.name.as_deref().unwrap_or_default();
        self.consent_again(|r| r.key.namespace == model.metadata.namespace && r.model == name);
    }

    fn consent_again(&self, which: impl Fn(&RunRecord) -> bool) {
        let runs: Vec<_> = {
            let runs = self.runs();
            let which = runs.iter().filter(|(_, r)| which(r));
            which.map(|(uid, r)| (*uid, r.key.clone())).collect()
        };
        for (uid, key) in runs {
            if self.consent_to(uid) {
                self.wake.request(key);
            }
        }
    }

    /// Everything that says who may serve was listed anew.
    pub(super) fn models_listed(&self) {
        self.consent_again(|_| true);
    }

    /// The list of this namespace is another, or all are; the operator's namespace's is for everybody.
    fn lists_changed(&self, namespace: Option<&str>) {
        let concerned =
            |own: Option<&str>| namespace.is_none_or(|n| Some(n) == own || n == self.workers.namespace);
        self.consent_again(|r| concerned(r.key.namespace.as_deref()));
        self.wake_requests(|r| concerned(r.metadata.namespace.as_deref()));
        let models = self.stores.models.state();
        for model in models
            .iter()
            .filter(|m| concerned(m.metadata.namespace.as_deref()))
        {
            self.wake.model(ObjectRef::from_obj(&**model));
        }
    }
}

/// Follows the ConfigMaps of this one name, for ever.
pub(super) async fn run(ctx: Arc<Context>) {
    let client = ctx.client.clone();
    let mut listed = BTreeMap::new();
    let mut events = follow(
        &ctx.scope,
        "configmaps zkinfer-consent",
        move |place| {
            let config = watcher::Config::default()
                .fields(&format!("metadata.name={CONSENT_CONFIG_MAP}"))
                .page_size(PAGE);
            watcher(place.api::<ConfigMap>(&client), config)
        },
        |namespace, name| {
            Some(ConfigMap {
                metadata: named(namespace, name),
                ..ConfigMap::default()
            })
        },
    );
    let read = |map: &ConfigMap| {
        let (namespace, listing) = (map.namespace().unwrap_or_default(), Listing::of(map));
        if let Listing::Unreadable(why) = &listing {
            tracing::warn!(
                namespace,
                why,
                "ConfigMap {CONSENT_CONFIG_MAP} cannot be read: it consents to nobody"
            );
        }
        (namespace, listing)
    };
    loop {
        let changed = match events.try_next().await {
            Ok(Some(Event::Init)) => {
                listed.clear();
                continue;
            }
            Ok(Some(Event::InitApply(map))) => {
                let (namespace, listing) = read(&map);
                listed.insert(namespace, listing);
                continue;
            }
            Ok(Some(Event::InitDone)) => {
                *lock(&ctx.consents.lists) = mem::take(&mut listed);
                ctx.ready.set(Part::Consents);
                None
            }
            Ok(Some(Event::Apply(map))) => {
                let (namespace, listing) = read(&map);
                lock(&ctx.consents.lists).insert(namespace.clone(), listing);
                Some(namespace)
            }
            Ok(Some(Event::Delete(map))) => {
                let namespace = map.namespace().unwrap_or_default();
                lock(&ctx.consents.lists).remove(&namespace);
                Some(namespace)
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "watching the ConfigMaps {CONSENT_CONFIG_MAP}");
                continue;
            }
        };
        ctx.lists_changed(changed.as_deref());
    }
}
