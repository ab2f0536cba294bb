// The app in a browser, beside an operator that proves: what it shows, how it is used, and what it costs.
import assert from "node:assert/strict";
import http from "node:http";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { HOSTILE, cost, median, open, operator, usable, visit } from "./lib.mjs";

const LABEL = HOSTILE[0];
let browser, run;
before(async () => {
    browser = await open();
    run = await operator({ label: LABEL });
});
after(async () => {
    await Promise.all([browser?.close(), run?.close()]);
});
/** What was just made is asked for until it is there. */
const making = { allowed: (message) => /404/.test(message.text()) && /\/api\/v1\/(models|requests)\//.test(message.location().url) };
const address = (place) => `${run.origin}${place}${run.hash}`;

const PAGES = {
    "/": ".plot >> nth=1",
    "/studio": ".drop",
    "/models/default/digits": ".node",
    "/requests/default/digit-7": ".beside .chosen",
    "/pools/miner-alpha/alpha": ".figures",
    "/validator": ".pairs",
    "/receipt": ".drop",
    "/nonsense": "h1",
};

test("every page can be used by everybody, in light and dark, narrow and on paper, and loads nothing from elsewhere", { timeout: 120_000 }, async (t) => {
    for (const [place, ready] of Object.entries(PAGES)) {
        await t.test(place, async () => {
            const { page, all, close } = await visit(browser);
            await page.goto(address(place));
            await page.locator(ready).first().waitFor();
            assert.equal(new URL(page.url()).hash, "", "the secret stays in no address");
            await page.waitForTimeout(300);
            const shift = await page.evaluate(() => globalThis.shift);
            assert.ok(shift <= 0.1, `what is there stays where it is: ${shift}`);
            for (const [how, media, width] of [
                ["light", { colorScheme: "light" }, 1200],
                ["dark", { colorScheme: "dark" }, 1200],
                ["narrow", { colorScheme: "light" }, 390],
                ["paper", { media: "print" }, 800],
            ]) {
                await page.emulateMedia(media);
                await page.setViewportSize({ width, height: 800 });
                assert.deepEqual(await usable(page), [], how);
            }
            assert.deepEqual(await all(), []);
            await close();
        });
    }
});

test("a file becomes a Model, an input a proved answer, and the receipt names what was proved", { timeout: 60_000 }, async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "zkinfer-browser-"));
    const { page, all, close } = await visit(browser, making);
    await page.goto(address("/studio"));
    await page.setInputFiles("input[type=file] >> nth=0", { name: "My digits.onnx", mimeType: "application/octet-stream", buffer: run.onnx });
    await page.getByRole("button", { name: "Compile" }).click();
    await page.waitForURL(/\/models\/default\/my-digits-[0-9a-f]{8}$/);
    await page.locator("h1 .badge.good").waitFor();
    await page.locator(".node").first().waitFor();
    assert.equal(await page.locator(".node").count(), 7, "its graph is drawn");
    const numbers = page.getByRole("textbox", { name: "Numbers of input image" });
    await numbers.fill("1, 2");
    await page.getByText("takes 64 values; 2 are given").waitFor();
    assert.ok(await page.getByRole("button", { name: "Prove it" }).isDisabled(), "what does not fit is not sent");
    await page.getByRole("button", { name: "Zeros" }).click();
    for (const [colour, key] of [["cost", /[µm]s/], ["error", "%"], ["support", "proved"]]) {
        await page.getByLabel("Colour by").selectOption(colour);
        await page.locator(".keys").getByText(key).first().waitFor();
    }
    const took = await page.getByLabel("Slices, at least").evaluate(async (select) => {
        const began = performance.now();
        select.value = "1";
        select.dispatchEvent(new Event("change", { bubbles: true }));
        while (document.querySelector(".consequence dd").textContent !== "1") await new Promise(requestAnimationFrame);
        return performance.now() - began;
    });
    console.log(`measured: what a choice comes to is shown within ${took.toFixed(0)} ms`);
    assert.ok(took < 300, `${took} ms`);
    await page.getByRole("button", { name: "Only try it" }).click();
    await page.getByRole("heading", { name: "Answer, not proved" }).waitFor();
    await page.getByText("The integers are at most").waitFor();
    assert.deepEqual(await usable(page), []);
    await page.getByRole("button", { name: "Prove it" }).click();
    await page.waitForURL(/\/requests\/default\/my-digits-/);
    await page.locator("h1 .badge.good").waitFor();
    await page.locator(".beside tbody tr").nth(9).waitFor();
    assert.deepEqual(await usable(page), []);
    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save the receipt" }).click();
    const receipt = path.join(folder, "receipt.cbor");
    await (await saved).saveAs(receipt);
    await page.getByRole("link", { name: "Receipt" }).click();
    await page.setInputFiles("input[type=file]", receipt);
    await page.getByText("Nothing here was verified").waitFor();
    assert.equal(await page.locator("canvas.picture").count(), 1, "an input that is an image is shown as one");
    assert.ok(!/\bvalid\b/i.test(await page.locator("main").innerText()));
    assert.deepEqual(await usable(page), []);
    const forged = await readFile(receipt);
    forged[forged.length - 1] ^= 1;
    await writeFile(receipt, forged.subarray(0, forged.length - 9));
    await page.setInputFiles("input[type=file]", receipt);
    await page.locator(".failed").getByText("receipt.cbor").waitFor();
    assert.deepEqual(await all(), []);
    await close();
    await rm(folder, { recursive: true });
});

