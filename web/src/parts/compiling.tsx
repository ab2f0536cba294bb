/** What a compiler says while it is at work, line by line as the page hears of them, and why a Model is not ready. */
import { useEffect, useState } from "preact/hooks";
import type { Condition } from "../api.js";
import { words } from "../format.js";
import { Card } from "./common.js";

/** Lines that are kept. */
const MOST = 200;

export function Compiling({ ready }: { ready: Condition }) {
    const [lines, setLines] = useState<string[]>([]);
    useEffect(() => {
        const { message } = ready;
        if (message) setLines((old) => (old.at(-1) === message ? old : [...old, message].slice(-MOST)));
    }, [ready.message]);
    const working = ready.status === "Unknown";
    return (
        <Card title={working ? "Compiling" : `Not ready: ${words(ready.reason)}`} note={working ? "in a process without network, token or store" : undefined}>
            {working && <progress aria-label="The compiler is at work" />}
            <div class="log" role="log" tabIndex={0} aria-label="What the compiler says">
                {lines.map((line, at) => (
                    <p key={at}>{line}</p>
                ))}
            </div>
        </Card>
    );
}
