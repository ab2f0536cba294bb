/**
 * Server-sent events, read from a call's body: unlike `EventSource`, a call can carry the viewer's token in a header.
 *
 * Invariant: it holds no more than one event, and no event is longer than its bound.
 */

export interface Event {
    name: string;
    data: string;
}

/** The longest event, in characters. */
export const MAX_EVENT = 16 << 20;

export class Events {
    private rest = "";

    /** The events that end in this text; what has not ended waits for more. */
    take(text: string): Event[] {
        this.rest += text;
        if (this.rest.length > MAX_EVENT) throw new Error("an event is longer than this page reads");
        const parts = this.rest.split("\n\n");
        this.rest = parts.pop() ?? "";
        return parts.map(one).filter((event) => event.data !== "");
    }
}

function one(part: string): Event {
    let name = "message";
    const data: string[] = [];
    for (const line of part.split("\n")) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
    }
    return { name, data: data.join("\n") };
}