test("what strangers have written is a text: a class, a file's name, what the compiler quotes of it", { timeout: 60_000 }, async () => {
    const { page, all, close } = await visit(browser, making);
    await page.goto(address("/requests/default/digit-7"));
    await page.locator(".answer").waitFor();
    assert.equal(await page.locator(".answer").innerText(), LABEL);
    for (const hostile of HOSTILE.slice(0, 4)) {
        await page.getByRole("link", { name: "Studio" }).click();
        await page.setInputFiles("input[type=file] >> nth=0", { name: `${hostile.replaceAll("/", "")}.onnx`, mimeType: "text/html", buffer: Buffer.from(`a text, ${hostile}`) });
        await page.getByRole("button", { name: "Compile" }).click();
        await page.waitForURL(/\/models\/default\//);
        await page.locator("h1 .badge.bad").waitFor();
        await page.getByText(hostile.slice(0, 12)).first().waitFor();
        assert.deepEqual(await usable(page), []);
    }
    assert.deepEqual(await all(), []);
    await close();
});

test("the keyboard suffices: past the bar, from page to page, through the graph", { timeout: 60_000 }, async () => {
    const { page, all, close } = await visit(browser);
    await page.goto(address("/"));
    await page.locator(".plot").first().waitFor();
    const focus = () => page.evaluate(() => [document.activeElement.textContent.trim(), getComputedStyle(document.activeElement).outlineStyle]);
    await page.keyboard.press("Tab");
    assert.equal((await focus())[0], "Skip to the page");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    const link = page.getByRole("link", { name: "default/digits" }).first();
    for (let tabs = 0; !(await link.evaluate((of) => of === document.activeElement)); tabs++) {
        assert.ok(tabs < 60, "the Model's link is reached");
        await page.keyboard.press("Tab");
        assert.notEqual((await focus())[1], "none", `what has the focus shows it: ${(await focus())[0]}`);
    }
    await page.keyboard.press("Enter");
    await page.locator(".node").first().waitFor();
    await page.locator("svg.canvas").focus();
    for (const key of ["0", "n", "n", "+", "-", "ArrowLeft"]) await page.keyboard.press(key);
    assert.equal(await page.locator(".panel h3").innerText(), "relu1");
    assert.deepEqual(await usable(page), []);
    assert.deepEqual(await all(), []);
    await close();
});

test("nobody is answered under another name, from another page or without the run's secret", { timeout: 30_000 }, async () => {
    const asked = (headers, place = "/api/v1/overview") =>
        new Promise((done, failed) => {
            const request = http.get(run.origin + place, { headers: { host: run.host, ...headers } }, (response) => {
                response.resume();
                response.on("end", () => done(response.statusCode));
            });
            request.on("error", failed);
        });
    const authorization = `Bearer ${run.token}`;
    assert.equal(await asked({ authorization }), 200);
    // Who has no token is asked for one, and nothing is wrong with that.
    const stranger = await visit(browser);
    await stranger.page.goto(run.origin);
    await stranger.page.getByRole("heading", { name: "Who looks?" }).waitFor();
    assert.deepEqual([...(await usable(stranger.page)), ...(await stranger.all())], []);
    await stranger.close();
    assert.equal(await asked({}), 401);
    assert.equal(await asked({ authorization: `${authorization}x` }), 401);
    assert.equal(await asked({ authorization, host: "evil.example" }), 421);
    assert.equal(await asked({ host: "evil.example" }, "/"), 421);
    assert.equal(await asked({ authorization, origin: "http://evil.example" }), 403);
    assert.equal(await asked({ authorization, "sec-fetch-site": "cross-site" }), 403);
    // A page of another origin, which has even got hold of the secret.
    const other = http.createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>other</title>"));
    await new Promise((done) => other.listen(0, "127.0.0.1", done));
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${other.address().port}/`);
    const got = await page.evaluate(
        async ([origin, authorization]) => {
            const tries = [
                () => fetch(`${origin}/api/v1/overview`, { headers: { authorization } }).then((r) => r.text()),
                () => fetch(`${origin}/api/v1/overview`, { mode: "no-cors" }).then((r) => r.text()),
                () => import(`${origin}/app.js`).then(() => "run"),
            ];
            const frame = document.createElement("iframe");
            frame.src = origin;
            const loaded = new Promise((done) => frame.addEventListener("load", done));
            document.body.append(frame);
            await loaded;
            const told = await Promise.all(tries.map((one) => one().catch(() => "")));
            return told;
        },
        [run.origin, authorization],
    );
    assert.deepEqual(got, ["", "", ""]);
    assert.equal(page.frames().at(-1).url(), "chrome-error://chromewebdata/", "it is shown in no frame of others");
    await context.close();
    other.close();
});

test("500 viewers are followed at once, in less than 100 MB, and the next one is told that there is no place", { timeout: 60_000 }, async (t) => {
    const authorization = `Bearer ${run.token}`;
    const resident = async () => Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${run.pid}/status`, "utf8"))[1]) / 1024;
    /** The first event of a line that stays open; or the status of one that is refused. */
    const follow = () =>
        new Promise((done, failed) => {
            const request = http.get(`${run.origin}/api/v1/events`, { headers: { authorization } }, (response) => response.once("data", () => done({ request, status: response.statusCode })));
            request.on("error", failed);
        });
    const lines = [];
    t.after(() => lines.forEach(({ request }) => request.destroy()));
    // The places of pages that were closed are given back when they are next told something.
    await new Promise((wait) => setTimeout(wait, 2000));
    const before = await resident();
    const began = performance.now();
    // Of one address only so many connect in the same moment.
    while (lines.length < 500) lines.push(...(await Promise.all(Array.from({ length: 50 }, follow))));
    const [millis, took] = [performance.now() - began, (await resident()) - before];
    console.log(`measured: 500 viewers, ${took.toFixed(0)} MiB more, all of them told within ${millis.toFixed(0)} ms`);
    assert.ok(lines.every(({ status }) => status === 200));
    assert.equal((await follow()).status, 503);
    assert.ok(took < 100, `${took} MiB`);
    for (const { request } of lines) request.destroy();
    // Places are given back.
    for (let tries = 0; ; tries++) {
        const { request, status } = await follow();
        request.destroy();
        if (status === 200) break;
        assert.ok(tries < 50, "a place that was left is taken again");
        await new Promise((wait) => setTimeout(wait, 100));
    }
});

