import assert from "node:assert/strict";
import { test } from "node:test";
import { LayoutError, layout } from "../src/layout.js";

const box = { width: 132, height: 38 };
type Edge = [number, number];

function random(seed: number): () => number {
    let state = seed;
    return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
}

/** A network with branches and skips over many layers. */
function network(count: number, seed: number): Edge[] {
    const next = random(seed);
    const edges: Edge[] = [];
    for (let node = 1; node < count; node++) {
        edges.push([Math.max(0, node - 1 - Math.floor(next() * 3)), node]);
        if (next() < 0.3) edges.push([Math.floor(next() * node), node]);
    }
    return edges;
}

/** Whether a line from a to b, straight or bent between layers, meets the inside of a box. */
function meets([ax, ay]: [number, number], [bx, by]: [number, number], x: number, y: number): boolean {
    const [left, right] = [Math.min(ax, bx), Math.max(ax, bx)];
    const [top, bottom] = [Math.min(ay, by), Math.max(ay, by)];
    const little = 1e-6;
    return left < x + box.width - little && right > x + little && top < y + box.height - little && bottom > y + little;
}

test("no node lies over another, and no edge goes through one", () => {
    for (const [count, seed] of [[1, 1], [2, 2], [30, 3], [200, 4], [500, 5]] as const) {
        const boxes = Array.from({ length: count }, () => box);
        const edges = network(count, seed);
        const { x, y, lines } = layout(boxes, edges);
        for (let a = 0; a < count; a++) {
            for (let b = a + 1; b < count; b++) {
                const apart = Math.abs(x[a]! - x[b]!) >= box.width || Math.abs(y[a]! - y[b]!) >= box.height;
                assert.ok(apart, `of ${count} nodes ${a} and ${b}`);
            }
        }
        edges.forEach(([from, to], at) => {
            const line = lines[at]!;
            assert.deepEqual(line[0], [x[from]! + box.width / 2, y[from]! + box.height]);
            assert.deepEqual(line.at(-1), [x[to]! + box.width / 2, y[to]!]);
            for (let point = 1; point < line.length; point++) {
                assert.ok(line[point]![1] >= line[point - 1]![1], "it goes down");
                for (let node = 0; node < count; node++) {
                    assert.ok(!meets(line[point - 1]!, line[point]!, x[node]!, y[node]!), `${from} to ${to} through ${node}`);
                }
            }
        });
    }
});

test("everything is within its bounds and every edge goes down", () => {
    const edges = network(120, 7);
    const placed = layout(Array.from({ length: 120 }, () => box), edges);
    assert.ok(Math.min(...placed.x) >= -1e-9);
    placed.x.forEach((x, at) => {
        assert.ok(x + box.width <= placed.width + 1e-6 && placed.y[at]! + box.height <= placed.height + 1e-6);
    });
    for (const [from, to] of edges) assert.ok(placed.y[from]! < placed.y[to]!);
});

test("500 nodes are laid out in less than a second", () => {
    const boxes = Array.from({ length: 500 }, () => box);
    const edges = network(500, 11);
    // Of processor time: whatever else the machine does takes none of it.
    const began = process.cpuUsage();
    layout(boxes, edges);
    const { user, system } = process.cpuUsage(began);
    assert.ok(user + system < 1_000_000, `${user + system} µs`);
});

test("a chain is a straight line", () => {
    const placed = layout(Array.from({ length: 9 }, () => box), Array.from({ length: 8 }, (_, at): Edge => [at, at + 1]));
    assert.ok(placed.x.every((x) => Math.abs(x - placed.x[0]!) < 1e-6));
});

test("what is read only far below stands near to who reads it", () => {
    // 0 → 1 → 2 → 3 → 5, and 4, an input that 5 alone reads, given before it.
    const edges: Edge[] = [[0, 1], [1, 2], [2, 3], [3, 5], [4, 5]];
    const { y } = layout(Array.from({ length: 6 }, () => box), edges);
    assert.equal(y[4], y[3]);
});

test("edges that are none are left out, and too much is refused", () => {
    const placed = layout([box, box], [[1, 0], [0, 5], [-1, 1], [0, 1]]);
    assert.deepEqual(placed.lines.map((line) => line.length > 0), [false, false, false, true]);
    assert.deepEqual(layout([], []), { x: [], y: [], lines: [], width: 0, height: 0 });
    const count = 2000;
    const edges: Edge[] = [];
    for (let node = 1; node < count; node++) edges.push([node - 1, node], [0, node]);
    assert.throws(() => layout(Array.from({ length: count }, () => box), edges), LayoutError);
});
