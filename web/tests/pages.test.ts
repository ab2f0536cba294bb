import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Window } from "happy-dom";
import type { Graph, ModelView, Overview, PoolView, Report, RequestView, ValidatorView } from "../src/api.js";

/** What a miner, a model or a message may say, if it can. */
const HOSTILE = `<img src=x onerror="globalThis.stolen=1"><script>globalThis.stolen=1</script>`;

const condition = { type: "Ready", status: "True", reason: "SlicesQueued", message: HOSTILE, lastTransitionTime: "2026-11-30T00:00:00Z" };
const spread = { count: 2, p50: 1200, p95: 2500, p99: 2500, most: 2500 };
const overview: Overview = {
    at: 1,
    version: "0.1.0",
    requests: {
        count: 2,
        phases: { Proving: 1, Succeeded: 1 },
        perMinute: Array.from({ length: 60 }, (_, at): [number, number, number] => [at % 3, at % 2, 0]),
        latency: spread,
        waiting: spread,
        proving: spread,
        slices: { total: 4, queued: 1, claimed: 1, proved: 1, verified: 1 },
        proofMillis: spread,
        verifyMicros: { ...spread, p50: 3_450 },
        proofBytes: { ...spread, p50: 45_711 },
        proofs: [{ namespace: "n", model: "wine", millis: spread, verifyMicros: { ...spread, p50: 3_450 }, bytes: { ...spread, p50: 45_711 } }],
        latest: [
            { namespace: "n", name: "one", model: "wine", phase: "Proving", reason: HOSTILE, created: 0, finished: null, verified: 1, total: 4, version: "1" },
            { namespace: "n", name: HOSTILE, model: HOSTILE, phase: "Failed", reason: HOSTILE, created: 0, finished: 5, verified: 0, total: 0, version: "1" },
        ],
    },
    models: { count: 1, list: [{ namespace: "n", name: "wine", ready: true, reason: "Compiled", system: "SumcheckWhir", slices: 4, predictedMillis: 120, errorMillionths: 321, budgetMillionths: 10_000, version: "1" }] },
    pools: { count: 1, list: [{ namespace: HOSTILE, name: HOSTILE, identity: HOSTILE, ready: false, reason: HOSTILE, scoreMillionths: 900_000, workMillis: 9, successMillionths: null, verified: 1, invalid: 0, late: 0, lost: 0, p50Millis: null, p95Millis: 3 }] },
};
const request: RequestView = {
    metadata: { namespace: "n", name: "one", uid: "u", created: "2026-11-30T00:00:00Z", deleting: false },
    model: "wine",
    priority: 0,
    deadline: "10m",
    suspended: false,
    input: { inline: [{ name: HOSTILE, shape: [1, 2] }], artifact: null, configMap: null },
    status: {
        phase: "Succeeded",
        output: { name: HOSTILE, shape: [1, 2], values: [0.25, -3], class: 0, label: HOSTILE },
        receipt: { digest: `sha256:${"a".repeat(64)}`, bytes: 2048 },
        slices: { total: 1, queued: 0, claimed: 0, proved: 0, verified: 1 },
        recentSlices: [
            { slice: 0, pool: HOSTILE, identity: "ed25519:00", attempt: 1, millis: 10, verdict: "Invalid", message: HOSTILE },
            { slice: 0, pool: "n/p", identity: "ed25519:01", attempt: 2, millis: 30, bytes: 900, verdict: "Verified" },
        ],
        verify: "prover-worker verify receipt.cbor --model MODEL.onnx",
        finishedAt: "2026-11-30T00:00:02Z",
        conditions: [condition],
    },
};
const model: ModelView = {
    metadata: { ...request.metadata, name: "wine" },
    proofSystem: "SumcheckWhir",
    parallelism: 4,
    errorBudgetMillionths: 10_000,
    classes: 0,
    slo: { p95Seconds: 30, successMillionths: 990_000, windowHours: 24 },
    spec: { source: { artifact: `sha256:${"d".repeat(64)}` }, proofSystem: "SumcheckWhir" },
    status: {
        manifestDigest: `sha256:${"9".repeat(64)}`,
        graphDigest: `sha256:${"c".repeat(64)}`,
        sliceCount: 1,
        slices: [{ index: 0, nodes: HOSTILE, vkDigest: `sha256:${"b".repeat(64)}`, measures: { cells: 4096 }, predictedMemoryBytes: 1 << 20, predictedMillis: 30 }],
        accuracy: { profile: "Int8", samples: 16, synthetic: true, maxAbsErrorMillionths: 321, meanAbsErrorMillionths: 5 },
        unsupported: [{ node: HOSTILE, op: HOSTILE, reason: HOSTILE }],
        conditions: [condition],
    },
};
const graph: Graph = {
    nodes: [
        { name: "x", op: "Input", shape: [1, 4], bits: 8, signed: true, exponent: 3, weights: 0 },
        { name: HOSTILE, op: "Linear", shape: [1, 4], bits: 8, signed: true, exponent: 3, weights: 16, slice: 0 },
    ],
    edges: [[0, 1]],
    outputs: [1],
};

