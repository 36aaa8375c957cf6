import { MementoError } from "../../core/errors.ts";

/**
 * Who works with which source or sink. Each belongs to the first that touches it until that one lets go; others wait, for what
 * two had written at once could belong to the memento of neither.
 */
export class Claims {
  readonly #owners = new Map<string, string>();
  readonly #waiting = new Map<string, Set<string>>();
  readonly #released = new Map<string, PromiseWithResolvers<void>>();

  /** True when the resource belongs to the owner from now on, or did before. */
  take(owner: string, resource: string): boolean {
    const holder = this.#owners.get(resource);
    if (holder === undefined) this.#owners.set(resource, owner);
    return holder === undefined || holder === owner;
  }

  holds(owner: string, resource: string): boolean {
    return this.#owners.get(resource) === owner;
  }

  /** Waits until the resource belongs to the owner. INVALID_PIPELINE when all would wait for one another for ever; the signal's reason. */
  async wait(owner: string, resource: string, signal: AbortSignal): Promise<void> {
    while (!this.take(owner, resource)) {
      signal.throwIfAborted();
      const wanted = this.#waiting.get(owner) ?? new Set();
      this.#waiting.set(owner, wanted.add(resource));
      try {
        this.#demandNoCycle(owner);
        const released = this.#released.get(resource) ?? Promise.withResolvers<void>();
        this.#released.set(resource, released);
        await orAborted(released.promise, signal);
      } finally {
        wanted.delete(resource);
      }
    }
  }

  /** Lets go of all that the owner has. */
  release(owner: string): void {
    for (const [resource, holder] of this.#owners) {
      if (holder !== owner) continue;
      this.#owners.delete(resource);
      this.#released.get(resource)?.resolve();
      this.#released.delete(resource);
    }
  }

  #demandNoCycle(start: string): void {
    const seen: string[] = [];
    const visit = (owner: string): void => {
      if (seen.includes(owner)) {
        if (owner !== start) return;
        const links = seen.map((each) => `${each} (waits for ${[...(this.#waiting.get(each) ?? [])].join(", ")})`);
        throw new MementoError(
          "INVALID_PIPELINE",
          `Stages that run at once wait for each other's sources or sinks: ${links.join(" and ")}`,
          { hint: "Let one come after the other, or let both touch what they share in the same order." },
        );
      }
      seen.push(owner);
      for (const resource of this.#waiting.get(owner) ?? []) {
        const holder = this.#owners.get(resource);
        if (holder !== undefined) visit(holder);
      }
      seen.pop();
    };
    visit(start);
  }
}

/** The promise's outcome, or the signal's reason if that comes first. */
async function orAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
