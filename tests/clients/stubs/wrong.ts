// What the types of the stub forbid.
import { predict } from "./color_size.js";

await predict("", "", { color: [["red"]], size: [["1.5"]] });
await predict("", "", { color: [["red"]] });
(await predict("", "", { color: [["red"]], size: [[1.5]] })).score;
