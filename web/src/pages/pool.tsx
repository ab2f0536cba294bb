/** A miner: its pool, and why it has its score, as `prover-worker ledger explain` finds it. */
import { type Explained, type Overview, readPool } from "../api.js";
import { bytes, count, digits, millis, share } from "../format.js";
import { Absent, Badge, Card, CommandLine, Conditions, Copied, Empty, Failed, Figure, Table, useCall, useNow, useTitle } from "../parts/common.js";
import { Export } from "../parts/export.js";
import { HistoryCard } from "../parts/history.js";
import { Trend } from "../parts/trend.js";

export function PoolPage({ namespace, name, overview }: { namespace: string; name: string; overview: Overview | undefined }) {
    useTitle(`${namespace}/${name}`);
    const now = useNow();
    const row = overview?.pools?.list.find((one) => one.namespace === namespace && one.name === name);
    const claims = row && row.verified + row.invalid + row.late + row.lost;
    const { value, error } = useCall((signal) => readPool(namespace, name, signal), [namespace, name, claims, row?.scoreMillionths]);
    if (!value) return <Absent kind="MinerPool" name={`${namespace}/${name}`} error={error} />;
    const { status } = value.pool;
    const condition = status?.conditions?.find((condition) => condition.type === "Ready");
    const ready = condition ? condition.status === "True" : row?.ready;
    const reason = condition?.reason ?? row?.reason;
    const failures = Object.entries(status?.failures ?? {}).sort(([, a], [, b]) => b - a);
    return (
        <>
            <h1>
                <span class="kind">MinerPool</span> {namespace}/{name}{" "}
                <Badge of={ready ? "Ready" : (reason ?? "Unknown")} tone={ready ? "good" : "warn"} />
            </h1>
            {error && <Failed error={error} />}
            <dl class="figures">
                <Figure label="Score" value={share(status?.scoreMillionths)} note="how good its work is, however much it is" />
                <Figure label="Share" value={share(value.why?.score.shareMillionths)} note="of all that miners have earned" />
                <Figure label="Work delivered" value={millis(status?.workDelivered)} note="predicted, on one core" />
                <Figure label="Success" value={share(status?.successMillionths)} />
                <Figure label="Slice p50" value={millis(status?.p50Millis)} />
                <Figure label="Slice p95" value={millis(status?.p95Millis)} />
            </dl>
            <Card title="Miner">{status?.identity ? <Copied text={status.identity} /> : <Empty>It has no identity yet.</Empty>}</Card>
            {value.why ? <Why of={value.why} name={name} miner={status?.identity ?? ""} /> : (
                <Card title="Why this score">
                    <Empty>No claim of it bears on a score yet: its own faults do, and verified work that is long enough to be compared and that miners of two owners could have taken.</Empty>
                </Card>
            )}
            {status?.identity && <HistoryCard of={{ kind: "pools", namespace, name }} name={`${name}-history`} note="claims of this miner that ended, by the ledger; more than a week is told by the day" />}
            <Card title="Claims that ended without a proof that counts" note="all of them, by cause">
                {failures.length === 0 ? (
                    <Empty>There are none.</Empty>
                ) : (
                    <Table head={["Cause", ["Claims", "number"]]}>
                        {failures.map(([cause, many]) => (
                            <tr key={cause}>
                                <th scope="row">{cause}</th>
                                <td class="number">{count(many)}</td>
                            </tr>
                        ))}
                    </Table>
                )}
                {failures.length > 0 && <Export name={`${name}-failures`} rows={() => ({ head: ["cause", "claims"], rows: failures })} />}
            </Card>
            {status?.conditions && (
                <Card title="Conditions">
                    <Conditions of={status.conditions} now={now} />
                </Card>
            )}
        </>
    );
}

function Why({ of, name, miner }: { of: Explained; name: string; miner: string }) {
    const { score, rule } = of;
    const steps: [string, string, string][] = [
        ["Earned", score.credit, "by verified work, the older the less"],
        ["Owed", score.debit, "for its own faults"],
        ["Possible", score.possible, "what its work could have earned"],
        ["Proofs", `${count(score.samples)} of ${count(rule.coldStart)}`, "that are needed before there is a score"],
        ["Left", score.net, "after what the owner's identities owe together"],
        ["Weight", score.uncapped, "before the owner's cap"],
        ["Capped weight", score.weight, `an owner has at most ${share(rule.ownerCapMillionths)}`],
        ["Score", share(score.scoreMillionths), "earned less owed, of what was possible"],
        ["Share", share(score.shareMillionths), "its weight, of all weights"],
    ];
    return (
        <>
            <Card title="Why this score" note={`${rule.name}, of the last ${rule.windowHours} hours`}>
                {score.why && <p class="banner">{score.why}</p>}
                <Table head={["Step", ["Value", "number"], "Is"]}>
                    {steps.map(([step, value, is]) => (
                        <tr key={step}>
                            <th scope="row">{step}</th>
                            <td class="number">{digits(value)}</td>
                            <td class="message">{is}</td>
                        </tr>
                    ))}
                </Table>
                <Export name={`${name}-score`} rows={() => ({ head: ["step", "value", "is"], rows: steps })} />
                <p class="note">
                    Owner {score.owner}; rule <Copied text={rule.digest} cut />. Whoever has the signed ledger finds the same:
                </p>
                <CommandLine text={`prover-worker ledger explain SEGMENTS --miner ${miner} --at ${of.at}`} />
            </Card>
            {of.claims.length > 0 && <Trend of={of} name={name} />}
            <Card title="Claims" note={of.count > of.claims.length ? `the latest ${of.claims.length} of ${count(of.count)} that bear on it` : "all that bear on it, the latest first"}>
                {of.claims.length === 0 ? (
                    <Empty>There are none in the window.</Empty>
                ) : (
                    <>
                        <Table head={["Ended", "End", ["Slice", "number"], ["Attempt", "number"], ["Work", "number"], ["Took", "number"], ["Proof", "number"], ["Worth", "number"], "Claim"]}>
                            {of.claims.map((claim) => (
                                <tr key={claim.claim}>
                                    <td>
                                        <time dateTime={new Date(claim.at).toISOString()}>{new Date(claim.at).toISOString().slice(0, 19).replace("T", " ")}</time>
                                    </td>
                                    <td>
                                        <Badge of={claim.end} tone={claim.end === "Verified" ? "good" : claim.worth.startsWith("-") ? "bad" : "dull"} />
                                    </td>
                                    <td class="number">{claim.slice}</td>
                                    <td class="number">{claim.attempt}</td>
                                    <td class="number">{millis(claim.workMicros / 1000)}</td>
                                    <td class="number">{millis(claim.micros / 1000)}</td>
                                    <td class="number">{bytes(claim.bytes)}</td>
                                    <td class="number">{digits(claim.worth)}</td>
                                    <td>
                                        <Copied text={claim.claim} cut />
                                    </td>
                                </tr>
                            ))}
                        </Table>
                        <Export
                            name={`${name}-claims`}
                            rows={() => ({
                                head: ["atUnixMillis", "end", "request", "slice", "attempt", "workMicros", "micros", "bytes", "worth", "claim"],
                                rows: of.claims.map((c) => [c.at, c.end, c.request, c.slice, c.attempt, c.workMicros, c.micros, c.bytes, c.worth, c.claim]),
                            })}
                        />
                    </>
                )}
            </Card>
        </>
    );
}