test("the first page has less than 300 KB and takes at most 300 ms of script", { timeout: 60_000 }, async () => {
    const took = [];
    let bytes = 0;
    for (let turn = 0; turn < 5; turn++) {
        const { page, close } = await visit(browser);
        const session = await page.context().newCDPSession(page);
        await session.send("Network.enable");
        const api = new Set();
        bytes = 0;
        session.on("Network.responseReceived", (event) => event.response.url.includes("/api/") && api.add(event.requestId));
        session.on("Network.loadingFinished", (event) => !api.has(event.requestId) && (bytes += event.encodedDataLength));
        const { script } = await cost(browser, page, async () => {
            await page.goto(address("/"));
            await page.locator(".plot").first().waitFor();
        });
        took.push(script);
        await close();
    }
    console.log(`measured: the first page, ${bytes} bytes and ${median(took).toFixed(0)} ms of script (median of 5)`);
    assert.ok(bytes > 10_000 && bytes < 300_000, `${bytes} bytes`);
    assert.ok(median(took) <= 300, `${took} ms`);
});

test("where the Validator says so everybody sees the figures, and is asked for a token where one takes it", { timeout: 60_000 }, async (t) => {
    const shown = await operator({ everybody: true });
    t.after(() => shown.close());
    const { page, calls, all, close } = await visit(browser);
    await page.goto(`${shown.origin}/`);
    await page.locator(".plot").nth(1).waitFor();
    assert.deepEqual(await usable(page), []);
    await page.getByRole("link", { name: "miner-alpha/alpha" }).click();
    await page.getByRole("heading", { name: "Why this score" }).waitFor();
    assert.deepEqual(await usable(page), []);
    await page.getByRole("link", { name: "Validator" }).click();
    await page.getByRole("heading", { name: "Rule in force" }).waitFor();
    const told = await page.locator("body").innerText();
    assert.ok(!told.includes("digit"), "no request and no Model is named");
    await page.getByRole("link", { name: "Studio" }).click();
    await page.getByText("Everybody may look").waitFor();
    assert.deepEqual(await usable(page), []);
    assert.ok(!calls.some((call) => /requests|models/.test(call)), "nothing of one is asked for");
    await page.getByRole("link", { name: "Sign in" }).click();
    await page.locator("input[type=password]").fill(shown.token);
    await page.getByRole("button", { name: "Show" }).click();
    await page.getByRole("link", { name: "default/digit-7" }).waitFor();
    assert.deepEqual(await all(), []);
    await close();
});

