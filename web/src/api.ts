/**
 * The operator's API. Invariants: the viewer's token is held in memory, and the one of a local run, which goes with the run, in
 * the tab; it is sent in a header to this page's own server, and to nobody else. What comes back is data: it is shown as text.
 */
import type { Fields } from "./objects.js";
import { Events } from "./sse.js";
import type { Taken } from "./tensor.js";

export interface Spread {
    count: number;
    p50: number;
    p95: number;
    p99: number;
    most: number;
}
export interface SliceCounts {
    total: number;
    queued: number;
    claimed: number;
    proved: number;
    verified: number;
}
export interface RequestRow {
    namespace: string;
    name: string;
    model: string;
    phase: string;
    reason: string;
    created: number;
    finished: number | null;
    verified: number;
    total: number;
    version: string;
}
export interface Requests {
    count: number;
    phases: Record<string, number>;
    perMinute: [number, number, number][];
    latency: Spread;
    /** Of these: until the first slice was queued, and from there. */
    waiting: Spread;
    proving: Spread;
    slices: SliceCounts;
    /** Of all Models. */
    proofMillis: Spread;
    verifyMicros: Spread;
    proofBytes: Spread;
    proofs: { namespace: string; model: string; millis: Spread; verifyMicros: Spread; bytes: Spread }[];
    latest: RequestRow[];
}
export interface ModelRow {
    namespace: string;
    name: string;
    ready: boolean;
    reason: string;
    system: string;
    slices: number;
    predictedMillis: number;
    errorMillionths: number | null;
    budgetMillionths: number;
    version: string;
}
export interface PoolRow {
    namespace: string;
    name: string;
    identity: string | null;
    ready: boolean;
    reason: string;
    scoreMillionths: number | null;
    workMillis: number;
    successMillionths: number | null;
    verified: number;
    invalid: number;
    late: number;
    lost: number;
    p50Millis: number | null;
    p95Millis: number | null;
}
export interface Overview {
    at: number;
    version: string;
    requests: Requests | null;
    models: { count: number; list: ModelRow[] } | null;
    pools: { count: number; list: PoolRow[] } | null;
}
export interface Condition {
    type: string;
    status: string;
    reason: string;
    message: string;
    lastTransitionTime: string;
}
interface Metadata {
    namespace: string;
    name: string;
    uid: string;
    created: string;
    deleting: boolean;
}
export interface RecentSlice {
    slice: number;
    pool: string;
    identity: string;
    attempt: number;
    millis: number;
    bytes?: number;
    verdict: string;
    message?: string;
}
export interface RequestView {
    metadata: Metadata;
    model: string;
    priority: number;
    deadline: string;
    suspended: boolean;
    input: {
        inline: { name: string; shape: number[] }[];
        artifact: string | null;
        configMap: { name: string; key: string } | null;
    };
    status: null | {
        phase: string;
        modelDigest?: string;
        manifestDigest?: string;
        output?: {
            name?: string;
            shape?: number[];
            values?: number[];
            others?: number;
            class?: number;
            label?: string;
        };
        receipt?: { digest: string; bytes: number; path?: string };
        slices?: SliceCounts;
        recentSlices?: RecentSlice[];
        errorVsFloatMillionths?: number;
        verify?: string;
        startedAt?: string;
        finishedAt?: string;
        conditions?: Condition[];
    };
}
export interface ModelSlice {
    index: number;
    nodes: string;
    vkDigest: string;
    measures: Record<string, number>;
    predictedMemoryBytes: number;
    predictedMillis: number;
}
export interface ModelView {
    metadata: Metadata;
    proofSystem: string;
    parallelism: number;
    errorBudgetMillionths: number;
    classes: number;
    slo?: null | { p95Seconds?: number; successMillionths?: number; windowHours: number };
    spec: Fields;
    status: null | {
        modelDigest?: string;
        manifestDigest?: string;
        graphDigest?: string;
        sliceCount?: number;
        slices?: ModelSlice[];
        accuracy?: {
            profile: string;
            samples: number;
            synthetic: boolean;
            maxAbsErrorMillionths: number;
            meanAbsErrorMillionths: number;
            top1AgreementMillionths?: number;
            topMarginMillionths?: number;
            sqnrMillibels?: number;
            widened?: number;
        };
        unsupported?: { node: string; op: string; reason: string }[];
        conditions?: Condition[];
    };
}
export interface GraphNode {
    name: string;
    op: string;
    shape: number[];
    bits: number;
    signed: boolean;
    exponent: number;
    weights: number;
    slice?: number;
}
export interface Graph {
    nodes: GraphNode[];
    edges: [number, number][];
    outputs: number[];
}

