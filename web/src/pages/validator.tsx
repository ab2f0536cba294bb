/** The validator: the rule in force, who has which share by it, and where the signed ledger ends. */
import { useEffect, useState } from "preact/hooks";
import { type StandingRow, type Weights, readValidator } from "../api.js";
import { count, share, short } from "../format.js";
import { Badge, Card, CommandLine, Conditions, Copied, Empty, Failed, Figure, Loading, Table, Word, useCall, useNow, useTitle } from "../parts/common.js";
import { Export } from "../parts/export.js";
import { useQuery } from "../parts/query.js";

const EVERY = 10_000;
const SHOWN = 200;

export function ValidatorPage() {
    useTitle("Validator");
    const now = useNow();
    const [look, setLook] = useState(0);
    useEffect(() => {
        const timer = setInterval(() => setLook((old) => old + 1), EVERY);
        return () => clearInterval(timer);
    }, []);
    const { value, error } = useCall(readValidator, [look]);
    if (!value) {
        return (
            <>
                <h1>Validator</h1>
                {error ? <Failed error={error} /> : <Loading what="the ledger" />}
            </>
        );
    }
    const { head, standing, validators } = value;
    const { rule } = standing;
    const ruling = validators.find((one) => one.status?.settings);
    const totals = ruling?.status?.totals;
    return (
        <>
            <h1>Validator</h1>
            {error && <Failed error={error} />}
            <dl class="figures">
                <Figure label="Rule" value={<Word of={rule.name} />} note={`of the last ${rule.windowHours} hours`} />
                <Figure label="Claims in the ledger" value={count(head.entries + head.waiting)} note={head.waiting > 0 ? `${count(head.waiting)} of them not signed yet` : "all of them signed"} />
                <Figure label="Segments" value={count(head.segments)} />
                <Figure label="Miners with a share" value={count(standing.miners.filter((one) => one.shareMillionths > 0).length)} />
                {totals && <Figure label="Requests succeeded" value={count(totals.requestsSucceeded)} note={`${count(totals.requestsFailed)} ended otherwise`} />}
                {totals && <Figure label="Proofs verified" value={count(totals.slicesVerified)} />}
            </dl>
            <Card title="Shares" note="by the rule in force">
                <Shares of={standing.miners} />
            </Card>
            <Card title="Rule in force">
                <dl class="pairs">
                    {(
                        [
                            ["Digest", <Copied text={rule.digest} />],
                            ["A claim is forgotten after", `${count(rule.windowHours)} h`],
                            ["What was earned or is owed halves in", `${count(rule.halfLifeMinutes)} min`],
                            ["Proofs before there is a score", count(rule.coldStart)],
                            ["Nothing after what is no proof, for", `${count(rule.skipHours)} h`],
                            ["A fault costs, of the claim's work", share(rule.faultMillionths)],
                            ["An owner has at most", share(rule.ownerCapMillionths)],
                        ] as const
                    ).map(([what, is]) => (
                        <div key={what}>
                            <dt>{what}</dt>
                            <dd>{is}</dd>
                        </div>
                    ))}
                </dl>
            </Card>
            <Card title="Ledger's head">
                <dl class="pairs">
                    <div>
                        <dt>Signed by</dt>
                        <dd>
                            <Copied text={head.validator} />
                        </dd>
                    </div>
                    <div>
                        <dt>Last segment</dt>
                        <dd>{head.last ? <Copied text={head.last} /> : "none is written yet"}</dd>
                    </div>
                </dl>
                <p class="note">The page verifies nothing of it. Whoever has the segments can:</p>
                <CommandLine text={`prover-worker ledger verify SEGMENTS --validator ${head.validator}`} />
            </Card>
            {ruling?.status?.weights && <Publication of={ruling.status.weights} />}
            {ruling?.status?.conditions && (
                <Card title="Conditions">
                    <Conditions of={ruling.status.conditions} now={now} />
                </Card>
            )}
            <Card title="Validators">
                {validators.length === 0 ? (
                    <Empty>There is no Validator: the settings are those that the operator was started with.</Empty>
                ) : (
                    <ul class="plain-list">
                        {validators.map((one) => (
                            <li key={one.metadata.name}>
                                {one.metadata.namespace}/{one.metadata.name} <Badge of={one.status?.settings ? "InForce" : "NotInForce"} tone={one.status?.settings ? "good" : "dull"} />{" "}
                                {one.status?.settings && `network ${one.status.settings.network}, error at most ${share(one.status.settings.maxErrorMillionths)}`}
                            </li>
                        ))}
                    </ul>
                )}
            </Card>
        </>
    );
}

