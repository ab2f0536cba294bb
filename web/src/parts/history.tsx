/** What the ledger says of the last days: claims as bars, and how long the verified ones took as a line. Of all, of a miner, or of a Model. */
import { useEffect, useState } from "preact/hooks";
import { ApiError, type History, type HistoryOf, readHistory } from "../api.js";
import { bytes, count, millis } from "../format.js";
import { Card, Empty, Failed, Loading, Room, useCall } from "./common.js";
import { Export } from "./export.js";
import { HEIGHT, Plot, ROOM, WIDTH } from "./plot.js";
import { useQuery } from "./query.js";

const WINDOWS = [
    ["1h", "1 hour", 1],
    ["6h", "6 hours", 6],
    ["1d", "24 hours", 24],
    ["7d", "7 days", 168],
    ["30d", "30 days", 720],
    ["90d", "90 days", 2160],
] as const;
const EVERY = 60_000;

/** `name`: of the files in which it is saved. */
export function HistoryCard({ of, name, note }: { of: HistoryOf; name: string; note: string }) {
    const [asked, choose] = useQuery("window", "1d");
    const windows = WINDOWS.filter(([, , hours]) => of.kind === "all" || hours > 1);
    const [window, , hours] = windows.find(([word]) => word === asked) ?? windows.find(([word]) => word === "1d")!;
    const [look, setLook] = useState(0);
    useEffect(() => {
        const timer = setInterval(() => setLook((old) => old + 1), EVERY);
        return () => clearInterval(timer);
    }, []);
    const whose = of.kind === "all" ? "" : `${of.kind} ${of.namespace} ${of.name}`;
    const { value, error } = useCall((signal) => readHistory(of, hours, signal), [whose, hours, look]);
    if (of.kind === "all" && error instanceof ApiError && error.reason === "Forbidden") {
        return (
            <Card title="History">
                <Empty>It is of all namespaces: you may not list their requests.</Empty>
            </Card>
        );
    }
    return (
        <Card title="History" note={note}>
            <div class="filters">
                <label>
                    Window
                    <select value={window} onChange={(event) => choose(event.currentTarget.value)}>
                        {windows.map(([word, name]) => (
                            <option key={word} value={word}>
                                {name}
                            </option>
                        ))}
                    </select>
                </label>
            </div>
            {error && <Failed error={error} />}
            <Room of="15.4rem">
                {value ? <Chart of={value} /> : !error && <Loading what="the ledger's hours" />}
                {value && (
                    <Export
                        name={`${name}-${window}`}
                        rows={() => ({
                            head: ["fromUnixMillis", "requests", "verified", "faults", "others", "proofBytes", "p50Micros", "p95Micros"],
                            rows: value.spans.map((span) => [span.from, span.requests, span.verified, span.faults, span.others, span.bytes, span.p50Micros, span.p95Micros]),
                        })}
                    />
                )}
            </Room>
        </Card>
    );
}

/** How long a span is. */
const long = (minutes: number) => (minutes < 60 ? `${minutes} min` : minutes % 1440 === 0 ? `${minutes / 1440} d` : `${minutes / 60} h`);

function Chart({ of: { spans, stepMinutes } }: { of: History }) {
    const step = WIDTH / spans.length;
    const all = (span: History["spans"][number]) => span.verified + span.faults + span.others;
    const most = Math.max(1, ...spans.map(all));
    const ended = spans.some((span) => all(span) > 0);
    const slowest = Math.max(1, ...spans.map((span) => span.p95Micros ?? 0));
    const tall = (value: number) => (value / most) * (HEIGHT - ROOM);
    const sum = (column: "requests" | "verified" | "faults" | "others") => spans.reduce((total, span) => total + span[column], 0);
    const said = `${count(sum("requests"))} requests; of their claims ${count(sum("verified"))} were verified, ${count(sum("faults"))} ended by a miner's fault and ${count(sum("others"))} otherwise. 95 % of the verified took at most ${millis(slowest / 1000)} in each span.`;
    // As wide as its span, so that one by itself is seen too; a span without a verified claim breaks the line.
    const line = spans
        .map((span, at) => {
            if (span.p95Micros === null) return "";
            const y = (HEIGHT - (span.p95Micros / slowest) * (HEIGHT - ROOM)).toFixed(1);
            const joined = at > 0 && spans[at - 1]!.p95Micros !== null;
            return `${joined ? "L" : "M"}${((at + 0.1) * step).toFixed(1)} ${y}H${((at + 0.9) * step).toFixed(1)}`;
        })
        .join("");
    const day = (at: number) => new Date(at).toISOString().slice(0, 16).replace("T", " ");
    const keys = [["good", "verified"], ["bad", "a miner's fault"], ["made", "ended otherwise"], ["slow", "p95 from claim to proof"]] as [string, string][];
    const mean = (span: History["spans"][number]) => (span.verified > 0 ? `, ${bytes(span.bytes / span.verified)} a proof` : "");
    return (
        <Plot
            said={said}
            bars={ended ? `${count(most)} ${most === 1 ? "claim" : "claims"} in ${long(stepMinutes)}` : "No claim ended in this time."}
            line={ended ? `p95 ${millis(slowest / 1000)}` : undefined}
            from={spans[0] ? `${day(spans[0].from)} UTC` : ""}
            keys={keys}
        >
            {spans.map((span, at) => (
                <g key={span.from} transform={`translate(${at * step} 0)`}>
                    <title>{`${day(span.from)}: ${count(span.requests)} requests, ${count(span.verified)} verified, ${count(span.faults)} faults, ${count(span.others)} others, p50 ${millis(span.p50Micros && span.p50Micros / 1000)}, p95 ${millis(span.p95Micros && span.p95Micros / 1000)}${mean(span)}`}</title>
                    <rect class="hit" width={step} height={HEIGHT} />
                    <rect class="good" x={step * 0.1} width={step * 0.8} y={HEIGHT - tall(span.verified)} height={tall(span.verified)} />
                    <rect class="bad" x={step * 0.1} width={step * 0.8} y={HEIGHT - tall(span.verified + span.faults)} height={tall(span.faults)} />
                    <rect class="made" x={step * 0.1} width={step * 0.8} y={HEIGHT - tall(all(span))} height={tall(span.others)} />
                </g>
            ))}
            <path class="line" d={line} />
        </Plot>
    );
}
