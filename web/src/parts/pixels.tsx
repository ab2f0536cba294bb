/** A tensor as the image that it is, if its shape is one's: its least value is black, its greatest white. */
import { useEffect, useRef } from "preact/hooks";
import { picture, toPixels } from "../tensor.js";

export function Pixels({ shape, data, name }: { shape: readonly number[]; data: readonly number[]; name: string }) {
    const canvas = useRef<HTMLCanvasElement>(null);
    const of = picture(shape);
    useEffect(() => {
        const context = of && canvas.current?.getContext("2d");
        const rgba = toPixels(shape, data);
        if (context && rgba) context.putImageData(new ImageData(rgba, of.width, of.height), 0, 0);
    }, [shape, data]);
    return of ? <canvas ref={canvas} class="picture" width={of.width} height={of.height} role="img" aria-label={`${name} as an image of ${of.width} × ${of.height} pixels`} /> : null;
}
