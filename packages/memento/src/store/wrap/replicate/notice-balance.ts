import { sha256 } from "../../../core/digest.ts";
import { decodeHeader } from "../../header.ts";
import type { MementoStore } from "../../store.ts";

/**
 * Tells which notices of the primary's log a replica has already. A notice has no id, so both logs are counted: a notice
 * that was met on the replica more often than it was given to it was given by somebody else, or before a crash.
 */
export class NoticeBalance {
  readonly #replica: MementoStore;
  readonly #counts: Map<string, number>;
  #cursor: string | null;

  constructor(replica: MementoStore, cursor: string | null, counts: readonly (readonly [string, number])[]) {
    this.#replica = replica;
    this.#cursor = cursor;
    this.#counts = new Map(counts);
  }

  get cursor(): string | null {
    return this.#cursor;
  }

  get counts(): readonly (readonly [string, number])[] {
    return [...this.#counts];
  }

  /** True when the replica has this notice of the primary's already; false when it is to be given to it now. */
  async take(notice: Uint8Array): Promise<boolean> {
    await this.#readOn();
    const digest = sha256(notice);
    const isThere = (this.#counts.get(digest) ?? 0) > 0;
    this.#add(digest, -1);
    return isThere;
  }

  /** True when somebody else has given the replica a notice since it was taken to be given. */
  async arrived(notice: Uint8Array): Promise<boolean> {
    await this.#readOn();
    return (this.#counts.get(sha256(notice)) ?? 0) >= 0;
  }

  /** The notice was not given after all. */
  giveBack(notice: Uint8Array): void {
    this.#add(sha256(notice), 1);
  }

  async #readOn(): Promise<void> {
    for await (const { cursor, header } of this.#replica.commits(this.#cursor)) {
      if (decodeHeader(header, `commit ${cursor} of the replica`).type === "notice") this.#add(sha256(header), 1);
      this.#cursor = cursor;
    }
  }

  #add(digest: string, change: number): void {
    const count = (this.#counts.get(digest) ?? 0) + change;
    if (count === 0) this.#counts.delete(digest);
    else this.#counts.set(digest, count);
  }
}
