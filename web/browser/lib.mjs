// A browser, an operator that works, and what is asked of every page that the two show: that nothing of it runs what strangers have
// written, that nothing comes from elsewhere, that everybody can use it, and what it costs.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Chromium, of which nothing leaves the machine. */
export const open = () =>
    chromium.launch({
        executablePath: process.env.CHROMIUM ?? "chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
    });

/** What a label, a name or a reason may say, if it can: each would run, were it more than a text, and says so by `stolen`. */
export const HOSTILE = [
    `<img src=x onerror="globalThis.stolen='img'">`,
    `<script>globalThis.stolen='script'</script>`,
    `"><svg/onload=globalThis.stolen='svg'>`,
    `'); globalThis.stolen='quote'; ('`,
    `javascript:globalThis.stolen='address'`,
    `</title><iframe srcdoc="<script>parent.stolen='frame'</script>"></iframe>`,
    `<style>*{display:none}</style><base href="//evil.example/">`,
    `<a href="javascript:globalThis.stolen='link'">here</a>`,
    `<form action=//evil.example><button autofocus onfocus=globalThis.stolen='focus'>x`,
    `{{constructor.constructor("globalThis.stolen='template'")()}}`,
    "${globalThis.stolen='literal'}",
    "\u202eevil\u202c \u0000\u001b[31m\ufeff\u2028\u2029",
    "__proto__",
    "constructor",
    "../../../../etc/passwd",
    "%00%2e%2e%2f?x=1#y",
    "=HYPERLINK(\"//evil.example\")",
    "𝔷".repeat(60),
    "a".repeat(5000),
];

/** Models, pools and requests of the quickstart; what a class is called can be chosen. */
export async function quickstart(folder, label = "7") {
    const of = path.join(root, "manifests/quickstart");
    for (const name of ["model.yaml", "pools.yaml", "request.yaml"]) {
        const text = await readFile(path.join(of, name), "utf8");
        await writeFile(path.join(folder, name), text.replace(`"7"`, () => JSON.stringify(label)));
    }
    const [, onnx] = /model\.onnx: (\S+)/.exec(await readFile(path.join(of, "model.yaml"), "utf8"));
    return Buffer.from(onnx, "base64");
}

/** A Validator in whose network everybody may look. */
const PUBLIC = `apiVersion: zkinfer.dev/v1alpha1
kind: Validator
metadata: { name: zkinfer, namespace: zkinfer-system }
spec: { stats: { public: true } }
`;

/** An operator that has proved the quickstart's request, and stays. */
export async function operator({ label, everybody = false } = {}) {
    const folder = await mkdtemp(path.join(tmpdir(), "zkinfer-browser-"));
    const onnx = await quickstart(folder, label);
    if (everybody) await writeFile(path.join(folder, "validator.yaml"), PUBLIC);
    const child = spawn(process.env.ZKINFER_OPERATOR, ["local", "-f", folder, "--web", "--state", path.join(folder, "state")], { stdio: ["ignore", "ignore", "pipe"] });
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (log += text));
    const ended = new Promise((done) => child.on("close", done));
    const close = async () => {
        child.kill("SIGTERM");
        await ended;
        await rm(folder, { recursive: true, force: true });
    };
    for (let waited = 0; !log.includes("the web app stays"); waited += 50) {
        if (child.exitCode !== null || waited > 60_000) {
            await close();
            throw new Error(`the operator does not stay:\n${log}`);
        }
        await new Promise((done) => setTimeout(done, 50));
    }
    const { origin, hash } = new URL(/^web app: (\S+)$/m.exec(log)[1]);
    return { origin, hash, host: new URL(origin).host, token: new URLSearchParams(hash.slice(1)).get("token"), pid: child.pid, onnx, close };
}

/**
 * A page, and the list of all that is wrong with what happened in it: errors, reports of the policy, calls to elsewhere, texts that
 * ran.
 */
export async function visit(browser, { allowed = () => false } = {}) {
    const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, reducedMotion: "reduce" });
    await context.addInitScript(() => {
        globalThis.reports = [];
        globalThis.shift = 0;
        new PerformanceObserver((seen) => {
            for (const one of seen.getEntries()) if (!one.hadRecentInput) globalThis.shift += one.value;
        }).observe({ type: "layout-shift", buffered: true });
        document.addEventListener("securitypolicyviolation", (event) => globalThis.reports.push(`${event.violatedDirective}: ${event.blockedURI}`));
    });
    const page = await context.newPage();
    const wrong = [];
    const calls = [];
    page.on("console", (message) => message.type() === "error" && !allowed(message) && wrong.push(`console: ${message.text()} (${message.location().url})`));
    page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => {
        wrong.push(`dialog: ${dialog.message()}`);
        void dialog.dismiss();
    });
    page.on("request", (request) => {
        calls.push(request.url());
        const url = new URL(request.url());
        if (!["data:", "blob:"].includes(url.protocol) && url.origin !== new URL(page.url() === "about:blank" ? request.url() : page.url()).origin) wrong.push(`call: ${request.url()}`);
    });
    /** What is wrong by now. */
    const all = async () => {
        const [reports, stolen] = await page.evaluate(() => [globalThis.reports, globalThis.stolen]);
        return [...wrong, ...reports.map((report) => `policy: ${report}`), ...(stolen === undefined ? [] : [`ran: ${stolen}`])];
    };
    return { page, calls, all, close: () => context.close() };
}

/** What axe finds, and what does not fit the screen. */
export async function usable(page) {
    const found = await page.evaluate(`${axe}; axe.run(document).then((found) => found.violations.map((one) => one.id + ": " + one.help + ": " + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" | ")))`);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    return over > 0 ? [...found, `the page is ${over} pixels wider than the screen`] : found;
}

/** In which the browser runs what the page's own scripts ask for. */
const SCRIPT = new Set(["EvaluateScript", "v8.evaluateModule", "v8.compile", "v8.compileModule", "FunctionCall", "RunMicrotasks", "TimerFire", "EventDispatch", "FireAnimationFrame"]);

/** Milliseconds of processor time that the page's scripts take while something is done, and those of its longest task that has one. */
export async function cost(browser, page, what) {
    await browser.startTracing(page, { categories: ["toplevel", "devtools.timeline", "v8", "v8.execute", "disabled-by-default-v8.compile"] });
    const began = performance.now();
    await what();
    const seconds = (performance.now() - began) / 1000;
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString("utf8"));
    const main = new Set(traceEvents.filter((event) => event.name === "thread_name" && event.args.name === "CrRendererMain").map((event) => `${event.pid} ${event.tid}`));
    const onMain = traceEvents.filter((event) => event.ph === "X" && main.has(`${event.pid} ${event.tid}`) && event.tdur !== undefined).sort((a, b) => a.ts - b.ts || b.dur - a.dur);
    // Of what is in one another the outermost is counted.
    let script = 0;
    let longest = 0;
    const ends = new Map();
    const tasks = onMain.filter((event) => /RunTask$/.test(event.name));
    for (const event of onMain.filter((event) => SCRIPT.has(event.name))) {
        const thread = `${event.pid} ${event.tid}`;
        if (event.ts < (ends.get(thread) ?? 0)) continue;
        ends.set(thread, event.ts + event.dur);
        script += event.tdur / 1000;
        const task = tasks.find((task) => task.pid === event.pid && task.tid === event.tid && task.ts <= event.ts && event.ts < task.ts + task.dur);
        longest = Math.max(longest, (task ?? event).tdur / 1000);
    }
    if (main.size === 0 || script === 0) throw new Error("the trace has no script of the page in it");
    return { script, longest, seconds };
}

export const median = (all) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)];
