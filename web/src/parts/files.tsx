/** Files that come into the page, and files that leave it. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Failed } from "./common.js";

/** A place where a file is dropped or chosen. */
export function Drop({ title, note, accept, take }: { title: string; note?: ComponentChildren; accept: string; take: (file: File) => void }) {
    const [over, setOver] = useState(false);
    const given = (file: File | undefined) => file && take(file);
    return (
        <label
            class={over ? "drop over" : "drop"}
            onDragOver={(event) => {
                event.preventDefault();
                setOver(true);
            }}
            onDragLeave={() => setOver(false)}
            onDrop={(event) => {
                event.preventDefault();
                setOver(false);
                given(event.dataTransfer?.files[0]);
            }}
        >
            <strong>{title}</strong>
            {note && <span class="note">{note}</span>}
            <span class="choose" aria-hidden="true">
                Choose a file
            </span>
            <input
                class="unseen"
                type="file"
                accept={accept}
                onChange={(event) => {
                    const input = event.currentTarget;
                    given(input.files?.[0]);
                    // The same file, changed meanwhile, may be chosen again.
                    input.value = "";
                }}
            />
        </label>
    );
}

/** SHA-256. Only where the page is on this machine or came by TLS do browsers compute it: elsewhere there is none. */
export async function sha256(data: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
    if (!globalThis.crypto?.subtle) return undefined;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    return `sha256:${[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** A button that saves what a call gives; why there is none, it says. */
export function SaveButton({ children, get }: { children: ComponentChildren; get: () => Promise<void> | void }) {
    const [error, setError] = useState<Error>();
    const [busy, setBusy] = useState(false);
    const click = async () => {
        setBusy(true);
        try {
            await get();
            setError(undefined);
        } catch (error) {
            setError(error instanceof Error ? error : new Error(String(error)));
        }
        setBusy(false);
    };
    return (
        <>
            <button type="button" onClick={click} disabled={busy}>
                {children}
            </button>
            {error && <Failed error={error} />}
        </>
    );
}
