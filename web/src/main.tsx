import { type ComponentChildren, render } from "preact";
import { useEffect, useErrorBoundary, useState } from "preact/hooks";
import { ApiError, NAMESPACE, type Overview, follow, forgetToken, giveToken, isPublic, takeToken } from "./api.js";
import { OverviewPage } from "./pages/overview.js";
import { ModelPage } from "./pages/model.js";
import { PoolPage } from "./pages/pool.js";
import { ReceiptPage } from "./pages/receipt.js";
import { RequestPage } from "./pages/request.js";
import { SignIn } from "./pages/signin.js";
import { StudioPage } from "./pages/studio.js";
import { ValidatorPage } from "./pages/validator.js";
import { Empty, Failed, Link, Loading, useTitle } from "./parts/common.js";
import { go, parse } from "./route.js";

/** Who looks: somebody with a token; anybody, where the Validator lets everybody look; nobody yet; or that is being asked. */
type Who = "token" | "anybody" | "nobody" | "asking";
/** What is told of no single request or Model. */
const PUBLIC = ["overview", "validator", "pool"];
const FATAL = ["UnknownToken", "Forbidden", "InvalidQuery"];

function App() {
    const [path, setPath] = useState(location.pathname);
    const [who, setWho] = useState<Who>(() => (takeToken() ? "token" : "asking"));
    const [namespace, setNamespace] = useState(() => sessionStorage.getItem(NAMESPACE) ?? "");
    const [overview, setOverview] = useState<Overview>();
    const [lost, setLost] = useState<ApiError>();
    useEffect(() => {
        const moved = () => setPath(location.pathname);
        addEventListener("popstate", moved);
        return () => removeEventListener("popstate", moved);
    }, []);
    useEffect(() => {
        if (who !== "asking") return;
        const ended = new AbortController();
        void isPublic(ended.signal).then((open) => !ended.signal.aborted && setWho(open ? "anybody" : "nobody"));
        return () => ended.abort();
    }, [who]);
    const known = who === "token" || who === "anybody";
    useEffect(() => {
        if (!known) return;
        const ended = new AbortController();
        const told = (news: Overview) => {
            setOverview(news);
            setLost(undefined);
        };
        void follow(who === "token" ? namespace : "", ended.signal, told, setLost);
        return () => ended.abort();
    }, [who, namespace]);
    const enter = (token: string, place: string) => {
        giveToken(token);
        sessionStorage.setItem(NAMESPACE, place);
        setNamespace(place);
        setOverview(undefined);
        setLost(undefined);
        setWho("token");
        if (location.pathname === "/signin") go("/");
    };
    const leave = () => {
        forgetToken();
        setWho("asking");
        setOverview(undefined);
        setLost(undefined);
    };
    const page = parse(path);
    const fatal = lost !== undefined && FATAL.includes(lost.reason);
    const content = () => {
        // A receipt is read in the page: nobody need be known for it.
        if (page.page === "receipt") return <ReceiptPage />;
        if (who === "asking") return <Loading what="who may look" />;
        if (!known || fatal || page.page === "signin") return <SignIn enter={enter} namespace={namespace} why={fatal ? lost : undefined} />;
        if (who === "anybody" && page.page !== "unknown" && !PUBLIC.includes(page.page)) {
            return <SignIn enter={enter} namespace={namespace} why={undefined} more />;
        }
        switch (page.page) {
            case "overview":
                if (overview) return <OverviewPage of={overview} all={who === "token"} namespace={who === "token" ? namespace : ""} />;
                return (
                    <>
                        <h1>Overview</h1>
                        {lost ? <Failed error={lost} /> : <Loading what="what the operator knows" />}
                    </>
                );
            case "studio":
                return <StudioPage namespace={namespace} overview={overview} />;
            case "validator":
                return <ValidatorPage />;
            case "pool":
                return <PoolPage key={path} {...page} overview={overview} />;
            case "request":
                return <RequestPage key={path} {...page} overview={overview} />;
            case "model":
                return <ModelPage key={path} {...page} overview={overview} />;
            default:
                return <NoPage />;
        }
    };
    const here = (name: string) => (page.page === name ? { "aria-current": "page" as const } : {});
    return (
        <>
            <a class="skip" href="#main">
                Skip to the page
            </a>
            <header class="top">
                <Link to="/" class="brand">
                    <img src="/icon.svg" alt="" width="24" height="24" /> zkinfer
                </Link>
                <nav aria-label="Pages">
                    <Link to="/" {...here("overview")}>
                        Overview
                    </Link>
                    <Link to="/studio" {...here("studio")}>
                        Studio
                    </Link>
                    <Link to="/validator" {...here("validator")}>
                        Validator
                    </Link>
                    <Link to="/receipt" {...here("receipt")}>
                        Receipt
                    </Link>
                </nav>
                <span class="live" role="status">
                    {known && !fatal && (
                        <span class={lost ? "dot away" : overview ? "dot" : "dot waiting"}>
                            {lost ? "not connected" : overview ? "live" : "connecting"}
                        </span>
                    )}
                </span>
                {who === "token" && (
                    <button type="button" class="plain" onClick={leave}>
                        Leave
                    </button>
                )}
                {who === "anybody" && <Link to="/signin">Sign in</Link>}
            </header>
            <main id="main" tabIndex={-1}>
                {known && lost && !fatal && overview && (
                    <p class="banner" role="alert">
                        {lost.message} What is shown is as it was; the page tries again.
                    </p>
                )}
                <Whole key={path}>{content()}</Whole>
            </main>
            <footer class="bottom">
                {who === "anybody" ? "public figures of all namespaces" : namespace ? `namespace ${namespace}` : known ? "all namespaces" : ""}
                {overview && ` · operator ${overview.version}`}
            </footer>
        </>
    );
}

/** A page that fails says so, and the others go on. */
function Whole({ children }: { children: ComponentChildren }) {
    const [broken] = useErrorBoundary();
    if (broken === undefined) return <>{children}</>;
    return (
        <>
            <h1>This page has failed</h1>
            <Failed error={new Error(`What the operator told was not what this page reads. Load it again; if it stays so, the page and the operator are not of one version. (${String(broken).slice(0, 200)})`)} />
        </>
    );
}

function NoPage() {
    useTitle("No such page");
    return (
        <>
            <h1>There is no such page</h1>
            <Empty>
                The address names none. <Link to="/">The overview</Link> is here.
            </Empty>
        </>
    );
}

render(<App />, document.getElementById("app")!);
