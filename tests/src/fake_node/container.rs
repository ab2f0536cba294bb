//! What a container asks to be run: arguments and environment, as the kubelet makes them of its spec.
//!
//! Invariant: a field that is not understood is an error, never left out: a test must not pass because the fake node
//! ignored what it was told.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::{Error, mounts::Mounts, status::ADDRESS};

/// The container's environment, with paths of mounts replaced by their folders.
pub(super) fn environment(
    pod: &Pod,
    container: &Container,
    mounts: &Mounts,
) -> Result<Vec<(String, String)>, Error> {
    if container
        .env_from
        .as_ref()
        .is_some_and(|sources| !sources.is_empty())
    {
        return Err(Error::Unsupported("envFrom".into()));
    }
    let mut environment: Vec<(String, String)> = Vec::new();
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => expand(variable.value.as_deref().unwrap_or_default(), &environment),
            Some(source) => match &source.field_ref {
                Some(field_ref) => field(pod, &field_ref.field_path)?,
                None => {
                    return Err(Error::Unsupported(format!(
                        "the source of variable {}",
                        variable.name
                    )));
                }
            },
        };
        environment.push((variable.name.clone(), mounts.localise(&value)));
    }
    Ok(environment)
}

/// The container's arguments. The first word of `command` is the image's own entry point, which the node's map of
/// images replaces.
pub(super) fn arguments(
    container: &Container,
    mounts: &Mounts,
    environment: &[(String, String)],
) -> Vec<String> {
    let command = container.command.iter().flatten().skip(1);
    let words = command.chain(container.args.iter().flatten());
    words
        .map(|word| mounts.localise(&expand(word, environment)))
        .collect()
}

/// The end of what the process wrote, of one that failed and whose container's policy falls back to that.
pub(super) fn last_words(
    container: &Container,
    exit_code: i32,
    written: impl FnOnce() -> Vec<u8>,
) -> Option<String> {
    let falls_back = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    if !falls_back || exit_code == 0 {
        return None;
    }
    let written = written();
    // As a kubelet has it.
    let end = written.len().saturating_sub(2048);
    Some(String::from_utf8_lossy(&written[end..]).into_owned())
}

/// A field of the pod, as `fieldRef` names it.
pub(super) fn field(pod: &Pod, path: &str) -> Result<String, Error> {
    let (metadata, spec) = (&pod.metadata, pod.spec.clone().unwrap_or_default());
    let keyed = |prefix: &str| path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']");
    let value = match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        "spec.nodeName" => spec.node_name,
        "spec.serviceAccountName" => spec.service_account_name,
        "status.podIP" | "status.podIPs" | "status.hostIP" => Some(ADDRESS.to_owned()),
        _ => match (keyed("metadata.labels"), keyed("metadata.annotations")) {
            (Some(key), _) => metadata
                .labels
                .iter()
                .flatten()
                .find(|entry| entry.0 == key)
                .map(|entry| entry.1.clone()),
            (_, Some(key)) => metadata
                .annotations
                .iter()
                .flatten()
                .find(|entry| entry.0 == key)
                .map(|entry| entry.1.clone()),
            _ => return Err(Error::Unsupported(format!("the field {path}"))),
        },
    };
    Ok(value.unwrap_or_default())
}

/// Replaces `$(NAME)` by what is known by then; an unknown name stays as it is, and `$$` is a plain `$`.
fn expand(text: &str, environment: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest.strip_prefix("$(").and_then(|tail| tail.split_once(')'));
        let known = name.and_then(|(name, _)| environment.iter().rfind(|entry| entry.0 == name));
        if let (Some((_, tail)), Some((_, value))) = (name, known) {
            out.push_str(value);
            rest = tail;
        } else {
            out.push('$');
            rest = rest.strip_prefix("$$").unwrap_or(&rest[1..]);
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_as_kubernetes_does() {
        let environment = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())];
        assert_eq!(expand("x$(A)-$(B)$(C)", &environment), "x1-2$(C)");
        assert_eq!(expand("$$(A) $ $(", &environment), "$(A) $ $(");
        assert_eq!(expand("plain", &environment), "plain");
    }

    #[test]
    fn the_last_words_are_those_of_a_failure_whose_policy_asks_for_them() {
        let words = |policy: Option<&str>, code| {
            let container = Container {
                termination_message_policy: policy.map(str::to_owned),
                ..Container::default()
            };
            last_words(&container, code, || [&[b'x'; 3000][..], b"no room"].concat())
        };
        assert_eq!([words(None, 1), words(Some("File"), 1)], [None, None]);
        assert_eq!(words(Some("FallbackToLogsOnError"), 0), None);
        let said = words(Some("FallbackToLogsOnError"), 1).unwrap();
        assert!(said.len() == 2048 && said.ends_with("xno room"), "{said}");
    }

    #[test]
    fn fields_are_named_or_refused() {
        let mut pod = Pod::default();
        pod.metadata.name = Some("p".into());
        pod.metadata.labels = Some([("app.kubernetes.io/name".to_owned(), "x".to_owned())].into());
        assert_eq!(field(&pod, "metadata.name").unwrap(), "p");
        assert_eq!(
            field(&pod, "metadata.labels['app.kubernetes.io/name']").unwrap(),
            "x"
        );
        assert!(field(&pod, "metadata.generation").is_err());
    }
}
