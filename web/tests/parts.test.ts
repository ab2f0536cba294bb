import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Claim, Graph, GraphNode, Report } from "../src/api.js";
import { way } from "../src/choices.js";
import { ago, bytes, digits, float, millis, share, short, words } from "../src/format.js";
import { type Colour, COLOURS, colourOf, grouped, outlined, single } from "../src/graph.js";
import { modelPath, parse, poolPath, requestPath } from "../src/route.js";
import { Events, MAX_EVENT } from "../src/sse.js";
import { csv, json } from "../src/table.js";
import { trend } from "../src/trend.js";

test("events are read whatever the pieces are in which they come", () => {
    const text = 'event: overview\ndata: {"a":1}\n\n: nothing new\n\nevent: refused\ndata: {}\n\n';
    const expected = [
        { name: "overview", data: '{"a":1}' },
        { name: "refused", data: "{}" },
    ];
    for (let size = 1; size <= text.length; size++) {
        const events = new Events();
        const read = [];
        for (let at = 0; at < text.length; at += size) read.push(...events.take(text.slice(at, at + size)));
        assert.deepEqual(read, expected, `${size} at once`);
    }
    assert.throws(() => new Events().take("x".repeat(MAX_EVENT + 1)), /longer/);
});

test("a path names a page, and what it names is text", () => {
    assert.deepEqual(parse("/"), { page: "overview" });
    for (const page of ["receipt", "studio", "validator"]) assert.deepEqual(parse(`/${page}`), { page });
    assert.deepEqual(parse(poolPath("n", "fast")), { page: "pool", namespace: "n", name: "fast" });
    assert.deepEqual(parse(requestPath("n", "a.b")), { page: "request", namespace: "n", name: "a.b" });
    assert.deepEqual(parse(modelPath("n", "<b>/")), { page: "model", namespace: "n", name: "<b>/" });
    for (const none of ["/nonsense", "/requests/n", "/requests/n/a/b", "/%E0%A4%A"]) assert.deepEqual(parse(none), { page: "unknown" }, none);
});

test("a table is a file whose texts are texts to whoever opens it", () => {
    const rows = { head: ["name", "many", "none"], rows: [["a,b", 1.5, null], ['say "x"', -2, undefined], ["two\nlines", 0, ""], ["=cmd()", 1, "@x"], ["-1", 2, "+1"]] };
    assert.equal(csv(rows), 'name,many,none\r\n"a,b",1.5,\r\n"say ""x""",-2,\r\n"two\nlines",0,\r\n\'=cmd(),1,\'@x\r\n\'-1,2,\'+1\r\n');
    assert.deepEqual(JSON.parse(json(rows)).slice(0, 2), [{ name: "a,b", many: 1.5, none: null }, { name: 'say "x"', many: -2, none: null }]);
    assert.equal(csv({ head: ["a"], rows: [] }), "a\r\n");
});

