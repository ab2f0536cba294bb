import { useEffect, useState } from "preact/hooks";
import type { FunctionComponent } from "preact";
import { type Graph, type ModelSlice, type Overview, readGraph, readManifest, readModel } from "../api.js";
import { bytes, count, millis, share } from "../format.js";
import { Absent, Badge, Card, Conditions, Copied, Empty, Failed, Figure, Link, Loading, Room, Table, Word, useCall, useNow, useTitle } from "../parts/common.js";
import { Compiling } from "../parts/compiling.js";
import { Export } from "../parts/export.js";
import { SaveButton, save } from "../parts/files.js";
import { TryCard } from "../parts/try.js";
import { model, yaml } from "../objects.js";
import { requestPath } from "../route.js";

type View = FunctionComponent<{ graph: Graph; slices: readonly ModelSlice[] }>;

export function ModelPage({ namespace, name, overview }: { namespace: string; name: string; overview: Overview | undefined }) {
    useTitle(`${namespace}/${name}`);
    const now = useNow();
    const version = overview?.models?.list.find((row) => row.namespace === namespace && row.name === name)?.version;
    const { value, error } = useCall((signal) => readModel(namespace, name, signal), [namespace, name, version]);
    if (!value) return <Absent kind="Model" name={`${namespace}/${name}`} error={error} />;
    const { status } = value;
    const ready = status?.conditions?.find((condition) => condition.type === "Ready");
    const slices = status?.slices ?? [];
    const accuracy = status?.accuracy;
    const unsupported = status?.unsupported ?? [];
    const requests = (overview?.requests?.latest ?? []).filter((row) => row.namespace === namespace && row.model === name).slice(0, 10);
    return (
        <>
            <h1>
                <span class="kind">Model</span> {namespace}/{name}{" "}
                <Badge
                    of={ready?.status === "True" ? "Ready" : (ready?.reason ?? "Unknown")}
                    tone={ready?.status === "True" ? "good" : ready?.reason === "Compiling" ? "busy" : "bad"}
                />
            </h1>
            {error && <Failed error={error} />}
            <dl class="figures">
                <Figure label="Proof system" value={<Word of={value.proofSystem} />} />
                <Figure label="Slices" value={status?.sliceCount ?? "–"} note={`at least ${value.parallelism} asked for`} />
                <Figure label="Predicted" value={slices.length ? millis(slices.reduce((sum, slice) => sum + slice.predictedMillis, 0)) : "–"} note="on one core, all slices" />
                <Figure
                    label="Greatest error"
                    value={share(accuracy?.maxAbsErrorMillionths)}
                    note={`of a budget of ${share(value.errorBudgetMillionths)}`}
                />
                {accuracy?.top1AgreementMillionths !== undefined && <Figure label="Same class" value={share(accuracy.top1AgreementMillionths)} />}
                {accuracy?.topMarginMillionths !== undefined && (
                    <Figure label="Least margin" value={share(accuracy.topMarginMillionths)} note="of the greatest output over the next: no error below half of it changes the class" />
                )}
                {accuracy?.sqnrMillibels !== undefined && <Figure label="SQNR" value={`${(accuracy.sqnrMillibels / 100).toFixed(1)} dB`} note="the outputs' power over that of their errors" />}
                {accuracy && (
                    <Figure
                        label="Profile"
                        value={accuracy.profile}
                        note={`${count(accuracy.samples)} ${accuracy.synthetic ? "made-up " : ""}samples${accuracy.widened ? `; more bits for ${count(accuracy.widened)} tensors` : ""}`}
                    />
                )}
            </dl>
            {ready && ready.status !== "True" && <Compiling ready={ready} />}
            {unsupported.length > 0 && (
                <Card title="What cannot be proved" note={`${unsupported.length} nodes`}>
                    <Table head={["Node", "Operator", "Why"]}>
                        {unsupported.map((one, at) => (
                            <tr key={at}>
                                <th scope="row">{one.node}</th>
                                <td>{one.op}</td>
                                <td class="message">{one.reason}</td>
                            </tr>
                        ))}
                    </Table>
                    <Export
                        name={`${name}-unsupported`}
                        rows={() => ({ head: ["node", "operator", "reason"], rows: unsupported.map((one) => [one.node, one.op, one.reason]) })}
                    />
                </Card>
            )}
            {ready?.status === "True" && <TryCard key={value.metadata.uid} namespace={namespace} name={name} />}
            <Card title="Graph" note="the integer graph that is proved: each node with the tensor that it makes">
                {status?.graphDigest ? (
                    <Room of="calc(min(62vh, 640px) + 3.2rem)">
                        <Drawn namespace={namespace} name={name} digest={status.graphDigest} slices={slices} />
                    </Room>
                ) : (
                    <Empty>It is drawn once it is compiled.</Empty>
                )}
            </Card>
            <Card title="Slices">
                {slices.length === 0 ? (
                    <Empty>It is not cut yet.</Empty>
                ) : (
                    <>
                    <Table head={[["Slice", "number"], "Nodes", ["Predicted time", "number"], ["Memory", "number"], "Size", "Verifying key"]}>
                        {slices.map((slice) => (
                            <tr key={slice.index}>
                                <td class="number">{slice.index}</td>
                                <td class="message">{slice.nodes}</td>
                                <td class="number">{millis(slice.predictedMillis)}</td>
                                <td class="number">{bytes(slice.predictedMemoryBytes)}</td>
                                <td>
                                    {Object.entries(slice.measures)
                                        .map(([what, many]) => `${count(many)} ${what}`)
                                        .join(", ")}
                                </td>
                                <td>
                                    <Copied text={slice.vkDigest} cut />
                                </td>
                            </tr>
                        ))}
                    </Table>
                    <Export
                        name={`${name}-slices`}
                        rows={() => ({
                            head: ["slice", "nodes", "predictedMillis", "predictedMemoryBytes", "vkDigest"],
                            rows: slices.map((one) => [one.index, one.nodes, one.predictedMillis, one.predictedMemoryBytes, one.vkDigest]),
                        })}
                    />
                    </>
                )}
            </Card>
            <Card title="Latest requests">
                {requests.length === 0 ? (
                    <Empty>None is among the latest.</Empty>
                ) : (
                    <ul class="plain-list">
                        {requests.map((row) => (
                            <li key={row.name}>
                                <Link to={requestPath(row.namespace, row.name)}>
                                    {row.namespace}/{row.name}
                                </Link>{" "}
                                <Badge of={row.phase} />
                            </li>
                        ))}
                    </ul>
                )}
            </Card>
            <Card title="Conditions">
                <Conditions of={status?.conditions ?? []} now={now} />
            </Card>
            <Card title="Files">
                <p class="row">
                    <SaveButton get={() => save(`${name}.yaml`, "application/yaml", yaml(model(namespace, name, value.spec)))}>Save as YAML</SaveButton>
                    {status?.manifestDigest && (
                        <SaveButton get={async () => save(`${name}-manifest.cbor`, "application/cbor", await readManifest(namespace, name))}>Save the manifest</SaveButton>
                    )}
                </p>
                <dl class="pairs">
                    {(["modelDigest", "manifestDigest", "graphDigest"] as const).map((which) => {
                        const digest = status?.[which];
                        return (
                            digest && (
                                <div key={which}>
                                    <dt>{which === "modelDigest" ? "ONNX file" : which === "manifestDigest" ? "Manifest" : "Integer graph"}</dt>
                                    <dd>
                                        <Copied text={digest} />
                                    </dd>
                                </div>
                            )
                        );
                    })}
                </dl>
            </Card>
        </>
    );
}

/** The graph's view and layout are loaded when the first graph is. */
function Drawn({ namespace, name, digest, slices }: { namespace: string; name: string; digest: string; slices: readonly ModelSlice[] }) {
    const [view, setView] = useState<{ of: View }>();
    const [failed, setFailed] = useState<Error>();
    const { value, error } = useCall((signal) => readGraph(namespace, name, signal), [namespace, name, digest]);
    useEffect(() => {
        import("../parts/graph.js").then(
            (loaded) => setView({ of: loaded.GraphView }),
            () => setFailed(new Error("A part of this page could not be loaded: load it again.")),
        );
    }, []);
    const why = error ?? failed;
    if (why) return <Failed error={why} />;
    if (!value || !view) return <Loading what="the graph" />;
    return <view.of graph={value} slices={slices} />;
}