/** A node's tensor against the float model's. */
export interface NodeAccuracy {
    node: string;
    maxErrorMillionths: number;
    sqnrMillibels?: number;
    saturations: number;
}
/** A way to hold the model in integers that the compiler has tried. */
export interface TriedWay {
    profile: string;
    widened?: number;
    headroomMillionths: number;
    shortShifts?: boolean;
    maxErrorMillionths?: number;
    outcome: string;
    refused?: string;
}
interface Work {
    predictedMicros: number;
    predictedMemoryBytes: number;
    predictedProofBytes: number;
}
export interface NodeOutlook {
    claims: string[];
    alone?: Work;
}
/** What a choice of proof system and least number of slices comes to. */
export interface Cut {
    proofSystem: string;
    parallelism: number;
    outcome: { cut: Work & { slices: number; longestMicros: number } } | { refused: string };
}
export interface Unsupported {
    node: string;
    op: string;
    reason: string;
}
export interface Outline {
    nodes: { name: string; op: string }[];
    edges: [number, number][];
}
/** What the compiler has reported: of a model that is compiled, or of one that is refused. */
export interface Report {
    budgetMillionths?: number;
    tried?: TriedWay[];
    nodes?: NodeAccuracy[];
    slices?: Work[];
    outlook?: { cuts?: Cut[]; nodes?: NodeOutlook[] } | null;
    unsupported?: Unsupported[];
    outline?: Outline | null;
}

/** Why a call has no answer: a stable word, and a sentence. */
export class ApiError extends Error {
    constructor(
        readonly reason: string,
        message: string,
    ) {
        super(message);
    }
}

const KEPT = "zkinfer-local-token";
/** Which namespace is shown, as long as the tab is there. */
export const NAMESPACE = "zkinfer-namespace";

let token = "";

/** Takes the token of a local run from the address, and the address's trace with it. */
export function takeToken(): boolean {
    const told = new URLSearchParams(location.hash.slice(1));
    const given = told.get("token");
    if (given) {
        const namespace = told.get("namespace");
        if (namespace !== null) sessionStorage.setItem(NAMESPACE, namespace);
        history.replaceState(null, "", location.pathname + location.search);
        sessionStorage.setItem(KEPT, given);
    }
    token = given ?? sessionStorage.getItem(KEPT) ?? "";
    return token !== "";
}

/** A token that somebody has given is forgotten with the page. */
export function giveToken(given: string): void {
    token = given;
}

export function forgetToken(): void {
    token = "";
    sessionStorage.removeItem(KEPT);
}

interface Sent {
    method: "POST" | "PUT";
    type: string;
    body: string | Uint8Array<ArrayBuffer>;
}

async function call(path: string, signal?: AbortSignal, sent?: Sent): Promise<Response> {
    let response: Response;
    try {
        response = await fetch(`/api/v1/${path}`, {
            headers: { ...(token === "" ? {} : { authorization: `Bearer ${token}` }), ...(sent ? { "content-type": sent.type } : {}) },
            ...(sent ? { method: sent.method, body: sent.body } : {}),
            credentials: "omit",
            cache: "no-store",
            redirect: "error",
            ...(signal ? { signal } : {}),
        });
    } catch (error) {
        if (signal?.aborted) throw error;
        throw new ApiError("Unreachable", "The operator does not answer.");
    }
    if (response.ok) return response;
    const problem = (await response.json().catch(() => ({}))) as { reason?: unknown; message?: unknown };
    const text = (value: unknown, other: string) => (typeof value === "string" ? value : other);
    throw new ApiError(text(problem.reason, "Failed"), text(problem.message, `The operator answered ${response.status}.`));
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return (await call(path, signal)).json() as Promise<T>;
}

const path = (...parts: string[]) => parts.map(encodeURIComponent).join("/");

