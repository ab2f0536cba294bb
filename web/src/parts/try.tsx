/** An input for a Model: typed, from a file, made up, or an image; and a request to prove the answer to it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, type FloatOutput, MAX_UPLOAD, type Tried, makeRequest, readTensors, tryInput, upload } from "../api.js";
import { bytes, count, float } from "../format.js";
import { type Fields, type Input, MAX_INLINE, request, yaml } from "../objects.js";
import { go, requestPath } from "../route.js";
import { SCALES, type Scale, type Taken, type Tensor, example, fromPixels, npy, outside, picture, size, typed } from "../tensor.js";
import { Answer } from "./answer.js";
import { Card, Failed, Loading, Room, useCall } from "./common.js";
import { Drop, SaveButton, sha256 } from "./files.js";
import { save } from "./save.js";
import { Pixels } from "./pixels.js";

/** Numbers that are shown to be changed; a larger input is made, dropped or taken from an image. */
const TYPED = 2048;

export function TryCard({ namespace, name }: { namespace: string; name: string }) {
    const { value, error } = useCall((signal) => readTensors(namespace, name, signal), [namespace, name]);
    return (
        <Card title="Try an input" note="and have the answer proved" class="try">
            <Room of="20.5rem">
                {error ? <Failed error={error} /> : value ? <Try namespace={namespace} name={name} inputs={value.inputs} /> : <Loading what="what the Model takes" />}
            </Room>
        </Card>
    );
}

function Try({ namespace, name, inputs }: { namespace: string; name: string; inputs: Taken[] }) {
    const [tensors, setTensors] = useState<Record<string, Tensor>>(() => Object.fromEntries(inputs.map((input, at) => [input.name, example(input, at + 1)])));
    const [wrong, setWrong] = useState<Record<string, string>>(() => Object.fromEntries(inputs.map((input) => [input.name, ""])));
    const [file, setFile] = useState<File>();
    const [error, setError] = useState<Error>();
    const [doing, setDoing] = useState("");
    const [answer, setAnswer] = useState<Tried>();
    const give = (input: Taken, tensor: Tensor) => {
        setFile(undefined);
        setAnswer(undefined);
        setTensors((old) => ({ ...old, [input.name]: tensor }));
        setWrong((old) => ({ ...old, [input.name]: "" }));
    };
    const bad = !file && Object.values(wrong).some((why) => why !== "");
    const id = useRef(randomName(name));
    /** What the request names; what is too large for it is handed in before. */
    const input = async (): Promise<Input> => {
        const values = Object.values(tensors).reduce((sum, tensor) => sum + tensor.data.length, 0);
        if (!file && values <= MAX_INLINE) return { inline: tensors };
        const [only] = Object.values(tensors);
        const data = file
            ? new Uint8Array(await file.arrayBuffer())
            : inputs.length === 1 && only
              ? npy(only)
              : new TextEncoder().encode(JSON.stringify(Object.fromEntries(Object.entries(tensors).map(([of, tensor]) => [of, nested(tensor.shape, tensor.data)]))));
        return { artifact: await handIn(namespace, data) };
    };
    const prove = async () => {
        setError(undefined);
        try {
            setDoing("Handing the input in …");
            const of = await input();
            setDoing("Making the request …");
            await makeRequest(namespace, id.current, request(namespace, id.current, name, of));
            go(requestPath(namespace, id.current));
            scrollTo(0, 0);
        } catch (error) {
            setError(error instanceof Error ? error : new Error(String(error)));
            setDoing("");
        }
    };
    const attempt = async () => {
        setError(undefined);
        setDoing("Trying it …");
        try {
            setAnswer(await tryInput(namespace, name, tensors as unknown as Fields));
        } catch (error) {
            setAnswer(undefined);
            setError(error instanceof Error ? error : new Error(String(error)));
        }
        setDoing("");
    };
    return (
        <>
            {!file && inputs.map((one) => <One key={one.name} input={one} tensor={tensors[one.name]!} wrong={wrong[one.name]!} give={(tensor) => give(one, tensor)} refuse={(why) => setWrong((old) => ({ ...old, [one.name]: why }))} />)}
            {file ? (
                <p class="row">
                    <span>
                        The input is the file <strong>{file.name}</strong> of {bytes(file.size)}.
                    </span>
                    <button type="button" onClick={() => setFile(undefined)}>
                        Use numbers instead
                    </button>
                </p>
            ) : (
                <details>
                    <summary>From a file</summary>
                    <Drop
                        title="Drop .npy, .npz or .json here, or choose one"
                        note={inputs.length === 1 ? "the tensor of the input" : "tensors by input name"}
                        accept=".npy,.npz,.json"
                        take={setFile}
                    />
                </details>
            )}
            {error && <Failed error={error} />}
            <p class="row">
                <button type="button" class="main" onClick={prove} disabled={bad || doing !== ""}>
                    Prove it
                </button>
                <button type="button" onClick={attempt} disabled={bad || file !== undefined || doing !== ""}>
                    Only try it
                </button>
                <SaveButton get={async () => save(`${id.current}.yaml`, "application/yaml", yaml(request(namespace, id.current, name, await input())))}>Save as YAML</SaveButton>
                <span class="note" role="status">
                    {doing || (file ? "A file is proved as it is: numbers can be tried." : "")}
                </span>
            </p>
            {answer?.integers.map((one) => (
                <Answer
                    key={one.name}
                    name={`${name}-tried`}
                    of={{ name: one.name, shape: one.shape, values: one.values.map((value) => value ?? NaN), ...ranked(one) }}
                    float={answer.floats?.find((other) => other.name === one.name)}
                    why={answer.why === null ? undefined : new Error(answer.why)}
                    done
                    tried
                />
            ))}
        </>
    );
}

