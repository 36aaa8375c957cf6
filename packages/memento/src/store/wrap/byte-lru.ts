interface Held<Value> {
  readonly value: Value;
  bytes: number;
}

/** A map that forgets what was not asked for the longest once all it holds is more than `bytesMax`. */
export class ByteLru<Value> {
  readonly #bytesMax: number;
  /** Called with each value that leaves, for whatever reason. */
  readonly #onGone: (key: string, value: Value) => void;
  /** A Map keeps the order in which keys came in: what is asked for is put in anew. */
  readonly #held = new Map<string, Held<Value>>();
  #bytes = 0;

  constructor(bytesMax: number, onGone: (key: string, value: Value) => void = () => undefined) {
    this.#bytesMax = bytesMax;
    this.#onGone = onGone;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#held.size;
  }

  /** The value, which counts as asked for; undefined where there is none. */
  get(key: string): Value | undefined {
    const held = this.#held.get(key);
    if (held === undefined) return undefined;
    this.#held.delete(key);
    this.#held.set(key, held);
    return held.value;
  }

  /** Puts a value in, in place of what the key had. One that alone is larger than everything may be is not kept. */
  set(key: string, value: Value, bytes: number): void {
    this.delete(key);
    if (bytes > this.#bytesMax) {
      this.#onGone(key, value);
      return;
    }
    this.#held.set(key, { value, bytes });
    this.#bytes += bytes;
    this.#makeRoom();
  }

  /** Says that a value that is held takes up more by now. */
  grow(key: string, bytes: number): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    held.bytes += bytes;
    this.#bytes += bytes;
    this.#makeRoom();
  }

  delete(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    this.#bytes -= held.bytes;
    this.#onGone(key, held.value);
  }

  /** Deletes all that the test holds for. */
  deleteWhere(test: (value: Value) => boolean): void {
    for (const [key, { value }] of this.#held) if (test(value)) this.delete(key);
  }

  #makeRoom(): void {
    for (const key of this.#held.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.delete(key);
    }
  }
}
