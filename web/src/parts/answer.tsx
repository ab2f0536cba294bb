/** The proved answer, beside the float model's where that is known. */
import type { FloatOutput, RequestView } from "../api.js";
import { float as number } from "../format.js";
import { Card, Empty } from "./common.js";

type Output = NonNullable<NonNullable<RequestView["status"]>["output"]>;

const SHOWN = 32;

export function Answer({ of, float, why, done }: { of: Output; float: FloatOutput | undefined; why: Error | undefined; done: boolean }) {
    const values = of.values ?? [];
    const shown = values.slice(0, SHOWN);
    const beside = shown.map((_, at) => float?.values[at]);
    const size = Math.max(...shown.map(Math.abs), ...beside.map((value) => Math.abs(value ?? 0)), 1e-12);
    const what = of.label ?? (of.class === undefined ? undefined : `class ${of.class}`);
    const note = `${of.name ?? "output"} of shape ${of.shape?.join(" × ") || "scalar"}${of.others ? `; ${of.others} more outputs are in the receipt` : ""}`;
    return (
        <Card title="Answer" note={note}>
            {what && <p class="answer">{what}</p>}
            {values.length === 0 ? (
                <Empty>It has more values than a status holds: the receipt has them all.</Empty>
            ) : (
                <div class="scroll" role="group" tabIndex={0} aria-label="The answer's values">
                    <table class="beside">
                        <thead>
                            <tr>
                                <th class="number">At</th>
                                <th>
                                    <span class="unseen">As a bar</span>
                                </th>
                                <th class="number">{done ? "Proved" : "Computed"}</th>
                                {done && <th class="number">Float model</th>}
                                {done && <th class="number">Difference</th>}
                            </tr>
                        </thead>
                        <tbody>
                            {shown.map((value, at) => (
                                <tr key={at} class={at === of.class ? "chosen" : undefined}>
                                    <th scope="row" class="number">
                                        {at}
                                    </th>
                                    <td class="wide">
                                        <Bar value={value} size={size} kind="proved" />
                                        {done && <Bar value={beside[at] ?? 0} size={size} kind="float" />}
                                    </td>
                                    <td class="number">{number(value)}</td>
                                    {done && <td class="number">{beside[at] === undefined || beside[at] === null ? "–" : number(beside[at])}</td>}
                                    {done && <td class="number">{beside[at] === undefined || beside[at] === null ? "–" : (value - beside[at]).toExponential(1)}</td>}
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
            {values.length > shown.length && <p class="note">and {values.length - shown.length} more</p>}
            {!done && <p class="note">It is what the integers give; it counts once every slice is verified.</p>}
            {done && !float && <p class="note">{why ? `The float model's answer is not shown: ${why.message}` : "Asking the float model …"}</p>}
        </Card>
    );
}

const Bar = ({ value, size, kind }: { value: number; size: number; kind: "proved" | "float" }) => (
    <span class={`value-bar ${kind}${value < 0 ? " negative" : ""}`} aria-hidden="true">
        <span style={{ width: `${(Math.abs(value) / size) * 100}%` }} />
    </span>
);
