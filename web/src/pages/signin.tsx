import { useState } from "preact/hooks";
import type { ApiError } from "../api.js";
import { CommandLine, Failed, useTitle } from "../parts/common.js";

/** A namespace's name, or nothing. */
const NAME = /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$/;

export function SignIn({
    enter,
    namespace,
    why,
    more,
}: {
    enter: (token: string, namespace: string) => void;
    namespace: string;
    why: ApiError | undefined;
    /** Whether it is what is here that asks for a token, and not all there is. */
    more?: boolean;
}) {
    useTitle("Sign in");
    const [token, setToken] = useState("");
    const [place, setPlace] = useState(namespace);
    const good = token.trim() !== "" && NAME.test(place.trim());
    const submit = (event: Event) => {
        event.preventDefault();
        if (good) enter(token.trim(), place.trim());
    };
    return (
        <form class="card narrow" onSubmit={submit}>
            <h1>Who looks?</h1>
            {why && <Failed error={why} />}
            {more && <p>Everybody may look at this network's figures; single requests, Models and the Studio are for whoever may read them.</p>}
            <p>
                The operator shows each viewer what their own token may read, and nothing more. The token is held in this page's memory
                and forgotten with it.
            </p>
            <label>
                Token
                <input
                    type="password"
                    autocomplete="off"
                    spellcheck={false}
                    value={token}
                    onInput={(event) => setToken(event.currentTarget.value)}
                    required
                />
            </label>
            <label>
                Namespace
                <input
                    autocomplete="off"
                    spellcheck={false}
                    value={place}
                    placeholder="all that you may list"
                    aria-invalid={!NAME.test(place.trim())}
                    onInput={(event) => setPlace(event.currentTarget.value)}
                />
            </label>
            <button type="submit" disabled={!good}>
                Show
            </button>
            <p class="note">A token of a ServiceAccount that may read them:</p>
            <CommandLine text="kubectl create token NAME -n NAMESPACE" />
            <p class="note">
                Of <code>operator local --web</code> open the address that it has printed: it holds the run's own secret.
            </p>
        </form>
    );
}
