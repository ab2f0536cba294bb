/**
 * A graph to look at: panned by dragging or the arrow keys, zoomed by the wheel or + and -, searched by name or operator.
 * Names are text nodes of the drawing, whatever they say.
 */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Graph, ModelSlice, Outline, Report, Unsupported } from "../api.js";
import { bytes, count, millis } from "../format.js";
import { COLOURS, type Colour, SUPPORT, type Shape, colourOf, grouped, outlined, single } from "../graph.js";
import { LayoutError, layout } from "../layout.js";
import { Empty } from "./common.js";
import { Export } from "./export.js";
import { useQuery } from "./query.js";

/** More nodes than this are shown by slice. */
const MANY = 1500;
/** Names are read from here on. */
const READABLE = 0.8;
/** The colours by name, as they are chosen. */
const WORDS: Record<Colour, string> = { slice: "slice", cost: "cost", error: "quantisation error", bits: "bits", support: "support" };

/** What is drawn: an integer graph with what is known of it, or the nodes of a file that cannot be proved. */
export type Drawn = { graph: Graph; report: Report | undefined; slices: readonly ModelSlice[] } | { outline: Outline; unsupported: readonly Unsupported[] };

interface Sight {
    x: number;
    y: number;
    scale: number;
}

export function GraphView({ of, name }: { of: Drawn; name: string }) {
    const graph = "graph" in of ? of.graph : undefined;
    const slices = "graph" in of ? of.slices : [];
    const [bySlice, setBySlice] = useState((graph?.nodes.length ?? 0) > MANY);
    const colours: readonly Colour[] = graph ? COLOURS : SUPPORT;
    const [asked, setColour] = useQuery("colour", colours[0]!);
    const colour = colours.find((one) => one === asked) ?? colours[0]!;
    const [search, setSearch] = useQuery("find", "");
    const [named, setNamed] = useQuery("node", "");
    const [chosen, setChosen] = useState<number>();
    const shapes = useMemo(() => {
        if ("outline" in of) return outlined(of.outline, of.unsupported);
        const known = { report: of.report, slices: of.slices };
        return bySlice ? grouped(of.graph, known) : single(of.graph, known);
    }, [of, bySlice]);
    const choose = (node: number | undefined) => {
        setChosen(node);
        setNamed(node === undefined ? "" : (shapes.nodes[node]?.title ?? ""));
    };
    const placed = useMemo(() => {
        try {
            return layout(shapes.nodes, shapes.edges);
        } catch (error) {
            if (error instanceof LayoutError) return error;
            throw error;
        }
    }, [shapes]);
    const text = search.trim().toLowerCase();
    const found = useMemo(
        () => (text === "" ? [] : shapes.nodes.flatMap((node, at) => (`${node.title} ${node.detail}`.toLowerCase().includes(text) ? [at] : []))),
        [shapes, text],
    );
    const painted = useMemo(() => colourOf(colour, shapes.nodes), [colour, shapes]);
    // What is drawn stays as it is while it is only moved: there may be thousands of it.
    const drawing = useMemo(() => {
        if (placed instanceof LayoutError) return null;
        const { paint } = painted;
        const marked = new Set(found);
        return (
            <>
                {placed.lines.map((line, at) => {
                    const [from, to] = shapes.edges[at]!;
                    const near = chosen !== undefined && (from === chosen || to === chosen);
                    return line.length > 0 && <path key={at} class={near ? "edge near" : "edge"} d={curve(line)} />;
                })}
                {shapes.nodes.map((node, at) => (
                    <g
                        key={at}
                        class={`node${at === chosen ? " chosen" : ""}${marked.has(at) ? " found" : ""}`}
                        transform={`translate(${placed.x[at]} ${placed.y[at]})`}
                        onClick={() => choose(at === chosen ? undefined : at)}
                    >
                        <title>{node.title}</title>
                        <rect width={node.width} height={node.height} rx="6" style={{ fill: paint(node) }} />
                        <text x={node.width / 2} y={16} text-anchor="middle">
                            {node.label}
                        </text>
                        <text class="small" x={node.width / 2} y={30} text-anchor="middle">
                            {node.under}
                        </text>
                    </g>
                ))}
            </>
        );
    }, [placed, shapes, painted, chosen, found]);
    const frame = useRef<SVGSVGElement>(null);
    const [sight, look] = useState<Sight>({ x: 0, y: 0, scale: 1 });
    const drag = useRef<{ x: number; y: number; moved: boolean } | undefined>(undefined);
    const size = () => {
        const box = frame.current?.getBoundingClientRect();
        return { width: box?.width || 800, height: box?.height || 480 };
    };
    /** All of it, or its beginning where all of it could not be read. */
    const fit = (least: number) => {
        if (placed instanceof LayoutError) return;
        const { width, height } = size();
        const whole = Math.min(1.2, width / (placed.width + 40), height / (placed.height + 40));
        const scale = Math.max(least, whole);
        look({ scale, x: (width - placed.width * scale) / 2, y: Math.max(16, (height - placed.height * scale) / 2) });
    };
    useEffect(() => {
        // What the address names is shown, if it is there; else the first that cannot be proved.
        const node = shapes.nodes.findIndex((shape) => (named === "" ? shape.support === "unsupported" : shape.title === named));
        if (node >= 0) show(node);
        else fit(READABLE);
    }, [placed]);
    const zoom = (factor: number, at?: { x: number; y: number }) =>
        look((old) => {
            const scale = Math.min(4, Math.max(0.02, old.scale * factor));
            const { width, height } = size();
            const { x, y } = at ?? { x: width / 2, y: height / 2 };
            const by = scale / old.scale;
            return { scale, x: x - (x - old.x) * by, y: y - (y - old.y) * by };
        });
    const show = (node: number) => {
        if (placed instanceof LayoutError) return;
        const { width, height } = size();
        const shape = shapes.nodes[node]!;
        choose(node);
        look((old) => {
            const scale = Math.max(0.8, old.scale);
            return {
                scale,
                x: width / 2 - (placed.x[node]! + shape.width / 2) * scale,
                y: height / 2 - (placed.y[node]! + shape.height / 2) * scale,
            };
        });
    };
    useEffect(() => {
        const svg = frame.current;
        // Not passive: the page would scroll beside it.
        const wheel = (event: WheelEvent) => {
            if (!event.ctrlKey && !event.metaKey && document.activeElement !== svg) return;
            event.preventDefault();
            const box = svg!.getBoundingClientRect();
            zoom(Math.exp(-event.deltaY / 400), { x: event.clientX - box.left, y: event.clientY - box.top });
        };
        svg?.addEventListener("wheel", wheel, { passive: false });
        return () => svg?.removeEventListener("wheel", wheel);
    }, [placed]);
    const key = (event: KeyboardEvent) => {
        const step = 60;
        const moves: Record<string, [number, number]> = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
        const move = moves[event.key];
        if (move) look((old) => ({ ...old, x: old.x + move[0], y: old.y + move[1] }));
        else if (event.key === "+" || event.key === "=") zoom(1.25);
        else if (event.key === "-") zoom(0.8);
        else if (event.key === "0") fit(0.02);
        else if (event.key === "n" || event.key === "p") {
            const next = (chosen ?? (event.key === "n" ? -1 : shapes.nodes.length)) + (event.key === "n" ? 1 : -1);
            if (next >= 0 && next < shapes.nodes.length) show(next);
        } else return;
        event.preventDefault();
    };
    if (placed instanceof LayoutError) {
        return (
            <Empty>
                {placed.message}.{" "}
                {!bySlice && (
                    <button type="button" onClick={() => setBySlice(true)}>
                        Show its slices
                    </button>
                )}
            </Empty>
        );
    }
    const next = () => {
        if (found.length > 0) show(found[(found.indexOf(chosen ?? -1) + 1) % found.length]!);
    };
    return (
        <div class="graph">
            <div class="filters">
                <form
                    onSubmit={(event) => {
                        event.preventDefault();
                        next();
                    }}
                >
                    <input type="search" aria-label="Search nodes by name or operator" placeholder="name or operator" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
                </form>
                <span class="note" role="status">
                    {text ? `${found.length} found${found.length ? ", Enter shows the next" : ""}` : `${count(shapes.nodes.length)} nodes, ${count(shapes.edges.length)} edges`}
                </span>
                <label>
                    Colour by{" "}
                    <select value={colour} onChange={(e) => setColour(e.currentTarget.value)}>
                        {colours.map((one) => (
                            <option key={one} value={one}>
                                {WORDS[one]}
                            </option>
                        ))}
                    </select>
                </label>
                {graph && (
                    <label>
                        <input
                            type="checkbox"
                            checked={bySlice}
                            onChange={(e) => {
                                choose(undefined);
                                setBySlice(e.currentTarget.checked);
                            }}
                        />{" "}
                        only slices
                    </label>
                )}
                <span class="buttons">
                    <button type="button" onClick={() => zoom(1.25)} aria-label="Zoom in">
                        +
                    </button>
                    <button type="button" onClick={() => zoom(0.8)} aria-label="Zoom out">
                        −
                    </button>
                    <button type="button" onClick={() => fit(0.02)}>
                        Fit
                    </button>
                </span>
            </div>
            <div class="graph-body">
                <svg
                    ref={frame}
                    class="canvas"
                    // Not `tabIndex`: of an element of SVG an attribute is what it is written as.
                    tabindex={0}
                    role="application"
                    aria-label="The graph. Arrow keys move it, plus and minus zoom, n and p go from node to node, 0 fits it."
                    onKeyDown={key}
                    onPointerDown={(event) => {
                        drag.current = { x: event.clientX, y: event.clientY, moved: false };
                    }}
                    onPointerMove={(event) => {
                        const from = drag.current;
                        if (!from || event.buttons === 0) return;
                        const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
                        if (!from.moved && Math.hypot(dx, dy) < 4) return;
                        if (!from.moved) event.currentTarget.setPointerCapture(event.pointerId);
                        drag.current = { x: event.clientX, y: event.clientY, moved: true };
                        look((old) => ({ ...old, x: old.x + dx, y: old.y + dy }));
                    }}
                    onPointerUp={() => (drag.current = undefined)}
                    onPointerCancel={() => (drag.current = undefined)}
                >
                    <g transform={`translate(${sight.x} ${sight.y}) scale(${sight.scale})`}>
                        {drawing}
                    </g>
                </svg>
                {chosen !== undefined && shapes.nodes[chosen] && (
                    <Panel shape={shapes.nodes[chosen]} slices={slices} close={() => choose(undefined)} />
                )}
            </div>
            <p class="legend keys" aria-label={`Colours: ${WORDS[colour]}`} role="group">
                {painted.keys.map(({ colour, is }) => (
                    <span key={is} class="swatch">
                        <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
                            <rect width="10" height="10" rx="3" style={{ fill: colour }} />
                        </svg>
                        {is}
                    </span>
                ))}
            </p>
            <Export
                name={`${name}-graph`}
                rows={() => ({
                    head: ["node", "operator", "slice", "bits", "costMicros", "errorMillionths", "support", "facts", "readBy"],
                    rows: shapes.nodes.map((node, at) => [
                        node.title,
                        node.detail,
                        node.slice,
                        node.bits || undefined,
                        node.cost,
                        node.error,
                        node.support,
                        node.facts.map(([what, is]) => `${what}: ${is}`).join("; "),
                        shapes.edges.flatMap(([from, to]) => (from === at ? [shapes.nodes[to]!.title] : [])).join("; "),
                    ]),
                })}
            />
        </div>
    );
}

