// Memento as a script has it that saves its own state: a store on SQLite (WAL, synchronous=FULL), sealed by a key of its
// own, one caretaker, default options.
import { join } from "node:path";

import { Memento } from "@mementojs/memento";

import { bytesIn, type OpenKeeper, type Reader } from "./peers/state-keeper.ts";
import type { State } from "./states/state-sequence.ts";

const CARETAKER = "bench";

/** A store with one caretaker in it, open for writing. */
export class OurStates implements AsyncDisposable {
  readonly #memento: Memento;

  private constructor(memento: Memento) {
    this.#memento = memento;
  }

  /** Opens the store in this folder, or makes it. */
  static async open(folder: string): Promise<OurStates> {
    return new OurStates(await Memento.open(urlOf(folder)));
  }

  /** Saves a state and returns the memento's id; `full`: sharing nothing with earlier mementos. */
  async save(state: unknown, full = false): Promise<string> {
    return (await this.#memento.caretaker(CARETAKER).save(state, full ? { full } : {})).id;
  }

  /** Removes a memento. */
  async remove(id: string): Promise<void> {
    await this.#memento.caretaker(CARETAKER).delete(id);
  }

  /** Frees what removed mementos alone have held. */
  async collectGarbage(): Promise<void> {
    await this.#memento.collect();
  }

  /** A reader of one memento, with a store handle of its own that has read nothing yet. */
  static async reader(folder: string, id: string): Promise<Reader> {
    const memento = await Memento.open(urlOf(folder), { create: false });
    return {
      load: () => memento.caretaker(CARETAKER).load(id),
      [Symbol.asyncDispose]: () => memento.close(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#memento.close();
  }
}

/** Memento as a keeper of states. On disk is what its folder holds once it is closed, the key included. */
export const openOurStates: OpenKeeper = async (folder) => {
  const states = await OurStates.open(folder);
  let last = "";
  return {
    save: async (state: State) => {
      last = await states.save(state);
    },
    finish: async () => {
      await states[Symbol.asyncDispose]();
      return bytesIn(folder);
    },
    reader: () => OurStates.reader(folder, last),
    [Symbol.asyncDispose]: () => states[Symbol.asyncDispose](),
  };
};

function urlOf(folder: string): string {
  return `sqlite:${join(folder, "memento.db")}`;
}
