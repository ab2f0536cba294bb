/**
 * What another choice of proof system, slices and error budget would come to, by what the compiler has looked at and tried already: nothing
 * is asked for while one chooses. What it has not looked at is not guessed.
 */
import { useState } from "preact/hooks";
import { type ModelView, type Report, makeModel } from "../api.js";
import { way } from "../choices.js";
import { bytes, count, micros, share } from "../format.js";
import { type Fields, model, objectName } from "../objects.js";
import { go, modelPath } from "../route.js";
import { Card, Empty, Failed, Figure } from "./common.js";
import { Export } from "./export.js";
import { sha256 } from "./files.js";
import { useQuery } from "./query.js";

export function Choices({ of, report }: { of: ModelView; report: Report }) {
    const cuts = report.outlook?.cuts ?? [];
    const [system, setSystem] = useQuery("system", of.proofSystem);
    const [asked, setParallelism] = useQuery("slices", String(of.parallelism));
    const [percent, setPercent] = useQuery("budget", String(of.errorBudgetMillionths / 1e4));
    const [error, setError] = useState<Error>();
    const [doing, setDoing] = useState(false);
    if (cuts.length === 0) {
        return (
            <Card title="Other choices">
                <Empty>
                    The compiler has looked at none: the graph has too many nodes, or it was compiled by an older version. <code>prover-worker inspect</code> looks at one at a time.
                </Empty>
            </Card>
        );
    }
    const systems = [...new Set(cuts.map((cut) => cut.proofSystem))];
    const ofSystem = cuts.filter((cut) => cut.proofSystem === system);
    const cut = ofSystem.find((one) => String(one.parallelism) === asked) ?? ofSystem.at(-1);
    const budget = Math.round(Number(percent) * 1e4);
    const good = percent.trim() !== "" && budget >= 1 && budget <= 1e9;
    const found = good ? way(report, budget) : undefined;
    const work = cut && "cut" in cut.outcome ? cut.outcome.cut : undefined;
    const same = cut?.parallelism === of.parallelism && system === of.proofSystem && budget === of.errorBudgetMillionths;
    const compile = async () => {
        setError(undefined);
        setDoing(true);
        try {
            const { namespace, name } = of.metadata;
            const inside = (value: unknown) => (typeof value === "object" && value !== null ? (value as Fields) : {});
            const spec: Fields = {
                ...of.spec,
                proofSystem: system,
                slicing: { ...inside(of.spec["slicing"]), parallelism: cut!.parallelism },
                quantization: { ...inside(of.spec["quantization"]), errorBudgetMillionths: budget },
            };
            const digest = await sha256(new TextEncoder().encode(JSON.stringify(spec)));
            if (!digest) throw new Error("This browser computes digests only for pages of this machine or with TLS: open the page under localhost, or https.");
            const made = `${objectName(`${name.replace(/-[0-9a-f]{8}$/, "")}.`)}-${digest.slice(7, 15)}`;
            await makeModel(namespace, made, model(namespace, made, spec));
            go(modelPath(namespace, made));
            scrollTo(0, 0);
        } catch (error) {
            setError(error instanceof Error ? error : new Error(String(error)));
            setDoing(false);
        }
    };
    return (
        <Card title="Other choices" note="what they would come to, predicted on one core of the reference machine">
            <div class="fields">
                <label>
                    Proof system
                    <select value={system} onChange={(event) => setSystem(event.currentTarget.value)}>
                        {systems.map((one) => (
                            <option key={one}>{one}</option>
                        ))}
                    </select>
                </label>
                <label>
                    Slices, at least
                    <select value={cut ? String(cut.parallelism) : ""} onChange={(event) => setParallelism(event.currentTarget.value)}>
                        {ofSystem.map((one) => (
                            <option key={one.parallelism}>{one.parallelism}</option>
                        ))}
                    </select>
                </label>
                <label>
                    Error budget, in percent
                    <input inputMode="decimal" value={percent} aria-invalid={!good} onInput={(event) => setPercent(event.currentTarget.value)} />
                </label>
            </div>
            <div role="status">
                {cut && "refused" in cut.outcome && <p class="wrong">{cut.outcome.refused}</p>}
                {work && (
                    <dl class="consequence">
                        <Figure label="Slices" value={count(work.slices)} note={work.slices < cut!.parallelism ? "more cannot be had" : undefined} />
                        <Figure label="CPU of all slices" value={micros(work.predictedMicros)} />
                        <Figure label="The longest slice" value={micros(work.longestMicros)} note="what is left with a core for each" />
                        <Figure label="Memory" value={bytes(work.predictedMemoryBytes)} note="of the slice that takes most" />
                        <Figure label="Proofs" value={bytes(work.predictedProofBytes)} note="all together" />
                        {found && <Figure label="Greatest error" value={found.way ? share(found.way.maxErrorMillionths) : "–"} note={found.said} />}
                    </dl>
                )}
            </div>
            <p class="note">Times and sizes are of the integers that stand in the manifest now; another budget may give others.</p>
            {error && <Failed error={error} />}
            <p class="row">
                <button type="button" onClick={compile} disabled={!good || !work || same || doing}>
                    Compile it so
                </button>
                {same && <span class="note">That is how it is compiled.</span>}
            </p>
            <Export
                name={`${of.metadata.name}-choices`}
                rows={() => ({
                    head: ["proofSystem", "parallelism", "slices", "predictedMicros", "longestMicros", "predictedMemoryBytes", "predictedProofBytes", "refused"],
                    rows: cuts.map(({ proofSystem, parallelism, outcome }) => {
                        const of = "cut" in outcome ? outcome.cut : undefined;
                        return [proofSystem, parallelism, of?.slices, of?.predictedMicros, of?.longestMicros, of?.predictedMemoryBytes, of?.predictedProofBytes, "refused" in outcome ? outcome.refused : undefined];
                    }),
                })}
            />
        </Card>
    );
}
