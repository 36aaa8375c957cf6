import { MementoError } from "../../core/errors.ts";
import { FORMAT_VERSION } from "../header.ts";
import type { KeyRecord, StoreMeta } from "../store.ts";
import type { StoreParts } from "./catalogue.ts";
import { frameJson, missingFile, openJson } from "./frame.ts";
import type { Keys } from "./keys.ts";

interface WrittenFacts {
  readonly meta: StoreMeta;
  /** Which of the integrity keys counts: several may have been written when several made the store at once. */
  readonly integrityKey: string;
}

/** The store's own facts. Its file is created if absent, last of all: from then on there is a store. */
export class Facts {
  readonly #parts: StoreParts;
  readonly #keys: Keys;
  #known: WrittenFacts | null = null;
  #durable = false;

  constructor(parts: StoreParts, keys: Keys) {
    this.#parts = parts;
    this.#keys = keys;
  }

  /** The facts; null where there is no store. FORMAT_UNKNOWN, and DAMAGED for a store that has lost its file. */
  async read(): Promise<StoreMeta | null> {
    return (await this.#read())?.meta ?? null;
  }

  /** The facts as their file has them now; null where there never was a store. NOT_A_STORE for one that is gone. */
  async reread(): Promise<StoreMeta | null> {
    await this.confirm();
    this.#known = null;
    return await this.read();
  }

  /**
   * Looks again, where the store was met before, whether it is still there: who finds nothing in it may be looking at a
   * folder that was moved away, or at a disk that is no longer mounted. NOT_A_STORE; DAMAGED where only its file is gone.
   */
  async confirm(): Promise<void> {
    const { files, paths, url } = this.#parts;
    if (this.#known === null || (await files.read(paths.store)) !== null) return;
    await this.#demandNothing();
    throw new MementoError("NOT_A_STORE", `The store at ${url} is gone: it was there when this process opened it`, {
      hint: "Bring back what was moved, or mount its disk again; then go on.",
    });
  }

  /** The facts, for everything that writes. NOT_A_STORE. */
  async demand(): Promise<StoreMeta> {
    const facts = await this.#read();
    const { files, paths, url } = this.#parts;
    if (facts === null) throw new MementoError("NOT_A_STORE", `There is no store at ${url}: it was not made yet`);
    // Whoever made it may not have come to the sync; what is written to a store must not outlive it.
    if (!this.#durable) await files.settle(paths.root);
    this.#durable = true;
    return facts.meta;
  }

  /** Makes the store where there is none; gives the facts that are in force. */
  async create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta> {
    const existing = await this.read();
    if (existing !== null) return existing;
    const { files, paths } = this.#parts;
    await files.ensureFolders(paths.root);
    for (const folder of paths.folders) await files.ensureFolder(folder);
    await this.#keys.add(integrityKey);
    const facts: WrittenFacts = { meta, integrityKey: integrityKey.id };
    await files.createIfAbsent(paths.store, await frameJson("store", facts));
    return await this.demand();
  }

  /** Every key that counts. */
  async keys(): Promise<readonly KeyRecord[]> {
    const facts = await this.#read();
    if (facts === null) return [];
    const keys = await this.#keys.all();
    if (!keys.some(({ id }) => id === facts.integrityKey)) {
      throw missingFile(this.#parts.paths.key(facts.integrityKey, 1), { key: facts.integrityKey });
    }
    return keys.filter(({ purpose, id }) => purpose !== "integrity" || id === facts.integrityKey);
  }

  async #read(): Promise<WrittenFacts | null> {
    if (this.#known !== null) return this.#known;
    const { files, paths } = this.#parts;
    const bytes = await files.read(paths.store);
    if (bytes === null) {
      await this.#demandNothing();
      return null;
    }
    const { value } = await openJson<WrittenFacts>(bytes, "store", paths.store);
    if (value.meta.format !== FORMAT_VERSION) {
      const reads = `this release reads format ${FORMAT_VERSION}`;
      throw new MementoError(
        "FORMAT_UNKNOWN",
        `The store at ${this.#parts.url} is of format ${value.meta.format}; ${reads}`,
      );
    }
    this.#known = value;
    return value;
  }

  /** Where the store's own file is missing, nothing else of a store may be there. DAMAGED. */
  async #demandNothing(): Promise<void> {
    const { files, paths } = this.#parts;
    await Promise.all(
      [paths.packs, paths.caretakers, paths.timelines].map(async (folder) => {
        for await (const name of files.list(folder)) throw missingFile(paths.store, { holds: name });
      }),
    );
  }
}
