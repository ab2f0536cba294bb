// Takes pictures of the app's pages beside a run, and asks axe whether everybody can use them.
//   node take.mjs ADDRESS OUT      ADDRESS: as `operator local --web` has printed it; OUT: a folder
// $CHROMIUM is the browser. Exit 1: axe has found something, or a page has said that something is wrong.
import { chromium } from "playwright-core";
import { createRequire } from "node:module";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";

const [address, out] = process.argv.slice(2);
if (!address || !out) {
    console.error("usage: node take.mjs ADDRESS OUT");
    process.exit(2);
}
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
await mkdir(out, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "chromium", args: ["--no-sandbox"] });
let wrong = 0;
const found = (page, what) => {
    wrong++;
    console.error(`${page}: ${what}`);
};
const { origin, hash } = new URL(address);

async function visit(name, place, { dark = false, width = 1200, ready }) {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: dark ? "dark" : "light" });
    const page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && found(name, message.text()));
    page.on("pageerror", (error) => found(name, error.message));
    await page.goto(`${origin}${place}${hash}`);
    await page.locator(ready).first().waitFor({ timeout: 20_000 });
    await page.waitForTimeout(300);
    const violations = await page.evaluate(`${axe}; axe.run(document).then((r) => r.violations.map((v) => [v.id, v.help, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120))]))`);
    for (const [id, help, nodes] of violations) found(name, `axe ${id}: ${help}: ${nodes.join(" | ")}`);
    await page.screenshot({ path: path.join(out, `${name}.png`) });
    await context.close();
}

const overview = { ready: ".figures" };
await visit("overview", "/", overview);
await visit("overview-dark", "/", { ...overview, dark: true });
await visit("overview-narrow", "/", { ...overview, width: 400 });
await visit("request", "/requests/default/digit-7", { ready: ".timeline" });
await visit("model", "/models/default/digits", { ready: ".node" });
await visit("model-dark", "/models/default/digits", { ready: ".node", dark: true });
await visit("receipt", "/receipt", { ready: ".drop" });
await visit("studio", "/studio", { ready: ".drop" });
await visit("studio-dark", "/studio", { ready: ".drop", dark: true });
await visit("studio-narrow", "/studio", { ready: ".drop", width: 400 });
await visit("try", "/models/default/digits", { ready: "fieldset.input" });
await visit("validator", "/validator", { ready: ".pairs" });
await visit("miner", "/pools/miner-alpha/alpha", { ready: ".figures" });
await browser.close();
console.log(`screenshots: 13 pages in ${out}, ${wrong} findings`);
process.exit(wrong > 0 ? 1 : 0);
