/**
 * Places of a graph's nodes and edges, in layers from top to bottom.
 *
 * Invariants: no node lies over another; every edge goes down, and through no node: one that spans layers has a place of its
 * own in each of them. The work is bounded by the number of nodes and edges, whatever the graph is; a graph that goes in a
 * circle is none of ours, and what goes up is left out.
 */

export interface Box {
    width: number;
    height: number;
}

export interface Placed {
    /** Left upper corner of each node. */
    x: number[];
    y: number[];
    /** By edge: the points of its line, from the node above to the one below. */
    lines: [number, number][][];
    width: number;
    height: number;
}

const GAP = 22;
const LAYER_GAP = 44;
/** The width that an edge takes where it passes by nodes. */
const LANE = 14;
const SWEEPS = 12;
/** More places than this are not sorted again: they are so many that nobody sees the difference. */
const SORTED = 30_000;
/** Nodes, and places of edges that pass by them. */
export const MAX_CELLS = 150_000;

/** Why a graph has no layout. */
export class LayoutError extends Error {}

interface Cell {
    layer: number;
    order: number;
    width: number;
    height: number;
    x: number;
    up: Cell[];
    down: Cell[];
}

/** Lays out nodes, given in topological order, and edges as pairs of them. */
export function layout(boxes: readonly Box[], edges: readonly (readonly [number, number])[]): Placed {
    const good = edges.map(([from, to]) => from < to && from >= 0 && to < boxes.length);
    const layerOf = layers(boxes.length, edges.filter((_, at) => good[at]));
    const cells: Cell[] = boxes.map((box, at) => cell(layerOf[at]!, box.width, box.height));
    const all: Cell[] = [...cells];
    const chains = edges.map(([from, to], at) => {
        if (!good[at]) return [];
        const chain: Cell[] = [cells[from]!];
        for (let layer = layerOf[from]! + 1; layer < layerOf[to]!; layer++) {
            const lane = cell(layer, LANE, 0);
            if (all.length >= MAX_CELLS) throw new LayoutError("its nodes are too many and too far apart to be drawn");
            all.push(lane);
            chain.push(lane);
        }
        chain.push(cells[to]!);
        for (let at = 1; at < chain.length; at++) {
            chain[at - 1]!.down.push(chain[at]!);
            chain[at]!.up.push(chain[at - 1]!);
        }
        return chain;
    });
    const rows: Cell[][] = [];
    for (const one of all) (rows[one.layer] ??= []).push(one);
    for (const row of rows) renumber(row);
    if (all.length <= SORTED) order(rows);
    place(rows);
    return placed(rows, cells, chains);
}

function cell(layer: number, width: number, height: number): Cell {
    return { layer, order: 0, width, height, x: 0, up: [], down: [] };
}

/** Each node stands below all that it reads; what is read only far below, such as a constant, is moved down to there. */
function layers(count: number, edges: readonly (readonly [number, number])[]): number[] {
    const layer = new Array<number>(count).fill(0);
    const down: number[][] = Array.from({ length: count }, () => []);
    const read = new Array<boolean>(count).fill(false);
    for (const [from, to] of edges) {
        down[from]!.push(to);
        read[to] = true;
    }
    for (let node = 0; node < count; node++) {
        for (const to of down[node]!) layer[to] = Math.max(layer[to]!, layer[node]! + 1);
    }
    for (let node = count - 1; node >= 0; node--) {
        if (!read[node] && down[node]!.length > 0) {
            layer[node] = Math.min(...down[node]!.map((to) => layer[to]!)) - 1;
        }
    }
    return layer;
}

function renumber(row: Cell[]): void {
    row.forEach((one, at) => (one.order = at));
}

/** Sorts each layer by where its neighbours are, down and up in turn, and keeps the order with the fewest crossings. */
function order(rows: Cell[][]): void {
    let best = rows.map((row) => [...row]);
    let fewest = crossings(rows);
    for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
        const downward = sweep % 2 === 0;
        const turn = downward ? rows : [...rows].reverse();
        for (const row of turn) {
            const middle = new Map(row.map((one) => [one, median(downward ? one.up : one.down, one.order)]));
            row.sort((a, b) => middle.get(a)! - middle.get(b)! || a.order - b.order);
            renumber(row);
        }
        const now = crossings(rows);
        if (now < fewest) {
            fewest = now;
            best = rows.map((row) => [...row]);
        }
    }
    best.forEach((row, at) => {
        rows[at] = row;
        renumber(row);
    });
}

