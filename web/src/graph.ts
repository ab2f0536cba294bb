/** What of a graph is drawn: its nodes, its slices, or a file's own nodes. Pure, so that it is tested without a page. */
import type { Graph, GraphNode, ModelSlice, NodeAccuracy, NodeOutlook, Outline, Report, Unsupported } from "./api.js";
import { bytes, count, float, micros, share } from "./format.js";

export interface Shape {
    width: number;
    height: number;
    /** In its box, cut to fit. */
    label: string;
    under: string;
    /** Whole. */
    title: string;
    detail: string;
    slice: number | undefined;
    bits: number;
    /** What proving it takes, in microseconds; not known of all. */
    cost: number | undefined;
    /** Its greatest error, in millionths of its greatest value; not known of all. */
    error: number | undefined;
    /** Whether it is proved, only moves or brings values, or, of a file that is not compiled, cannot be. */
    support: "proved" | "moves" | "supported" | "unsupported";
    facts: [string, string][];
}

export interface Shapes {
    nodes: Shape[];
    edges: [number, number][];
}

/** What is known of nodes beside the drawing. */
export interface Known {
    report: Report | undefined;
    slices: readonly ModelSlice[];
}

const WIDTH = 132;
const HEIGHT = 38;
const LABEL = 18;
const SMALL = 24;
const NOTHING = "nothing is known against it";
/** Characters of a name that a drawing has. */
const DRAWN = 160;
/** What stands for an operator where a node is an input of the request. */
const INPUT = "Input";

/** The end of a text that does not fit: names of nodes begin alike. */
const cut = (text: string, most = LABEL) => ([...text].length > most ? `…${[...text].slice(1 - most).join("")}` : text);
/** A number as an exponent. */
const raised = (power: number) => [...String(power)].map((digit) => (digit === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)])).join("");
const dimensions = (shape: readonly number[]) => shape.join(" × ") || "scalar";

/** What its integers stand for, from the least to the greatest. */
function range({ bits, signed, exponent }: GraphNode): string {
    const step = 2 ** -exponent;
    const [least, greatest] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
    return `${float(least * step)} to ${float(greatest * step)}`;
}

/** The errors of an integer graph's nodes by their place in the drawing, whose inputs come first. */
function errors(graph: Graph, told: readonly NodeAccuracy[]): (NodeAccuracy | undefined)[] {
    const first = graph.nodes.findIndex((node) => node.op !== INPUT);
    const inputs = first < 0 ? graph.nodes.length : first;
    const nodes = graph.nodes.slice(inputs);
    const none = new Array<undefined>(inputs).fill(undefined);
    // All of them in their order; or those that are furthest off, in that order too.
    let next = 0;
    const found = nodes.map((node) => {
        const here = told[next];
        if (here === undefined || (told.length < nodes.length && !named(here.node, node.name))) return undefined;
        next++;
        return here;
    });
    return [...none, ...found];
}

/** Whether a name is the one that is drawn, of which long ones are cut. */
const named = (name: string, drawn: string) => name === drawn || ([...drawn].length >= DRAWN && name.startsWith(drawn));

function outlooks(graph: Graph, told: readonly NodeOutlook[]): (NodeOutlook | undefined)[] {
    const inputs = graph.nodes.length - told.length;
    // Of a graph with too many nodes there are none.
    return graph.nodes.map((_, at) => (told.length > 0 && inputs >= 0 && at >= inputs ? told[at - inputs] : undefined));
}

const fact = (what: string, value: string | undefined): [string, string][] => (value === undefined ? [] : [[what, value]]);

