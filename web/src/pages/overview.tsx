import { useEffect, useMemo, useState } from "preact/hooks";
import { type ModelRow, type Overview, type PoolRow, type RequestRow, type Requests, type Spread, type Trends, readTrends, readValidator } from "../api.js";
import { ago, bytes, count, millis, seconds, share, short, words } from "../format.js";
import { Badge, Card, Empty, Figure, Link, Table, useCall, useNow, useTitle } from "../parts/common.js";
import { HistoryCard } from "../parts/history.js";
import { PerMinute, Slices } from "../parts/charts.js";
import { Export } from "../parts/export.js";
import { useQuery } from "../parts/query.js";
import { Spark } from "../parts/spark.js";
import { modelPath, poolPath, requestPath } from "../route.js";

const PHASES = ["Pending", "Compiling", "Proving", "Succeeded", "Failed", "Cancelled", "Erased"];
const SHOWN = 50;
const SHARES_EVERY = 30_000;
const TRENDS_EVERY = 60_000;
const MAY_NOT = "You may not list these.";
const EVERYBODY = { kind: "all" } as const;

/** `all`: with single requests and Models, which only whoever has a token sees. */
export function OverviewPage({ of, all, namespace }: { of: Overview; all: boolean; namespace: string }) {
    useTitle("Overview");
    const now = useNow();
    const { requests, pools } = of;
    return (
        <>
            <h1>Overview</h1>
            {requests && (
                <dl class="figures">
                    {PHASES.filter((phase) => requests.phases[phase] || phase === "Proving" || phase === "Succeeded").map((phase) => (
                        <Figure key={phase} label={phase} value={count(requests.phases[phase] ?? 0)} />
                    ))}
                    <Figure
                        label="Latency p50"
                        value={requests.latency.count ? seconds(requests.latency.p50) : "–"}
                        note={`of ${count(requests.latency.count)} that succeeded`}
                    />
                    <Figure
                        label="Latency p95"
                        value={requests.latency.count ? seconds(requests.latency.p95) : "–"}
                        note={requests.latency.count ? `at most ${seconds(requests.latency.most)}` : undefined}
                    />
                    {requests.proofMillis.count > 0 && <Figure label="Proof p50" value={millis(requests.proofMillis.p50)} note={`p95 ${millis(requests.proofMillis.p95)}, from claim to proof`} />}
                    {requests.verifyMicros.count > 0 && <Figure label="Verifying p50" value={millis(requests.verifyMicros.p50 / 1000)} note={`p95 ${millis(requests.verifyMicros.p95 / 1000)}, each proof`} />}
                    {requests.proofMillis.count > 0 && <Figure label="Proof size p50" value={bytes(requests.proofBytes.p50)} note={`at most ${bytes(requests.proofBytes.most)}`} />}
                </dl>
            )}
            <Card title="Requests per minute" note="of those that are still there">
                {requests ? (
                    <>
                        <PerMinute of={requests.perMinute} />
                        <Export
                            name="requests-per-minute"
                            rows={() => ({
                                head: ["minutesAgo", "made", "succeeded", "endedOtherwise"],
                                rows: requests.perMinute.map((minute, at) => [requests.perMinute.length - 1 - at, ...minute]),
                            })}
                        />
                    </>
                ) : (
                    <Empty>{MAY_NOT}</Empty>
                )}
            </Card>
            {requests && requests.latency.count > 0 && <Latency of={requests} />}
            <HistoryCard of={EVERYBODY} name="history" note="claims that ended, by the ledger: it is the same after a restart" />
            <Card title="Slices at work" note="of requests that are not over">
                {!requests ? (
                    <Empty>{MAY_NOT}</Empty>
                ) : requests.slices.total === 0 ? (
                    <Empty>Nothing is being proved.</Empty>
                ) : (
                    <Slices of={requests.slices} />
                )}
            </Card>
            {all && <Single of={of} now={now} />}
            <Card title="Miners" note="by score">
                {pools ? <Leaderboard of={pools.list} total={pools.count} namespace={namespace} /> : <Empty>{MAY_NOT}</Empty>}
            </Card>
        </>
    );
}

