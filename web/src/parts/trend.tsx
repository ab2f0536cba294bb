/** How a miner has worked over the time that its score is of: claims as bars, and how long the verified ones took as a line. */
import type { Explained } from "../api.js";
import { count, millis } from "../format.js";
import { type Stretch, trend } from "../trend.js";
import { Card } from "./common.js";
import { Export } from "./export.js";
import { HEIGHT, Plot, ROOM, WIDTH } from "./plot.js";

const SPANS = 48;

export function Trend({ of, name }: { of: Explained; name: string }) {
    const { windowHours } = of.rule;
    const spans = trend(of.claims, of.at, windowHours, SPANS);
    const step = WIDTH / SPANS;
    const all = (span: Stretch) => span.verified + span.faults + span.others;
    const most = Math.max(1, ...spans.map(all));
    const slowest = Math.max(1, ...spans.map((span) => span.p50Micros ?? 0));
    const tall = (value: number) => (value / most) * (HEIGHT - ROOM);
    const sum = (column: "verified" | "faults" | "others") => spans.reduce((total, span) => total + span[column], 0);
    const said = `In the last ${windowHours} hours ${count(sum("verified"))} of its claims were verified, ${count(sum("faults"))} ended by its fault and ${count(sum("others"))} otherwise; half of the verified took at most ${millis(slowest / 1000)} in each span.`;
    const line = spans
        .map((span, at) => {
            if (span.p50Micros === null) return "";
            const y = (HEIGHT - (span.p50Micros / slowest) * (HEIGHT - ROOM)).toFixed(1);
            return `${at > 0 && spans[at - 1]!.p50Micros !== null ? "L" : "M"}${((at + 0.1) * step).toFixed(1)} ${y}H${((at + 0.9) * step).toFixed(1)}`;
        })
        .join("");
    const keys: [string, string][] = [["good", "verified"], ["bad", "its fault"], ["made", "ended otherwise"], ["slow", "p50 from claim to proof"]];
    const bar = (kind: string, value: number, above: number) => <rect class={kind} x={step * 0.1} width={step * 0.8} y={HEIGHT - tall(above)} height={tall(value)} />;
    return (
        <Card title="Trend" note={of.count > of.claims.length ? "of the claims below, which are the latest" : "of all claims that bear on its score"}>
            <Plot said={said} bars={`${count(most)} ${most === 1 ? "claim" : "claims"} in ${millis((windowHours * 3_600_000) / SPANS)}`} line={`p50 ${millis(slowest / 1000)}`} from={`${windowHours} h ago`} keys={keys}>
                {spans.map((span, at) => (
                    <g key={at} transform={`translate(${at * step} 0)`}>
                        <title>{`${new Date(span.from).toISOString().slice(0, 16).replace("T", " ")}: ${span.verified} verified, ${span.faults} faults, ${span.others} others, p50 ${millis(span.p50Micros && span.p50Micros / 1000)}`}</title>
                        <rect class="hit" width={step} height={HEIGHT} />
                        {bar("good", span.verified, span.verified)}
                        {bar("bad", span.faults, span.verified + span.faults)}
                        {bar("made", span.others, all(span))}
                    </g>
                ))}
                <path class="line" d={line} />
            </Plot>
            <Export
                name={`${name}-trend`}
                rows={() => ({ head: ["fromUnixMillis", "verified", "faults", "others", "p50Micros"], rows: spans.map((span) => [Math.round(span.from), span.verified, span.faults, span.others, span.p50Micros]) })}
            />
        </Card>
    );
}
