import { isJsonSpace, JsonStructure } from "./json-structure.ts";
import { jsonProblem, NOT_JSON, parseJson } from "./parse-json.ts";

const COMMA = 0x2c;
const CLOSE_BRACKET = 0x5d;

/** Elements of a JSON array that a piece of its text has completed. */
export interface JsonElements<Row> {
  readonly records: Row[];
  /** For each element, the byte of the file at the comma or bracket that ends it. */
  readonly ends: number[];
  /** `closed`: the array's own bracket was met, just before `next`. `broken`: what begins at `next` cannot be taken. */
  readonly state: "open" | "closed" | "broken";
  /** What is wrong with it; empty where nothing is. */
  readonly problem: string;
}

/**
 * Cuts the text between an array's brackets into its elements, piece by piece, and parses them many at a time. Only the
 * element that is not done yet is kept, so memory does not grow with the array.
 */
export class JsonElementReader<Row> {
  /** Where the element begins that is not done or broken; once the array is closed, the byte after its bracket. */
  next: number;
  /** How much is known of the element that is not done. */
  pendingBytes = 0;
  readonly #structure = new JsonStructure();
  #pending: Uint8Array[] = [];
  /** Only right after the opening bracket may the closing one stand. */
  #mayClose: boolean;

  /** @param fresh True right after the opening bracket; false after the comma that ends an element. */
  constructor(start: number, fresh: boolean) {
    this.next = start;
    this.#mayClose = fresh;
  }

  take(bytes: Uint8Array): JsonElements<Row> {
    const base = this.next + this.pendingBytes;
    const ends: number[] = [];
    let closed = false;
    let index = this.#structure.nextDelimiter(bytes, 0);
    while (index < bytes.length) {
      ends.push(base + index);
      // A brace that closes nothing ends nothing either: with it, the element is no JSON.
      closed = bytes[index] !== COMMA;
      if (closed) break;
      index = this.#structure.nextDelimiter(bytes, index + 1);
    }
    const last = ends.at(-1);
    if (last === undefined) {
      this.#keep(bytes);
      return { records: [], ends, state: "open", problem: "" };
    }
    const text = Buffer.concat([...this.#pending, bytes.subarray(0, last - base)]);
    if (closed && bytes[last - base] !== CLOSE_BRACKET) return this.#oneByOne(text, ends.slice(0, -1));
    if (closed && ends.length === 1 && this.#mayClose && text.every(isJsonSpace)) return this.#done(last + 1, [], []);
    const records = parseAll<Row>(text);
    if (records?.length !== ends.length) return this.#oneByOne(text, ends);
    this.#mayClose = false;
    if (closed) return this.#done(last + 1, records, ends);
    this.next = last + 1;
    this.#pending = [];
    this.pendingBytes = 0;
    this.#keep(bytes.subarray(last + 1 - base));
    return { records, ends, state: "open", problem: "" };
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pending.push(bytes);
    this.pendingBytes += bytes.length;
  }

  #done(next: number, records: Row[], ends: number[]): JsonElements<Row> {
    this.next = next;
    return { records, ends, state: "closed", problem: "" };
  }

  /** The elements before the first one that cannot be taken. */
  #oneByOne(text: Buffer, ends: readonly number[]): JsonElements<Row> {
    const records: Row[] = [];
    const start = this.next;
    let problem = NOT_JSON;
    for (const end of ends) {
      try {
        records.push(parseJson(text.toString("utf8", this.next - start, end - start)) as Row);
      } catch (error) {
        problem = jsonProblem(error);
        break;
      }
      this.next = end + 1;
    }
    return { records, ends: ends.slice(0, records.length), state: "broken", problem };
  }
}

/** What stands between two brackets, parsed; undefined where there is something that cannot be taken. */
function parseAll<Row>(text: Buffer): Row[] | undefined {
  try {
    return parseJson(`[${text.toString("utf8")}]`) as Row[];
  } catch (error) {
    jsonProblem(error);
    return undefined;
  }
}