/** The greatest weight that a chain counts. */
const ALL_WEIGHTS = 65_535;

function Publication({ of }: { of: Weights }) {
    const greatest = of.greatest ?? [];
    return (
        <Card title="Weights" note={of.sent === undefined ? "those that were made last; they have not left yet" : `those that were made last; they have left in block ${count(of.sent)}`}>
            <dl class="pairs">
                {(
                    [
                        ["Subnet", count(of.netuid)],
                        ["Made in block", count(of.block)],
                        ["At", of.at],
                        ["File", <Copied text={of.digest} />],
                        ["Uids with a weight", count(of.uids)],
                        ["Miners without one", `${count(of.leftOut)}: no hotkey, no uid, or a revoked key`],
                        ["Next in block", count(of.next)],
                    ] as const
                ).map(([what, is]) => (
                    <div key={what}>
                        <dt>{what}</dt>
                        <dd>{is}</dd>
                    </div>
                ))}
            </dl>
            {greatest.length > 0 && (
                <>
                    <Table head={[["Uid", "number"], ["Weight", "number"], ["Of the greatest there can be", "number"]]}>
                        {greatest.map((one) => (
                            <tr key={one.uid}>
                                <td class="number">{one.uid}</td>
                                <td class="number">{count(one.weight)}</td>
                                <td class="number">{share((1e6 * one.weight) / ALL_WEIGHTS)}</td>
                            </tr>
                        ))}
                    </Table>
                    <Export name="weights" rows={() => ({ head: ["uid", "weight"], rows: greatest.map((one) => [one.uid, one.weight]) })} />
                </>
            )}
        </Card>
    );
}

function Shares({ of }: { of: readonly StandingRow[] }) {
    const [search, setSearch] = useQuery("miner", "");
    const text = search.trim().toLowerCase();
    const found = of.filter((row) => `${row.miner} ${row.owner}`.toLowerCase().includes(text));
    if (of.length === 0) return <Empty>No claim bears on a score yet.</Empty>;
    return (
        <>
            <div class="filters">
                <input type="search" aria-label="Search by miner or owner" placeholder="miner or owner" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
            </div>
            {found.length === 0 && <Empty>No miner is like that.</Empty>}
            <Table head={["Miner", "Owner", ["Share", "number"], ["Score", "number"], ["Proofs", "number"], "Why not more"]}>
                {found.slice(0, SHOWN).map((row) => (
                    <tr key={row.miner}>
                        <th scope="row">
                            <code title={row.miner}>{short(row.miner)}</code>
                        </th>
                        <td>{row.owner}</td>
                        <td class="number">{share(row.shareMillionths)}</td>
                        <td class="number">{share(row.scoreMillionths)}</td>
                        <td class="number">{count(row.samples)}</td>
                        <td class="message">{row.why}</td>
                    </tr>
                ))}
            </Table>
            {found.length > SHOWN && <p class="note">{count(found.length - SHOWN)} more: search for them, or save them all.</p>}
            <Export
                name="shares"
                rows={() => ({
                    head: ["miner", "owner", "shareMillionths", "scoreMillionths", "samples", "credit", "debit", "weight", "why"],
                    rows: found.map((row) => [row.miner, row.owner, row.shareMillionths, row.scoreMillionths, row.samples, row.credit, row.debit, row.weight, row.why]),
                })}
            />
        </>
    );
}
