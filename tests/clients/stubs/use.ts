// A program by the stub of `color-size`: it is compiled, and run.
import { ENDPOINT, PredictionError, predict, type Inputs, type Outputs } from "./color_size.js";

declare const process: { env: Record<string, string> };

const url = process.env["BOTTEGA_URL"]!;
const token = process.env["BOTTEGA_TOKEN"]!;

function must(so: boolean, what: string): void {
  if (!so) throw new Error(what);
}

const inputs: Inputs = { color: [["red"], ["blue"]], size: [[1.5], [9]] };
const answer: Outputs = await predict(url, token, inputs);
const labels: string[] = answer.label;
const probabilities: number[][] = answer.probabilities;
must(ENDPOINT === "color-size" && labels.length === 2, JSON.stringify(answer));
must(probabilities.every((row) => row.length === 2 && Math.abs(row[0]! + row[1]! - 1) < 1e-5), JSON.stringify(answer));

async function refused(call: () => Promise<unknown>, kind: new (...given: never[]) => Error, word: string): Promise<void> {
  const found = await call().then(
    () => undefined,
    (error: unknown) => error,
  );
  must(found instanceof kind && found.message.includes(word), `not refused by ${word}: ${String(found)}`);
}

await refused(() => predict(url, "bt_wrong", inputs), PredictionError, "token");
await refused(() => predict(url, token, { ...inputs, size: [[1.5], [1, 2]] }), PredictionError, "size");
await refused(() => predict(url, token, { ...inputs, size: [[NaN], [1]] }), RangeError, "NaN");
console.log(JSON.stringify(labels));
