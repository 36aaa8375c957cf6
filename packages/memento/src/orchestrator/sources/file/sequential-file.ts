import { MementoError } from "../../../core/errors.ts";
import type { InputFile, InputView } from "./input-file.ts";

const HEAD_BYTES = 64 * 1024;
/** Readers look back by a few characters, and fingerprints by 4 KiB; what they had is one chunk at most behind what is there. */
const KEPT_BYTES = 1024 * 1024;

/** Begins to read a text; `read` is told how many bytes of the file were needed for it so far. */
export type OpenText = (read: (bytes: number) => void) => AsyncGenerator<Buffer>;

/** A text that can only be read from its beginning on, with its head and the last MiB at hand; going back further begins anew. */
export class SequentialFile implements InputFile {
  readonly path: string;
  readonly view: InputView;
  readonly #of: InputFile;
  readonly #open: OpenText;
  #head: Buffer = Buffer.alloc(0);
  #kept: Buffer[] = [];
  #start = 0;
  #end = 0;
  #rawRead = 0;
  #ended = false;
  #failure: { readonly error: unknown } | null = null;
  #closed = false;
  #reading: AsyncGenerator<Buffer> | null = null;

  constructor(of: InputFile, open: OpenText, grows: boolean) {
    this.path = of.path;
    this.#of = of;
    this.#open = open;
    this.view = {
      of,
      grows,
      reaches: async (byte) => {
        await this.#reach(byte, byte);
        if (this.#end < byte && this.#failure !== null) throw this.#failure.error;
        return this.#end >= byte;
      },
      share: async () => Math.min(1, this.#rawRead / Math.max(1, await of.size())),
    };
  }

  async size(): Promise<number> {
    await this.#reach(Number.POSITIVE_INFINITY, Math.max(this.#start, this.#end - HEAD_BYTES));
    if (this.#failure !== null) throw this.#failure.error;
    return this.#end;
  }

  async readAt(position: number, into: Uint8Array): Promise<number> {
    if (position + into.length <= this.#head.length) {
      into.set(this.#head.subarray(position, position + into.length));
      return into.length;
    }
    await this.#reach(position + into.length, position);
    const filled = this.#copy(position, into);
    // What is sound is given first; whoever asks for what is behind it gets the error.
    if (filled === 0 && into.length > 0 && this.#failure !== null) throw this.#failure.error;
    return filled;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#of.close();
    // It ends with the file. Its end is not waited for, as it may be under way to what is closing it.
    this.#reading?.return(undefined).catch(() => undefined);
  }

  /** Reads on until the text is known up to a byte, or has no more; what lies before `needed` may be let go. */
  async #reach(byte: number, needed: number): Promise<void> {
    if (this.#reading === null || needed < this.#start) await this.#begin();
    while (this.#end < byte && !this.#ended && this.#failure === null) {
      if (this.#closed) throw new MementoError("CANCELLED", `${this.path} was closed while it was read`);
      await this.#pull();
      this.#letGo(Math.min(needed, this.#end - KEPT_BYTES));
    }
  }

  async #begin(): Promise<void> {
    await this.#reading?.return(undefined);
    this.#reading = this.#open((bytes) => {
      this.#rawRead = bytes;
    });
    [this.#kept, this.#start, this.#end, this.#ended, this.#failure] = [[], 0, 0, false, null];
  }

  async #pull(): Promise<void> {
    try {
      const next = await this.#reading?.next();
      if (next === undefined || next.done === true) {
        this.#ended = true;
        return;
      }
      const missing = this.#head.length - this.#end;
      if (this.#head.length < HEAD_BYTES && missing >= 0)
        this.#head = Buffer.concat([this.#head, next.value.subarray(missing)]).subarray(0, HEAD_BYTES);
      this.#kept.push(next.value);
      this.#end += next.value.length;
    } catch (error) {
      this.#failure = { error };
    }
  }

  #letGo(before: number): void {
    for (let [first] = this.#kept; first !== undefined; [first] = this.#kept) {
      if (this.#start + first.length > before) return;
      this.#kept.shift();
      this.#start += first.length;
    }
  }

  #copy(position: number, into: Uint8Array): number {
    let filled = 0;
    let at = this.#start;
    for (const chunk of this.#kept) {
      const from = position + filled - at;
      if (from >= 0 && from < chunk.length && filled < into.length) {
        const part = chunk.subarray(from, from + into.length - filled);
        into.set(part, filled);
        filled += part.length;
      }
      at += chunk.length;
    }
    return filled;
  }
}
