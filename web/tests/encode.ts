/** The encoding that is read, written the other way, for tests. */
import type { Cbor } from "../src/cbor.js";

export function encode(item: Cbor): Uint8Array {
    const out: number[] = [];
    write(item, out);
    return Uint8Array.from(out);
}

function head(major: number, value: number | bigint, out: number[]): void {
    if (value < 24) out.push((major << 5) | Number(value));
    else {
        const width = value < 0x100 ? 1 : value < 0x1_0000 ? 2 : value < 0x1_0000_0000 ? 4 : 8;
        out.push((major << 5) | (24 + Math.log2(width)));
        for (let at = width - 1; at >= 0; at--) out.push(Number((BigInt(value) >> BigInt(8 * at)) & 255n));
    }
}

function write(item: Cbor, out: number[]): void {
    if (item === null) out.push(0xf6);
    else if (typeof item === "boolean") out.push(item ? 0xf5 : 0xf4);
    else if (typeof item === "number" || typeof item === "bigint") {
        if (item < 0) head(1, typeof item === "bigint" ? -1n - item : -1 - item, out);
        else head(0, item, out);
    } else if (typeof item === "string") {
        const text = new TextEncoder().encode(item);
        head(3, text.length, out);
        out.push(...text);
    } else if (item instanceof Uint8Array) {
        head(2, item.length, out);
        out.push(...item);
    } else if (Array.isArray(item)) {
        head(4, item.length, out);
        for (const one of item) write(one, out);
    } else {
        const entries = [...item].map(([key, value]) => ({ key: [...encode(key)], value }));
        entries.sort((a, b) => a.key.length - b.key.length || compare(a.key, b.key));
        head(5, entries.length, out);
        for (const { key, value } of entries) {
            out.push(...key);
            write(value, out);
        }
    }
}

function compare(a: number[], b: number[]): number {
    const at = a.findIndex((byte, at) => byte !== b[at]);
    return at < 0 ? 0 : a[at]! - b[at]!;
}

export const map = (fields: Record<string, Cbor>): Map<string, Cbor> => new Map(Object.entries(fields));
