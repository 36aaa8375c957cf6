import { isJsonSpace, JsonStructure } from "./json-structure.ts";

const COMMA = 0x2c;
const CLOSE_BRACKET = 0x5d;

/** Elements of a JSON array that a piece of its text has completed. */
export interface JsonElements<Row> {
  readonly records: Row[];
  /** For each element, the byte of the file at the comma or bracket that ends it. */
  readonly ends: number[];
  /** `closed`: the array's own bracket was met, just before `next`. `broken`: what begins at `next` is no JSON. */
  readonly state: "open" | "closed" | "broken";
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
      return { records: [], ends, state: "open" };
    }
    const text = Buffer.concat([...this.#pending, bytes.subarray(0, last - base)]);
    if (closed && bytes[last - base] !== CLOSE_BRACKET) return this.#oneByOne(text, ends.slice(0, -1), "broken");
    if (closed && ends.length === 1 && this.#mayClose && text.every(isJsonSpace)) return this.#done(last + 1, [], []);
    const records = parseAll<Row>(text);
    if (records?.length !== ends.length) return this.#oneByOne(text, ends, "broken");
    this.#mayClose = false;
    if (closed) return this.#done(last + 1, records, ends);
    this.next = last + 1;
    this.#pending = [];
    this.pendingBytes = 0;
    this.#keep(bytes.subarray(last + 1 - base));
    return { records, ends, state: "open" };
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#pending.push(bytes);
    this.pendingBytes += bytes.length;
  }

  #done(next: number, records: Row[], ends: number[]): JsonElements<Row> {
    this.next = next;
    return { records, ends, state: "closed" };
  }

  /** The elements before the first one that does not parse. */
  #oneByOne(text: Buffer, ends: readonly number[], state: "broken"): JsonElements<Row> {
    const records: Row[] = [];
    const start = this.next;
    for (const end of ends) {
      const parsed = parseAll<Row>(text.subarray(this.next - start, end - start));
      const [record] = parsed ?? [];
      if (parsed?.length !== 1) break;
      records.push(record as Row);
      this.next = end + 1;
    }
    return { records, ends: ends.slice(0, records.length), state };
  }
}

/** What stands between two brackets, parsed; undefined where it is no JSON. */
function parseAll<Row>(text: Buffer): Row[] | undefined {
  try {
    return JSON.parse(`[${text.toString("utf8")}]`) as Row[];
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
