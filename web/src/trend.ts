/** A miner's claims over the time that its score is of, in spans of one length. Pure, so that it is tested without a page. */
import type { Claim } from "./api.js";

export interface Stretch {
    /** In Unix milliseconds. */
    from: number;
    verified: number;
    faults: number;
    others: number;
    /** Of the verified ones, in microseconds: half took at most so long. */
    p50Micros: number | null;
}

/** So many spans that end at `at`; what ended before them, or after, is in none. */
export function trend(claims: readonly Claim[], at: number, hours: number, spans: number): Stretch[] {
    const each = (hours * 3_600_000) / spans;
    const from = at - spans * each;
    const all = Array.from({ length: spans }, (_, place) => ({ from: from + place * each, verified: 0, faults: 0, others: 0, micros: [] as number[] }));
    for (const claim of claims) {
        // What ended at the very end belongs to the last.
        const span = all[claim.at === at ? spans - 1 : Math.floor((claim.at - from) / each)];
        if (!span) continue;
        if (claim.end === "Verified") {
            span.verified++;
            span.micros.push(claim.micros);
        } else if (claim.worth.startsWith("-")) span.faults++;
        else span.others++;
    }
    return all.map(({ micros, ...span }) => ({ ...span, p50Micros: micros.sort((a, b) => a - b)[Math.ceil(micros.length / 2) - 1] ?? null }));
}
