/** Pages by path. Invariant: what a path names is text until the API has said that it is there. */

export type Page =
    | { page: "overview" }
    | { page: "receipt" }
    | { page: "studio" }
    | { page: "validator" }
    | { page: "signin" }
    | { page: "request" | "model" | "pool"; namespace: string; name: string }
    | { page: "unknown" };

export function parse(path: string): Page {
    let parts: string[];
    try {
        parts = path.split("/").filter(Boolean).map(decodeURIComponent);
    } catch {
        return { page: "unknown" };
    }
    const [kind, namespace, name] = parts;
    if (parts.length === 0) return { page: "overview" };
    if (parts.length === 1 && (kind === "receipt" || kind === "studio" || kind === "validator" || kind === "signin")) return { page: kind };
    if (parts.length === 3 && namespace !== undefined && name !== undefined) {
        if (kind === "requests") return { page: "request", namespace, name };
        if (kind === "models") return { page: "model", namespace, name };
        if (kind === "pools") return { page: "pool", namespace, name };
    }
    return { page: "unknown" };
}

const to = (kind: string) => (namespace: string, name: string) =>
    `/${kind}/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
export const requestPath = to("requests");
export const modelPath = to("models");
export const poolPath = to("pools");

/** Goes to another page of the app. */
export function go(path: string): void {
    history.pushState(null, "", path);
    dispatchEvent(new PopStateEvent("popstate"));
}
