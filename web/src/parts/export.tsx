/** Saves a table that is shown: all of its rows, those that are not on the screen too. */
import { type Rows, csv, json } from "../table.js";
import { save } from "./save.js";

export const Export = ({ name, rows }: { name: string; rows: () => Rows }) => (
    <p class="row export">
        <button type="button" class="plain" onClick={() => save(`${name}.csv`, "text/csv", csv(rows()))} aria-label={`Save ${name} as CSV`}>
            CSV
        </button>
        <button type="button" class="plain" onClick={() => save(`${name}.json`, "application/json", json(rows()))} aria-label={`Save ${name} as JSON`}>
            JSON
        </button>
    </p>
);
