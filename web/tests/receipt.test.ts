import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cbor } from "../src/cbor.js";
import { ReceiptError, SHOWN_VALUES, VERSION, read } from "../src/receipt.js";
import { encode, map } from "./encode.js";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const values = (...all: number[]) => {
    const view = new DataView(new ArrayBuffer(8 * all.length));
    all.forEach((value, at) => view.setBigInt64(8 * at, BigInt(value), true));
    return new Uint8Array(view.buffer);
};
const boundary = (id: number, name: string, shape: number[]) =>
    map({ id, info: map({ name, range: map({ bits: 8, signed: true }), shape, exponent: 2 }) });
const cut = (first: number, inputs: number[], outputs: number[]) =>
    map({ vk: digest("b"), inputs, circuit: map({}), outputs, first_node: first, node_count: 2 });
const proof = (size: number) => map({ claim: "c1", proof: new Uint8Array(size), identity: `ed25519:${"1".repeat(64)}` });

function receipt(change: (fields: Map<string, Cbor>) => void = () => {}): Uint8Array {
    const manifest = map({
        srs: digest("0"),
        graph: digest("c"),
        model: digest("d"),
        inputs: [0],
        slices: [cut(0, [0], [1]), cut(2, [1], [2])],
        outputs: [2],
        version: 2,
        boundary: [boundary(0, "x", [1, 2]), boundary(1, "h", [3]), boundary(2, "<b>y</b>", [1])],
        node_count: 4,
        parameter_id: "p",
        proof_system: "SumcheckWhir",
        quantisation: map({}),
        error_budget_millionths: 10_000,
    });
    const fields = map({
        srs: digest("0"),
        inner: [map({ id: 1, values: values(1, 2, 3) })],
        input: [map({ id: 0, values: values(-4, 6) })],
        output: [map({ id: 2, values: values(5) })],
        slices: [proof(100), proof(28)],
        network: "local",
        request: "6a8f4f6e-0000-4000-8000-000000000000",
        version: VERSION,
        manifest,
    });
    change(fields);
    return encode(fields);
}

test("what a receipt names is read, and its values are the floats that they stand for", () => {
    const named = read(receipt());
    assert.equal(named.request, "6a8f4f6e-0000-4000-8000-000000000000");
    assert.deepEqual([named.network, named.system, named.nodeCount, named.proofBytes], ["local", "SumcheckWhir", 4, 128]);
    assert.deepEqual(named.inputs[0]!.values, [-1, 1.5]);
    assert.deepEqual(named.outputs[0]!.values, [1.25]);
    assert.equal(named.outputs[0]!.name, "<b>y</b>", "a name is text, whatever it says");
    assert.deepEqual(named.slices.map((slice) => [slice.firstNode, slice.inputs, slice.outputs]), [[0, [0], [1]], [2, [1], [2]]]);
});

test("of an input that is ranked the numbers are ranks, and that is said", () => {
    const ranks = map({ float: "Float32", places: [map({ bounds: values(0), missing: "Above" })] });
    const ranked = map({ id: 0, info: map({ name: "x", range: map({ bits: 2, signed: false }), ranks, shape: [1, 2], exponent: 0 }) });
    const named = read(
        receipt((fields) => {
            const manifest = fields.get("manifest") as Map<string, Cbor>;
            manifest.set("boundary", [ranked, boundary(1, "h", [3]), boundary(2, "y", [1])]);
            fields.set("input", [map({ id: 0, values: values(1, 2) })]);
        }),
    );
    assert.deepEqual([named.inputs[0]!.ranked, named.inputs[0]!.values, named.outputs[0]!.ranked], [true, [1, 2], false]);
});

test("of a large tensor the first values are shown, and how many there are", () => {
    const many = Array.from({ length: 2000 }, (_, at) => at);
    const large = receipt((fields) => {
        const manifest = fields.get("manifest") as Map<string, Cbor>;
        manifest.set("boundary", [boundary(0, "x", [20, 100]), boundary(1, "h", [3]), boundary(2, "y", [1])]);
        fields.set("input", [map({ id: 0, values: values(...many) })]);
    });
    const [input] = read(large).inputs;
    assert.deepEqual([input!.count, input!.values.length], [2000, SHOWN_VALUES]);
});

test("what is no receipt is refused by what is wrong with it", () => {
    const said = (change: (fields: Map<string, Cbor>) => void, why: RegExp) =>
        assert.throws(() => read(receipt(change)), (error) => error instanceof ReceiptError && why.test(error.message), String(why));
    said((fields) => fields.set("version", 1), /version 1; this page reads version 2/);
    said((fields) => fields.delete("network"), /the receipt has no network/);
    said((fields) => fields.set("network", 7), /network of the receipt is no text/);
    said((fields) => fields.set("slices", [proof(1)]), /1 proofs, and its manifest 2 slices/);
    said((fields) => fields.set("input", [map({ id: 9, values: values(1) })]), /tensor 9/);
    said((fields) => fields.set("input", [map({ id: 0, values: values(1) })]), /1 values, and the shape 1×2/);
    said((fields) => fields.set("input", [map({ id: 0, values: new Uint8Array(7) })]), /8 bytes/);
    assert.throws(() => read(encode("x")), /the receipt is no map/);
    assert.throws(() => read(new TextEncoder().encode("{}")), ReceiptError);
    const good = receipt();
    assert.throws(() => read(good.slice(0, -1)), /ends too early/);
    assert.throws(() => read(Uint8Array.from([...good, 0])), /follow its end/);
});
