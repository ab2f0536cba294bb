// Runs the tests with Node's own runner: each file is bundled as the app is, so that what is tested is what is shipped.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import path from "node:path";

const root = path.dirname(fileURLToPath(import.meta.url));
// Below the packages, so that what is not bundled is found.
const out = path.join(root, "node_modules", `.tests-${process.pid}`);
try {
    const tests = readdirSync(path.join(root, "tests")).filter((name) => name.endsWith(".test.ts"));
    await build({
        absWorkingDir: root,
        entryPoints: tests.map((name) => `tests/${name}`),
        outdir: out,
        outExtension: { ".js": ".mjs" },
        bundle: true,
        format: "esm",
        platform: "node",
        target: "node20",
        external: ["happy-dom"],
        jsx: "automatic",
        jsxImportSource: "preact",
        logLevel: "warning",
    });
    const files = tests.map((name) => path.join(out, name.replace(/\.ts$/, ".mjs")));
    process.exitCode = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit", env: { ...process.env, ZKINFER_WEB: root } }).status ?? 1;
} finally {
    rmSync(out, { recursive: true, force: true });
}
