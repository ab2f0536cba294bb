/**
 * What a receipt names, read from its bytes. Invariant: nothing here verifies anything, and nothing says that it did: a proof
 * that does not hold looks the same. Every field is checked for its type, since anybody may have made the file.
 */
import { type Cbor, CborError, decode } from "./cbor.js";

export const MAX_RECEIPT_BYTES = 256 << 20;
export const VERSION = 2;
/** Values of a tensor that are shown. */
export const SHOWN_VALUES = 1024;

export interface Tensor {
    id: number;
    name: string;
    shape: number[];
    bits: number;
    signed: boolean;
    exponent: number;
    count: number;
    /** The first values, as the floats that they stand for; of an input that is ranked, their ranks. */
    values: number[];
    /** Whether it is an input of which the receipt has nothing but places among the model's thresholds. */
    ranked: boolean;
    bytes: number;
}

export interface Slice {
    index: number;
    claim: string;
    identity: string;
    proofBytes: number;
    firstNode: number;
    nodeCount: number;
    vk: string;
    inputs: number[];
    outputs: number[];
}

export interface Named {
    network: string;
    request: string;
    model: string;
    graph: string;
    srs: string;
    system: string;
    parameters: string;
    nodeCount: number;
    budgetMillionths: number;
    slices: Slice[];
    inputs: Tensor[];
    outputs: Tensor[];
    inner: Tensor[];
    bytes: number;
    proofBytes: number;
}

/** Why a file is no receipt that this page reads. */
export class ReceiptError extends Error {}

/** Reads a receipt; nothing in it is believed. */
export function read(bytes: Uint8Array): Named {
    if (bytes.length > MAX_RECEIPT_BYTES) {
        throw new ReceiptError(`it has ${bytes.length} bytes; a receipt has at most ${MAX_RECEIPT_BYTES}`);
    }
    let item: Cbor;
    try {
        item = decode(bytes);
    } catch (error) {
        if (error instanceof CborError) throw new ReceiptError(`it is no receipt: ${error.message}`);
        throw error;
    }
    const receipt = new Fields(item, "the receipt");
    const version = receipt.number("version");
    if (version !== VERSION) {
        throw new ReceiptError(`it is a receipt of version ${version}; this page reads version ${VERSION}`);
    }
    const manifest = new Fields(receipt.get("manifest"), "the manifest");
    const described = new Map<number, Fields>();
    for (const item of manifest.list("boundary")) {
        const tensor = new Fields(item, "a boundary tensor");
        described.set(tensor.number("id"), new Fields(tensor.get("info"), "a tensor's description"));
    }
    const tensors = (name: string) => receipt.list(name).map((item) => tensor(new Fields(item, name), described));
    const cut = manifest.list("slices");
    const proved = receipt.list("slices");
    if (cut.length !== proved.length) {
        throw new ReceiptError(`it has ${proved.length} proofs, and its manifest ${cut.length} slices`);
    }
    const slices = proved.map((item, index) => slice(new Fields(item, `slice ${index}`), cut[index]!, index));
    return {
        network: receipt.text("network"),
        request: receipt.text("request"),
        model: manifest.text("model"),
        graph: manifest.text("graph"),
        srs: manifest.text("srs"),
        system: manifest.text("proof_system"),
        parameters: manifest.text("parameter_id"),
        nodeCount: manifest.number("node_count"),
        budgetMillionths: manifest.number("error_budget_millionths"),
        slices,
        inputs: tensors("input"),
        outputs: tensors("output"),
        inner: tensors("inner"),
        bytes: bytes.length,
        proofBytes: slices.reduce((sum, slice) => sum + slice.proofBytes, 0),
    };
}

function slice(proved: Fields, cut: Cbor, index: number): Slice {
    const of = new Fields(cut, `slice ${index} of the manifest`);
    return {
        index,
        claim: proved.text("claim"),
        identity: proved.text("identity"),
        proofBytes: proved.bytes("proof").length,
        firstNode: of.number("first_node"),
        nodeCount: of.number("node_count"),
        vk: of.text("vk"),
        inputs: of.numbers("inputs"),
        outputs: of.numbers("outputs"),
    };
}

function tensor(of: Fields, described: Map<number, Fields>): Tensor {
    const id = of.number("id");
    const info = described.get(id);
    if (info === undefined) throw new ReceiptError(`it has values of tensor ${id}, which its manifest does not describe`);
    const bytes = of.bytes("values");
    if (bytes.length % 8 !== 0) throw new ReceiptError(`the values of tensor ${id} are no whole numbers of 8 bytes`);
    const shape = info.numbers("shape");
    const count = bytes.length / 8;
    if (shape.reduce((product, size) => product * size, 1) !== count) {
        throw new ReceiptError(`tensor ${id} has ${count} values, and the shape ${shape.join("×")}`);
    }
    const range = new Fields(info.get("range"), "a tensor's range");
    const exponent = info.number("exponent");
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const values: number[] = [];
    for (let at = 0; at < Math.min(count, SHOWN_VALUES); at++) {
        values.push(Number(view.getBigInt64(8 * at, true)) * 2 ** -exponent);
    }
    return {
        id,
        name: info.text("name"),
        shape,
        bits: range.number("bits"),
        signed: range.boolean("signed"),
        exponent,
        count,
        values,
        ranked: info.has("ranks"),
        bytes: bytes.length,
    };
}

/** A map whose fields are asked for by type. */
class Fields {
    private readonly map: Map<string, Cbor>;

    constructor(
        item: Cbor | undefined,
        private readonly what: string,
    ) {
        if (!(item instanceof Map)) throw new ReceiptError(`it is no receipt: ${what} is no map`);
        this.map = item;
    }

    get(name: string): Cbor {
        const value = this.map.get(name);
        if (value === undefined) throw new ReceiptError(`it is no receipt: ${this.what} has no ${name}`);
        return value;
    }

    has(name: string): boolean {
        return this.map.has(name);
    }

    private of<T>(name: string, is: (value: Cbor) => boolean, kind: string): T {
        const value = this.get(name);
        if (!is(value)) throw new ReceiptError(`it is no receipt: ${name} of ${this.what} is no ${kind}`);
        return value as T;
    }

    text(name: string): string {
        return this.of(name, (value) => typeof value === "string", "text");
    }

    number(name: string): number {
        return this.of(name, (value) => typeof value === "number", "number");
    }

    boolean(name: string): boolean {
        return this.of(name, (value) => typeof value === "boolean", "yes or no");
    }

    bytes(name: string): Uint8Array {
        return this.of(name, (value) => value instanceof Uint8Array, "byte string");
    }

    list(name: string): Cbor[] {
        return this.of(name, Array.isArray, "list");
    }

    numbers(name: string): number[] {
        const list = this.list(name);
        if (!list.every((value) => typeof value === "number")) {
            throw new ReceiptError(`it is no receipt: ${name} of ${this.what} is no list of numbers`);
        }
        return list as number[];
    }
}
