import { brokenRecord } from "../file/broken-record.ts";
import type { InputFile } from "../file/input-file.ts";
import { textStart, utf8Chunks } from "../file/utf8-chunks.ts";
import { isJsonSpace, JsonStructure } from "./json-structure.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;

/**
 * The byte just after the opening bracket of the array at a path of object keys; null for a file without text.
 * RECORD_INVALID where the file holds no such array, INPUT_CUT where it ends before.
 */
export async function findJsonArray(
  file: InputFile,
  path: readonly string[],
  signal: AbortSignal,
): Promise<number | null> {
  const start = await textStart(file);
  const search = new ArraySearch(path);
  for await (const chunk of utf8Chunks(file, start, { signal })) {
    const index = search.take(chunk.bytes);
    if (index !== null) return chunk.start + index;
    if (search.failed) {
      const problem = path.length === 0 ? "the file is no JSON array" : `the file holds no array at ${path.join(".")}`;
      throw await brokenRecord(file, { code: "RECORD_INVALID", byte: start, problem });
    }
  }
  if (!search.begun) return null;
  throw await brokenRecord(file, { code: "INPUT_CUT", byte: start, problem: "the file ends before its array begins" });
}

/** Walks down from object to object along the path, and past every other member. */
class ArraySearch {
  begun = false;
  failed = false;
  readonly #path: readonly string[];
  #level = 0;
  #expected: "value" | "member" | "key" | "colon" | "next" = "value";
  #key: number[] = [];
  #skipped = new JsonStructure();

  constructor(path: readonly string[]) {
    this.#path = path;
  }

  /** The index just after the bracket, once it is there. */
  take(bytes: Uint8Array): number | null {
    for (let index = 0; index < bytes.length && !this.failed; index += 1) {
      if (this.#expected === "next") index = this.#skipped.nextDelimiter(bytes, index);
      const byte = bytes[index];
      if (byte === undefined) return null;
      if (this.#expected !== "key" && isJsonSpace(byte)) continue;
      this.begun = true;
      if (this.#expected === "value" && this.#level === this.#path.length && byte === OPEN_BRACKET) return index + 1;
      this.#step(byte);
    }
    return null;
  }

  #step(byte: number): void {
    switch (this.#expected) {
      case "value":
        this.#expect(byte === OPEN_BRACE && this.#level < this.#path.length, "member");
        break;
      case "member":
        this.#key = [byte];
        this.#expect(byte === QUOTE, "key");
        break;
      case "key":
        this.#key.push(byte);
        if (byte === QUOTE && !this.#inEscape()) this.#expected = "colon";
        break;
      case "colon":
        if (this.#matches()) {
          this.#level += 1;
          this.#expect(byte === COLON, "value");
        } else {
          this.#skipped = new JsonStructure();
          this.#expect(byte === COLON, "next");
        }
        break;
      case "next":
        // The object ends without the key: there is no such array.
        this.#expect(byte === COMMA, "member");
        break;
    }
  }

  #expect(met: boolean, next: "value" | "member" | "key" | "next"): void {
    if (met) this.#expected = next;
    else this.failed = true;
  }

  /** True when an odd number of backslashes stands before the last byte. */
  #inEscape(): boolean {
    let index = this.#key.length - 2;
    while (this.#key[index] === BACKSLASH) index -= 1;
    return (this.#key.length - index) % 2 === 1;
  }

  #matches(): boolean {
    try {
      return JSON.parse(Buffer.from(this.#key).toString("utf8")) === this.#path[this.#level];
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return false;
    }
  }
}