test("a page of somebody else shows the figures as pictures where they are public, and nowhere else", { timeout: 60_000 }, async (t) => {
    const everybody = await operator({ everybody: true });
    t.after(() => everybody.close());
    const pictures = [run, everybody].flatMap(({ origin }) => ["requests", "latency", "proofs", "miners"].map((name) => `<img src="${origin}/tiles/${name}.svg">`));
    const other = http.createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><title>other</title>${pictures.join("")}`));
    await new Promise((done) => other.listen(0, "127.0.0.1", done));
    t.after(() => other.close());
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${other.address().port}/`, { waitUntil: "load" });
    const widths = await page.evaluate(() => [...document.images].map((image) => image.naturalWidth));
    assert.deepEqual(widths, [0, 0, 0, 0, 240, 240, 240, 240]);
    await context.close();
});

test("a page follows by one line, however far one goes in it; when the operator ends it says so, and shows what it knew", { timeout: 60_000 }, async () => {
    const { page, calls, close } = await visit(browser, { allowed: () => true });
    await page.goto(address("/"));
    await page.locator(".dot:not(.waiting)").waitFor();
    for (const name of ["Studio", "Validator", "Overview"]) {
        await page.getByRole("link", { name, exact: true }).click();
        await page.getByRole("heading", { level: 1, name }).waitFor();
    }
    assert.equal(calls.filter((call) => call.includes("/api/v1/events")).length, 1);
    await run.close();
    await page.getByText("What is shown is as it was").waitFor();
    assert.ok(await page.getByRole("link", { name: "default/digit-7" }).isVisible());
    assert.deepEqual(await usable(page), []);
    await close();
});
