/**
 * Inputs as numbers: typed, read from a file, made up, or taken from an image. Pure, so that it is tested without a page.
 *
 * Invariant: a tensor has as many values as its shape says, and each is a finite number; whatever else is given is refused with
 * the input's name.
 */

export interface Tensor {
    shape: number[];
    data: number[];
}
/** What a Model says of an input. */
export interface Taken {
    name: string;
    shape: number[];
    whole: boolean;
    least: number;
    greatest: number;
}

export const size = (shape: readonly number[]) => shape.reduce((product, dimension) => product * dimension, 1);
const text = (shape: readonly number[]) => shape.join(" × ") || "scalar";

/** What is wrong with an input, for people. */
export class InputError extends Error {}

function whole(input: Taken, data: number[]): Tensor {
    const expected = size(input.shape);
    if (data.length !== expected) {
        throw new InputError(`Input ${input.name} of shape ${text(input.shape)} takes ${expected} values; ${data.length} are given.`);
    }
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new InputError(`Input ${input.name}: value ${bad} is not a number.`);
    return { shape: [...input.shape], data };
}

/** Numbers as they are typed: a list of JSON, however nested, or numbers with commas, blanks or line ends between them. */
export function typed(input: Taken, given: string): Tensor {
    const trimmed = given.trim();
    if (trimmed === "") throw new InputError(`Input ${input.name} has no numbers yet.`);
    if (!trimmed.startsWith("[")) {
        const words = trimmed.split(/[\s,;]+/).filter(Boolean);
        const wrong = words.find((word) => !/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(word));
        if (wrong !== undefined) throw new InputError(`Input ${input.name}: “${wrong.slice(0, 40)}” is not a number.`);
        return whole(input, words.map(Number));
    }
    let lists: unknown;
    try {
        lists = JSON.parse(trimmed);
    } catch {
        throw new InputError(`Input ${input.name}: not a list of JSON.`);
    }
    return whole(input, flat(lists, input.name));
}

/** The numbers of nested lists, in their order. */
function flat(lists: unknown, name: string): number[] {
    const all: number[] = [];
    const waiting: unknown[] = [lists];
    while (waiting.length > 0) {
        const one = waiting.pop();
        if (typeof one === "number") all.push(one);
        else if (typeof one === "boolean") all.push(one ? 1 : 0);
        else if (Array.isArray(one)) for (let at = one.length - 1; at >= 0; at--) waiting.push(one[at]);
        else throw new InputError(`Input ${name}: what is in the list is not a number.`);
    }
    return all;
}

/** A made-up input within what the Model holds: the same for the same number. */
export function example(input: Taken, seed: number): Tensor {
    // mulberry32: small, and even enough to look at.
    let state = seed | 0;
    const uniform = () => {
        state = (state + 0x6d2b79f5) | 0;
        let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
    const [low, high] = [Math.max(input.least, -1), Math.min(input.greatest, 1)];
    const value = () => (input.whole ? Math.round(low + uniform() * (high - low)) : Number((low + uniform() * (high - low)).toPrecision(4)));
    return { shape: [...input.shape], data: Array.from({ length: size(input.shape) }, value) };
}

/** Values outside of what the Model's integers hold: the request would fail with `OutOfCalibratedRange`. */
export function outside(input: Taken, tensor: Tensor): number {
    return tensor.data.filter((value) => value < input.least || value > input.greatest).length;
}

/** How a pixel of 0 to 255 becomes a float. */
export const SCALES = ["0 to 1", "-1 to 1", "0 to 255", "ImageNet"] as const;
export type Scale = (typeof SCALES)[number];
const MEAN = [0.485, 0.456, 0.406];
const SPREAD = [0.229, 0.224, 0.225];

/** Where an input's channels, rows and columns are, if it takes an image. */
export function picture(shape: readonly number[]): { channels: 1 | 3; height: number; width: number; last: boolean } | undefined {
    const [batch, a, b, c] = shape;
    if (shape.length !== 4 || batch !== 1 || a === undefined || b === undefined || c === undefined) return undefined;
    if ((a === 1 || a === 3) && b > 1 && c > 1) return { channels: a, height: b, width: c, last: false };
    if ((c === 1 || c === 3) && a > 1 && b > 1) return { channels: c, height: a, width: b, last: true };
    return undefined;
}

/** An image of exactly the input's size, as red, green, blue and opacity of each pixel. */
export function fromPixels(input: Taken, rgba: ArrayLike<number>, scale: Scale): Tensor {
    const of = picture(input.shape);
    if (!of || rgba.length !== 4 * of.width * of.height) throw new InputError(`Input ${input.name} takes no image of this size.`);
    const pixels = of.width * of.height;
    const data = new Array<number>(of.channels * pixels);
    for (let pixel = 0; pixel < pixels; pixel++) {
        const [red, green, blue] = [rgba[4 * pixel]!, rgba[4 * pixel + 1]!, rgba[4 * pixel + 2]!];
        const values = of.channels === 3 ? [red, green, blue] : [0.299 * red + 0.587 * green + 0.114 * blue];
        values.forEach((value, channel) => {
            data[of.last ? of.channels * pixel + channel : channel * pixels + pixel] = scaled(value, scale, of.channels === 3 ? channel : 1);
        });
    }
    return { shape: [...input.shape], data };
}

/** An image of a tensor that is one: its least value is black, its greatest white. */
export function toPixels(shape: readonly number[], data: readonly number[]): Uint8ClampedArray<ArrayBuffer> | undefined {
    const of = picture(shape);
    const pixels = of ? of.width * of.height : 0;
    if (!of || data.length !== of.channels * pixels) return undefined;
    const [least, greatest] = data.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    const grey = (value: number) => (greatest > least ? (255 * (value - least)) / (greatest - least) : 0);
    const rgba = new Uint8ClampedArray(4 * pixels);
    for (let pixel = 0; pixel < pixels; pixel++) {
        for (let colour = 0; colour < 3; colour++) {
            const channel = of.channels === 3 ? colour : 0;
            rgba[4 * pixel + colour] = grey(data[of.last ? of.channels * pixel + channel : channel * pixels + pixel]!);
        }
        rgba[4 * pixel + 3] = 255;
    }
    return rgba;
}

function scaled(value: number, scale: Scale, channel: number): number {
    switch (scale) {
        case "0 to 255":
            return value;
        case "0 to 1":
            return value / 255;
        case "-1 to 1":
            return value / 127.5 - 1;
        case "ImageNet":
            return (value / 255 - MEAN[channel]!) / SPREAD[channel]!;
    }
}

/** As a .npy file of doubles. */
export function npy({ shape, data }: Tensor): Uint8Array<ArrayBuffer> {
    const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
    const header = `{'descr': '<f8', 'fortran_order': False, 'shape': (${dimensions}), }`;
    const padded = header.padEnd(Math.ceil((10 + header.length + 1) / 64) * 64 - 11) + "\n";
    const bytes = new Uint8Array(10 + padded.length + 8 * data.length);
    bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8]);
    bytes.set(new TextEncoder().encode(padded), 10);
    const view = new DataView(bytes.buffer, 10 + padded.length);
    data.forEach((value, at) => view.setFloat64(8 * at, value, true));
    return bytes;
}