/** A line through the points, which bends only between layers. */
function curve(points: readonly [number, number][]): string {
    return points
        .map(([x, y], at) => {
            if (at === 0) return `M${x} ${y}`;
            const [px, py] = points[at - 1]!;
            if (px === x) return `V${y}`;
            const middle = (py + y) / 2;
            return `C${px} ${middle} ${x} ${middle} ${x} ${y}`;
        })
        .join("");
}

function Panel({ shape, slices, close }: { shape: Shape; slices: readonly ModelSlice[]; close: () => void }) {
    const slice = shape.slice === undefined ? undefined : slices[shape.slice];
    return (
        <aside class="panel" aria-label="The chosen node" aria-live="polite">
            <button type="button" class="plain close" onClick={close} aria-label="Close">
                ×
            </button>
            <h3>{shape.title}</h3>
            <dl class="pairs">
                {shape.facts.map(([what, value]) => (
                    <div key={what}>
                        <dt>{what}</dt>
                        <dd>{value}</dd>
                    </div>
                ))}
                {slice && (
                    <>
                        <div>
                            <dt>Its slice</dt>
                            <dd>
                                {slice.index}: {slice.nodes}
                            </dd>
                        </div>
                        <div>
                            <dt>Proving the slice</dt>
                            <dd>
                                {millis(slice.predictedMillis)}, {bytes(slice.predictedMemoryBytes)} of memory
                            </dd>
                        </div>
                    </>
                )}
            </dl>
        </aside>
    );
}