/** Each node by itself. */
export function single(graph: Graph, { report }: Known): Shapes {
    const outputs = new Set(graph.outputs);
    const known = outlooks(graph, report?.outlook?.nodes ?? []);
    const off = errors(graph, report?.nodes ?? []);
    const nodes = graph.nodes.map((node, at): Shape => {
        const [outlook, error] = [known[at], off[at]];
        const alone = outlook?.alone;
        const moves = node.op === INPUT || (outlook !== undefined && !alone);
        return {
            width: WIDTH,
            height: HEIGHT,
            label: cut(node.name || node.op),
            under: cut(`${node.op} · ${node.shape.join("×") || "scalar"}`, SMALL),
            title: node.name || node.op,
            detail: node.op,
            slice: node.slice,
            bits: node.bits,
            cost: alone?.predictedMicros ?? (moves ? 0 : undefined),
            error: error?.maxErrorMillionths,
            support: moves ? "moves" : "proved",
            facts: [
                ["Operator", node.op],
                ["Shape", dimensions(node.shape)],
                ["Values", `${node.bits} bits, ${node.signed ? "signed" : "unsigned"}`],
                ["Range", range(node)],
                ["A step is worth", `2${raised(-node.exponent)}`],
                ...(node.weights > 0 ? fact("Constants", count(node.weights)) : []),
                ...(outlook && outlook.claims.length > 0 ? fact("Claims", outlook.claims.join(", ")) : []),
                ...(error ? fact("Greatest error", share(error.maxErrorMillionths)) : []),
                ...(error?.sqnrMillibels !== undefined ? fact("SQNR", `${(error.sqnrMillibels / 100).toFixed(1)} dB`) : []),
                ...(error && error.saturations > 0 ? fact("At the end of its range", `${count(error.saturations)} values of the samples`) : []),
                ...(alone ? [...fact("Proved alone", micros(alone.predictedMicros)), ...fact("in memory", bytes(alone.predictedMemoryBytes)), ...fact("with a proof of", bytes(alone.predictedProofBytes))] : []),
                ...(outlook && !alone ? fact("Proved alone", "no: it only moves values, or has no place by itself") : []),
                ...(outputs.has(at) ? fact("Is", "an output of the request") : []),
            ],
        };
    });
    return { nodes, edges: graph.edges };
}

/** Slices, inputs, and nodes of no slice. */
export function grouped(graph: Graph, known: Known): Shapes {
    const singles = single(graph, known).nodes;
    const groupOf: number[] = [];
    const groups: { slice: number | undefined; nodes: GraphNode[]; shapes: Shape[] }[] = [];
    const bySlice = new Map<number, number>();
    graph.nodes.forEach((node, at) => {
        let group = node.slice === undefined ? undefined : bySlice.get(node.slice);
        if (group === undefined) {
            group = groups.push({ slice: node.slice, nodes: [], shapes: [] }) - 1;
            if (node.slice !== undefined) bySlice.set(node.slice, group);
        }
        groups[group]!.nodes.push(node);
        groups[group]!.shapes.push(singles[at]!);
        groupOf.push(group);
    });
    const nodes = groups.map(({ slice, nodes, shapes }): Shape => {
        const [first, last] = [nodes[0]!, nodes.at(-1)!];
        const title = slice === undefined ? first.name || first.op : `slice ${slice}: ${first.name} … ${last.name}`;
        const weights = nodes.reduce((sum, node) => sum + node.weights, 0);
        const told = slice === undefined ? undefined : known.slices[slice];
        const all = shapes.flatMap((shape) => (shape.error === undefined ? [] : [shape.error]));
        return {
            width: WIDTH,
            height: HEIGHT,
            label: slice === undefined ? cut(first.name || first.op) : `slice ${slice}`,
            under: slice === undefined ? cut(first.op, SMALL) : `${count(nodes.length)} nodes`,
            title,
            detail: [...new Set(nodes.map((node) => node.op))].join(" "),
            slice,
            bits: nodes.reduce((most, node) => Math.max(most, node.bits), 0),
            cost: told ? 1000 * told.predictedMillis : slice === undefined ? 0 : undefined,
            error: all.length > 0 ? all.reduce((most, error) => Math.max(most, error), 0) : undefined,
            support: slice === undefined ? "moves" : "proved",
            facts: [
                ["Nodes", count(nodes.length)],
                ["Operators", [...new Set(nodes.map((node) => node.op))].slice(0, 12).join(", ")],
                ["Makes", dimensions(last.shape)],
                ["Constants", count(weights)],
            ],
        };
    });
    const seen = new Set<number>();
    const edges: [number, number][] = [];
    for (const [from, to] of graph.edges) {
        const [a, b] = [groupOf[from], groupOf[to]];
        if (a === undefined || b === undefined || a === b) continue;
        const key = a * groups.length + b;
        if (!seen.has(key)) {
            seen.add(key);
            edges.push([a, b]);
        }
    }
    return { nodes, edges };
}

