// Takes the pictures of the README beside an operator that works: what is seen in them was proved.
//   node take.mjs OUT      $CHROMIUM is the browser, $ZKINFER_OPERATOR the program; OUT: a folder
// Invariant: no picture is of a page on which something is wrong, and none has more than 150 KB.
import { mkdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { open, operator, usable, visit } from "./lib.mjs";

const MOST = 150_000;
const [out] = process.argv.slice(2);
if (!out) {
    console.error("usage: node take.mjs OUT");
    process.exit(2);
}
const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
await mkdir(out, { recursive: true });
const browser = await open();
const run = await operator();
const { page, all, close } = await visit(browser);
const wrong = [];

/** All that is seen in a window of that height, or a part of the page. */
async function take(name, of) {
    await page.waitForTimeout(300);
    wrong.push(...(await usable(page)), ...(await all()));
    const file = path.join(out, `web-${name}.png`);
    await of.screenshot({ path: file });
    const { size } = await stat(file);
    if (size > MOST) wrong.push(`${file} has ${size} bytes, and may have ${MOST}`);
}

// A Model with branches, that has had an answer proved.
await page.goto(`${run.origin}/studio${run.hash}`);
await page.setInputFiles("input[type=file] >> nth=0", { name: "residual.onnx", mimeType: "application/octet-stream", buffer: await readFile(path.join(root, "tests/models/digits-residual.onnx")) });
await page.getByRole("button", { name: "Compile" }).click();
await page.locator("h1 .badge.good").waitFor();
const model = page.url();
await page.getByRole("button", { name: "Prove it" }).click();
await page.waitForURL(/\/requests\//);
await page.locator("h1 .badge.good").waitFor();
await page.goto(`${run.origin}/requests/default/digit-7`);
await page.locator(".beside .chosen").waitFor();
await page.setViewportSize({ width: 1200, height: 1090 });
await take("request", page);
await page.setViewportSize({ width: 1200, height: 1230 });
await page.goto(model);
await page.locator("svg.canvas").focus();
for (const key of ["n", "n", "n", "0"]) await page.keyboard.press(key);
await page.locator(".panel").waitFor();
await page.locator("svg.canvas").evaluate((canvas) => canvas.blur());
await take("graph", page.locator(".card", { has: page.locator(".graph") }));
await close();
await browser.close();
await run.close();
for (const what of wrong) console.error(`screenshots: ${what}`);
process.exit(wrong.length > 0 ? 1 : 0);
