import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_INLINE, dimensions, model, modelSpec, objectName, request, yaml } from "../src/objects.js";
import { type Taken, InputError, SCALES, example, fromPixels, npy, outside, picture, size, toPixels, typed } from "../src/tensor.js";

const input = (shape: number[], change: Partial<Taken> = {}): Taken => ({ name: "x", shape, whole: false, least: -4, greatest: 3.9, ...change });

test("numbers are taken as they are typed, and as many as the shape says", () => {
    for (const text of ["1, 2,3 ,4", "1 2\n3\t4", "[1,2,3,4]", "[[1,2],[3,4]]", "1;2;3;4", "[[[1, 2]], [[3, 4]]]"]) {
        assert.deepEqual(typed(input([2, 2]), text), { shape: [2, 2], data: [1, 2, 3, 4] }, text);
    }
    assert.deepEqual(typed(input([3]), "-.5 +1e-3 2.").data, [-0.5, 0.001, 2]);
    assert.deepEqual(typed(input([]), "7").data, [7]);
    assert.deepEqual(typed(input([2]), "[true, false]").data, [1, 0]);
    for (const [text, why] of [
        ["", /no numbers yet/],
        ["1 2 3", /takes 2 values; 3 are given/],
        ["1 two", /“two” is not a number/],
        ["1 0x2", /“0x2” is not a number/],
        ["1 NaN", /is not a number/],
        ["[1, null]", /is not a number/],
        ['[1, "2"]', /is not a number/],
        ["[1, 2", /not a list of JSON/],
        ["1 1e999", /value 1 is not a number/],
    ] as const) {
        assert.throws(() => typed(input([2]), text), (error: Error) => error instanceof InputError && why.test(error.message), text);
    }
    // As deep as it likes: nothing here calls itself.
    const deep = "[".repeat(5000) + "1" + "]".repeat(5000);
    assert.deepEqual(typed(input([1]), deep).data, [1]);
});

test("an example is the same for the same number, and within what the Model holds", () => {
    const one = example(input([3, 50]), 1);
    assert.equal(one.data.length, 150);
    assert.deepEqual(one, example(input([3, 50]), 1));
    assert.notDeepEqual(one, example(input([3, 50]), 2));
    assert.ok(new Set(one.data).size > 100, "they differ");
    assert.equal(outside(input([3, 50]), one), 0);
    const positive = input([64], { least: 0, greatest: 0.25 });
    assert.equal(outside(positive, example(positive, 3)), 0);
    const ids = input([64], { whole: true, least: 0, greatest: 100 });
    assert.ok(example(ids, 3).data.every(Number.isInteger));
    assert.equal(outside(input([2]), { shape: [2], data: [4, -4] }), 1);
});

test("an image becomes channels or last, in the scale that is chosen", () => {
    assert.deepEqual(picture([1, 3, 2, 4]), { channels: 3, height: 2, width: 4, last: false });
    assert.deepEqual(picture([1, 28, 28, 1]), { channels: 1, height: 28, width: 28, last: true });
    for (const none of [[1, 4], [2, 3, 8, 8], [1, 4, 8, 8], [1, 3, 1, 8], []]) assert.equal(picture(none), undefined, String(none));
    // Red beside blue, above black beside white.
    const rgba = [255, 0, 0, 255, 0, 0, 255, 255, 0, 0, 0, 255, 255, 255, 255, 255];
    const of = (shape: number[], scale: (typeof SCALES)[number]) => fromPixels(input(shape), rgba, scale).data;
    assert.deepEqual(of([1, 3, 2, 2], "0 to 1"), [1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1]);
    assert.deepEqual(of([1, 2, 2, 3], "0 to 255"), [255, 0, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255]);
    assert.deepEqual(of([1, 1, 2, 2], "0 to 255").map(Math.round), [76, 29, 0, 255]);
    assert.deepEqual(of([1, 3, 2, 2], "-1 to 1").slice(0, 2), [1, -1]);
    assert.ok(Math.abs(of([1, 3, 2, 2], "ImageNet")[0]! - (1 - 0.485) / 0.229) < 1e-12);
    assert.throws(() => of([1, 3, 3, 3], "0 to 1"), InputError);
});

