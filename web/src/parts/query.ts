/** What is chosen on a page, in its address: whoever opens that sees the same. Invariant: it is text, and what it does not know it leaves alone. */
import { useState } from "preact/hooks";

/** A choice by its name in the address; `usual` stands in none. */
export function useQuery(name: string, usual: string): [string, (value: string) => void] {
    const [value, set] = useState(() => new URLSearchParams(location.search).get(name) ?? usual);
    const choose = (next: string) => {
        set(next);
        const query = new URLSearchParams(location.search);
        if (next === usual) query.delete(name);
        else query.set(name, next);
        const text = query.toString();
        history.replaceState(null, "", location.pathname + (text === "" ? "" : `?${text}`));
    };
    return [value, choose];
}