const report: Report = {
    budgetMillionths: 10_000,
    tried: [{ profile: "P12", headroomMillionths: 2_000_000, maxErrorMillionths: 4000, outcome: "noRoom" }, { profile: "P16", headroomMillionths: 2_000_000, maxErrorMillionths: 321, outcome: "chosen" }],
    nodes: [{ node: HOSTILE, maxErrorMillionths: 77, saturations: 0 }],
    slices: [{ predictedMicros: 30_000, predictedMemoryBytes: 1 << 20, predictedProofBytes: 71_680 }],
    outlook: {
        cuts: [
            { proofSystem: "SumcheckWhir", parallelism: 1, outcome: { cut: { slices: 1, predictedMicros: 30_000, longestMicros: 30_000, predictedMemoryBytes: 1 << 20, predictedProofBytes: 71_680 } } },
            { proofSystem: "SumcheckWhir", parallelism: 2, outcome: { cut: { slices: 2, predictedMicros: 44_000, longestMicros: 23_000, predictedMemoryBytes: 1 << 19, predictedProofBytes: 122_880 } } },
            { proofSystem: "Halo2Kzg", parallelism: 1, outcome: { refused: HOSTILE } },
        ],
        nodes: [{ claims: ["Requantised"], alone: { predictedMicros: 29_000, predictedMemoryBytes: 1 << 20, predictedProofBytes: 61_440 } }],
    },
};
const bad: ModelView = { ...model, metadata: { ...request.metadata, name: "bad" }, status: { unsupported: [{ node: HOSTILE, op: "Odd", reason: HOSTILE }], conditions: [{ ...condition, status: "False", reason: "UnsupportedNodes" }] } };
const refusedReport: Report = {
    unsupported: [{ node: HOSTILE, op: "Odd", reason: HOSTILE }, { node: "second", op: "Odder", reason: "of another kind" }],
    outline: { nodes: [{ name: "first", op: "Conv" }, { name: HOSTILE, op: "Odd" }, { name: "second", op: "Odder" }], edges: [[0, 1], [1, 2]] },
};
const tensors = {
    inputs: [{ name: HOSTILE, shape: [1, 2], whole: false, least: -16, greatest: 15.9 }],
    outputs: [{ name: "y", shape: [1, 2], whole: false, least: -16, greatest: 15.9 }],
};
const rule = { name: "SpeedSizeAccuracy", digest: `sha256:${"e".repeat(64)}`, windowHours: 168, halfLifeMinutes: 1440, coldStart: 20, skipHours: 24, faultMillionths: 2_000_000, ownerCapMillionths: 500_000 };
const score = { owner: HOSTILE, credit: "340282366920938463463374607431768211455", debit: "7", possible: "9", samples: 3, net: "2", uncapped: "2", weight: "2", scoreMillionths: 250_000, shareMillionths: 125_000, why: HOSTILE };
const pool: PoolView = {
    pool: { metadata: { ...request.metadata, name: "fast" }, status: { identity: "ed25519:ab", scoreMillionths: 250_000, failures: { [HOSTILE]: 4 }, conditions: [condition] } },
    why: { rule, at: 1000, score, count: 700, claims: [{ at: 5, claim: HOSTILE, request: "u", slice: 1, attempt: 2, end: "LeaseExpired", workMicros: 2_500_000, micros: 900, bytes: null, worth: "-12" }] },
};
const validator: ValidatorView = {
    head: { validator: "ed25519:cd", segments: 12, entries: 3456, last: `sha256:${"f".repeat(64)}`, waiting: 2 },
    validators: [{ metadata: request.metadata, status: { settings: { network: HOSTILE, maxErrorMillionths: 10_000 }, totals: { requestsSucceeded: 8, requestsFailed: 1, slicesVerified: 99 }, weights: { netuid: 2, block: 4321, at: "2026-11-30T00:00:00Z", digest: HOSTILE, uids: 3, leftOut: 1, greatest: [{ uid: 7, weight: 65_535 }], next: 4421 }, conditions: [condition] } }],
    standing: { rule, at: 1000, miners: [{ ...score, miner: "ed25519:ab" }] },
};
const past = {
    hours: 24,
    stepMinutes: 60,
    spans: [
        { from: 0, requests: 3, verified: 8, faults: 1, others: 2, bytes: 81_920, p50Micros: 400_000, p95Micros: 2_500_000 },
        { from: 3_600_000, requests: 0, verified: 0, faults: 0, others: 0, bytes: 0, p50Micros: null, p95Micros: null },
    ],
};
const TOKEN = "e30.e30.secret";
const window = new Window({ url: `http://127.0.0.1:4000/#token=${TOKEN}` });
const asked: { path: string; authorization: string | null }[] = [];
/** What was sent, with its body. */
const sent: { method: string; path: string; type: string; body: string }[] = [];
/** What was made of it, by path. */
const made = new Map<string, unknown>();
/** Whether the Validator lets everybody look. */
let open = false;
let refusal: { status: number; reason: string } | undefined;

