//! The watches of several namespaces as one.
//!
//! Invariants: whoever reads the merged events takes them for those of one watch: it begins with one list, which is
//! complete when every namespace has answered; after it no namespace's list makes objects of another one disappear, and
//! what a namespace's later list lacks is told as deleted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

/// Refusals of a namespace after which nobody waits for it any more: rights may be a moment behind.
const PATIENCE: u32 = 3;

/// What is known of one namespace.
#[derive(Debug, Default)]
struct Seen {
    /// The names of its objects.
    names: BTreeSet<String>,
    /// Those that the list which is being read has brought.
    listing: BTreeSet<String>,
    /// It was listed, or refused often enough.
    answered: bool,
    refusals: u32,
}

/// What is to be told next.
enum Next<K> {
    Event(Event<K>),
    /// An object that a list has no more: namespace and name.
    Gone(String, String),
}

/// See the module.
pub(super) struct Merge<K> {
    namespaces: BTreeMap<String, Seen>,
    /// The first list is complete.
    complete: bool,
    ready: VecDeque<Next<K>>,
    /// Deleted while the first list is not complete: nobody knows deletions within a list.
    late: BTreeSet<(String, String)>,
}

impl<K: Resource<DynamicType = ()>> Merge<K> {
    pub(super) fn new<'a>(namespaces: impl Iterator<Item = &'a String>) -> Self {
        Self {
            namespaces: namespaces.map(|n| (n.clone(), Seen::default())).collect(),
            complete: false,
            ready: [Next::Event(Event::Init)].into(),
            late: BTreeSet::new(),
        }
    }

    /// An event of a namespace's own watch.
    pub(super) fn event(&mut self, namespace: &str, event: Event<K>) {
        let Some(seen) = self.namespaces.get_mut(namespace) else {
            return;
        };
        match event {
            Event::Init => seen.listing.clear(),
            Event::InitApply(object) => {
                seen.listing.insert(object.name_any());
                self.apply(namespace, object);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut seen.listing);
                let known = std::mem::replace(&mut seen.names, listed);
                (seen.answered, seen.refusals) = (true, 0);
                let gone: Vec<String> = known.difference(&seen.names).cloned().collect();
                for name in gone {
                    self.gone(namespace, name);
                }
                self.complete_if_all_answered();
            }
            Event::Apply(object) => self.apply(namespace, object),
            Event::Delete(object) => {
                seen.names.remove(&object.name_any());
                if self.complete {
                    self.ready.push_back(Next::Event(Event::Delete(object)));
                } else {
                    self.gone(namespace, object.name_any());
                }
            }
        }
    }

    /// A namespace's own watch was refused.
    pub(super) fn refused(&mut self, namespace: &str) {
        if let Some(seen) = self.namespaces.get_mut(namespace) {
            seen.refusals = seen.refusals.saturating_add(1);
            seen.answered |= seen.refusals >= PATIENCE;
        }
        self.complete_if_all_answered();
    }

    /// What is to be told next. `last` is an object as it was last seen: one that it does not know is no news.
    pub(super) fn next(&mut self, last: impl Fn(&str, &str) -> Option<K>) -> Option<Event<K>> {
        loop {
            match self.ready.pop_front()? {
                Next::Event(event) => return Some(event),
                Next::Gone(namespace, name) => {
                    if let Some(object) = last(&namespace, &name) {
                        return Some(Event::Delete(object));
                    }
                }
            }
        }
    }

    fn apply(&mut self, namespace: &str, object: K) {
        let name = object.name_any();
        let event = if self.complete {
            Event::Apply(object)
        } else {
            self.late.remove(&(namespace.to_owned(), name.clone()));
            Event::InitApply(object)
        };
        if let Some(seen) = self.namespaces.get_mut(namespace) {
            seen.names.insert(name);
        }
        self.ready.push_back(Next::Event(event));
    }

    fn gone(&mut self, namespace: &str, name: String) {
        if self.complete {
            self.ready.push_back(Next::Gone(namespace.to_owned(), name));
        } else {
            self.late.insert((namespace.to_owned(), name));
        }
    }

    fn complete_if_all_answered(&mut self) {
        if !self.complete && self.namespaces.values().all(|seen| seen.answered) {
            self.complete = true;
            self.ready.push_back(Next::Event(Event::InitDone));
            let late = std::mem::take(&mut self.late);
            let late = late
                .into_iter()
                .map(|(namespace, name)| Next::Gone(namespace, name));
            self.ready.extend(late);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    fn object(namespace: &str, name: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                namespace: Some(namespace.to_owned()),
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    /// Two namespaces, `a` and `b`, and a reader that keeps what a store would.
    struct Case {
        merge: Merge<ConfigMap>,
        store: BTreeSet<String>,
        list: BTreeSet<String>,
        lists: u32,
        told: Vec<String>,
    }

    impl Case {
        fn new() -> Self {
            Self {
                merge: Merge::new(["a".to_owned(), "b".to_owned()].iter()),
                store: BTreeSet::new(),
                list: BTreeSet::new(),
                lists: 0,
                told: Vec::new(),
            }
        }

        fn read(&mut self) {
            let key = |o: &ConfigMap| format!("{}/{}", o.namespace().unwrap(), o.name_any());
            while let Some(event) = {
                let store = &self.store;
                let there = |n: &str, o: &str| store.contains(&format!("{n}/{o}"));
                self.merge.next(|n, o| there(n, o).then(|| object(n, o)))
            } {
                match event {
                    Event::Init => self.list.clear(),
                    Event::InitApply(o) => drop(self.list.insert(key(&o))),
                    Event::InitDone => {
                        self.store = std::mem::take(&mut self.list);
                        self.lists += 1;
                    }
                    Event::Apply(o) => {
                        self.store.insert(key(&o));
                        self.told.push(format!("+{}", key(&o)));
                    }
                    Event::Delete(o) => {
                        self.store.remove(&key(&o));
                        self.told.push(format!("-{}", key(&o)));
                    }
                }
            }
        }

        fn event(&mut self, namespace: &str, event: Event<ConfigMap>) {
            self.merge.event(namespace, event);
            self.read();
        }

        fn list(&mut self, namespace: &str, names: &[&str]) {
            self.event(namespace, Event::Init);
            for name in names {
                self.event(namespace, Event::InitApply(object(namespace, name)));
            }
            self.event(namespace, Event::InitDone);
        }

        fn refuse(&mut self, namespace: &str, times: u32) {
            for _ in 0..times {
                self.merge.refused(namespace);
                self.read();
            }
        }

        fn holds(&self, expected: &[&str]) {
            let held: Vec<&str> = self.store.iter().map(String::as_str).collect();
            assert_eq!(held, expected);
        }
    }

    #[test]
    fn the_first_list_is_complete_when_every_namespace_was_listed() {
        let mut case = Case::new();
        case.list("a", &["1", "2"]);
        assert_eq!(case.lists, 0, "half a list");
        case.list("b", &["1"]);
        assert_eq!(case.lists, 1);
        case.holds(&["a/1", "a/2", "b/1"]);
    }

    #[test]
    fn a_later_list_of_one_namespace_takes_nothing_of_another_and_tells_what_is_gone() {
        let mut case = Case::new();
        case.list("a", &["1", "2"]);
        case.list("b", &["1"]);
        case.list("a", &["2", "3"]);
        case.holds(&["a/2", "a/3", "b/1"]);
        assert_eq!(case.told, ["+a/2", "+a/3", "-a/1"]);
        assert_eq!(case.lists, 1);
        case.list("b", &[]);
        case.holds(&["a/2", "a/3"]);
    }

    #[test]
    fn what_changes_while_others_are_still_listed_is_as_it_was_last() {
        let mut case = Case::new();
        case.list("a", &["1", "2", "3"]);
        case.event("a", Event::Delete(object("a", "1")));
        case.event("a", Event::Delete(object("a", "2")));
        case.event("a", Event::Apply(object("a", "2")));
        // A list that broke off and began anew.
        case.event("b", Event::Init);
        case.event("b", Event::InitApply(object("b", "old")));
        case.list("b", &["new"]);
        case.holds(&["a/2", "a/3", "b/new"]);
        assert_eq!(case.lists, 1);
    }

    #[test]
    fn a_namespace_that_is_refused_holds_up_no_other_and_comes_in_when_it_may_be_read() {
        let mut case = Case::new();
        case.refuse("b", PATIENCE - 1);
        case.list("a", &["1"]);
        assert_eq!(case.lists, 0, "rights may be a moment behind");
        case.refuse("b", 1);
        assert_eq!(case.lists, 1);
        case.holds(&["a/1"]);
        case.list("b", &["1"]);
        case.holds(&["a/1", "b/1"]);
        assert_eq!((case.lists, case.told.as_slice()), (1, &["+b/1".to_owned()][..]));
        // Refused later it stays as it was last seen.
        case.refuse("b", PATIENCE);
        case.holds(&["a/1", "b/1"]);
        case.event("b", Event::Delete(object("b", "1")));
        case.holds(&["a/1"]);
    }
}
