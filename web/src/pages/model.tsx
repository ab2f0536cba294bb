import { useEffect, useMemo, useState } from "preact/hooks";
import type { FunctionComponent } from "preact";
import { type Condition, type ModelSlice, type ModelView, type Overview, type Report, readGraph, readManifest, readModel, readReport } from "../api.js";
import { bytes, count, millis, seconds, share, words } from "../format.js";
import { Absent, Badge, Card, Conditions, Copied, Empty, Failed, Figure, Link, Loading, Room, Table, Word, useCall, useNow, useTitle } from "../parts/common.js";
import { Choices } from "../parts/choices.js";
import { Compiling } from "../parts/compiling.js";
import { Export } from "../parts/export.js";
import { SaveButton } from "../parts/files.js";
import { save } from "../parts/save.js";
import type { Drawn as Drawing } from "../parts/graph.js";
import { HistoryCard } from "../parts/history.js";
import { TryCard } from "../parts/try.js";
import { named } from "../choices.js";
import { model, yaml } from "../objects.js";
import { requestPath } from "../route.js";

/** What the spec asks of answers, and what the operator says of it. */
function Objectives({ of, judged }: { of: NonNullable<ModelView["slo"]>; judged: Condition | undefined }) {
    const asked = [
        ...(of.p95Seconds === undefined ? [] : [`95 % within ${seconds(of.p95Seconds * 1000)}`]),
        ...(of.successMillionths === undefined ? [] : [`${share(of.successMillionths)} succeed`]),
    ];
    const tone = judged?.status === "True" ? "good" : judged?.status === "False" ? "bad" : "dull";
    return <Figure label="Objectives" value={<Badge of={judged?.reason ?? "Unknown"} tone={tone} />} note={`${asked.join(", ")}, of the last ${count(of.windowHours)} h`} />;
}

type View = FunctionComponent<{ of: Drawing; name: string }>;

