// Stands before an operator: its files and their headers are the operator's own, and what its API says is what a test gives.
import http from "node:http";
import { HOSTILE } from "./lib.mjs";

/** `answer` gives for a path of the API what is told of it, or nothing; `overview` what is told each second. */
export async function standIn(operator, { answer, overview }) {
    let streams = 0;
    const json = (response, value, status = 200) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    const server = http.createServer((request, response) => {
        const { pathname } = new URL(request.url, operator.origin);
        if (!pathname.startsWith("/api/")) {
            // It is asked for its own page's files, by its own page.
            const { origin, ...others } = request.headers;
            const headers = { ...others, host: operator.host, ...(origin ? { origin: operator.origin } : {}) };
            const asked = http.request(operator.origin + request.url, { headers }, (got) => {
                response.writeHead(got.statusCode, got.headers);
                got.pipe(response);
            });
            asked.on("error", () => response.destroy());
            asked.end();
            return;
        }
        if (pathname !== "/api/v1/events") {
            const told = answer(decodeURIComponent(pathname.slice("/api/v1/".length)));
            return told === undefined ? json(response, { reason: HOSTILE[0], message: HOSTILE[1] }, 404) : json(response, told);
        }
        streams++;
        response.writeHead(200, { "content-type": "text/event-stream" });
        let second = 0;
        const tell = () => response.write(`event: overview\ndata: ${JSON.stringify(overview(second++))}\n\n`);
        tell();
        const timer = setInterval(tell, 1000);
        response.on("close", () => clearInterval(timer));
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return {
        origin: `http://127.0.0.1:${server.address().port}`,
        streams: () => streams,
        close: () => {
            server.closeAllConnections();
            server.close();
        },
    };
}

const spread = { count: 2, p50: 1200, p95: 2500, p99: 2500, most: 2500 };
const name = (at) => HOSTILE[at % HOSTILE.length];

/** What is told of a network of so many miners, each with a hostile name or a plain one, in some second of it. */
export function network({ miners, hostile, second = 0 }) {
    const text = (at, plain) => (hostile ? name(at) : plain);
    const now = Date.now();
    return {
        at: now,
        version: "0.1.0",
        requests: {
            count: 200,
            phases: { Proving: 150 + (second % 7), Succeeded: 50 },
            perMinute: Array.from({ length: 60 }, (_, at) => [(at + second) % 9, at % 8, at % 2]),
            latency: spread,
            waiting: spread,
            proving: spread,
            slices: { total: 4000, queued: 1000, claimed: 1000, proved: 1000 - (second % 9), verified: 1000 + (second % 9) },
            proofMillis: spread,
            verifyMicros: spread,
            proofBytes: spread,
            proofs: Array.from({ length: 20 }, (_, at) => ({ namespace: text(at, "n"), model: text(at + 1, `model-${at}`), millis: spread, verifyMicros: spread, bytes: spread })),
            latest: Array.from({ length: 200 }, (_, at) => ({
                namespace: text(at, "team"), name: text(at + 2, `request-${at}`), model: text(at + 3, "digits"), phase: at % 5 ? "Proving" : text(at, "Succeeded"), reason: text(at + 4, "SlicesQueued"),
                created: now - 1000 * at, finished: at % 5 ? null : now, verified: (at + second) % 20, total: 20, version: String(second + at),
            })),
        },
        models: {
            count: 20,
            list: Array.from({ length: 20 }, (_, at) => ({
                namespace: text(at, "team"), name: text(at + 5, `model-${at}`), ready: at % 3 > 0, reason: text(at + 6, "Compiled"), system: text(at, "SumcheckWhir"), slices: 20, predictedMillis: 500, errorMillionths: 321, budgetMillionths: 10_000, version: String(at),
            })),
        },
        pools: {
            count: miners,
            list: Array.from({ length: miners }, (_, at) => ({
                namespace: text(at, `miner-${at}`), name: text(at + 7, "pool"), identity: text(at + 8, `ed25519:${String(at).padStart(64, "0")}`), ready: at % 9 > 0, reason: text(at + 9, "Serving"),
                scoreMillionths: (1_000_000 * (miners - at)) / miners, workMillis: 100_000 + second * 31 + at, successMillionths: 990_000, verified: 1000 + second + (at % 13), invalid: 0, late: 1, lost: 2, p50Millis: 800 + ((at + second) % 90), p95Millis: 1900,
            })),
        },
    };
}

/** How so many miners stand. */
export const standing = (miners) => ({
    head: { validator: `ed25519:${"0".repeat(64)}`, segments: 900, entries: 1_000_000, last: `sha256:${"0".repeat(64)}`, waiting: 40 },
    validators: [],
    standing: {
        rule: { name: "SpeedSizeAccuracy", digest: `sha256:${"0".repeat(64)}`, windowHours: 24, halfLifeMinutes: 120, coldStart: 20, skipHours: 24, faultMillionths: 2_000_000, ownerCapMillionths: 1_000_000 },
        at: Date.now(),
        miners: Array.from({ length: miners }, (_, at) => ({
            miner: `ed25519:${String(at).padStart(64, "0")}`, owner: `miner-${at}`, credit: "9000000000", debit: "7", possible: "9900000000", samples: 700, net: "9000000000", uncapped: "9000000000", weight: "9000000000",
            scoreMillionths: 900_000, shareMillionths: Math.round(1_000_000 / miners), why: "",
        })),
    },
});