function answer(path: string): Response {
    if (refusal) return Response.json({ reason: refusal.reason, message: HOSTILE }, { status: refusal.status });
    if (path === "/api/v1/access") return Response.json({ public: open });
    if (path.startsWith("/api/v1/events")) {
        const event = new TextEncoder().encode(`event: overview\ndata: ${JSON.stringify(overview)}\n\n`);
        // A line that stays open.
        return new Response(new ReadableStream({ start: (line) => line.enqueue(event) }));
    }
    const answers: Record<string, unknown> = { "/api/v1/history?hours=24": past, "/api/v1/history?hours=168": { ...past, hours: 168, stepMinutes: 120, spans: [] }, "/api/v1/pools/n/fast/history?hours=24": past, "/api/v1/models/n/wine/history?hours=24": past, "/api/v1/trends": { hours: 24, miners: { [HOSTILE]: { verified: [0, 3, 1], faults: 1, meanBytes: 45_711 } } }, "/api/v1/models/n/wine/report": report, "/api/v1/models/n/bad": bad, "/api/v1/models/n/bad/report": refusedReport, "/api/v1/requests/n/one": request, "/api/v1/requests/n/one/float": [{ name: HOSTILE, shape: [1, 2], values: [0.125, null], count: 2 }], "/api/v1/pools/n/fast": pool, "/api/v1/validator": validator, "/api/v1/models/n/wine": model, "/api/v1/models/n/wine/tensors": tensors, "/api/v1/models/n/wine/graph": graph };
    const found = answers[path] ?? made.get(path);
    return found ? Response.json(found) : Response.json({ reason: "NotFound", message: "there is none" }, { status: 404 });
}

const globals: Record<string, unknown> = {
    window,
    document: window.document,
    location: window.location,
    history: window.history,
    sessionStorage: window.sessionStorage,
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
    dispatchEvent: window.dispatchEvent.bind(window),
    scrollTo: () => {},
    PopStateEvent: window.PopStateEvent,
    fetch: async (input: string, options: { headers: Record<string, string>; method?: string; body?: string | Uint8Array }) => {
        asked.push({ path: input, authorization: options.headers["authorization"] ?? null });
        if (options.method !== undefined) {
            const body = typeof options.body === "string" ? options.body : new TextDecoder().decode(options.body);
            sent.push({ method: options.method, path: input, type: options.headers["content-type"] ?? "", body });
            if (input.endsWith("/try")) return Promise.resolve(answer(input));
            if (options.method === "POST") {
                const object = JSON.parse(body) as { metadata: { name: string } };
                made.set(`${input}/${object.metadata.name}`, input.includes("/models/") ? model : request);
            }
            return Response.json({}, { status: 201 });
        }
        return Promise.resolve(answer(input));
    },
};
for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

