/** Which way of holding a model in integers keeps an error budget, of those that the compiler has tried. Pure, so that it is tested without a page. */
import type { Report, TriedWay } from "./api.js";

/** Of the budget, what the compiler leaves to inputs that it has not seen. */
const ROOM = 0.5;

/** A way in words. */
export const named = (way: TriedWay) => `${way.profile}${way.widened ? ` with more bits for ${way.widened} tensors` : ""}`;

/**
 * The first that keeps a budget with room, in the order in which they were tried: those that cost less were tried first. A way of another
 * class than the float model keeps none; one that was given up on the first samples is at least as far off as is known.
 */
export function way(report: Report, budget: number): { way?: TriedWay; said: string } {
    const tried = report.tried ?? [];
    const was = report.budgetMillionths ?? 0;
    const other = (one: TriedWay) => one.outcome === "overBudget" && (one.maxErrorMillionths ?? Infinity) <= was;
    const able = tried.filter((one) => one.maxErrorMillionths !== undefined && one.outcome !== "refused" && !other(one));
    const sure = (one: TriedWay) => one.outcome !== "overBudget";
    const kept = able.find((one) => one.maxErrorMillionths! <= ROOM * budget);
    if (kept) return { way: kept, said: `${named(kept)}${sure(kept) ? "" : "; at least, it was given up early"}` };
    const near = able.find((one) => one.maxErrorMillionths! <= budget && sure(one));
    if (near) return { way: near, said: `${named(near)}, with little room` };
    return { said: "no way that was tried keeps it: it would be calibrated anew" };
}
