/** The proved answer, beside the float model's where that is known. */
import type { FloatOutput, RequestView } from "../api.js";
import { float as number } from "../format.js";
import { Card, Empty } from "./common.js";
import { Export } from "./export.js";

type Output = NonNullable<NonNullable<RequestView["status"]>["output"]>;

const SHOWN = 32;

interface Given {
    name: string;
    of: Output;
    float: FloatOutput | undefined;
    why: Error | undefined;
    /** The float model is asked, too. */
    done: boolean;
    /** Nobody proves it. */
    tried?: boolean;
}

export function Answer({ name, of, float, why, done, tried }: Given) {
    const values = of.values ?? [];
    const shown = values.slice(0, SHOWN);
    const beside = shown.map((_, at) => float?.values[at]);
    const all = [...shown, ...beside.map((value) => value ?? 0)];
    const [least, greatest] = [Math.min(0, ...all), Math.max(0, ...all)];
    const scale = { zero: -least, span: Math.max(greatest - least, 1e-12) };
    const what = of.label ?? (of.class === undefined ? undefined : `class ${of.class}`);
    const note = `${of.name ?? "output"} of shape ${of.shape?.join(" × ") || "scalar"}${of.others ? `; ${of.others} more outputs are in the receipt` : ""}`;
    return (
        <Card title={tried ? "Answer, not proved" : "Answer"} note={note}>
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
                                <th class="number">{tried ? "Integers" : done ? "Proved" : "Computed"}</th>
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
                                        <Bar value={value} {...scale} kind="proved" />
                                        {done && <Bar value={beside[at] ?? 0} {...scale} kind="float" />}
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
            {values.length > 0 && (
                <Export
                    name={`${name}-answer`}
                    rows={() => ({ head: ["at", tried ? "integers" : "proved", "float"], rows: values.map((value, at) => [at, value, float?.values[at]]) })}
                />
            )}
            {values.length > shown.length && <p class="note">and {values.length - shown.length} more</p>}
            {!done && <p class="note">It is what the integers give; it counts once every slice is verified.</p>}
            {tried && float && <p class="note">{compared(values, float)}</p>}
            {done && !float && <p class="note">{why ? `The float model's answer is not shown: ${why.message}` : "Asking the float model …"}</p>}
        </Card>
    );
}

/** How far the integers are from the float model, in a sentence. */
function compared(values: readonly number[], float: FloatOutput): string {
    const pairs = values.flatMap((value, at) => {
        const other = float.values[at];
        return other === undefined || other === null ? [] : [[value, other] as const];
    });
    const off = pairs.reduce((most, [value, other]) => Math.max(most, Math.abs(value - other)), 0);
    const greatest = pairs.reduce((most, [, other]) => Math.max(most, Math.abs(other)), 0);
    const part = greatest > 0 ? `, ${((100 * off) / greatest).toPrecision(2)} % of the greatest value` : "";
    return `The integers are at most ${off.toExponential(1)} from the float model${part}.`;
}

/** From zero to the right, or to the left: where zero is, is the same for all. */
const Bar = ({ value, zero, span, kind }: { value: number; zero: number; span: number; kind: "proved" | "float" }) => (
    <span class={`value-bar ${kind}${value < 0 ? " negative" : ""}`} aria-hidden="true">
        <span style={{ left: `${((zero + Math.min(0, value)) / span) * 100}%`, width: `${(Math.abs(value) / span) * 100}%` }} />
        {zero > 0 && <i style={{ left: `${(zero / span) * 100}%` }} />}
    </span>
);