/** Whether there is something to see without a token. */
export const isPublic = (signal?: AbortSignal) =>
    get<{ public: boolean }>("access", signal).then(
        (access) => access.public === true,
        () => false,
    );
export const readRequest = (namespace: string, name: string, signal?: AbortSignal) =>
    get<RequestView>(path("requests", namespace, name), signal);
export const readModel = (namespace: string, name: string, signal?: AbortSignal) =>
    get<ModelView>(path("models", namespace, name), signal);
export const readGraph = (namespace: string, name: string, signal?: AbortSignal) =>
    get<Graph>(`${path("models", namespace, name)}/graph`, signal);
export const readReceipt = async (namespace: string, name: string) =>
    new Uint8Array(await (await call(`${path("requests", namespace, name)}/receipt`)).arrayBuffer());

export const readManifest = async (namespace: string, name: string) =>
    new Uint8Array(await (await call(`${path("models", namespace, name)}/manifest`)).arrayBuffer());
/** What the compiler has reported of a Model. */
export const readReport = (namespace: string, name: string, signal?: AbortSignal) =>
    get<Report>(`${path("models", namespace, name)}/report`, signal);
/** What a Model takes and gives. */
export const readTensors = (namespace: string, name: string, signal?: AbortSignal) =>
    get<{ inputs: Taken[]; outputs: Taken[] }>(`${path("models", namespace, name)}/tensors`, signal);
export interface FloatOutput {
    name: string;
    shape: number[];
    /** The first of them; what is not a number is none. */
    values: (number | null)[];
    count: number;
}
/** An answer that was not proved: what the integers give, and what the float model says, or why it says nothing. */
export interface Tried {
    integers: FloatOutput[];
    floats: FloatOutput[] | null;
    why: string | null;
}
/** Tries an input, which is kept nowhere. */
export const tryInput = async (namespace: string, name: string, inline: Fields) =>
    (await call(`${path("models", namespace, name)}/try`, undefined, { method: "POST", type: "application/json", body: JSON.stringify({ inline }) })).json() as Promise<Tried>;
/** The float model's answer to a request that has succeeded. */
export const readFloat = (namespace: string, name: string, signal?: AbortSignal) =>
    get<FloatOutput[]>(`${path("requests", namespace, name)}/float`, signal);

/** A rule of scores, with the constants that people ask for. */
export interface Rule {
    name: string;
    digest: string;
    windowHours: number;
    halfLifeMinutes: number;
    coldStart: number;
    skipHours: number;
    faultMillionths: number;
    ownerCapMillionths: number;
}
/** A score, and how it came to be; numbers that may have more bits than a page's are texts. */
export interface Score {
    owner: string;
    credit: string;
    debit: string;
    possible: string;
    samples: number;
    net: string;
    uncapped: string;
    weight: string;
    scoreMillionths: number;
    shareMillionths: number;
    why: string;
}
export interface Claim {
    at: number;
    claim: string;
    request: string;
    slice: number;
    attempt: number;
    end: string;
    workMicros: number;
    micros: number;
    bytes: number | null;
    worth: string;
}
export interface Explained {
    rule: Rule;
    at: number;
    score: Score;
    count: number;
    claims: Claim[];
}
export interface PoolView {
    pool: {
        metadata: Metadata;
        status: null | {
            identity?: string;
            scoreMillionths?: number;
            workDelivered?: number;
            successMillionths?: number;
            p50Millis?: number;
            p95Millis?: number;
            failures?: Record<string, number>;
            conditions?: Condition[];
        };
    };
    why: Explained | null;
}
export type StandingRow = Score & { miner: string };
/** The weights that were made last, and whether they have left. */
export interface Weights {
    netuid: number;
    block: number;
    at: string;
    digest: string;
    uids: number;
    leftOut: number;
    greatest?: { uid: number; weight: number }[];
    sent?: number;
    next: number;
}
export interface ValidatorView {
    head: { validator: string; segments: number; entries: number; last: string | null; waiting: number };
    validators: {
        metadata: Metadata;
        status: null | {
            settings?: { network: string; maxErrorMillionths: number };
            totals?: { requestsSucceeded: number; requestsFailed: number; slicesVerified: number };
            weights?: Weights;
            conditions?: Condition[];
        };
    }[];
    standing: { rule: Rule; at: number; miners: StandingRow[] };
}
export interface Span {
    from: number;
    requests: number;
    verified: number;
    faults: number;
    others: number;
    bytes: number;
    p50Micros: number | null;
    p95Micros: number | null;
}
export interface History {
    hours: number;
    stepMinutes: number;
    spans: Span[];
}
/** Whose history: everybody's, a pool's miner's, or a Model's as it is compiled now. */
export type HistoryOf = { kind: "all" } | { kind: "pools" | "models"; namespace: string; name: string };
/** How miners have worked in the last hours, by identity. */
export interface Trends {
    hours: number;
    miners: Record<string, { verified: number[]; faults: number; meanBytes: number | null }>;
}
export const readHistory = (of: HistoryOf, hours: number, signal?: AbortSignal) =>
    get<History>(`${of.kind === "all" ? "" : `${path(of.kind, of.namespace, of.name)}/`}history?${new URLSearchParams({ hours: String(hours) })}`, signal);
