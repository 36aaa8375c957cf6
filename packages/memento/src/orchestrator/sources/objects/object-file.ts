import { MementoError } from "../../../core/errors.ts";
import { unlessCancelled } from "../cancellation.ts";
import type { InputFile } from "../file/input-file.ts";
import type { ListedObject, ObjectBucket } from "./bucket.ts";

/** Who reads on gets more at once than who jumps about in a table. */
const NEXT_BYTES = 4 * 2 ** 20;
const FIRST_BYTES = 256 * 2 ** 10;
const SEGMENTS_MAX = 8;

interface Segment {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** An object as a file: a few pieces of it are held, and every request asks for the object as it was listed. */
export class ObjectFile implements InputFile {
  readonly path: string;
  readonly name: string;
  readonly identity: string;
  readonly #bucket: ObjectBucket;
  readonly #object: ListedObject;
  #segments: Segment[] = [];
  readonly #signal: AbortSignal;
  #closed = false;

  constructor(
    bucket: ObjectBucket,
    object: ListedObject,
    { path, signal }: Pick<InputFile, "path"> & { readonly signal: AbortSignal },
  ) {
    this.path = path;
    this.name = object.key;
    this.#signal = signal;
    this.identity = identityOf(object);
    this.#bucket = bucket;
    this.#object = object;
  }

  async size(): Promise<number> {
    return await Promise.resolve(this.#object.bytes);
  }

  async readAt(position: number, into: Uint8Array): Promise<number> {
    const length = Math.min(into.length, this.#object.bytes - position);
    let filled = 0;
    while (filled < length) {
      const at = position + filled;
      const { start, bytes } = this.#held(at) ?? (await this.#fetch(at, length - filled));
      const part = bytes.subarray(at - start, at - start + length - filled);
      into.set(part, filled);
      filled += part.length;
    }
    return filled;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#segments = [];
    await Promise.resolve();
  }

  #held(at: number): Segment | undefined {
    return this.#segments.find(({ start, bytes }) => at >= start && at < start + bytes.length);
  }

  async #fetch(start: number, needed: number): Promise<Segment> {
    if (this.#closed) throw new MementoError("CANCELLED", `${this.path} was closed while it was read`);
    const readsOn = this.#segments.some((segment) => segment.start + segment.bytes.length === start);
    const length = Math.max(needed, readsOn ? NEXT_BYTES : FIRST_BYTES);
    const end = Math.min(this.#object.bytes, start + length);
    const asked = this.#bucket.range(this.#object, start, end);
    const segment = { start, bytes: await unlessCancelled(asked, this.#signal, this.path) };
    this.#segments = [segment, ...this.#segments].slice(0, SEGMENTS_MAX);
    return segment;
  }
}

/** What an object's content is known by. */
export function identityOf({ key, bytes, tag }: ListedObject): string {
  return `${key} ${bytes} ${tag}`;
}