export function ModelPage({ namespace, name, overview }: { namespace: string; name: string; overview: Overview | undefined }) {
    useTitle(`${namespace}/${name}`);
    const now = useNow();
    const version = overview?.models?.list.find((row) => row.namespace === namespace && row.name === name)?.version;
    const { value, error } = useCall((signal) => readModel(namespace, name, signal), [namespace, name, version]);
    const compiled = value?.status?.manifestDigest ?? (value?.status?.unsupported?.length ? "unsupported" : "");
    const { value: report, error: unknown } = useCall((signal) => (compiled === "" ? Promise.resolve(undefined) : readReport(namespace, name, signal)), [namespace, name, compiled]);
    if (!value) return <Absent kind="Model" name={`${namespace}/${name}`} error={error} />;
    const { status } = value;
    const ready = status?.conditions?.find((condition) => condition.type === "Ready");
    const slices = status?.slices ?? [];
    const accuracy = status?.accuracy;
    const unsupported = report?.unsupported ?? status?.unsupported ?? [];
    const tried = report?.tried ?? [];
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
                {value.slo && <Objectives of={value.slo} judged={status?.conditions?.find((condition) => condition.type === "SloMet")} />}
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
            <Card title="Graph" note={compiled === "unsupported" ? "the nodes of the file: what cannot be proved is red" : "the integer graph that is proved: each node with the tensor that it makes"}>
                {status?.graphDigest ? (
                    <Room of="calc(min(62vh, 640px) + 7.4rem)">
                        <Drawn namespace={namespace} name={name} digest={status.graphDigest} slices={slices} report={report} known={compiled === "" || report !== undefined || unknown !== undefined} />
                    </Room>
                ) : compiled === "unsupported" ? (
                    <Room of="calc(min(62vh, 640px) + 7.4rem)">
                        <Outlined of={report} name={name} error={unknown} />
                    </Room>
                ) : (
                    <Empty>It is drawn once it is compiled.</Empty>
                )}
            </Card>
            {report && status?.manifestDigest && <Choices key={status.manifestDigest} of={value} report={report} />}
            {tried.length > 0 && (
                <Card title="What was tried" note="ways to hold the model in integers, in their order">
                    <Table head={["Way", ["Headroom", "number"], "Weights", ["Greatest error", "number"], "Outcome"]}>
                        {tried.map((one, at) => (
                            <tr key={at}>
                                <th scope="row">{named(one)}</th>
                                <td class="number">{(one.headroomMillionths / 1e6).toFixed(2)} ×</td>
                                <td>{one.shortShifts ? "short shifts" : "all bits"}</td>
                                <td class="number">{share(one.maxErrorMillionths)}</td>
                                <td class="message">{one.refused ?? words(one.outcome)}</td>
                            </tr>
                        ))}
                    </Table>
                    <Export
                        name={`${name}-tried`}
                        rows={() => ({
                            head: ["profile", "widened", "headroomMillionths", "shortShifts", "maxErrorMillionths", "outcome", "refused"],
                            rows: tried.map((one) => [one.profile, one.widened ?? 0, one.headroomMillionths, String(one.shortShifts ?? false), one.maxErrorMillionths, one.outcome, one.refused]),
                        })}
                    />
                </Card>
            )}
            <Card title="Slices">
                {slices.length === 0 ? (
                    <Empty>It is not cut yet.</Empty>
                ) : (
                    <>
                    <Table head={[["Slice", "number"], "Nodes", ["Predicted time", "number"], ["Memory", "number"], ["Proof", "number"], "Size", "Verifying key"]}>
                        {slices.map((slice) => (
                            <tr key={slice.index}>
                                <td class="number">{slice.index}</td>
                                <td class="message">{slice.nodes}</td>
                                <td class="number">{millis(slice.predictedMillis)}</td>
                                <td class="number">{bytes(slice.predictedMemoryBytes)}</td>
                                <td class="number">{bytes(report?.slices?.[slice.index]?.predictedProofBytes)}</td>
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
                            head: ["slice", "nodes", "predictedMillis", "predictedMemoryBytes", "predictedProofBytes", "vkDigest"],
                            rows: slices.map((one) => [one.index, one.nodes, one.predictedMillis, one.predictedMemoryBytes, report?.slices?.[one.index]?.predictedProofBytes, one.vkDigest]),
                        })}
                    />
                    </>
                )}
            </Card>
            {status?.manifestDigest && <HistoryCard of={{ kind: "models", namespace, name }} name={`${name}-history`} note="claims of this Model's slices as it is compiled now, by the ledger; more than a week is told by the day" />}
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

/** The graph's view and layout, loaded when the first graph is. */
function useView(): { view?: { of: View }; failed?: Error } {
    const [state, set] = useState<{ view?: { of: View }; failed?: Error }>({});
    useEffect(() => {
        import("../parts/graph.js").then(
            (loaded) => set({ view: { of: loaded.GraphView } }),
            () => set({ failed: new Error("A part of this page could not be loaded: load it again.") }),
        );
    }, []);
    return state;
}

interface DrawnOf {
    namespace: string;
    name: string;
    digest: string;
    slices: readonly ModelSlice[];
    report: Report | undefined;
    /** The report is there, or never will be. */
    known: boolean;
}

function Drawn({ namespace, name, digest, slices, report, known }: DrawnOf) {
    const { view, failed } = useView();
    const { value, error } = useCall((signal) => readGraph(namespace, name, signal), [namespace, name, digest]);
    // It is laid out once, not again whenever the page hears of something else.
    const drawing = useMemo(() => value && { graph: value, report, slices }, [value, report, digest]);
    const why = error ?? failed;
    if (why) return <Failed error={why} />;
    if (!drawing || !view || !known) return <Loading what="the graph" />;
    return <view.of of={drawing} name={name} />;
}

function Outlined({ of, name, error }: { of: Report | undefined; name: string; error: Error | undefined }) {
    const { view, failed } = useView();
    const drawing = useMemo(() => of?.outline && { outline: of.outline, unsupported: of.unsupported ?? [] }, [of]);
    const why = error ?? failed;
    if (why) return <Failed error={why} />;
    if (of && !drawing) return <Empty>Its file has too many nodes to be drawn, or an older compiler has looked at it.</Empty>;
    if (!drawing || !view) return <Loading what="the graph" />;
    return <view.of of={drawing} name={name} />;
}