export const readTrends = (namespace: string, signal?: AbortSignal) => get<Trends>(`trends${namespace === "" ? "" : `?${new URLSearchParams({ namespace })}`}`, signal);
export const readPool = (namespace: string, name: string, signal?: AbortSignal) => get<PoolView>(path("pools", namespace, name), signal);
export const readValidator = (signal?: AbortSignal) => get<ValidatorView>("validator", signal);

/** The largest file that is taken. */
export const MAX_UPLOAD = 64 << 20;

/** Hands a file in, which objects of the namespace may name from then on. */
export async function upload(namespace: string, digest: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
    await call(path("artifacts", namespace, digest), undefined, { method: "PUT", type: "application/octet-stream", body });
}

/** Makes an object, and waits until it is shown. The same Model again is that Model: its name says what it is made from. */
async function make(kind: "models" | "requests", namespace: string, name: string, object: Fields): Promise<void> {
    try {
        await call(path(kind, namespace), undefined, { method: "POST", type: "application/json", body: JSON.stringify(object) });
    } catch (error) {
        const there = kind === "models" && error instanceof ApiError && error.reason === "AlreadyExists";
        if (!there) throw error;
    }
    for (let tries = 0; ; tries++) {
        try {
            await call(path(kind, namespace, name));
            return;
        } catch (error) {
            // Who may make one need not be allowed to read it: their page says so.
            if (!(error instanceof ApiError) || error.reason !== "NotFound" || tries >= 40) return;
        }
        await new Promise((done) => setTimeout(done, 100));
    }
}
export const makeModel = (namespace: string, name: string, object: Fields) => make("models", namespace, name, object);
export const makeRequest = (namespace: string, name: string, object: Fields) => make("requests", namespace, name, object);

/** Follows what goes on until the signal; `lost` says why nothing comes, and it is tried again. */
export async function follow(
    namespace: string,
    signal: AbortSignal,
    told: (overview: Overview) => void,
    lost: (error: ApiError) => void,
): Promise<void> {
    const query = namespace === "" ? "" : `?${new URLSearchParams({ namespace })}`;
    for (let failures = 0; !signal.aborted; ) {
        try {
            const response = await call(`events${query}`, signal);
            const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
            const events = new Events();
            for (let part = await reader.read(); !part.done; part = await reader.read()) {
                for (const event of events.take(part.value)) {
                    if (event.name === "refused") {
                        const problem = JSON.parse(event.data) as { reason: string; message: string };
                        throw new ApiError(problem.reason, problem.message);
                    }
                    failures = 0;
                    if (event.name === "overview") told(JSON.parse(event.data) as Overview);
                }
            }
            throw new ApiError("Unreachable", "The operator has ended.");
        } catch (error) {
            if (signal.aborted) return;
            const why = error instanceof ApiError ? error : new ApiError("Unreachable", "The connection was lost.");
            lost(why);
            if (["UnknownToken", "Forbidden", "InvalidQuery"].includes(why.reason)) return;
        }
        failures++;
        const pause = Math.min(30_000, 500 * 2 ** Math.min(failures, 6)) * (0.75 + Math.random() / 2);
        await new Promise((done) => setTimeout(done, pause));
    }
}