/** The class, where an output has a score for each. */
function ranked({ shape, values }: FloatOutput): { class?: number } {
    if (shape.length !== 2 || shape[0] !== 1 || values.length < 2) return {};
    return { class: values.reduce<number>((best, value, at) => ((value ?? -Infinity) > (values[best] ?? -Infinity) ? at : best), 0) };
}

function One({ input, tensor, wrong, give, refuse }: { input: Taken; tensor: Tensor; wrong: string; give: (tensor: Tensor) => void; refuse: (why: string) => void }) {
    const small = size(input.shape) <= TYPED;
    const [text, setText] = useState(() => written(tensor));
    const [seed, setSeed] = useState(1);
    const far = wrong === "" ? outside(input, tensor) : 0;
    const set = (given: Tensor) => {
        setText(written(given));
        give(given);
    };
    const type = (given: string) => {
        setText(given);
        try {
            give(typed(input, given));
        } catch (error) {
            refuse(error instanceof Error ? error.message : String(error));
        }
    };
    return (
        <fieldset class="input">
            <legend>
                {input.name} <span class="note">{input.shape.join(" × ") || "scalar"}, {input.whole ? "whole numbers" : "numbers"} from {float(input.least)} to {float(input.greatest)}</span>
            </legend>
            {small ? (
                <textarea aria-label={`Numbers of input ${input.name}`} rows={3} spellcheck={false} value={text} aria-invalid={wrong !== ""} onInput={(event) => type(event.currentTarget.value)} />
            ) : (
                <p class="note">
                    {count(tensor.data.length)} values: {tensor.data.slice(0, 6).map(float).join(", ")}, …
                </p>
            )}
            <Pixels shape={tensor.shape} data={tensor.data} name={`Input ${input.name}`} />
            <p class="row">
                <button
                    type="button"
                    onClick={() => {
                        setSeed(seed + 1);
                        set(example(input, 1000 * seed + 7));
                    }}
                >
                    Another example
                </button>
                <button type="button" onClick={() => set({ shape: [...input.shape], data: new Array<number>(size(input.shape)).fill(0) })}>
                    Zeros
                </button>
            </p>
            {picture(input.shape) && <Picture input={input} give={set} refuse={refuse} />}
            {wrong !== "" && (
                <p class="wrong" role="alert">
                    {wrong}
                </p>
            )}
            {far > 0 && (
                <p class="wrong" role="status">
                    {count(far)} values are outside of what calibration has seen: the request may fail with OutOfCalibratedRange.
                </p>
            )}
        </fieldset>
    );
}

function Picture({ input, give, refuse }: { input: Taken; give: (tensor: Tensor) => void; refuse: (why: string) => void }) {
    const canvas = useRef<HTMLCanvasElement>(null);
    const [scale, setScale] = useState<Scale>("0 to 1");
    const [pixels, setPixels] = useState<Uint8ClampedArray>();
    const of = picture(input.shape)!;
    const open = async (file: File) => {
        try {
            const image = await createImageBitmap(file);
            const context = canvas.current?.getContext("2d", { willReadFrequently: true });
            if (!context) throw new Error("This browser draws no images.");
            context.fillStyle = "#fff";
            context.fillRect(0, 0, of.width, of.height);
            context.drawImage(image, 0, 0, of.width, of.height);
            image.close();
            setPixels(context.getImageData(0, 0, of.width, of.height).data);
        } catch (error) {
            refuse(`${file.name}: ${error instanceof Error ? error.message : "not an image that this browser reads"}`);
        }
    };
    useEffect(() => {
        if (pixels) give(fromPixels(input, pixels, scale));
    }, [pixels, scale]);
    return (
        <details>
            <summary>From an image</summary>
            <Drop title="Drop an image here, or choose one" note={`it is drawn as ${of.width} × ${of.height} pixels, ${of.channels === 3 ? "in colours" : "in grey"}, in this page`} accept="image/*" take={(file) => void open(file)} />
            <p class="row">
                <canvas ref={canvas} hidden width={of.width} height={of.height} />
                <label>
                    Values
                    <select value={scale} onChange={(event) => setScale(event.currentTarget.value as Scale)}>
                        {SCALES.map((one) => (
                            <option key={one}>{one}</option>
                        ))}
                    </select>
                </label>
            </p>
        </details>
    );
}

const written = (tensor: Tensor) => (tensor.data.length <= TYPED ? tensor.data.join(", ") : "");

function nested(shape: readonly number[], data: readonly number[]): unknown {
    const [first, ...inner] = shape;
    if (first === undefined) return data[0];
    const each = size(inner);
    return Array.from({ length: first }, (_, at) => nested(inner, data.slice(at * each, (at + 1) * each)));
}

function randomName(model: string): string {
    const hex = [...crypto.getRandomValues(new Uint8Array(4))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${model.slice(0, 50).replace(/-+$/, "")}-${hex}`;
}

/** Hands a file in; its digest. */
export async function handIn(namespace: string, data: Uint8Array<ArrayBuffer>): Promise<string> {
    if (data.length === 0) throw new ApiError("InvalidBody", "The file is empty.");
    if (data.length > MAX_UPLOAD) throw new ApiError("TooLarge", `The file has ${bytes(data.length)}; at most ${bytes(MAX_UPLOAD)} are taken.`);
    const digest = await sha256(data);
    if (!digest) {
        throw new ApiError("Failed", "This browser computes digests only for pages of this machine or with TLS: open the page under localhost, or https.");
    }
    await upload(namespace, digest, data);
    return digest;
}
