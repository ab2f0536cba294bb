/** Tables as files. Pure, so that it is tested without a page. */

export type Cell = string | number | null | undefined;
export interface Rows {
    head: string[];
    rows: Cell[][];
}

/** RFC 4180. A text that a spreadsheet would take for a formula is marked as a text: names are written by strangers. */
export function csv({ head, rows }: Rows): string {
    const field = (cell: Cell) => {
        if (cell === null || cell === undefined) return "";
        if (typeof cell === "number") return String(cell);
        const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
        return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
    };
    return [head, ...rows].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
}

/** A list of objects, one for each row. */
export function json({ head, rows }: Rows): string {
    const object = (row: Cell[]) => Object.fromEntries(head.map((name, at) => [name, row[at] ?? null]));
    return `${JSON.stringify(rows.map(object), null, 1)}\n`;
}