/** How long requests took that succeeded, by what they did meanwhile. */
function Latency({ of }: { of: Requests }) {
    const stages: [string, Spread, string][] = [
        ["waiting", of.waiting, "from creation until its slices are queued: for its turn, and for the model"],
        ["proving", of.proving, "from there to the receipt"],
        ["all", of.latency, "from creation to the receipt"],
    ];
    return (
        <Card title="Latency" note="of requests that succeeded; objects tell their times to the second">
            <Table head={["Stage", ["Requests", "number"], ["p50", "number"], ["p95", "number"], ["p99", "number"], ["Most", "number"], "Is"]}>
                {stages.map(([stage, spread, is]) => (
                    <tr key={stage}>
                        <th scope="row">{stage}</th>
                        <td class="number">{count(spread.count)}</td>
                        {[spread.p50, spread.p95, spread.p99, spread.most].map((value, at) => (
                            <td key={at} class="number">
                                {spread.count > 0 ? seconds(value) : "–"}
                            </td>
                        ))}
                        <td class="message">{is}</td>
                    </tr>
                ))}
            </Table>
            <Export
                name="latency"
                rows={() => ({
                    head: ["stage", "requests", "millisP50", "millisP95", "millisP99", "millisMost"],
                    rows: stages.map(([stage, { count, p50, p95, p99, most }]) => [stage, count, p50, p95, p99, most]),
                })}
            />
        </Card>
    );
}

/** What is told of single requests and Models. */
function Single({ of: { requests, models }, now }: { of: Overview; now: number }) {
    const systems = new Map((models?.list ?? []).map((model) => [`${model.namespace}/${model.name}`, model]));
    return (
        <>
            <Card
                title="Requests"
                note={requests && requests.count > requests.latest.length ? `the latest ${requests.latest.length} of ${count(requests.count)}` : undefined}
            >
                {requests && (requests.count === 0 || requests.latest.length > 0) ? <RequestTable of={requests.latest} now={now} /> : <Empty>{MAY_NOT}</Empty>}
            </Card>
            <Card title="Models" note={models && models.count > models.list.length ? `${models.list.length} of ${count(models.count)}` : undefined}>
                {models ? <ModelTable of={models.list} /> : <Empty>{MAY_NOT}</Empty>}
            </Card>
            <Card title="Proofs" note="verified ones, by model: time from claim to proof, what verifying took, and size">
                {!requests || (requests.proofs.length === 0 && requests.proofMillis.count > 0) ? (
                    <Empty>{MAY_NOT}</Empty>
                ) : requests.proofs.length === 0 ? (
                    <Empty>No proof has been verified yet.</Empty>
                ) : (
                    <>
                    <Table head={["Model", "System", ["Proofs", "number"], ["Time p50", "number"], ["Time p95", "number"], ["Verifying p50", "number"], ["Size p50", "number"], ["Largest", "number"]]}>
                        {requests.proofs.map((one) => {
                            const name = `${one.namespace}/${one.model}`;
                            return (
                                <tr key={name}>
                                    <th scope="row">
                                        <Link to={modelPath(one.namespace, one.model)}>{name}</Link>
                                    </th>
                                    <td>{systems.get(name)?.system ?? "–"}</td>
                                    <td class="number">{count(one.millis.count)}</td>
                                    <td class="number">{millis(one.millis.p50)}</td>
                                    <td class="number">{millis(one.millis.p95)}</td>
                                    <td class="number">{one.verifyMicros.count ? millis(one.verifyMicros.p50 / 1000) : "–"}</td>
                                    <td class="number">{bytes(one.bytes.p50)}</td>
                                    <td class="number">{bytes(one.bytes.most)}</td>
                                </tr>
                            );
                        })}
                    </Table>
                    <Export
                        name="proofs"
                        rows={() => ({
                            head: ["namespace", "model", "proofs", "millisP50", "millisP95", "millisP99", "millisMost", "verifyMicrosP50", "verifyMicrosP95", "verifyMicrosP99", "verifyMicrosMost", "bytesP50", "bytesP95", "bytesP99", "bytesMost"],
                            rows: requests.proofs.map((one) => [one.namespace, one.model, one.millis.count, one.millis.p50, one.millis.p95, one.millis.p99, one.millis.most, one.verifyMicros.p50, one.verifyMicros.p95, one.verifyMicros.p99, one.verifyMicros.most, one.bytes.p50, one.bytes.p95, one.bytes.p99, one.bytes.most]),
                        })}
                    />
                    </>
                )}
            </Card>
        </>
    );
}

