/** A miner's last day in a table's cell: a bar for each hour. One path, whatever it shows: a table has a hundred of them. */
import { count } from "../format.js";

const WIDTH = 96;
const HEIGHT = 20;

export function Spark({ of, hours }: { of: readonly number[]; hours: number }) {
    const most = of.reduce((most, value) => Math.max(most, value), 1);
    const step = WIDTH / of.length;
    const bars = of.map((value, at) => (value > 0 ? `M${(at * step).toFixed(1)} ${HEIGHT}v-${Math.max(1, (value / most) * HEIGHT).toFixed(1)}h${(step * 0.8).toFixed(1)}V${HEIGHT}z` : "")).join("");
    const sum = of.reduce((sum, value) => sum + value, 0);
    return (
        <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${count(sum)} verified in the last ${hours} hours`}>
            <path class="good" d={bars} />
        </svg>
    );
}
