/**
 * A reader of the project's own encoding, deterministic CBOR (RFC 8949 §4.2.1), for bytes that anybody may have made.
 *
 * Invariants: a second spelling is refused where it is met (long numbers, indefinite lengths, keys out of order, tags, floats);
 * it goes only so deep, and reads only so many items; byte strings are views, not copies; a text is legible, since it is
 * shown as it is. What it gives are Maps, never objects whose keys could be `__proto__`.
 */

export type Cbor = number | bigint | string | boolean | null | Uint8Array | Cbor[] | Map<string, Cbor>;

export const MAX_DEPTH = 32;
export const MAX_ITEMS = 1 << 21;
/** Characters that end a line, control a terminal, or turn the direction of writing. */
const ILLEGIBLE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** Why bytes are not the encoding of anything. */
export class CborError extends Error {}

/** All of the bytes as one item. */
export function decode(bytes: Uint8Array): Cbor {
    const reader = new Reader(bytes);
    const item = reader.item(0);
    if (reader.at !== bytes.length) {
        throw new CborError(`${bytes.length - reader.at} bytes follow its end`);
    }
    return item;
}

class Reader {
    at = 0;
    private items = 0;
    private readonly view: DataView;
    private readonly text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

    constructor(private readonly bytes: Uint8Array) {
        this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }

    item(depth: number): Cbor {
        if (depth > MAX_DEPTH) throw new CborError(`it is nested deeper than ${MAX_DEPTH}`);
        if (++this.items > MAX_ITEMS) throw new CborError(`it has more than ${MAX_ITEMS} items`);
        const first = this.take(1)[0]!;
        const [major, info] = [first >> 5, first & 31];
        if (major === 7) return this.simple(info);
        const argument = this.argument(info);
        switch (major) {
            case 0:
                return argument;
            case 1:
                return typeof argument === "bigint" ? -1n - argument : -1 - argument;
            case 2:
                return this.take(this.length(argument));
            case 3:
                return this.string(this.length(argument));
            case 4: {
                const list: Cbor[] = [];
                // An item has at least a byte: nothing is set aside for what is only claimed.
                for (let left = this.length(argument); left > 0; left--) list.push(this.item(depth + 1));
                return list;
            }
            case 5:
                return this.map(this.length(argument), depth);
            default:
                throw new CborError("it has a tag");
        }
    }

    private map(length: number, depth: number): Map<string, Cbor> {
        const map = new Map<string, Cbor>();
        let before: Uint8Array | undefined;
        for (let left = length; left > 0; left--) {
            const start = this.at;
            const key = this.item(depth + 1);
            if (typeof key !== "string") throw new CborError("a key is no text");
            const own = this.bytes.subarray(start, this.at);
            if (before !== undefined && compare(before, own) >= 0) throw new CborError("its keys are not in order");
            before = own;
            map.set(key, this.item(depth + 1));
        }
        return map;
    }

    private simple(info: number): Cbor {
        if (info === 20) return false;
        if (info === 21) return true;
        if (info === 22) return null;
        throw new CborError("it has a float, or a value that nothing of ours has");
    }

    private string(length: number): string {
        const bytes = this.take(length);
        let text: string;
        try {
            text = this.text.decode(bytes);
        } catch {
            throw new CborError("a text is not UTF-8");
        }
        if (ILLEGIBLE.test(text)) throw new CborError("a text has characters that cannot be shown as they are");
        return text;
    }

    private argument(info: number): number | bigint {
        if (info < 24) return info;
        const width = info === 24 ? 1 : info === 25 ? 2 : info === 26 ? 4 : info === 27 ? 8 : 0;
        if (width === 0) throw new CborError("it has an indefinite length, or a number of no known form");
        const at = this.at;
        this.take(width);
        const value =
            width === 1
                ? this.view.getUint8(at)
                : width === 2
                  ? this.view.getUint16(at)
                  : width === 4
                    ? this.view.getUint32(at)
                    : this.view.getBigUint64(at);
        const least = width === 1 ? 24 : width === 2 ? 0x100 : width === 4 ? 0x1_0000 : 0x1_0000_0000;
        if (value < least) throw new CborError("a number is longer than it need be");
        return typeof value === "bigint" && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
    }

    private length(argument: number | bigint): number {
        if (typeof argument === "bigint" || argument > this.bytes.length - this.at) {
            throw new CborError("it says that it is longer than it is");
        }
        return argument;
    }

    private take(count: number): Uint8Array {
        if (count > this.bytes.length - this.at) throw new CborError("it ends too early");
        const taken = this.bytes.subarray(this.at, this.at + count);
        this.at += count;
        return taken;
    }
}

function compare(a: Uint8Array, b: Uint8Array): number {
    const shared = Math.min(a.length, b.length);
    for (let at = 0; at < shared; at++) {
        if (a[at] !== b[at]) return a[at]! - b[at]!;
    }
    return a.length - b.length;
}