function RequestTable({ of, now }: { of: readonly RequestRow[]; now: number }) {
    const [search, setSearch] = useQuery("request", "");
    const [asked, setPhase] = useQuery("phase", "");
    const phase = PHASES.includes(asked) ? asked : "";
    const found = useMemo(() => {
        const text = search.trim().toLowerCase();
        return of.filter((row) => (phase === "" || row.phase === phase) && `${row.namespace}/${row.name} ${row.model}`.toLowerCase().includes(text));
    }, [of, search, phase]);
    if (of.length === 0) {
        return (
            <Empty>
                There are no requests yet: drop a model in the <Link to="/studio">Studio</Link>, or make one with <code>operator submit</code>.
            </Empty>
        );
    }
    return (
        <>
            <div class="filters">
                <input type="search" aria-label="Search requests by name or model" placeholder="name or model" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
                <select aria-label="Phase" value={phase} onChange={(e) => setPhase(e.currentTarget.value)}>
                    <option value="">all phases</option>
                    {PHASES.map((one) => (
                        <option key={one}>{one}</option>
                    ))}
                </select>
            </div>
            {found.length === 0 && <Empty>No request is like that.</Empty>}
            <Table head={["Request", "Model", "Phase", ["Slices", "number"], ["Took", "number"], "Made"]}>
                {found.slice(0, SHOWN).map((row) => (
                    <tr key={`${row.namespace}/${row.name}`}>
                        <th scope="row">
                            <Link to={requestPath(row.namespace, row.name)}>
                                {row.namespace}/{row.name}
                            </Link>
                        </th>
                        <td>
                            <Link to={modelPath(row.namespace, row.model)}>{row.model}</Link>
                        </td>
                        <td>
                            <Badge of={row.phase} /> {row.phase === "Pending" || row.phase === "Failed" ? words(row.reason) : ""}
                        </td>
                        <td class="number">{row.total ? `${row.verified} / ${row.total}` : "–"}</td>
                        <td class="number">{row.finished ? seconds(row.finished - row.created) : "–"}</td>
                        <td>
                            <time dateTime={new Date(row.created).toISOString()}>{ago(row.created, now)}</time>
                        </td>
                    </tr>
                ))}
            </Table>
            {found.length > SHOWN && <p class="note">{found.length - SHOWN} more: search for them.</p>}
            <Export
                name="requests"
                rows={() => ({
                    head: ["namespace", "name", "model", "phase", "reason", "createdUnixMillis", "finishedUnixMillis", "slicesVerified", "slices"],
                    rows: found.map((row) => [row.namespace, row.name, row.model, row.phase, row.reason, row.created, row.finished, row.verified, row.total]),
                })}
            />
        </>
    );
}

function ModelTable({ of }: { of: readonly ModelRow[] }) {
    if (of.length === 0) {
        return (
            <Empty>
                There are no Models yet: the <Link to="/studio">Studio</Link> makes one of an ONNX file.
            </Empty>
        );
    }
    return (
        <>
        <Table head={["Model", "Ready", "System", ["Slices", "number"], ["Predicted", "number"], ["Error", "number"], ["Budget", "number"]]}>
            {of.map((row) => (
                <tr key={`${row.namespace}/${row.name}`}>
                    <th scope="row">
                        <Link to={modelPath(row.namespace, row.name)}>
                            {row.namespace}/{row.name}
                        </Link>
                    </th>
                    <td>
                        <Badge of={row.ready ? "Ready" : row.reason || "Unknown"} tone={row.ready ? "good" : row.reason === "Compiling" ? "busy" : "bad"} />
                    </td>
                    <td>{row.system}</td>
                    <td class="number">{row.slices || "–"}</td>
                    <td class="number">{row.slices ? millis(row.predictedMillis) : "–"}</td>
                    <td class="number">{share(row.errorMillionths)}</td>
                    <td class="number">{share(row.budgetMillionths)}</td>
                </tr>
            ))}
        </Table>
        <Export
            name="models"
            rows={() => ({
                head: ["namespace", "name", "ready", "reason", "system", "slices", "predictedMillis", "errorMillionths", "budgetMillionths"],
                rows: of.map((row) => [row.namespace, row.name, String(row.ready), row.reason, row.system, row.slices, row.predictedMillis, row.errorMillionths, row.budgetMillionths]),
            })}
        />
        </>
    );
}

/** What each miner has of all that was earned, by the rule in force; nothing for whoever may not list the Validators. */
function useShares(): Map<string, number> {
    const [look, setLook] = useState(0);
    useEffect(() => {
        const timer = setInterval(() => setLook((old) => old + 1), SHARES_EVERY);
        return () => clearInterval(timer);
    }, []);
    const { value } = useCall(readValidator, [look]);
    return useMemo(() => new Map(value?.standing.miners.map((row) => [row.miner, row.shareMillionths])), [value]);
}

/** How each miner has worked in the last day; nothing for whoever may not list all pools of the namespace. */
function useTrends(namespace: string): Trends | undefined {
    const [look, setLook] = useState(0);
    useEffect(() => {
        const timer = setInterval(() => setLook((old) => old + 1), TRENDS_EVERY);
        return () => clearInterval(timer);
    }, []);
    return useCall((signal) => readTrends(namespace, signal), [namespace, look]).value;
}

const FILTERS = { ready: "ready", away: "not ready", faulty: "with faults of the last day", earning: "with a share" };

