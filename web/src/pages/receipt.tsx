import { useState } from "preact/hooks";
import { ApiError } from "../api.js";
import { bytes, count, float, share } from "../format.js";
import { Card, CommandLine, Copied, Empty, Failed, Figure, Table, useTitle } from "../parts/common.js";
import { Export } from "../parts/export.js";
import { Drop, sha256 } from "../parts/files.js";
import { Pixels } from "../parts/pixels.js";
import { MAX_RECEIPT_BYTES, type Named, type Tensor, read } from "../receipt.js";

const SHOWN = 200;

export function ReceiptPage() {
    useTitle("Receipt");
    const [file, setFile] = useState<{ name: string; named: Named; digest: string }>();
    const [error, setError] = useState<Error>();
    const open = async (given: File) => {
        setFile(undefined);
        setError(undefined);
        try {
            if (given.size > MAX_RECEIPT_BYTES) throw new Error(`It has ${bytes(given.size)}; a receipt has at most ${bytes(MAX_RECEIPT_BYTES)}.`);
            const data = new Uint8Array(await given.arrayBuffer());
            const named = read(data);
            setFile({ name: given.name, named, digest: (await sha256(data)) ?? "" });
        } catch (error) {
            setError(new ApiError("NotAReceipt", `${given.name}: ${error instanceof Error ? error.message : String(error)}`));
        }
    };
    return (
        <>
            <h1>What a receipt names</h1>
            <Drop
                title="Drop a receipt here, or choose one"
                note="It is read in this page, and sent nowhere."
                accept=".cbor,application/cbor"
                take={(given) => void open(given)}
            />
            {error && <Failed error={error} />}
            {!file && !error && <Empty>
                    A receipt is the file that <code>operator receipt</code> fetches, and that a request's page saves.
                </Empty>}
            {file && <Shown {...file} />}
        </>
    );
}

function Shown({ name, named, digest }: { name: string; named: Named; digest: string }) {
    const miners = new Map<string, number>();
    for (const slice of named.slices) miners.set(slice.identity, (miners.get(slice.identity) ?? 0) + 1);
    return (
        <>
            <p class="banner" role="note">
                Nothing here was verified: a file whose proofs do not hold looks the same. The command below says whether they do.
            </p>
            <CommandLine text={`prover-worker verify ${quoted(name)} --model MODEL.onnx --input INPUT.json`} />
            <dl class="figures">
                <Figure label="Slices" value={count(named.slices.length)} />
                <Figure label="Proofs" value={bytes(named.proofBytes)} note={`of ${bytes(named.bytes)}`} />
                <Figure label="Miners" value={count(miners.size)} />
                <Figure label="Nodes" value={count(named.nodeCount)} />
                <Figure label="Error budget" value={share(named.budgetMillionths)} />
            </dl>
            <Card title="It names">
                <dl class="pairs">
                    {(
                        [
                            ["File", digest],
                            ["Request", named.request],
                            ["Network", named.network],
                            ["ONNX file", named.model],
                            ["Integer graph", named.graph],
                            ["Proof system", named.system],
                            ["Parameters", named.parameters],
                            ["Trusted setup", /^sha256:0+$/.test(named.srs) ? "none" : named.srs],
                        ] as const
                    ).map(
                        ([what, value]) =>
                            value !== "" && (
                                <div key={what}>
                                    <dt>{what}</dt>
                                    <dd>{/^sha256:/.test(value) ? <Copied text={value} /> : value}</dd>
                                </div>
                            ),
                    )}
                </dl>
            </Card>
            <Tensors title="Input" of={named.inputs} />
            <Tensors title="Output" of={named.outputs} />
            <Card title="Miners">
                <ul class="plain-list">
                    {[...miners]
                        .sort(([, a], [, b]) => b - a)
                        .slice(0, SHOWN)
                        .map(([identity, slices]) => (
                            <li key={identity}>
                                <Copied text={identity} cut /> proved {slices === 1 ? "one slice" : `${slices} slices`}
                            </li>
                        ))}
                </ul>
            </Card>
            <Card title="Slices" note={named.slices.length > SHOWN ? `the first ${SHOWN} of ${count(named.slices.length)}` : undefined}>
                <Table head={[["Slice", "number"], "Nodes", ["Proof", "number"], "Miner", "Claim", "Reads tensors", "Makes"]}>
                    {named.slices.slice(0, SHOWN).map((slice) => (
                        <tr key={slice.index}>
                            <td class="number">{slice.index}</td>
                            <td>
                                {slice.firstNode} to {slice.firstNode + slice.nodeCount - 1}
                            </td>
                            <td class="number">{bytes(slice.proofBytes)}</td>
                            <td>
                                <Copied text={slice.identity} cut />
                            </td>
                            <td>
                                <Copied text={slice.claim} cut />
                            </td>
                            <td>{listed(slice.inputs)}</td>
                            <td>{listed(slice.outputs)}</td>
                        </tr>
                    ))}
                </Table>
                <Export
                    name="receipt-slices"
                    rows={() => ({
                        head: ["slice", "firstNode", "nodes", "proofBytes", "identity", "claim", "reads", "makes"],
                        rows: named.slices.map((one) => [one.index, one.firstNode, one.nodeCount, one.proofBytes, one.identity, one.claim, one.inputs.join(" "), one.outputs.join(" ")]),
                    })}
                />
            </Card>
            <Card title="Between the slices" note={`${count(named.inner.length)} tensors`}>
                {named.inner.length === 0 ? (
                    <Empty>There is one slice: nothing is between.</Empty>
                ) : (
                    <ul class="plain-list">
                        {named.inner.slice(0, SHOWN).map((tensor) => (
                            <li key={tensor.id}>
                                {tensor.id}: {tensor.name} of shape {tensor.shape.join(" × ") || "scalar"}, {bytes(tensor.bytes)}
                            </li>
                        ))}
                    </ul>
                )}
            </Card>
        </>
    );
}

const listed = (ids: readonly number[]) => (ids.length > 8 ? `${ids.slice(0, 8).join(", ")}, …` : ids.join(", "));

function Tensors({ title, of }: { title: string; of: readonly Tensor[] }) {
    return (
        <Card title={title}>
            {of.map((tensor) => (
                <div key={tensor.id}>
                    <h3>
                        {tensor.name} <span class="note">{tensor.shape.join(" × ") || "scalar"}</span>
                    </h3>
                    {tensor.ranked && <p class="note">The place of each value among the thresholds that the model compares it with; the model asks nothing else of it.</p>}
                    {tensor.values.length === tensor.count && <Pixels shape={tensor.shape} data={tensor.values} name={tensor.name} />}
                    <p class="numbers" tabIndex={0} role="group" aria-label={`Values of ${tensor.name}`}>{tensor.values.map(float).join("  ")}</p>
                    <Export name={`receipt-${title.toLowerCase()}-${tensor.id}`} rows={() => ({ head: ["at", "value"], rows: tensor.values.map((value, at) => [at, value]) })} />
                    {tensor.count > tensor.values.length && <p class="note">the first {tensor.values.length} of {count(tensor.count)} values</p>}
                </div>
            ))}
        </Card>
    );
}

/** A file's name as a shell takes it for one word. */
function quoted(name: string): string {
    return /^[A-Za-z0-9_./][A-Za-z0-9_./-]*$/.test(name) ? name : `'./${name.replace(/'/g, "'\\''")}'`;
}
