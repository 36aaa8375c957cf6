// Memento as many writers at once have it: one store, sealed, a caretaker of which each writer saves states of its own.
import { randomBytes } from "node:crypto";

import { Memento } from "@mementojs/memento";

const CARETAKER = "bench";

/** A store, open for writers. */
export class OurSaves implements AsyncDisposable {
  readonly #memento: Memento;

  private constructor(memento: Memento) {
    this.#memento = memento;
  }

  /** Makes the store at this URL; the key lives as long as the bench, for no key file is part of what is measured. */
  static async open(url: string, key: Uint8Array): Promise<OurSaves> {
    return new OurSaves(await Memento.open(url, { keys: { raw: [key] } }));
  }

  /** Saves a state of one writer and returns the memento's id. */
  async save(writer: number, state: unknown): Promise<string> {
    return (await this.#memento.caretaker(CARETAKER).save(state, { originator: `writer-${writer}` })).id;
  }

  async load(id: string): Promise<unknown> {
    return await this.#memento.caretaker(CARETAKER).load(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#memento.close();
  }
}

/** A key for one store. */
export function newKey(): Uint8Array {
  return Uint8Array.from(randomBytes(32));
}