function median(neighbours: readonly Cell[], own: number): number {
    if (neighbours.length === 0) return own;
    const places = neighbours.map((one) => one.order).sort((a, b) => a - b);
    const half = places.length >> 1;
    return places.length % 2 === 1 ? places[half]! : (places[half - 1]! + places[half]!) / 2;
}

/** Pairs of edges between neighbouring layers that cross, counted with a tree of sums. */
export function crossings(rows: readonly (readonly Cell[])[]): number {
    let count = 0;
    for (let at = 1; at < rows.length; at++) {
        const width = rows[at]!.length;
        const sums = new Array<number>(width + 1).fill(0);
        let seen = 0;
        for (const above of rows[at - 1]!) {
            const ends = above.down.map((below) => below.order).sort((a, b) => a - b);
            for (const end of ends) {
                let before = 0;
                for (let i = end + 1; i > 0; i -= i & -i) before += sums[i]!;
                count += seen - before;
            }
            for (const end of ends) {
                for (let i = end + 1; i <= width; i += i & -i) sums[i]!++;
                seen++;
            }
        }
    }
    return count;
}

/** Moves each cell to the middle of its neighbours, as far as those beside it leave room. */
function place(rows: Cell[][]): void {
    for (const row of rows) {
        let x = 0;
        for (const one of row) {
            one.x = x;
            x += one.width + GAP;
        }
    }
    for (let sweep = 0; sweep < 2 * SWEEPS; sweep++) {
        const downward = sweep % 2 === 0;
        for (const row of downward ? rows : [...rows].reverse()) {
            align(row, (one) => (downward ? one.up : one.down));
        }
    }
    const left = rows.reduce((least, row) => Math.min(least, row[0]?.x ?? 0), Infinity);
    for (const row of rows) for (const one of row) one.x -= left;
}

/** The places of a row, in its order and without overlaps, that are nearest to where its cells would like to be. */
function align(row: readonly Cell[], neighbours: (one: Cell) => readonly Cell[]): void {
    // Cells that push each other move as one block, to the middle of what they would like (pool adjacent violators).
    const blocks: { cells: Cell[]; offsets: number[]; wanted: number; weight: number; width: number }[] = [];
    for (const one of row) {
        const near = neighbours(one);
        // A lane keeps its line straight before anything else.
        const weight = near.length === 0 ? 0.01 : one.height === 0 ? 4 : 1;
        const middle = near.reduce((sum, of) => sum + of.x + of.width / 2, 0) / Math.max(1, near.length);
        const x = near.length === 0 ? one.x : middle - one.width / 2;
        let block = { cells: [one], offsets: [0], wanted: x * weight, weight, width: one.width };
        for (let last = blocks.at(-1); last !== undefined; last = blocks.at(-1)) {
            if (last.wanted / last.weight + last.width + GAP <= block.wanted / block.weight) break;
            blocks.pop();
            const shift = last.width + GAP;
            for (const [at, moved] of block.cells.entries()) {
                last.cells.push(moved);
                last.offsets.push(block.offsets[at]! + shift);
            }
            last.wanted += block.wanted - shift * block.weight;
            last.weight += block.weight;
            last.width = shift + block.width;
            block = last;
        }
        blocks.push(block);
    }
    for (const { cells, offsets, wanted, weight } of blocks) {
        cells.forEach((one, at) => (one.x = wanted / weight + offsets[at]!));
    }
}

function placed(rows: readonly Cell[][], cells: readonly Cell[], chains: readonly Cell[][]): Placed {
    const tops: number[] = [];
    const heights: number[] = [];
    let y = 0;
    for (const row of rows) {
        const height = row.reduce((most, one) => Math.max(most, one.height), 0);
        tops.push(y);
        heights.push(height);
        y += height + LAYER_GAP;
    }
    const top = (one: Cell) => tops[one.layer]! + (heights[one.layer]! - one.height) / 2;
    const width = rows.reduce((most, row) => Math.max(most, (row.at(-1)?.x ?? 0) + (row.at(-1)?.width ?? 0)), 0);
    const lines = chains.map((chain) => {
        const points: [number, number][] = [];
        chain.forEach((one, at) => {
            const middle = one.x + one.width / 2;
            const row = tops[one.layer]!;
            if (at > 0) points.push([middle, row]);
            if (at > 0 && at === chain.length - 1) points.push([middle, top(one)]);
            if (at === 0) points.push([middle, top(one) + one.height]);
            if (at < chain.length - 1) points.push([middle, row + heights[one.layer]!]);
        });
        return points;
    });
    return {
        x: cells.map((one) => one.x),
        y: cells.map(top),
        lines,
        width,
        height: Math.max(0, y - LAYER_GAP),
    };
}
