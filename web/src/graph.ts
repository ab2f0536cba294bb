/** What of a graph is drawn: its nodes, or its slices. Pure, so that it is tested without a page. */
import type { Graph, GraphNode, ModelSlice } from "./api.js";
import { count } from "./format.js";

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
    facts: [string, string][];
}

export interface Shapes {
    nodes: Shape[];
    edges: [number, number][];
}

const WIDTH = 132;
const HEIGHT = 38;
const LABEL = 18;

const SMALL = 24;

/** The end of a text that does not fit: names of nodes begin alike. */
const cut = (text: string, most = LABEL) => ([...text].length > most ? `…${[...text].slice(1 - most).join("")}` : text);
/** A number as an exponent. */
const raised = (power: number) => [...String(power)].map((digit) => (digit === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)])).join("");
const dimensions = (shape: readonly number[]) => shape.join(" × ") || "scalar";

/** Each node by itself. */
export function single(graph: Graph): Shapes {
    const outputs = new Set(graph.outputs);
    const nodes = graph.nodes.map((node, at): Shape => {
        const range = `${node.bits} bits, ${node.signed ? "signed" : "unsigned"}`;
        return {
            width: WIDTH,
            height: HEIGHT,
            label: cut(node.name || node.op),
            under: cut(`${node.op} · ${node.shape.join("×") || "scalar"}`, SMALL),
            title: node.name || node.op,
            detail: node.op,
            slice: node.slice,
            bits: node.bits,
            facts: [
                ["Operator", node.op],
                ["Shape", dimensions(node.shape)],
                ["Values", range],
                ["A step is worth", `2${raised(-node.exponent)}`],
                ...(node.weights > 0 ? [["Constants", count(node.weights)] as [string, string]] : []),
                ...(outputs.has(at) ? [["Is", "an output of the request"] as [string, string]] : []),
            ],
        };
    });
    return { nodes, edges: graph.edges };
}

/** Slices, inputs, and nodes of no slice. */
export function grouped(graph: Graph): Shapes {
    const groupOf: number[] = [];
    const groups: { slice: number | undefined; nodes: GraphNode[] }[] = [];
    const bySlice = new Map<number, number>();
    for (const node of graph.nodes) {
        let group = node.slice === undefined ? undefined : bySlice.get(node.slice);
        if (group === undefined) {
            group = groups.push({ slice: node.slice, nodes: [] }) - 1;
            if (node.slice !== undefined) bySlice.set(node.slice, group);
        }
        groups[group]!.nodes.push(node);
        groupOf.push(group);
    }
    const nodes = groups.map(({ slice, nodes }): Shape => {
        const [first, last] = [nodes[0]!, nodes.at(-1)!];
        const title = slice === undefined ? first.name || first.op : `slice ${slice}: ${first.name} … ${last.name}`;
        const weights = nodes.reduce((sum, node) => sum + node.weights, 0);
        return {
            width: WIDTH,
            height: HEIGHT,
            label: slice === undefined ? cut(first.name || first.op) : `slice ${slice}`,
            under: slice === undefined ? cut(first.op, SMALL) : `${count(nodes.length)} nodes`,
            title,
            detail: [...new Set(nodes.map((node) => node.op))].join(" "),
            slice,
            bits: nodes.reduce((most, node) => Math.max(most, node.bits), 0),
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

/** A node's colour: dark text is readable on each of them, in either scheme. */
export function colourOf(by: "slice" | "cost" | "bits", nodes: readonly Shape[], slices: readonly ModelSlice[]): (node: Shape) => string {
    const none = "hsl(210 14% 88%)";
    const warm = (share: number) => `hsl(${Math.round(150 - 140 * share)} 62% ${Math.round(86 - 20 * share)}%)`;
    if (by === "slice") {
        // Neighbours are told apart: hues are a golden angle from each other.
        return (node) => (node.slice === undefined ? none : `hsl(${Math.round((node.slice * 137.508) % 360)} 58% 80%)`);
    }
    if (by === "cost") {
        const most = Math.max(1, ...slices.map((slice) => slice.predictedMillis));
        return (node) => {
            const slice = node.slice === undefined ? undefined : slices[node.slice];
            return slice === undefined ? none : warm(slice.predictedMillis / most);
        };
    }
    const most = nodes.reduce((most, node) => Math.max(most, node.bits), 1);
    const least = nodes.reduce((least, node) => Math.min(least, node.bits), most);
    return (node) => warm(most === least ? 0 : (node.bits - least) / (most - least));
}
