import type { Overview } from "../api.js";
import { readFloat, readReceipt, readRequest } from "../api.js";
import { bytes, millis, seconds, share } from "../format.js";
import { Absent, Badge, Card, CommandLine, Conditions, Copied, Empty, Failed, Figure, Link, Table, useCall, useNow, useTitle } from "../parts/common.js";
import { Attempts, SliceMap, Slices } from "../parts/charts.js";
import { Answer } from "../parts/answer.js";
import { Export } from "../parts/export.js";
import { SaveButton } from "../parts/files.js";
import { save } from "../parts/save.js";
import { modelPath } from "../route.js";

export function RequestPage({ namespace, name, overview }: { namespace: string; name: string; overview: Overview | undefined }) {
    useTitle(`${namespace}/${name}`);
    const now = useNow();
    const version = overview?.requests?.latest.find((row) => row.namespace === namespace && row.name === name)?.version;
    const { value, error } = useCall((signal) => readRequest(namespace, name, signal), [namespace, name, version]);
    const done = value?.status?.phase === "Succeeded";
    const float = useCall((signal) => (done ? readFloat(namespace, name, signal) : Promise.resolve(undefined)), [namespace, name, done]);
    if (!value) return <Absent kind="InferenceRequest" name={`${namespace}/${name}`} error={error} />;
    const { status, metadata } = value;
    const recent = status?.recentSlices ?? [];
    const took = status?.finishedAt ? Date.parse(status.finishedAt) - Date.parse(metadata.created) : undefined;
    return (
        <>
            <h1>
                <span class="kind">InferenceRequest</span> {namespace}/{name} <Badge of={status?.phase ?? "Pending"} />
            </h1>
            {error && <Failed error={error} />}
            <dl class="figures">
                <Figure label="Model" value={<Link to={modelPath(namespace, value.model)}>{value.model}</Link>} />
                <Figure label="Slices verified" value={status?.slices ? `${status.slices.verified} / ${status.slices.total}` : "–"} />
                <Figure label="Took" value={seconds(took)} note={took === undefined ? `deadline ${value.deadline}` : undefined} />
                <Figure label="Error against the float model" value={share(status?.errorVsFloatMillionths)} />
            </dl>
            {status?.output && <Answer name={name} of={status.output} float={float.value?.find((one) => one.name === status.output?.name)} why={float.error} done={done} />}
            <Card title="Slices">
                {status?.slices ? (
                    <>
                        <Slices of={status.slices} />
                        <SliceMap of={recent} counts={status.slices} />
                    </>
                ) : <Empty>The model has not been cut for it yet.</Empty>}
            </Card>
            <Card title="Attempts" note={recent.length > 0 ? `the latest ${recent.length}; a bar's width is the time from claim to proof` : undefined}>
                {recent.length > 0 ? (
                    <>
                        <Attempts of={recent} total={status?.slices?.total ?? 0} />
                        <details>
                            <summary>As a table</summary>
                            <Table head={[["Slice", "number"], ["Attempt", "number"], "Pool", "Miner", "Verdict", ["Time", "number"], ["Proof", "number"], "Why"]}>
                                {recent.map((row) => (
                                    <tr key={`${row.slice} ${row.attempt} ${row.pool}`}>
                                        <td class="number">{row.slice}</td>
                                        <td class="number">{row.attempt}</td>
                                        <td>{row.pool}</td>
                                        <td>
                                            <Copied text={row.identity} cut />
                                        </td>
                                        <td>
                                            <Badge of={row.verdict} />
                                        </td>
                                        <td class="number">{millis(row.millis)}</td>
                                        <td class="number">{bytes(row.bytes)}</td>
                                        <td class="message">{row.message ?? ""}</td>
                                    </tr>
                                ))}
                            </Table>
                            <Export
                                name={`${name}-attempts`}
                                rows={() => ({
                                    head: ["slice", "attempt", "pool", "identity", "verdict", "millis", "bytes", "message"],
                                    rows: recent.map((row) => [row.slice, row.attempt, row.pool, row.identity, row.verdict, row.millis, row.bytes, row.message]),
                                })}
                            />
                        </details>
                    </>
                ) : (
                    <Empty>No claim has ended yet.</Empty>
                )}
            </Card>
            <Card title="Receipt">
                {status?.receipt ? (
                    <Receipt namespace={namespace} name={name} digest={status.receipt.digest} size={status.receipt.bytes} verify={status.verify} />
                ) : (
                    <Empty>There is none before every slice is verified.</Empty>
                )}
            </Card>
            <Card title="Conditions">
                <Conditions of={status?.conditions ?? []} now={now} />
            </Card>
            <Card title="Input" note="its values are not shown here">
                <ul class="plain-list">
                    {value.input.inline.map((tensor) => (
                        <li key={tensor.name}>
                            {tensor.name} of shape {tensor.shape.join(" × ") || "scalar"}
                        </li>
                    ))}
                    {value.input.artifact && (
                        <li>
                            artifact <Copied text={value.input.artifact} cut />
                        </li>
                    )}
                    {value.input.configMap && (
                        <li>
                            ConfigMap {value.input.configMap.name}, key {value.input.configMap.key}
                        </li>
                    )}
                </ul>
            </Card>
        </>
    );
}

function Receipt({ namespace, name, digest, size, verify }: { namespace: string; name: string; digest: string; size: number; verify: string | undefined }) {
    return (
        <>
            <p>
                <Copied text={digest} cut /> of {bytes(size)}{" "}
                <SaveButton get={async () => save(`${name}.cbor`, "application/cbor", await readReceipt(namespace, name))}>Save the receipt</SaveButton>
            </p>
            <p class="note">
                This page verifies nothing. Whoever has the receipt, the model and this command need not believe the operator either:
            </p>
            <CommandLine text={verify ?? "prover-worker verify RECEIPT.cbor --model MODEL.onnx"} />
        </>
    );
}
