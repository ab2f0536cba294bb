import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, CborError, MAX_DEPTH, decode } from "../src/cbor.js";
import { encode, map } from "./encode.js";

const bytes = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
const refused = (hex: string, why: RegExp) => assert.throws(() => decode(bytes(hex)), (error) => error instanceof CborError && why.test(error.message), hex);

test("what is written is read again", () => {
    const all: Cbor[] = [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER, 2n ** 63n, -1, -24, -25, -(2 ** 40), "", "Zürich ✓", true, false, null];
    for (const item of all) assert.deepEqual(decode(encode(item)), item);
    const nested = map({ a: [1, map({ b: new Uint8Array([1, 2]) })], zz: "x" });
    assert.deepEqual(decode(encode(nested)), nested);
});

test("a second spelling is refused where it is met", () => {
    refused("1817", /longer than it need be/);
    refused("190018", /longer than it need be/);
    refused("1a0000ffff", /longer than it need be/);
    refused("1b00000000ffffffff", /longer than it need be/);
    refused("5f4101ff", /indefinite/);
    refused("9fff", /indefinite/);
    refused("c000", /tag/);
    refused("f93c00", /float/);
    refused("f7", /float/);
    refused("0000", /follow its end/);
    // {"b": 0, "a": 0}, and "a" twice.
    refused("a2616200616100", /order/);
    refused("a2616100616100", /order/);
    refused("a10000", /key is no text/);
});

test("what says that it is longer than it is sets nothing aside", () => {
    for (const major of [2, 3, 4, 5]) {
        const first = ((major << 5) | 26).toString(16);
        refused(`${first}ffffffff`, /longer than it is/);
        refused(`${((major << 5) | 27).toString(16)}ffffffffffffffff`, /longer than it is/);
    }
    refused("", /ends too early/);
    refused("18", /ends too early/);
});

test("it goes only so deep", () => {
    const deep = (depth: number) => bytes("81".repeat(depth) + "00");
    decode(deep(MAX_DEPTH));
    assert.throws(() => decode(deep(MAX_DEPTH + 1)), /nested/);
    assert.throws(() => decode(deep(1_000_000)), /nested/);
});

test("a text that does not show what it is is refused", () => {
    for (const text of ["a\nb", "\u001b[31m", "\u202eevil", "\u2066", "\u2028", "\u0000"]) {
        assert.throws(() => decode(encode(text)), /shown as they are/, JSON.stringify(text));
    }
    refused("61ff", /UTF-8/);
});

test("a key that has a meaning elsewhere is a key like any other", () => {
    const read = decode(encode(map({ ["__proto__"]: 1, constructor: 2 })));
    assert.ok(read instanceof Map);
    assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
});

test("whatever bytes are given, it ends with an item or an error of its own", () => {
    let state = 1;
    const next = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0);
    const good = encode(map({ a: [1, 2, "x"], b: new Uint8Array(9), c: map({ d: -1 }) }));
    for (let round = 0; round < 20_000; round++) {
        const changed = good.slice(0, 1 + (next() % good.length));
        changed[next() % changed.length] = next() & 255;
        try {
            decode(changed);
        } catch (error) {
            assert.ok(error instanceof CborError, String(error));
        }
    }
});