const text = () => window.document.body.textContent ?? "";
async function until(holds: () => boolean, what: string): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
        if (holds()) return;
        await new Promise((done) => setTimeout(done, 10));
    }
    assert.fail(`${what}; the page says: ${text().slice(0, 400)}`);
}
/** Nothing that a text said became an element, and none of it ran. */
function harmless(): void {
    assert.equal(window.document.querySelectorAll("main script, main img, [onerror]").length, 0);
    assert.equal((globalThis as Record<string, unknown>)["stolen"], undefined);
}
async function visit(path: string): Promise<void> {
    const { go } = await import("../src/route.js");
    go(path);
}

test("the pages", async (t) => {
    window.document.body.innerHTML = '<div id="app"></div>';
    await import("../src/main.js");

    await t.test("the secret is taken from the address, sent in a header, and the address forgets it", async () => {
        await until(() => text().includes("live"), "it is connected");
        assert.equal(window.location.href, "http://127.0.0.1:4000/");
        assert.deepEqual(asked[0], { path: "/api/v1/events", authorization: `Bearer ${TOKEN}` });
        assert.equal(window.document.cookie, "");
    });

    await t.test("the overview shows what there is, and texts as texts", async () => {
        await until(() => text().includes("n/wine"), "the models");
        for (const shown of ["1.20 s", "3.5 ms", "44.6 KiB", "0.032 %", "90.0 %", "Succeeded", HOSTILE]) assert.ok(text().includes(shown), shown);
        harmless();
    });

    await t.test("the leaderboard has each miner's last day and the size of its proofs, and is filtered by the address", async () => {
        await until(() => window.document.querySelector(".spark") !== null, "the last day");
        assert.equal(window.document.querySelector(".spark")!.getAttribute("aria-label"), "4 verified in the last 24 hours");
        assert.equal((window.document.querySelector(".spark path")!.getAttribute("d") ?? "").match(/M/g)!.length, 2, "a bar for each hour that has one");
        const only = window.document.querySelector("select[aria-label='Which miners']") as unknown as { value: string; dispatchEvent(event: unknown): void };
        for (const [value, found] of [["ready", 0], ["faulty", 1], ["", 1]] as const) {
            only.value = value;
            only.dispatchEvent(new window.Event("change", { bubbles: true }));
            await until(() => window.document.querySelectorAll(".spark").length === found, value);
            assert.equal(new URLSearchParams(window.location.search).get("only"), value === "" ? null : value);
        }
        harmless();
    });

    await t.test("history is drawn, and its window is in the address", async () => {
        await until(() => window.document.querySelector("path.line") !== null, "the chart");
        const said = [...window.document.querySelectorAll("svg")].map((svg) => svg.getAttribute("aria-label") ?? "").join(" ");
        assert.ok(said.includes("3 requests; of their claims 8 were verified, 1 ended by a miner's fault and 2 otherwise"), said);
        assert.equal(window.document.querySelector("path.line")!.getAttribute("d"), "M36.0 6.0H324.0");
        const select = [...window.document.querySelectorAll("select")].find((one) => one.value === "1d") as unknown as { value: string; dispatchEvent(event: unknown): void };
        select.value = "7d";
        select.dispatchEvent(new window.Event("change", { bubbles: true }));
        await until(() => text().includes("No claim ended in this time"), "the other window");
        assert.equal(window.location.search, "?window=7d");
        const search = window.document.querySelector<InstanceType<typeof window.HTMLInputElement>>("input[aria-label^='Search miners']")!;
        search.value = "nobody";
        search.dispatchEvent(new window.Event("input", { bubbles: true }));
        await until(() => text().includes("0 of 1"), "what is found");
        assert.equal(window.location.search, "?window=7d&miner=nobody", "what is searched for stands beside it");
        search.value = "";
        search.dispatchEvent(new window.Event("input", { bubbles: true }));
        await until(() => window.location.search === "?window=7d", "and is in no address where it is nothing");
    });

    await t.test("a request's page has its attempts, its answer, its receipt and how to verify it", async () => {
        await visit("/requests/n/one");
        await until(() => text().includes("prover-worker verify receipt.cbor"), "the command");
        await until(() => text().includes("1.3e-1"), "the float answer beside it");
        for (const shown of ["Float model", "0.125", "attempt 1", "2 s", "2.0 KiB", "This page verifies nothing", HOSTILE]) assert.ok(text().includes(shown), shown);
        assert.equal(window.document.querySelectorAll(".lane").length, 1);
        assert.deepEqual([...window.document.querySelectorAll(".map li")].map((one) => one.className), ["verified"], "slice by slice");
        assert.equal(window.document.querySelectorAll(".bar").length, 2);
        harmless();
    });

    await t.test("a model's page draws its graph, and a node's panel says what it is", async () => {
        await visit("/models/n/wine");
        await until(() => window.document.querySelectorAll(".node").length === 2, "the graph");
        assert.equal(window.document.querySelectorAll("path.edge").length, 1);
        const select = (named: string) => [...window.document.querySelectorAll("label")].find((one) => one.textContent?.startsWith(named))!.querySelector("select") as unknown as { value: string; dispatchEvent(event: unknown): void };
        const choose = (named: string, value: string) => {
            const one = select(named);
            one.value = value;
            one.dispatchEvent(new window.Event("change", { bubbles: true }));
        };
        for (const [colour, key] of [["error", "0.0077 %"], ["cost", "29.0 ms"], ["support", "brings or moves values"]] as const) {
            choose("Colour by", colour);
            await until(() => (window.document.querySelector(".keys")?.textContent ?? "").includes(key), `the key to ${colour}`);
            assert.equal(new URLSearchParams(window.location.search).get("colour"), colour);
        }
        (window.document.querySelectorAll(".node")[1] as unknown as { dispatchEvent(event: unknown): void }).dispatchEvent(new window.MouseEvent("click", { bubbles: true }));
        await until(() => text().includes("an output of the request"), "the panel");
        for (const shown of ["What cannot be proved", "Requantised", "-16 to 15.875", "95 % within 30 s, 99.0 % succeed, of the last 24 h", "60.0 KiB", "70.0 KiB", "What was tried"]) assert.ok(text().includes(shown), shown);
        assert.equal(new URLSearchParams(window.location.search).get("node"), HOSTILE, "the node is in the address");
        harmless();
        // What another choice comes to is there at once.
        const consequence = () => window.document.querySelector(".consequence")?.textContent ?? "";
        assert.ok(consequence().includes("44.0 ms") && consequence().includes("120.0 KiB"), consequence());
        choose("Slices, at least", "1");
        await until(() => consequence().includes("30.0 ms"), "one slice");
        choose("Proof system", "Halo2Kzg");
        await until(() => window.document.querySelector(".wrong")?.textContent === HOSTILE, "why there is none");
        choose("Proof system", "SumcheckWhir");
        await until(() => consequence() !== "", "the first again");
        harmless();
        const compile = () => [...window.document.querySelectorAll("button")].find((one) => one.textContent === "Compile it so")!;
        compile().click();
        await until(() => sent.length > 0, "a Model is made");
        const [one] = sent.splice(0);
        const object = JSON.parse(one!.body) as { kind: string; metadata: { name: string }; spec: { slicing: unknown; proofSystem: string; source: unknown } };
        assert.deepEqual([object.kind, object.spec.slicing, object.spec.proofSystem, object.spec.source], ["Model", { parallelism: 1 }, "SumcheckWhir", model.spec["source"]]);
        assert.match(object.metadata.name, /^wine-[0-9a-f]{8}$/);
        await visit("/models/n/wine");
        await until(() => window.document.querySelectorAll(".node").length === 2, "the graph again");
    });

    await t.test("a model that cannot be proved is drawn, with every reason", async () => {
        await visit("/models/n/bad");
        await until(() => window.document.querySelectorAll(".node").length === 3, "the file's nodes");
        for (const shown of ["2 nodes", "of another kind", "cannot be proved", HOSTILE]) assert.ok(text().includes(shown), shown);
        await until(() => (window.document.querySelector(".panel")?.textContent ?? "").includes("Cannot be proved"), "the first of them");
        (window.document.querySelectorAll(".node")[2] as unknown as { dispatchEvent(event: unknown): void }).dispatchEvent(new window.MouseEvent("click", { bubbles: true }));
        await until(() => (window.document.querySelector(".panel")?.textContent ?? "").includes("of another kind"), "the reason");
        harmless();
        await visit("/models/n/wine");
    });

    await t.test("an input is only tried: the integers stand beside the float model, and nothing is made", async () => {
        await until(() => window.document.querySelector("textarea") !== null, "the input");
        made.set("/api/v1/models/n/wine/try", { integers: [{ name: HOSTILE, shape: [1, 2], values: [0.5, -3], count: 2 }], floats: [{ name: HOSTILE, shape: [1, 2], values: [0.25, -3], count: 2 }], why: null });
        [...window.document.querySelectorAll("button")].find((one) => one.textContent === "Only try it")!.click();
        await until(() => text().includes("Answer, not proved"), "the answer");
        for (const shown of ["Integers", "at most 2.5e-1 from the float model, 8.3 % of the greatest value", HOSTILE]) assert.ok(text().includes(shown), shown);
        const [one] = sent.splice(0);
        assert.deepEqual([one!.path, Object.keys((JSON.parse(one!.body) as { inline: object }).inline)], ["/api/v1/models/n/wine/try", [HOSTILE]]);
        harmless();
    });

    await t.test("an input is tried: what is typed wrongly is said and not sent, and a request is made of the rest", async () => {
        await until(() => window.document.querySelector("textarea") !== null, "the input");
        const numbers = window.document.querySelector("textarea") as unknown as { value: string; dispatchEvent(event: unknown): void };
        const type = (text: string) => {
            numbers.value = text;
            numbers.dispatchEvent(new window.Event("input", { bubbles: true }));
        };
        const button = (name: string) => [...window.document.querySelectorAll("button")].find((one) => one.textContent === name)!;
        type("1, 2, 3");
        await until(() => text().includes("takes 2 values; 3 are given"), "what is wrong");
        assert.ok(button("Prove it").hasAttribute("disabled"));
        type("1, 99");
        await until(() => text().includes("1 values are outside"), "a warning");
        type("[[0.5, -1]]");
        await until(() => !button("Prove it").hasAttribute("disabled"), "it may be sent");
        button("Prove it").click();
        await until(() => window.location.pathname.startsWith("/requests/n/wine-"), "the request's page");
        const [one] = sent.splice(0);
        assert.deepEqual([one!.method, one!.path, one!.type], ["POST", "/api/v1/requests/n", "application/json"]);
        const object = JSON.parse(one!.body) as { metadata: { name: string }; spec: unknown };
        assert.equal(`/requests/n/${object.metadata.name}`, window.location.pathname);
        assert.deepEqual(object.spec, { modelRef: { name: "wine" }, input: { inline: { [HOSTILE]: { shape: [1, 2], data: [0.5, -1] } } } });
        harmless();
    });

    await t.test("a file that is dropped in the Studio is handed in under its digest, and a Model is made of it", async () => {
        await visit("/studio");
        await until(() => text().includes("Drop an ONNX file here"), "the page");
        const event = new window.Event("drop", { bubbles: true, cancelable: true });
        Object.defineProperty(event, "dataTransfer", { value: { files: [new File(["onnx"], `${HOSTILE}.onnx`)] } });
        window.document.querySelector(".drop")!.dispatchEvent(event);
        await until(() => text().includes("4 B"), "the file");
        window.document.querySelector("form")!.dispatchEvent(new window.Event("submit", { bubbles: true, cancelable: true }));
        await until(() => window.location.pathname.startsWith("/models/default/"), "the Model's page");
        const [file, one] = sent.splice(0);
        const digest = `sha256:${createHash("sha256").update("onnx").digest("hex")}`;
        assert.deepEqual([file!.method, file!.path, file!.body], ["PUT", `/api/v1/artifacts/default/${encodeURIComponent(digest)}`, "onnx"]);
        const object = JSON.parse(one!.body) as { kind: string; spec: { source: { artifact: string } }; metadata: { name: string } };
        assert.deepEqual([one!.path, object.kind, object.spec.source.artifact], ["/api/v1/models/default", "Model", digest]);
        assert.match(object.metadata.name, /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
        harmless();
    });

    await t.test("a miner's page says why it has its score, and the validator's what is in force", async () => {
        await visit("/pools/n/fast");
        await until(() => text().includes("Why this score"), "why");
        await until(() => text().includes("claims of this miner"), "its history");
        for (const shown of ["340,282,366,920,938,463,463,374,607,431,768,211,455", "3 of 20", "12.5 %", "-12", "2.50 s", "the latest 1 of 700", "ledger explain SEGMENTS --miner ed25519:ab --at 1000", HOSTILE]) assert.ok(text().includes(shown), shown);
        harmless();
        await visit("/validator");
        await until(() => text().includes("Ledger's head"), "the head");
        for (const shown of ["3,458", "2 of them not signed yet", "168 h", "200 %", "12.5 %", "The page verifies nothing of it", "they have not left yet", "4,421", HOSTILE]) assert.ok(text().includes(shown), shown);
        assert.ok(window.document.querySelector('[aria-label="Save shares as CSV"]'));
        harmless();
    });

    await t.test("what is not there, and a path of no page, are said", async () => {
        await visit("/requests/n/none");
        await until(() => text().includes("there is none"), "the error");
        await visit("/nonsense");
        await until(() => text().includes("There is no such page"), "the page");
    });

    await t.test("a page that does not read what it is told says so, and the others go on", async () => {
        made.set("/api/v1/pools/n/odd", { why: null });
        await visit("/pools/n/odd");
        await until(() => text().includes("This page has failed"), "what is wrong");
        await visit("/validator");
        await until(() => text().includes("Rule in force"), "another page");
        harmless();
    });

    await t.test("a receipt's page needs nobody to be known, and never says that one is valid", async () => {
        await visit("/receipt");
        await until(() => text().includes("Drop a receipt here"), "the page");
        assert.ok(!/\bvalid\b/i.test(text()));
    });

    await t.test("who leaves is asked who they are, and a refusal is shown as a text", async () => {
        refusal = { status: 403, reason: "Forbidden" };
        await visit("/");
        const leave = [...window.document.querySelectorAll("button")].find((button) => button.textContent === "Leave")!;
        leave.click();
        await until(() => text().includes("Who looks?"), "the question");
        assert.equal(window.sessionStorage.length, 0, "nothing is kept");
        const [token] = window.document.querySelectorAll("input") as unknown as { value: string; dispatchEvent(event: unknown): void }[];
        token!.value = "mine";
        token!.dispatchEvent(new window.Event("input", { bubbles: true }));
        await until(() => !window.document.querySelector("button[type=submit]")!.hasAttribute("disabled"), "it may be sent");
        window.document.querySelector("form")!.dispatchEvent(new window.Event("submit", { bubbles: true, cancelable: true }));
        await until(() => text().includes(HOSTILE), "the refusal");
        assert.equal(asked.at(-1)!.authorization, "Bearer mine");
        assert.equal([...Array(window.sessionStorage.length).keys()].filter((at) => window.sessionStorage.getItem(window.sessionStorage.key(at)!) === "mine").length, 0, "a token that was given is in memory only");
        harmless();
    });

    await t.test("where everybody may look, they see counts and miners without a token, and are asked for one where it takes one", async () => {
        [refusal, open] = [undefined, true];
        const before = asked.length;
        [...window.document.querySelectorAll("button")].find((button) => button.textContent === "Leave")!.click();
        await until(() => text().includes("public figures"), "the figures");
        await until(() => text().includes("Requests per minute"), "the overview");
        assert.ok(!text().includes("Models") && !text().includes("wine"), "nothing of a single Model");
        await visit("/pools/n/fast");
        await until(() => text().includes("Why this score"), "the miner");
        await visit("/validator");
        await until(() => text().includes("Rule in force"), "the validator");
        for (const path of ["/requests/n/one", "/models/n/wine", "/studio"]) {
            await visit(path);
            await until(() => text().includes("Who looks?") && text().includes("Everybody may look"), path);
        }
        assert.ok(asked.slice(before).every(({ authorization }) => authorization === null), "no token is sent");
        assert.ok(!asked.slice(before).some(({ path }) => /requests|models/.test(path)), "and nothing of one is asked for");
        await visit("/signin");
        await until(() => text().includes("Who looks?") && !text().includes("Everybody may look"), "the question");
        harmless();
    });
    await window.happyDOM.close();
    // The line that stays open is nobody's any more.
    setTimeout(() => process.exit(process.exitCode), 50).unref();
});
