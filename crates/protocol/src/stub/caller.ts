interface Tensor {
  name: string;
  datatype: string;
  rank: number;
}

interface Answer {
  outputs: { name: string; datatype: string; shape: number[]; data: unknown[] }[];
}

/** The server said no. `requestId` finds the request in its log. */
export class PredictionError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly requestId: string | null,
  ) {
    super(message);
    this.name = "PredictionError";
  }
}

/** Asks for a prediction. `url`: http://HOST:PORT; `options`: for `fetch`, as `signal`. */
export async function predict(url: string, token: string, inputs: Inputs, options: RequestInit = {}): Promise<Outputs> {
  const given = inputs as unknown as Record<string, unknown>;
  const tensors = INPUTS.filter(({ name }) => given[name] !== undefined).map(({ name, datatype, rank }) => {
    const data = given[name];
    check(name, datatype, data);
    return { name, datatype, shape: sizes(data, rank), data };
  });
  const answer = await fetch(`${url.replace(/\/+$/, "")}/v2/models/${encodeURIComponent(ENDPOINT)}/infer`, {
    ...options,
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ inputs: tensors }),
  });
  const text = await answer.text();
  if (!answer.ok) {
    throw new PredictionError(reason(text), answer.status, answer.headers.get("x-request-id"));
  }
  const found = (JSON.parse(text) as Answer).outputs;
  const outputs: Record<string, unknown> = {};
  for (const { name, datatype, rank } of OUTPUTS) {
    const tensor = found.find((it) => it.name === name);
    if (tensor === undefined || tensor.datatype !== datatype || tensor.shape.length !== rank) {
      throw new Error(`${ENDPOINT} answers otherwise now: make this file anew`);
    }
    const elements = tensor.data.map((element) => read(name, datatype, element));
    outputs[name] = nest(elements, tensor.shape);
  }
  return outputs as unknown as Outputs;
}

/** JSON has no NaN, no infinity, and no whole number that a `number` cannot hold: none of them is sent as another. */
function check(name: string, datatype: string, value: unknown): void {
  if (Array.isArray(value)) {
    value.forEach((element) => check(name, datatype, element));
  } else if (typeof value === "number" && !(datatype.includes("INT") ? Number.isSafeInteger(value) : Number.isFinite(value))) {
    throw new RangeError(`${name}: ${value} cannot be sent as ${datatype} in JSON`);
  }
}

/** How long the arrays are, which are in each other. */
function sizes(value: unknown, rank: number): number[] {
  const found: number[] = [];
  for (let at = value; found.length < rank; at = Array.isArray(at) ? at[0] : undefined) {
    found.push(Array.isArray(at) ? at.length : 0);
  }
  return found;
}

/** Floats that are no numbers come as text. */
function read(name: string, datatype: string, element: unknown): unknown {
  if (/^B?FP?\d/.test(datatype)) {
    return Number(element);
  }
  if (datatype.includes("INT") && !Number.isSafeInteger(element)) {
    throw new RangeError(`${name}: there is a ${datatype} that a number cannot hold`);
  }
  return element;
}

function nest(flat: unknown[], shape: number[]): unknown {
  const [size, ...rest] = shape;
  if (size === undefined) {
    return flat[0];
  }
  const step = size === 0 ? 0 : flat.length / size;
  return Array.from({ length: size }, (_, at) => nest(flat.slice(at * step, (at + 1) * step), rest));
}

function reason(text: string): string {
  try {
    return (JSON.parse(text) as { error: string }).error;
  } catch {
    return text;
  }
}
