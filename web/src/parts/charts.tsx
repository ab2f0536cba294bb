/**
 * Charts, drawn as SVG by hand: bars, a timeline and a divided bar are all that there is, and a chart library is larger than
 * the rest of the app. Each has a table of the same numbers, or a sentence, for who does not see it.
 */
import type { RecentSlice, SliceCounts } from "../api.js";
import { count, millis } from "../format.js";
import { HEIGHT, Plot, ROOM, WIDTH } from "./plot.js";

/** Requests by minute: what was made, what succeeded, what ended otherwise. */
export function PerMinute({ of }: { of: readonly [number, number, number][] }) {
    const most = Math.max(1, ...of.map((minute) => Math.max(minute[0], minute[1] + minute[2])));
    const step = WIDTH / of.length;
    const tall = (value: number) => (value / most) * (HEIGHT - ROOM);
    const sum = (column: 0 | 1 | 2) => of.reduce((all, minute) => all + minute[column], 0);
    const said = `In the last ${of.length} minutes ${sum(0)} requests were made, ${sum(1)} succeeded and ${sum(2)} ended otherwise; at most ${most} in a minute.`;
    const keys = [["made", "made"], ["good", "succeeded"], ["bad", "ended otherwise"]] as [string, string][];
    return (
        <Plot said={said} bars={`${count(most)} / min`} from={`${of.length} min ago`} keys={keys}>
            {of.map(([made, good, bad], at) => (
                <g key={at} transform={`translate(${at * step} 0)`}>
                    <title>{`${of.length - 1 - at} min ago: ${made} made, ${good} succeeded, ${bad} ended otherwise`}</title>
                    <rect class="hit" width={step} height={HEIGHT} />
                    <rect class="made" x="1" width={Math.max(1, step - 2)} y={HEIGHT - tall(made)} height={tall(made)} />
                    <rect class="good" x="3" width={Math.max(1, step - 6)} y={HEIGHT - tall(good)} height={tall(good)} />
                    <rect class="bad" x="3" width={Math.max(1, step - 6)} y={HEIGHT - tall(good + bad)} height={tall(bad)} />
                </g>
            ))}
        </Plot>
    );
}

const STATES = ["verified", "proved", "claimed", "queued"] as const;

/** Slices by state, as a divided bar. */
export function Slices({ of }: { of: SliceCounts }) {
    const total = Math.max(1, of.total);
    const said = STATES.map((state) => `${count(of[state])} ${state}`).join(", ");
    let x = 0;
    return (
        <figure class="chart">
            <svg viewBox="0 0 720 18" preserveAspectRatio="none" role="img" aria-label={`Of ${of.total} slices: ${said}`}>
                <rect class="track" width="720" height="18" rx="4" />
                {STATES.map((state) => {
                    const wide = (of[state] / total) * 720;
                    const at = x;
                    x += wide;
                    return wide > 0 && <rect key={state} class={`state-${state}`} x={at} width={wide} height="18" />;
                })}
            </svg>
            <figcaption class="legend">
                {STATES.map((state) => (
                    <span key={state} class={`key state-${state}`}>
                        {count(of[state])} {state}
                    </span>
                ))}
            </figcaption>
        </figure>
    );
}

/** More slices than these are told by their counts alone. */
const MAPPED = 256;

/** Slice by slice what has become of it so far; nothing where the attempts that are there are not all of them. */
export function SliceMap({ of, counts }: { of: readonly RecentSlice[]; counts: SliceCounts }) {
    const state = new Map<number, "verified" | "again">();
    for (const row of of) if (state.get(row.slice) !== "verified") state.set(row.slice, row.verdict === "Verified" ? "verified" : "again");
    const verified = [...state.values()].filter((one) => one === "verified").length;
    if (counts.total > MAPPED || verified !== counts.verified) return null;
    const words = { verified: "verified", again: "an attempt has failed, it is tried again", open: "waits, or is being proved" };
    return (
        <ol class="map" aria-label="Slices one by one">
            {Array.from({ length: counts.total }, (_, slice) => {
                const is = state.get(slice) ?? "open";
                return (
                    <li key={slice} class={is} title={`slice ${slice}: ${words[is]}`}>
                        {slice}
                        <span class="unseen">{words[is]}</span>
                    </li>
                );
            })}
        </ol>
    );
}

/** A run's attempts, a row for each slice, in the order in which they ended: the width is the time that each took. */
export function Attempts({ of, total }: { of: readonly RecentSlice[]; total: number }) {
    const bySlice = new Map<number, RecentSlice[]>();
    for (const row of of) bySlice.set(row.slice, [...(bySlice.get(row.slice) ?? []), row]);
    const rows = [...bySlice].sort(([a], [b]) => a - b);
    const longest = Math.max(1, ...rows.map(([, attempts]) => attempts.reduce((sum, one) => sum + one.millis, 0)));
    return (
        <div class="timeline" role="list" aria-label={`Attempts at ${rows.length} of ${total} slices`}>
            {rows.map(([slice, attempts]) => (
                <div class="lane" role="listitem" key={slice}>
                    <span class="lane-name">slice {slice}</span>
                    <div class="lane-bars">
                        {attempts.map((one) => {
                            const said = `attempt ${one.attempt}, ${one.pool}: ${one.verdict} in ${millis(one.millis)}${one.message ? `, ${one.message}` : ""}`;
                            return (
                                <span
                                    key={`${one.attempt} ${one.pool}`}
                                    class={`bar verdict-${one.verdict.toLowerCase()}`}
                                    style={{ flexBasis: `${Math.max(3, (one.millis / longest) * 100)}%` }}
                                    title={said}
                                >
                                    <span class="bar-text">
                                        {one.pool} · {millis(one.millis)}
                                    </span>
                                    <span class="unseen">{said}</span>
                                </span>
                            );
                        })}
                    </div>
                </div>
            ))}
        </div>
    );
}
