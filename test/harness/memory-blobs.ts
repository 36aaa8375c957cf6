import { systemClock } from "../../packages/memento/src/core/ports.ts";
import type { BlobPlace, BlobPort, BlobTuning } from "../../packages/memento/src/store/blobs/blob-port.ts";
import { OBJECT_TUNING } from "../../packages/memento/src/store/blobs/blob-port.ts";
import { BlobStore } from "../../packages/memento/src/store/blobs/store.ts";
import { SeededRandom } from "../../packages/memento/src/testing/seeded-random.ts";

/** A request that was made, as a test sees it. */
export interface BlobRequest {
  readonly kind: "read" | "create" | "replace" | "remove" | "list";
  readonly key: string;
}

/** Objects in memory, shared by the ports of several processes. */
export type Objects = Map<string, Uint8Array>;

/** One process's port to objects in memory. It counts its requests, and can hold them up. */
export class MemoryBlobs implements BlobPort {
  readonly requests: BlobRequest[] = [];
  /** Called before each request is done. */
  before: (request: BlobRequest) => Promise<void> = async () => {};
  /** Called with what was done, before it is told. */
  after: (request: BlobRequest) => Promise<void> = async () => {};
  readonly #objects: Objects;

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  async read(key: string): Promise<Uint8Array | null> {
    return await this.#do({ kind: "read", key }, () => {
      const bytes = this.#objects.get(key);
      return bytes === undefined ? null : Uint8Array.from(bytes);
    });
  }

  async createIfAbsent(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    const bytes = Buffer.concat(parts);
    return await this.#do({ kind: "create", key }, () => {
      if (this.#objects.has(key)) return false;
      this.#put(key, bytes);
      return true;
    });
  }

  async replace(key: string, parts: readonly Uint8Array[]): Promise<void> {
    const bytes = Buffer.concat(parts);
    await this.#do({ kind: "replace", key }, () => this.#put(key, bytes));
  }

  async replaceAndWipe(key: string, parts: readonly Uint8Array[]): Promise<void> {
    await this.replace(key, parts);
  }

  async hasLeftovers(): Promise<boolean> {
    return false;
  }

  async remove(key: string): Promise<void> {
    await this.#do({ kind: "remove", key }, () => this.#objects.delete(key));
  }

  async *list(folder: string, after = ""): AsyncIterable<string> {
    const names = await this.#do({ kind: "list", key: folder }, () => {
      const inside = [...this.#objects.keys()].filter((key) => key.startsWith(`${folder}/`));
      return new Set(inside.map((key) => key.slice(folder.length + 1).split("/", 1)[0] ?? ""));
    });
    for (const name of [...names].toSorted()) if (name > after) yield name;
  }

  async ensureFolder(): Promise<void> {}

  async ensureFolders(): Promise<void> {}

  async settle(): Promise<void> {}

  #put(key: string, bytes: Uint8Array): void {
    // Some servers keep their objects as files.
    for (const other of this.#objects.keys()) {
      if (other.startsWith(`${key}/`) || key.startsWith(`${other}/`)) throw new Error(`${key} beside ${other}`);
    }
    this.#objects.set(key, bytes);
  }

  async #do<T>(request: BlobRequest, work: () => T): Promise<T> {
    this.requests.push(request);
    await this.before(request);
    const result = work();
    await this.after(request);
    return result;
  }
}

/** A place for a store on objects in memory. */
export function placeInMemory(blobs: BlobPort, tuning: Partial<BlobTuning> = {}): BlobPlace {
  return {
    blobs,
    root: "a/b",
    url: "objects:a/b",
    supports: { durable: true, sharedBy: "process", bodyBytesMax: 2 ** 24, reclaimsSpace: true },
    tuning: { ...OBJECT_TUNING, ...tuning },
    createCondition: "If-Absent",
    close: async () => {},
  };
}

/** A store on objects in memory, as a process of its own would open it. */
export function openOnMemory(
  objects: Objects,
  seed: number,
  tuning: Partial<BlobTuning> = {},
): { readonly store: BlobStore; readonly blobs: MemoryBlobs } {
  const blobs = new MemoryBlobs(objects);
  const place = placeInMemory(blobs, tuning);
  return { store: new BlobStore(place, { clock: systemClock, random: new SeededRandom(seed) }), blobs };
}
