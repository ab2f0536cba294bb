//! What bodies and answers carry.

use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// What a body or an answer carries.
pub trait Content {
    /// Its media type; absent where there is nothing.
    const MEDIA: Option<&'static str>;

    /// Its schema, where it has one.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;
}

/// Content that is the JSON of a `T`.
pub trait Carries<T>: Content {}

/// The JSON of a `T`.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(PhantomData<T>);

impl<T: JsonSchema> Content for Json<T> {
    const MEDIA: Option<&'static str> = Some("application/json");

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }
}

impl<T: JsonSchema> Carries<T> for Json<T> {}

/// A Kubernetes object, whose fields the API reference has.
#[cfg(feature = "k8s")]
#[derive(Debug, Clone, Copy)]
pub struct Object<K>(PhantomData<K>);

#[cfg(feature = "k8s")]
impl<K: kube::Resource<DynamicType = ()>> Content for Object<K> {
    const MEDIA: Option<&'static str> = Some("application/json");

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        let kind = K::kind(&()).into_owned();
        let definition = serde_json::json!({
            "type": "object",
            "description": "The Kubernetes object; its fields are in docs/api-reference.md.",
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "properties": {
                "apiVersion": { "const": K::api_version(&()) },
                "kind": { "const": kind },
                "metadata": { "type": "object" },
                "spec": { "type": "object" },
                "status": { "type": "object" },
            },
        });
        let to = format!("#/components/schemas/{kind}");
        generator.definitions_mut().insert(kind, definition);
        Some(Schema::new_ref(to))
    }
}

#[cfg(feature = "k8s")]
impl<K: kube::Resource<DynamicType = ()>> Carries<K> for Object<K> {}

/// The bytes of a file.
#[derive(Debug, Clone, Copy)]
pub struct File;

impl Content for File {
    const MEDIA: Option<&'static str> = Some("application/octet-stream");

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}

/// Canonical CBOR: an envelope, a receipt.
#[derive(Debug, Clone, Copy)]
pub struct Cbor;

impl Content for Cbor {
    const MEDIA: Option<&'static str> = Some("application/cbor");

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}

/// A line of text.
#[derive(Debug, Clone, Copy)]
pub struct Text;

impl Content for Text {
    const MEDIA: Option<&'static str> = Some("text/plain");

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}

/// Nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoBody;

impl Content for NoBody {
    const MEDIA: Option<&'static str> = None;

    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
}
