/** From an ONNX file to a Model: the file is handed in, and the sandboxed compiler reads it; this page does not. */
import { useState } from "preact/hooks";
import { type Overview, makeModel } from "../api.js";
import { bytes } from "../format.js";
import { type Choices, dimensions, model, modelSpec, objectName } from "../objects.js";
import { Badge, Card, Empty, Failed, Link, useTitle } from "../parts/common.js";
import { Drop, sha256 } from "../parts/files.js";
import { handIn } from "../parts/try.js";
import { go, modelPath } from "../route.js";

const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SYSTEMS = [
    ["SumcheckWhir", "no trusted setup, fast; proofs of some 60 to 130 KB that do not hide what is inside a slice"],
    ["Halo2Kzg", "proofs of some KB that hide it; far slower, and the operator needs a trusted setup"],
] as const;

export function StudioPage({ namespace, overview }: { namespace: string; overview: Overview | undefined }) {
    useTitle("Studio");
    const [file, setFile] = useState<File>();
    const [samples, setSamples] = useState<File>();
    const [place, setPlace] = useState(namespace || "default");
    const [system, setSystem] = useState<string>(SYSTEMS[0][0]);
    const [parallelism, setParallelism] = useState(4);
    const [percent, setPercent] = useState("0.1");
    const [scores, setScores] = useState(true);
    const [sizes, setSizes] = useState("");
    const [doing, setDoing] = useState("");
    const [error, setError] = useState<Error>();
    const budget = Math.round(Number(percent) * 10_000);
    const goodBudget = percent.trim() !== "" && budget >= 1 && budget <= 1e9;
    const goodPlace = NAMESPACE.test(place);
    const compile = async (event: Event) => {
        event.preventDefault();
        if (!file || !goodBudget || !goodPlace) return;
        setError(undefined);
        try {
            const choices: Choices = { model: "", system, parallelism, budget, scores, dimensions: dimensions(sizes) };
            setDoing(`Handing ${file.name} in …`);
            choices.model = await handIn(place, new Uint8Array(await file.arrayBuffer()));
            if (samples) {
                setDoing(`Handing ${samples.name} in …`);
                choices.calibration = await handIn(place, new Uint8Array(await samples.arrayBuffer()));
            }
            setDoing("Making the Model …");
            const spec = modelSpec(choices);
            // The same file with the same choices is the same Model.
            const digest = await sha256(new TextEncoder().encode(JSON.stringify(spec)));
            const name = `${objectName(file.name)}-${digest!.slice(7, 15)}`;
            await makeModel(place, name, model(place, name, spec));
            go(modelPath(place, name));
            scrollTo(0, 0);
        } catch (error) {
            setError(error instanceof Error ? error : new Error(String(error)));
            setDoing("");
        }
    };
    const models = overview?.models?.list ?? [];
    return (
        <>
            <h1>Studio</h1>
            <form class="card studio" onSubmit={compile}>
                <header>
                    <h2>A model of yours</h2>
                    <p class="note">It is read by the sandboxed compiler alone: neither by this page nor by the operator.</p>
                </header>
                <Drop title={file ? file.name : "Drop an ONNX file here, or choose one"} note={file ? `${bytes(file.size)}; another one takes its place` : "at most 64 MiB"} accept=".onnx" take={setFile} />
                <div class="fields">
                    <label>
                        Proof system
                        <select value={system} onChange={(event) => setSystem(event.currentTarget.value)}>
                            {SYSTEMS.map(([one]) => (
                                <option key={one}>{one}</option>
                            ))}
                        </select>
                        <span class="note">{SYSTEMS.find(([one]) => one === system)?.[1]}</span>
                    </label>
                    <label>
                        Error budget, in percent
                        <input inputMode="decimal" value={percent} aria-invalid={!goodBudget} onInput={(event) => setPercent(event.currentTarget.value)} />
                        <span class="note">the cheapest integers that keep it are taken</span>
                    </label>
                    <label>
                        Slices, at least
                        <input type="number" min={1} max={64} required value={parallelism} onInput={(event) => setParallelism(Math.max(1, Math.min(64, Math.round(event.currentTarget.valueAsNumber || 1))))} />
                        <span class="note">that many miners can prove at once</span>
                    </label>
                    <label>
                        Namespace
                        <input value={place} spellcheck={false} aria-invalid={!goodPlace} onInput={(event) => setPlace(event.currentTarget.value.trim())} />
                        <span class="note">you need the right to create Models there</span>
                    </label>
                    <label>
                        Sizes of free dimensions
                        <input value={sizes} spellcheck={false} placeholder="tokens=16" onInput={(event) => setSizes(event.currentTarget.value)} />
                        <span class="note">NAME=SIZE, with commas; a free batch is 1</span>
                    </label>
                    <label class="check">
                        <input type="checkbox" checked={scores} onChange={(event) => setScores(event.currentTarget.checked)} />
                        Outputs [1, n] are scores of classes
                    </label>
                </div>
                <details>
                    <summary>Calibration: {samples ? samples.name : "synthetic"}</summary>
                    <Drop title={samples ? samples.name : "Drop samples here: .npy, .npz or .json"} note="the first axis counts them; without any, inputs are made up, and the error on real ones is not known" accept=".npy,.npz,.json" take={setSamples} />
                    {samples && (
                        <button type="button" onClick={() => setSamples(undefined)}>
                            Make inputs up instead
                        </button>
                    )}
                </details>
                <p class="note">What other choices would come to stands on the Model's page, once the compiler has looked at it.</p>
                {error && <Failed error={error} />}
                <p class="row">
                    <button type="submit" disabled={!file || !goodBudget || !goodPlace || doing !== ""}>
                        Compile
                    </button>
                    <span class="note" role="status">
                        {doing}
                    </span>
                </p>
            </form>
            <Card title="Or one that is there">
                {overview && !overview.models ? (
                    <Empty>You may not list Models.</Empty>
                ) : models.length === 0 ? (
                    <Empty>There are no Models yet.</Empty>
                ) : (
                    <ul class="plain-list">
                        {models.slice(0, 100).map((row) => (
                            <li key={`${row.namespace}/${row.name}`}>
                                <Link to={modelPath(row.namespace, row.name)}>
                                    {row.namespace}/{row.name}
                                </Link>{" "}
                                <Badge of={row.ready ? "Ready" : row.reason || "Unknown"} tone={row.ready ? "good" : row.reason === "Compiling" ? "busy" : "bad"} />
                            </li>
                        ))}
                    </ul>
                )}
                {models.length > 100 && <p class="note">{models.length - 100} more are in the overview.</p>}
            </Card>
        </>
    );
}
