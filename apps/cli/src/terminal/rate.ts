const WINDOW_MS = 5_000;
const SAMPLE_MS_MIN = 100;

/** How fast a count grows, over the last few seconds. */
export class Rate {
  readonly #samples: { readonly ms: number; readonly count: number }[] = [];

  /** Takes the count at a time. */
  add(ms: number, count: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && ms - last.ms < SAMPLE_MS_MIN) return;
    this.#samples.push({ ms, count });
    while (this.#samples.length > 2 && ms - (this.#samples[1]?.ms ?? ms) > WINDOW_MS) this.#samples.shift();
  }

  /** Null until there is enough to tell. */
  get perSecond(): number | null {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.ms - first.ms < SAMPLE_MS_MIN) return null;
    return ((last.count - first.count) * 1_000) / (last.ms - first.ms);
  }
}