function Leaderboard({ of, total, namespace }: { of: readonly PoolRow[]; total: number; namespace: string }) {
    const [search, setSearch] = useQuery("miner", "");
    const [only, setOnly] = useQuery("only", "");
    const text = search.trim().toLowerCase();
    const shares = useShares();
    const trends = useTrends(namespace);
    const trendOf = (row: PoolRow) => (row.identity !== null && trends && Object.hasOwn(trends.miners, row.identity) ? trends.miners[row.identity] : undefined);
    const passes = (row: PoolRow) => {
        if (only === "ready") return row.ready;
        if (only === "away") return !row.ready;
        if (only === "faulty") return (trendOf(row)?.faults ?? 0) > 0;
        if (only === "earning") return (shareOf(row) ?? 0) > 0;
        return true;
    };
    const shareOf = (row: PoolRow) => (row.identity === null ? undefined : shares.get(row.identity));
    const ranked = of.map((row, at) => ({ row, rank: at + 1 }));
    const found = ranked.filter(({ row }) => passes(row) && `${row.namespace}/${row.name} ${row.identity ?? ""}`.toLowerCase().includes(text));
    if (of.length === 0) return <Empty>There are no MinerPools yet.</Empty>;
    return (
        <>
            <div class="filters">
                <input type="search" aria-label="Search miners by pool or identity" placeholder="pool or identity" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
                <select aria-label="Which miners" value={Object.hasOwn(FILTERS, only) ? only : ""} onChange={(e) => setOnly(e.currentTarget.value)}>
                    <option value="">all miners</option>
                    {Object.entries(FILTERS).map(([word, is]) => (
                        <option key={word} value={word}>
                            {is}
                        </option>
                    ))}
                </select>
                <span class="note">{found.length < total ? `${found.length} of ${count(total)}` : `${count(total)} pools`}</span>
            </div>
            <div class="miners">
            <Table head={[["Rank", "number"], "Pool", "Miner", "Ready", ["Score", "number"], ["Share", "number"], ["Work", "number"], ["Success", "number"], ["Claims", "number"], ["p50", "number"], ["p95", "number"], ["Proof", "number"], "Last day"]}>
                {found.slice(0, 2 * SHOWN).map(({ row, rank }) => (
                    <tr key={`${row.namespace}/${row.name}`}>
                        <td class="number">{rank}</td>
                        <th scope="row">
                            <Link to={poolPath(row.namespace, row.name)}>
                                {row.namespace}/{row.name}
                            </Link>
                        </th>
                        <td>{row.identity ? <code title={row.identity}>{short(row.identity)}</code> : "–"}</td>
                        <td>
                            <Badge of={row.ready ? "Ready" : row.reason || "Unknown"} tone={row.ready ? "good" : "warn"} />
                        </td>
                        <td class="number score">
                            <span>{share(row.scoreMillionths)}</span>
                            <meter min={0} max={1e6} value={row.scoreMillionths ?? 0} aria-hidden="true" />
                        </td>
                        <td class="number">{share(shareOf(row))}</td>
                        <td class="number">{millis(row.workMillis)}</td>
                        <td class="number">{row.verified + row.invalid + row.late + row.lost > 0 ? share(row.successMillionths) : "–"}</td>
                        <td class="number" title={`${row.verified} verified, ${row.invalid} invalid, ${row.late} late, ${row.lost} lost`}>
                            {count(row.verified)} / {count(row.verified + row.invalid + row.late + row.lost)}
                        </td>
                        <td class="number">{millis(row.p50Millis)}</td>
                        <td class="number">{millis(row.p95Millis)}</td>
                        <td class="number">{bytes(trendOf(row)?.meanBytes)}</td>
                        <td>{trends && <Spark of={trendOf(row)?.verified ?? []} hours={trends.hours} />}</td>
                    </tr>
                ))}
            </Table>
            </div>
            {found.length > 2 * SHOWN && <p class="note">{found.length - 2 * SHOWN} more: search for them.</p>}
            <Export
                name="miners"
                rows={() => ({
                    head: ["rank", "namespace", "name", "identity", "scoreMillionths", "shareMillionths", "workMillis", "successMillionths", "verified", "invalid", "late", "lost", "p50Millis", "p95Millis", "meanProofBytesOfTheDay", "faultsOfTheDay", "verifiedByHour"],
                    rows: found.map(({ row, rank }) => [rank, row.namespace, row.name, row.identity, row.scoreMillionths, shareOf(row), row.workMillis, row.successMillionths, row.verified, row.invalid, row.late, row.lost, row.p50Millis, row.p95Millis, trendOf(row)?.meanBytes, trendOf(row)?.faults, trendOf(row)?.verified.join(" ")]),
                })}
            />
        </>
    );
}
