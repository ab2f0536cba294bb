/** Objects as they are made here, and as YAML. Pure, so that it is tested without a page. */
import type { Tensor } from "./tensor.js";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Fields = { [name: string]: Json };

const VERSION = "zkinfer.dev/v1alpha1";
/** Values that a request holds itself; more go into a file. */
export const MAX_INLINE = 4096;

/** What a Model is made from. */
export interface Choices {
    model: string;
    calibration?: string;
    system: string;
    parallelism: number;
    /** In millionths. */
    budget: number;
    scores: boolean;
    dimensions: Record<string, number>;
}

/** Only what is not the default is stated, so that the YAML says what somebody chose. */
export function modelSpec(of: Choices): Fields {
    return {
        source: { artifact: of.model },
        quantization: {
            errorBudgetMillionths: of.budget,
            ...(of.scores ? {} : { compareTop1: false }),
            ...(of.calibration ? { calibration: { artifact: of.calibration } } : {}),
        },
        slicing: { parallelism: of.parallelism },
        ...(Object.keys(of.dimensions).length > 0 ? { dimensions: { ...of.dimensions } } : {}),
        proofSystem: of.system,
    };
}

export const model = (namespace: string, name: string, spec: Fields): Fields => ({
    apiVersion: VERSION,
    kind: "Model",
    metadata: { namespace, name },
    spec,
});

/** What a request is of: tensors by input name, or a file that was uploaded. */
export type Input = { inline: Record<string, Tensor> } | { artifact: string };

export const request = (namespace: string, name: string, of: string, input: Input): Fields => ({
    apiVersion: VERSION,
    kind: "InferenceRequest",
    metadata: { namespace, name },
    spec: { modelRef: { name: of }, input: input as unknown as Json },
});

/** A file's name in the alphabet of Kubernetes' names. */
export function objectName(file: string): string {
    const stem = file.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "").toLowerCase();
    const name = stem.replace(/[^a-z0-9]/g, "-").slice(0, 40).replace(/^-+|-+$/g, "");
    return name || "model";
}

/** Sizes of free dimensions as they are typed: `batch=1, tokens=16`. */
export function dimensions(given: string): Record<string, number> {
    const sizes: Record<string, number> = {};
    for (const part of given.split(/[,\n]/).map((one) => one.trim()).filter(Boolean)) {
        const [, name, size] = /^(.+?)\s*=\s*([1-9][0-9]{0,9})$/.exec(part) ?? [];
        if (name === undefined || size === undefined || Number(size) > 0xffff_ffff) throw new Error(`“${part.slice(0, 60)}” is not NAME=SIZE.`);
        if (Object.hasOwn(sizes, name)) throw new Error(`${name} is there twice.`);
        // A name may be whatever the file says, `__proto__` too.
        Object.defineProperty(sizes, name, { value: Number(size), enumerable: true, configurable: true, writable: true });
    }
    return sizes;
}

/** Block style; lists of numbers in one line; each text in quotes unless nothing else could be meant by it. */
export function yaml(of: Json): string {
    return `${block(of, 0)}\n`;
}

function block(of: Json, depth: number): string {
    const indent = "  ".repeat(depth);
    if (Array.isArray(of) && of.length > 0 && of.some((one) => typeof one === "object" && one !== null)) {
        return of.map((one) => `${indent}- ${block(one, depth + 1).trimStart()}`).join("\n");
    }
    if (of !== null && typeof of === "object" && !Array.isArray(of) && Object.keys(of).length > 0) {
        return Object.entries(of)
            .map(([key, value]) => {
                const inner = nested(value) ? `\n${block(value, depth + 1)}` : ` ${flow(value)}`;
                return `${indent}${scalar(key)}:${inner}`;
            })
            .join("\n");
    }
    return indent + flow(of);
}

const nested = (of: Json): boolean =>
    of !== null && typeof of === "object" && (Array.isArray(of) ? of.some((one) => typeof one === "object" && one !== null) : Object.keys(of).length > 0);

function flow(of: Json): string {
    if (Array.isArray(of)) return `[${of.map(flow).join(", ")}]`;
    if (of !== null && typeof of === "object") return "{}";
    return typeof of === "string" ? scalar(of) : String(of);
}

/** Words of letters that YAML does not read as something else; all others as JSON writes them, which YAML reads. */
function scalar(of: string): string {
    const plain = /^[A-Za-z][A-Za-z0-9./-]*$/.test(of) && !/^(y|n|yes|no|on|off|true|false|null)$/i.test(of);
    return plain ? of : JSON.stringify(of).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
