/** Numbers as people read them, always with their unit. */

/** A time: `850 ms`, `1.25 s`, `3 min 20 s`. */
export function millis(value: number | null | undefined): string {
    if (value === null || value === undefined) return "–";
    if (value < 10) return `${Number(value.toPrecision(2))} ms`;
    if (value < 1000) return `${Math.round(value)} ms`;
    if (value < 60_000) return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
    const seconds = Math.round(value / 1000);
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** A predicted time, told to the microsecond where it is short: `850 µs`, `12.4 ms`. */
export function micros(value: number): string {
    if (value < 1000) return `${Math.round(value)} µs`;
    return value < 100_000 ? `${(value / 1000).toFixed(1)} ms` : millis(value / 1000);
}

/** A time between two moments of objects, which are told to the second: `under 1 s`, `12 s`, `3 min 20 s`. */
export function seconds(value: number | null | undefined): string {
    if (value === null || value === undefined) return "–";
    if (value < 1000) return "under 1 s";
    return value < 60_000 ? `${Math.round(value / 1000)} s` : millis(value);
}

/** A size: `812 B`, `45.2 KiB`. */
export function bytes(value: number | null | undefined): string {
    if (value === null || value === undefined) return "–";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let at = 0;
    while (value >= 1024 && at < units.length - 1) {
        value /= 1024;
        at++;
    }
    return `${at === 0 ? value : value.toFixed(1)} ${units[at]}`;
}

/** A share that is given in millionths: `98.5 %`. */
export function share(millionths: number | null | undefined): string {
    if (millionths === null || millionths === undefined) return "–";
    const percent = millionths / 1e4;
    return `${percent >= 99.95 || percent === 0 ? percent.toFixed(0) : percent >= 1 ? percent.toFixed(1) : percent.toPrecision(2)} %`;
}

/** A count with its thousands apart. */
export function count(value: number): string {
    return value.toLocaleString("en-US");
}

/** A whole number of any length, as a text, with its thousands apart; whatever else it is stays as it is. */
export function digits(text: string): string {
    return /^-?\d+$/.test(text) ? text.replace(/\B(?=(\d{3})+$)/g, ",") : text;
}

/** How long ago something was. */
export function ago(at: number, now: number): string {
    const since = Math.max(0, now - at);
    if (since < 1000) return "now";
    if (since < 60_000) return `${Math.floor(since / 1000)} s ago`;
    if (since < 3_600_000) return `${Math.floor(since / 60_000)} min ago`;
    if (since < 172_800_000) return `${Math.floor(since / 3_600_000)} h ago`;
    return `${Math.floor(since / 86_400_000)} d ago`;
}

/** A digest or key by its beginning and its end; the whole of it is in a title, or copied. */
export function short(text: string): string {
    const [, hex = text] = /^[a-z0-9]+:([0-9a-f]{16,})$/.exec(text) ?? [];
    return hex.length > 20 ? `${hex.slice(0, 8)}…${hex.slice(-6)}` : hex;
}

/** A float of an answer. */
export function float(value: number): string {
    return Number.isInteger(value) ? String(value) : value.toPrecision(6).replace(/\.?0+($|e)/, "$1");
}

/** `UnsupportedNodes` as people write it. */
export function words(reason: string): string {
    return reason.replace(/([a-z0-9])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
}