test("numbers have their units", () => {
    assert.deepEqual([0, 999, 1234, 59_940, 200_000, 7_260_000, null].map(millis), ["0 ms", "999 ms", "1.23 s", "59.9 s", "3 min 20 s", "2 h 1 min", "–"]);
    assert.deepEqual([0, 1023, 1536, 5 << 20].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 MiB"]);
    assert.deepEqual([0, 1_000_000, 985_000, 321, undefined].map(share), ["0 %", "100 %", "98.5 %", "0.032 %", "–"]);
    assert.deepEqual([1, 0.5, -1234.5678, 1e-9].map(float), ["1", "0.5", "-1234.57", "1e-9"]);
    assert.deepEqual([ago(0, 500), ago(0, 90_000), ago(9000, 0)], ["now", "1 min ago", "now"]);
    assert.equal(short(`sha256:${"ab".repeat(32)}`), "abababab…ababab");
    assert.equal(words("UnsupportedNodes"), "Unsupported nodes");
});

const node = (name: string, slice?: number): GraphNode => ({ name, op: "Add", shape: [1, 4], bits: 8, signed: true, exponent: 3, weights: 2, ...(slice === undefined ? {} : { slice }) });
const graph: Graph = {
    nodes: [node("x"), node("a", 0), node("b", 0), node("c", 1), node('"><script>alert(1)</script>', 1)],
    edges: [[0, 1], [1, 2], [2, 3], [1, 3], [3, 4]],
    outputs: [4],
};

test("a graph is shown by node or by slice, each edge once", () => {
    const known = { report: undefined, slices: [] };
    const nodes = single(graph, known);
    assert.deepEqual([nodes.nodes.length, nodes.edges.length], [5, 5]);
    assert.equal(nodes.nodes[4]!.title, '"><script>alert(1)</script>', "a name is text, whatever it says");
    assert.ok(nodes.nodes[4]!.label.length <= 18);
    assert.ok(nodes.nodes[4]!.facts.some(([, value]) => value === "an output of the request"));
    const slices = grouped(graph, known);
    assert.deepEqual(slices.nodes.map((one) => one.label), ["x", "slice 0", "slice 1"]);
    assert.deepEqual(slices.edges, [[0, 1], [1, 2]]);
});

const drawn: Graph = {
    nodes: [{ ...node("x"), op: "Input" }, node("a", 0), node("moved", 0), node("b", 1)],
    edges: [[0, 1], [1, 2], [2, 3]],
    outputs: [3],
};
const report: Report = {
    budgetMillionths: 1000,
    nodes: ["a", "moved", "b"].map((name, at) => ({ node: name, maxErrorMillionths: 10 * at, saturations: at })),
    outlook: {
        nodes: [
            { claims: ["Requantised"], alone: { predictedMicros: 2500, predictedMemoryBytes: 1 << 20, predictedProofBytes: 2048 } },
            { claims: ["Wired"] },
            { claims: ["Table", "Wired"], alone: { predictedMicros: 500, predictedMemoryBytes: 1024, predictedProofBytes: 1024 } },
        ],
    },
};

test("a node has its range, its claims, its error and what it takes alone, and each colour has a key to it", () => {
    const { nodes } = single(drawn, { report, slices: [] });
    const facts = Object.fromEntries(nodes[1]!.facts);
    assert.deepEqual(
        [facts["Range"], facts["Claims"], facts["Greatest error"], facts["Proved alone"], facts["in memory"], facts["with a proof of"]],
        ["-16 to 15.875", "Requantised", "0 %", "2.5 ms", "1.0 MiB", "2.0 KiB"],
    );
    assert.deepEqual(nodes.map(({ cost, error, support }) => [cost, error, support]), [[0, undefined, "moves"], [2500, 0, "proved"], [0, 10, "moves"], [500, 20, "proved"]]);
    const told = (by: Colour) => {
        const { paint, keys } = colourOf(by, nodes);
        return [new Set(nodes.map(paint)).size, keys.map((key) => key.is)] as const;
    };
    assert.deepEqual(told("cost"), [3, ["0 µs", "1.3 ms", "2.5 ms"]]);
    assert.deepEqual(told("error"), [4, ["0 %", "0.0010 %", "0.0020 %", "not known"]]);
    assert.deepEqual(told("support"), [2, ["proved", "brings or moves values"]]);
    assert.deepEqual(told("slice"), [3, ["slice 0", "slice 1"]]);
    assert.deepEqual(told("bits"), [1, ["8 bits"]]);
    // A node whose colour is in the key is painted so.
    for (const by of COLOURS) {
        const { paint, keys } = colourOf(by, nodes);
        if (by === "support" || by === "slice") assert.ok(keys.every(({ colour }) => nodes.some((one) => paint(one) === colour)), by);
    }
    const { nodes: slices } = grouped(drawn, { report, slices: [{ index: 0, nodes: "", vkDigest: "", measures: {}, predictedMemoryBytes: 1, predictedMillis: 3 }] });
    assert.deepEqual(slices.map(({ cost, error }) => [cost, error]), [[0, undefined], [3000, 10], [undefined, 20]]);
});

test("of the nodes that are furthest off alone each is found by its name, and of others nothing is said", () => {
    const few: Report = { nodes: [{ node: "moved", maxErrorMillionths: 7, saturations: 0 }] };
    assert.deepEqual(single(drawn, { report: few, slices: [] }).nodes.map((one) => one.error), [undefined, undefined, 7, undefined]);
    const alike: Graph = { ...drawn, nodes: [{ ...node("x"), op: "Input" }, node("conv1", 0), node("conv10", 0)], edges: [] };
    const tenth: Report = { nodes: [{ node: "conv10", maxErrorMillionths: 7, saturations: 0 }] };
    assert.deepEqual(single(alike, { report: tenth, slices: [] }).nodes.map((one) => one.error), [undefined, undefined, 7], "a name that begins so is another");
    // A report of another graph: more nodes than are drawn.
    const many: Report = { outlook: { nodes: Array.from({ length: 9 }, () => ({ claims: ["Wired"] })) } };
    assert.ok(single(drawn, { report: many, slices: [] }).nodes.every((one) => !one.facts.some(([what]) => what === "Claims")));
});

test("a file that cannot be proved is drawn with every reason", () => {
    const { nodes, edges } = outlined(
        { nodes: [{ name: "a", op: "Conv" }, { name: "b", op: "Odd" }], edges: [[0, 1]] },
        [{ node: "b", op: "Odd", reason: "no circuit" }, { node: "b", op: "Odd", reason: "no shape" }, { node: "elsewhere", op: "X", reason: "y" }],
    );
    assert.deepEqual(nodes.map((one) => one.support), ["supported", "unsupported"]);
    assert.deepEqual(nodes[1]!.facts.at(-1), ["Cannot be proved", "no circuit; no shape"]);
    assert.deepEqual(edges, [[0, 1]]);
});

test("a budget is kept by the first way that leaves it room, of those that were tried", () => {
    const of = (profile: string, maxErrorMillionths: number | undefined, outcome: string) => ({ profile, headroomMillionths: 2_000_000, outcome, ...(maxErrorMillionths === undefined ? {} : { maxErrorMillionths }) });
    const told: Report = { budgetMillionths: 1000, tried: [of("P8", 40_000, "overBudget"), of("P12", 900, "noRoom"), of("P14", 300, "overBudget"), of("P16", 100, "chosen"), of("P20", undefined, "refused")] };
    const found = (budget: number) => [way(told, budget).way?.profile, way(told, budget).said];
    assert.deepEqual(found(1000), ["P16", "P16"]);
    assert.deepEqual(found(1800), ["P12", "P12"]);
    assert.deepEqual(found(100), ["P16", "P16, with little room"]);
    assert.deepEqual(found(99), [undefined, "no way that was tried keeps it: it would be calibrated anew"]);
    assert.deepEqual(found(80_000), ["P8", "P8; at least, it was given up early"]);
    assert.deepEqual(way({}, 5), { said: "no way that was tried keeps it: it would be calibrated anew" });
});

// Bundled tests run from elsewhere: the sources are where the tests are started.
const sources = path.join(process.env["ZKINFER_WEB"] ?? process.cwd(), "src");

test("nothing makes markup or code of a text, nor calls another host", () => {
    const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((name) => /\.(tsx?|css|html|svg)$/.test(name));
    assert.ok(files.length > 12, sources);
    for (const name of files) {
        const text = readFileSync(path.join(sources, name), "utf8");
        for (const bad of [/innerHTML/i, /dangerouslySet/, /outerHTML/, /insertAdjacent/, /document\.write/, /\beval\(/, /new Function/, /document\.cookie/, /localStorage/]) {
            assert.ok(!bad.test(text), `${name}: ${bad}`);
        }
        const hosts = text.match(/https?:\/\/[^\s"'`]+/g) ?? [];
        assert.deepEqual(hosts.filter((host) => host !== "http://www.w3.org/2000/svg"), [], name);
        if (name.endsWith(".html")) assert.ok(!/<script>|<style|\son[a-z]+=|style=/.test(text), "nothing is inline");
    }
});

test("a miner's claims are counted in spans of one length, and those outside are in none", () => {
    const claim = (at: number, end: string, micros: number, worth = "1"): Claim => ({ at, claim: "c", request: "r", slice: 0, attempt: 1, end, workMicros: 1, micros, bytes: null, worth });
    const hour = 3_600_000;
    const at = 100 * hour;
    const all = trend([claim(at, "Verified", 30), claim(at - hour / 2, "Verified", 10), claim(at - 1.5 * hour, "LeaseExpired", 5, "-3"), claim(at - 1.6 * hour, "Cancelled", 5, "0"), claim(at - 9 * hour, "Verified", 1), claim(at + hour, "Verified", 1)], at, 4, 4);
    assert.deepEqual(all.map((span) => span.from / hour), [96, 97, 98, 99]);
    assert.deepEqual(all.map((span) => [span.verified, span.faults, span.others, span.p50Micros]), [[0, 0, 0, null], [0, 0, 0, null], [0, 1, 1, null], [2, 0, 0, 10]]);
});

test("whole numbers of any length have their thousands apart, and no other text is touched", () => {
    assert.deepEqual(["0", "999", "1000", "-1234567", "340282366920938463463374607431768211455", "<b>1000</b>", ""].map(digits), ["0", "999", "1,000", "-1,234,567", "340,282,366,920,938,463,463,374,607,431,768,211,455", "<b>1000</b>", ""]);
});