test("a file of numbers is as NumPy writes it", () => {
    for (const shape of [[2, 3], [6], [1, 2, 3]]) {
        const bytes = npy({ shape, data: [1, 2, 3, 4, 5, -6.5] });
        const header = new TextDecoder("latin1").decode(bytes);
        assert.ok(header.startsWith("\u0093NUMPY\u0001\u0000"));
        const length = bytes[8]! + 256 * bytes[9]!;
        assert.equal((10 + length) % 64, 0, "values are aligned");
        assert.equal(header[10 + length - 1], "\n");
        assert.ok(header.includes(shape.length === 1 ? "(6,)" : `(${shape.join(", ")})`), header);
        assert.equal(bytes.length, 10 + length + 8 * size(shape));
        assert.equal(new DataView(bytes.buffer).getFloat64(10 + length + 40, true), -6.5);
    }
});

test("names are Kubernetes' names, and dimensions what is typed", () => {
    for (const [file, name] of [["My Net_v2.onnx", "my-net-v2"], ["Ü.onnx", "model"], ["a/b/--x--.onnx", "x"], [`${"y".repeat(60)}.onnx`, "y".repeat(40)], ["<b>.onnx", "b"]] as const) {
        assert.equal(objectName(file), name);
    }
    assert.deepEqual(dimensions(" tokens = 16, batch=1\n"), { tokens: 16, batch: 1 });
    assert.deepEqual(dimensions(""), {});
    assert.deepEqual(Object.keys(dimensions("__proto__=3")), ["__proto__"]);
    for (const bad of ["16", "a=0", "a=-1", "a=1.5", "a=99999999999", "a=1,a=2"]) assert.throws(() => dimensions(bad), bad);
});

test("YAML says what was chosen, and no text in it is taken for anything else", () => {
    const spec = modelSpec({ model: "sha256:00", system: "SumcheckWhir", parallelism: 4, budget: 10_000, scores: false, dimensions: { "a: b": 2 } });
    assert.equal(
        yaml(model("n", "wine", spec)),
        `apiVersion: zkinfer.dev/v1alpha1
kind: Model
metadata:
  namespace: "n"
  name: wine
spec:
  source:
    artifact: "sha256:00"
  quantization:
    errorBudgetMillionths: 10000
    compareTop1: false
  slicing:
    parallelism: 4
  dimensions:
    "a: b": 2
  proofSystem: SumcheckWhir
`,
    );
    const of = request("default", "r", "wine", { inline: { "x\n- y": { shape: [1, 2], data: [0.5, -1e-9] } } });
    assert.ok(yaml(of).includes('      "x\\n- y":\n        shape: [1, 2]\n        data: [0.5, -1e-9]\n'), yaml(of));
    assert.equal(yaml({ a: [{ b: 1, c: [] }, { b: "no" }], d: {}, e: "" }), 'a:\n  - b: 1\n    c: []\n  - b: "no"\nd: {}\ne: ""\n');
    assert.ok(MAX_INLINE <= 262_144);
});

test("a tensor that is an image is drawn from its least to its greatest value, and no other", () => {
    assert.deepEqual([...toPixels([1, 1, 2, 2], [-1, 0, 1, 3])!], [0, 0, 0, 255, 64, 64, 64, 255, 128, 128, 128, 255, 255, 255, 255, 255]);
    assert.deepEqual([...toPixels([1, 2, 2, 3], Array.from({ length: 12 }, (_, at) => at % 3))!].slice(0, 4), [0, 128, 255, 255]);
    assert.deepEqual([...toPixels([1, 1, 2, 2], [7, 7, 7, 7])!].slice(0, 4), [0, 0, 0, 255]);
    assert.equal(toPixels([1, 10], [1, 2]), undefined);
    assert.equal(toPixels([1, 1, 2, 2], [1]), undefined);
});