/** The nodes of a file that is not proved, with why. */
export function outlined({ nodes, edges }: Outline, unsupported: readonly Unsupported[]): Shapes {
    const why = new Map<string, string>();
    for (const { node, reason } of unsupported) why.set(node, why.has(node) ? `${why.get(node)}; ${reason}` : reason);
    const shapes = nodes.map(({ name, op }): Shape => {
        const reason = why.get(name);
        return {
            width: WIDTH,
            height: HEIGHT,
            label: cut(name || op),
            under: cut(op, SMALL),
            title: name || op,
            detail: op,
            slice: undefined,
            bits: 0,
            cost: undefined,
            error: undefined,
            support: reason === undefined ? "supported" : "unsupported",
            facts: [["Operator", op], reason === undefined ? ["Support", NOTHING] : ["Cannot be proved", reason]],
        };
    });
    return { nodes: shapes, edges };
}

export const COLOURS = ["slice", "cost", "error", "bits", "support"] as const;
export type Colour = (typeof COLOURS)[number];
/** Of a file that is not compiled there is nothing else. */
export const SUPPORT = ["support"] as const;

const NONE = "hsl(210 14% 88%)";
const SUPPORTS = { proved: "hsl(150 50% 80%)", moves: NONE, supported: "hsl(150 30% 85%)", unsupported: "hsl(0 85% 76%)" };
const warm = (part: number) => `hsl(${Math.round(150 - 140 * part)} 62% ${Math.round(86 - 20 * part)}%)`;

/** How a colour is read, from the least to the most of it. */
export interface Key {
    colour: string;
    is: string;
}

/** A node's colour, and the key to it. Dark text is readable on each of them, in either scheme. */
export function colourOf(by: Colour, nodes: readonly Shape[]): { paint: (node: Shape) => string; keys: Key[] } {
    if (by === "slice") {
        // Neighbours are told apart: hues are a golden angle from each other.
        const paint = (slice: number | undefined) => (slice === undefined ? NONE : `hsl(${Math.round((slice * 137.508) % 360)} 58% 80%)`);
        const slices = [...new Set(nodes.flatMap((node) => (node.slice === undefined ? [] : [node.slice])))].sort((a, b) => a - b);
        return { paint: (node) => paint(node.slice), keys: slices.length > 12 ? [] : slices.map((slice) => ({ colour: paint(slice), is: `slice ${slice}` })) };
    }
    if (by === "support") {
        const words = { proved: "proved", moves: "brings or moves values", supported: NOTHING, unsupported: "cannot be proved" };
        const there = new Set(nodes.map((node) => node.support));
        const keys = (["proved", "moves", "supported", "unsupported"] as const).filter((one) => there.has(one)).map((one) => ({ colour: SUPPORTS[one], is: words[one] }));
        return { paint: (node) => SUPPORTS[node.support], keys };
    }
    const of = (node: Shape) => (by === "bits" ? node.bits : by === "cost" ? node.cost : node.error);
    const told = nodes.flatMap((node) => of(node) ?? []);
    const most = told.reduce((most, value) => Math.max(most, value), 0);
    const least = told.reduce((least, value) => Math.min(least, value), most);
    const text = { bits: (value: number) => `${value} bits`, cost: micros, error: share }[by];
    const unknown = told.length < nodes.length ? [{ colour: NONE, is: "not known" }] : [];
    const paint = (node: Shape) => {
        const value = of(node);
        return value === undefined ? NONE : warm(most === least ? 0 : (value - least) / (most - least));
    };
    if (told.length === 0) return { paint, keys: unknown };
    return { paint, keys: [{ colour: warm(0), is: text(least) }, ...(most > least ? [{ colour: warm(0.5), is: text((least + most) / 2) }, { colour: warm(1), is: text(most) }] : []), ...unknown] };
}
