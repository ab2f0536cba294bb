/**
 * The frame of a chart over time: its words are the page's own text, so that they stay readable however narrow it is; what is drawn
 * fills the width that there is.
 */
import type { ComponentChildren } from "preact";

export const WIDTH = 720;
export const HEIGHT = 140;
/** Above the highest bar. */
export const ROOM = 6;

interface Words {
    /** What is drawn, for who does not see it. */
    said: string;
    /** What the greatest height stands for: of the bars, of the line. */
    bars: string;
    line?: string | undefined;
    /** When it begins. */
    from: string;
    keys: readonly [string, string][];
    children: ComponentChildren;
}

export const Plot = ({ said, bars, line, from, keys, children }: Words) => (
    <figure class="chart">
        <p class="ends">
            <span>{bars}</span>
            <span>{line}</span>
        </p>
        <svg class="plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={said}>
            {children}
        </svg>
        <p class="ends">
            <span>{from}</span>
            <span>now</span>
        </p>
        <figcaption class="legend">
            {keys.map(([kind, what]) => (
                <span key={kind} class={`key ${kind}`}>
                    {what}
                </span>
            ))}
        </figcaption>
    </figure>
);
