//! The objects as the watches have them, and how to ask for a look at one: of each kind one store, one wake and one feed.

use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zkinfer_crds::k8s;

use super::streams::store;

/// What fills a kind's store, and what is asked of its controller: its controller takes it.
pub struct Feed<K: kube::Resource<DynamicType = ()> + Clone + 'static> {
    /// The other end of the store.
    pub writer: Writer<K>,
    /// The other end of the wake.
    pub asked: UnboundedReceiver<ObjectRef<K>>,
}

macro_rules! watched {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        /// The objects as the watches have them.
        pub struct Stores {
            $(
                #[doc = concat!("Of the kind ", stringify!($kind), ".")]
                pub $all: Store<k8s::$kind>,
            )*
        }

        /// Asks for reconciliations.
        pub struct Wake {
            $(
                #[doc = concat!("Of the kind ", stringify!($kind), ".")]
                pub $all: UnboundedSender<ObjectRef<k8s::$kind>>,
            )*
        }

        impl Wake {
            $(
                #[doc = concat!("Of one ", stringify!($kind), ". Nobody listens any more while the operator ends.")]
                pub fn $one(&self, object: ObjectRef<k8s::$kind>) {
                    let _ = self.$all.send(object);
                }
            )*
        }

        /// What the controllers take.
        pub struct Feeds {
            $(
                #[doc = concat!("Of the kind ", stringify!($kind), ".")]
                pub $all: Feed<k8s::$kind>,
            )*
        }

        /// Stores that are filled, and wakes that are heard, by the controllers that take the feeds.
        #[must_use]
        pub fn watched() -> (Stores, Wake, Feeds) {
            $(let $all = feed::<k8s::$kind>();)*
            (
                Stores { $($all: $all.0),* },
                Wake { $($all: $all.1),* },
                Feeds { $($all: $all.2),* },
            )
        }
    };
}

zkinfer_crds::kinds!(watched);

fn feed<K>() -> (Store<K>, UnboundedSender<ObjectRef<K>>, Feed<K>)
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let (reader, writer) = store();
    let (wake, asked) = unbounded_channel();
    (reader, wake, Feed { writer, asked })
}
