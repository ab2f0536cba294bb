// Builds the app into dist/: three files that are loaded at once, and the graph's view when it is first opened. Nothing in it
// names another host. Invariant: the first page is below its budget, or the build fails.
import { build } from "esbuild";
import { gzipSync } from "node:zlib";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";

const root = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(root, "dist");
/** Bytes of the first page, gzipped: page, style and everything that the script loads at once. */
const BUDGET = 300_000;

await mkdir(dist, { recursive: true });
for (const name of await readdir(dist)) {
    if (name !== ".gitkeep") await rm(path.join(dist, name), { recursive: true });
}
const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { app: "src/main.tsx", style: "src/style.css" },
    outdir: dist,
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "linked",
    chunkNames: "part-[hash]",
    jsx: "automatic",
    jsxImportSource: "preact",
    metafile: true,
    logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) {
    await writeFile(path.join(dist, name), await readFile(path.join(root, "src", name)));
}
const sizes = new Map();
for (const name of await readdir(dist)) {
    if (name.startsWith(".")) continue;
    const packed = gzipSync(await readFile(path.join(dist, name)), { level: 9 });
    await writeFile(path.join(dist, `${name}.gz`), packed);
    sizes.set(name, packed.length);
}
// What is imported at once, and what that imports at once.
const first = new Set(["index.html", "style.css", "icon.svg"]);
const load = (output) => {
    const name = path.basename(output);
    if (first.has(name)) return;
    first.add(name);
    for (const used of metafile.outputs[output]?.imports ?? []) {
        if (used.kind === "import-statement") load(used.path);
    }
};
load(Object.keys(metafile.outputs).find((output) => path.basename(output) === "app.js"));
const bytes = [...first].reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
const all = [...sizes.values()].reduce((sum, size) => sum + size, 0);
console.log(`web: the first page has ${bytes} bytes, all of the app ${all}, gzipped`);
if (bytes > BUDGET) {
    console.error(`web: the first page may have ${BUDGET}`);
    process.exit(1);
}
