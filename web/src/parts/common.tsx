import { type ComponentChildren, Fragment } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, type Condition } from "../api.js";
import { ago, short, words } from "../format.js";
import { go } from "../route.js";
import { Export } from "./export.js";

/** A link within the app. */
export function Link({ to, children, ...rest }: { to: string; class?: string; "aria-current"?: "page"; children: ComponentChildren }) {
    const follow = (event: MouseEvent) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button !== 0) return;
        event.preventDefault();
        go(to);
        scrollTo(0, 0);
    };
    return (
        <a href={to} onClick={follow} {...rest}>
            {children}
        </a>
    );
}

export function Card({ title, note, class: kind, children }: { title: string; note?: string; class?: string; children: ComponentChildren }) {
    return (
        <section class={kind ? `card ${kind}` : "card"}>
            <header>
                <h2>{title}</h2>
                {note && <p class="note">{note}</p>}
            </header>
            {children}
        </section>
    );
}

export function Figure({ label, value, note }: { label: string; value: ComponentChildren; note?: ComponentChildren }) {
    return (
        <div class="figure">
            <dt>{label}</dt>
            <dd>{value}</dd>
            {note && <dd class="note">{note}</dd>}
        </div>
    );
}

/** Room for what comes later: what follows it stays where it is. */
export const Room = ({ of, children }: { of: string; children: ComponentChildren }) => (
    <div class="room" style={{ "--room": of }}>
        {children}
    </div>
);

/** A word of several, such as `SumcheckWhir`, which is broken between them if at all. */
export const Word = ({ of }: { of: string }) => (
    <>
        {of.split(/(?=[A-Z])/).map((part, at) => (
            <Fragment key={at}>
                {at > 0 && <wbr />}
                {part}
            </Fragment>
        ))}
    </>
);

export const Empty = ({ children }: { children: ComponentChildren }) => <p class="empty">{children}</p>;
export const Loading = ({ what }: { what: string }) => (
    <p class="empty" role="status">
        Loading {what} …
    </p>
);

export function Failed({ error }: { error: Error }) {
    const reason = error instanceof ApiError ? words(error.reason) : "Failed";
    return (
        <div class="failed" role="alert">
            <strong>{reason}</strong>
            <p>{error.message}</p>
        </div>
    );
}

/** An object's page before there is anything to show of it, or when there never is. */
export const Absent = ({ kind, name, error }: { kind: string; name: string; error: Error | undefined }) => (
    <>
        <h1>
            <span class="kind">{kind}</span> {name}
        </h1>
        {error ? <Failed error={error} /> : <Loading what={name} />}
    </>
);

const TONES: Record<string, string> = {
    Succeeded: "good",
    Verified: "good",
    Failed: "bad",
    Invalid: "bad",
    Cancelled: "dull",
    Pending: "dull",
    Lost: "warn",
    Late: "warn",
    Refused: "warn",
};

/** A state as a word, with a colour beside it. */
export const Badge = ({ of, tone }: { of: string; tone?: string }) => (
    <span class={`badge ${tone ?? TONES[of] ?? "busy"}`}>{words(of)}</span>
);

/** A text that is copied by a click, shown in full or by its ends. */
export function Copied({ text, cut }: { text: string; cut?: boolean }) {
    const [said, say] = useState("");
    const copy = async () => {
        try {
            await navigator.clipboard.writeText(text);
            say("Copied");
        } catch {
            say("Not copied: the browser does not allow it");
        }
        setTimeout(() => say(""), 2000);
    };
    return (
        <span class="copied">
            <code title={text}>{cut ? short(text) : text}</code>
            <button type="button" class="plain" onClick={copy} aria-label={`Copy ${text.slice(0, 80)}`}>
                {said || "copy"}
            </button>
            <span class="unseen" role="status">
                {said}
            </span>
        </span>
    );
}

/** A command, whole, with its button. */
export const CommandLine = ({ text }: { text: string }) => (
    <div class="command">
        <Copied text={text} />
    </div>
);

/** A table with its heads: of numbers, those stand at the right. It scrolls by itself where the screen is narrower. */
export const Table = ({ head, children }: { head: readonly (string | readonly [string, "number"])[]; children: ComponentChildren }) => (
    <div class="scroll" role="group" tabIndex={0} aria-label="A table that may be wider than the screen">
        <table>
            <thead>
                <tr>
                    {head.map((one) => (typeof one === "string" ? <th key={one}>{one}</th> : <th key={one[0]} class="number">{one[0]}</th>))}
                </tr>
            </thead>
            <tbody>{children}</tbody>
        </table>
    </div>
);

/** Conditions of which True is bad news. */
const ALARMS = ["Degraded", "Stalled"];

function tone({ type, status }: Condition): string {
    if (status !== "True" && status !== "False") return "dull";
    return (status === "True") !== ALARMS.includes(type) ? "good" : "bad";
}

export function Conditions({ of, now }: { of: readonly Condition[]; now: number }) {
    if (of.length === 0) return <Empty>Nothing has been said of it yet.</Empty>;
    return (
        <>
        <Table head={["Condition", "Status", "Reason", "Message", "Since"]}>
            {of.map((one) => (
                <tr key={one.type}>
                    <th scope="row">{words(one.type)}</th>
                    <td>
                        <Badge of={one.status} tone={tone(one)} />
                    </td>
                    <td>{words(one.reason)}</td>
                    <td class="message">{one.message}</td>
                    <td>
                        <time dateTime={one.lastTransitionTime}>{ago(Date.parse(one.lastTransitionTime), now)}</time>
                    </td>
                </tr>
            ))}
        </Table>
        <Export
            name="conditions"
            rows={() => ({
                head: ["type", "status", "reason", "message", "lastTransitionTime"],
                rows: of.map((one) => [one.type, one.status, one.reason, one.message, one.lastTransitionTime]),
            })}
        />
        </>
    );
}

/** What a call gives, asked for again when `key` changes; what was there stays meanwhile. */
export function useCall<T>(
    ask: (signal: AbortSignal) => Promise<T>,
    keys: readonly unknown[],
): { value?: T; error?: Error } {
    const [state, set] = useState<{ value?: T; error?: Error }>({});
    useEffect(() => {
        const ended = new AbortController();
        ask(ended.signal).then(
            (value) => !ended.signal.aborted && set({ value }),
            (error: unknown) => {
                if (!ended.signal.aborted) set((old) => ({ ...old, error: error instanceof Error ? error : new Error(String(error)) }));
            },
        );
        return () => ended.abort();
    }, keys);
    return state;
}

/** The time, told anew every few seconds. */
export function useNow(every = 5000): number {
    const [now, set] = useState(Date.now);
    useEffect(() => {
        const timer = setInterval(() => set(Date.now()), every);
        return () => clearInterval(timer);
    }, [every]);
    return now;
}

export function useTitle(title: string): void {
    useEffect(() => {
        document.title = `${title} · zkinfer`;
    }, [title]);
}
