import { sha256 } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import { systemClock, type Clock } from "../../core/ports.ts";
import type { MementoStore, PackGlance, PackReplacement, StoredMemento } from "../store.ts";
import { interceptStore, type StoreCall, type StoreMethod } from "./intercept.ts";
import { answerOf, glanceVersion, nameOf, PackCache, type PackBytes } from "./pack-cache.ts";

/** A place outside this process where sealed packs are kept for a while. It may lose anything at any time, and never throws. */
export interface SharedPackCache {
  /** null when it has nothing by this name, or cannot be asked. */
  get(name: string): Promise<PackBytes | null>;
  /** Keeps sealed bytes for a time; returns at once. */
  put(name: string, pack: PackBytes): void;
}

/** How much is kept, and for how long it is believed. */
export interface CacheOptions {
  /** Bytes that are kept in this process; 64 MB by default. */
  readonly bytesMax?: number;
  /**
   * For how long an answer is repeated without asking the store, in milliseconds. 0, the default: never; each read is a
   * `glance` at the store, and only the pack's bytes come from here. More: what other processes remove, replace or destroy is
   * seen that much later. Infinity is for a store that nobody else writes.
   */
  readonly trustMs?: number;
  /** Where sealed packs are kept besides, for other processes too. CAPABILITY_MISSING for a store that has no `glance`. */
  readonly shared?: SharedPackCache;
  /**
   * True when header and body are what was sealed: `replicaAuthority` of the vault has it. With it nothing else is kept.
   * Left out: what is shared is not kept in this process besides, as nobody could tell whether it was changed there.
   */
  readonly isWhole?: (pack: PackBytes) => Promise<boolean>;
  readonly clock?: Clock;
}

/** How well a cache does. */
export interface CacheFacts {
  /** Reads whose bytes came from this process. */
  readonly hits: number;
  readonly sharedHits: number;
  /** Reads whose bytes came from the store. */
  readonly misses: number;
  readonly bytes: number;
  readonly packs: number;
}

/** A store with a cache before it. */
export interface CachedStore extends MementoStore {
  cacheFacts(): CacheFacts;
}

const BYTES_MAX = 64 * 1_048_576;

/**
 * A store whose packs are kept in memory once they were read. What a cached read says is what the store would say at that
 * moment: each one asks the store for slot, removal, and the digest of the header, which names a sealed pack's bytes; bytes
 * that are no longer the memento's are never given, whoever replaced them. Packs that are not sealed have no such name, and
 * are kept only with `trustMs`; so are all packs of a store without `glance`.
 *
 * With `trustMs` an answer may be as old as that. What is removed, replaced, reclaimed or destroyed through this very store is
 * seen at once even so. Verification reads the store's log, and never what is kept here.
 */
export function cacheStore(store: MementoStore, options: CacheOptions = {}): CachedStore {
  const cache = new ReadCache(store, options);
  const cached = interceptStore(store, async <T>(call: StoreCall, proceed: () => Promise<T>): Promise<T> => {
    if (call.method === "read") {
      const read = async (): Promise<StoredMemento | null> => (await proceed()) as StoredMemento | null;
      return (await cache.read(String(call.args[0]), read)) as T;
    }
    if (!CHANGING.has(call.method)) return await proceed();
    cache.begin(call);
    try {
      const answer = await proceed();
      if (call.method === "replacePack" && answer === true) await cache.share(call.args[0] as PackReplacement);
      return answer;
    } finally {
      // Also when it failed: its answer may have been lost.
      cache.end(call);
    }
  });
  return Object.assign(cached, {
    cacheFacts: () => cache.facts(),
    distrust: async (id: string) => await cache.distrust(id),
  });
}

/** What changes the answers of reads. */
const CHANGING: ReadonlySet<string> = new Set<StoreMethod>([
  "remove",
  "reclaim",
  "replacePack",
  "retireKey",
  "dropKey",
  "rebuildIndex",
  "close",
]);

class ReadCache {
  readonly #store: MementoStore;
  readonly #clock: Clock;
  readonly #trustMs: number;
  readonly #shared: SharedPackCache | null;
  readonly #isWhole: ((pack: PackBytes) => Promise<boolean>) | null;
  readonly #cache: PackCache;
  /** Grows with each change's begin and end: what was read meanwhile may be old already. */
  #changes = 0;
  #changing = 0;
  #storeId: string | null = null;
  /** Packs that could not be opened, by the names of their bytes: the store is asked for them, wherever else they are. */
  readonly #distrusted = new Set<string>();
  readonly #counts = { hits: 0, sharedHits: 0, misses: 0 };

  constructor(store: MementoStore, options: CacheOptions) {
    const { bytesMax = BYTES_MAX, trustMs = 0, shared = null, isWhole = null, clock = systemClock } = options;
    if (shared !== null && store.glance === undefined) {
      throw new MementoError(
        "CAPABILITY_MISSING",
        `The store at ${store.url} cannot tell which bytes a memento has now`,
        {
          hint: "Use the cache without a shared part, and with trustMs.",
        },
      );
    }
    this.#store = store;
    this.#clock = clock;
    this.#trustMs = trustMs;
    this.#shared = shared;
    this.#isWhole = isWhole;
    this.#cache = new PackCache(bytesMax);
  }

  facts(): CacheFacts {
    return { ...this.#counts, bytes: this.#cache.bytes, packs: this.#cache.packs };
  }

  async read(id: string, proceed: () => Promise<StoredMemento | null>): Promise<StoredMemento | null> {
    const trusted = this.#cache.trusted(id, this.#clock.monotonic());
    if (trusted !== null && this.#changing === 0) {
      this.#counts.hits += 1;
      return trusted;
    }
    const [changes, at] = [this.#changes, this.#clock.monotonic()];
    const glance = (await this.#store.glance?.(id)) ?? null;
    const kept = glance === null ? null : await this.#kept(glance);
    if (glance !== null && kept !== null) {
      this.#place(id, kept.version, glance, { changes, at });
      return answerOf(kept.pack, glance);
    }
    return await this.#fill(id, proceed, { changes, at });
  }

  /** The bytes that the store has by now, where they are kept in this process or beside it. */
  async #kept(glance: PackGlance): Promise<{ readonly version: string; readonly pack: PackBytes } | null> {
    const version = glanceVersion(glance);
    if (version === null || this.#distrusted.delete(version)) return null;
    const pack = this.#cache.pack(version);
    if (pack !== null) {
      this.#counts.hits += 1;
      return { version, pack };
    }
    const shared = await this.#fromShared(version, glance);
    if (shared === null) return null;
    if (this.#isWhole !== null) {
      if (!(await this.#isWhole(shared))) return null;
      this.#cache.add(shared);
    }
    this.#counts.sharedHits += 1;
    return { version, pack: shared };
  }

  async #fromShared(version: string, { headerDigest, bodyBytes }: PackGlance): Promise<PackBytes | null> {
    const name = this.#shared === null ? null : await this.#sharedName(version);
    const pack = name === null ? null : ((await this.#shared?.get(name)) ?? null);
    // Whatever lies there: the header must be the store's own, and it authenticates the body.
    return pack !== null && sha256(pack.header) === headerDigest && pack.body.byteLength === bodyBytes ? pack : null;
  }

  async #fill(
    id: string,
    proceed: () => Promise<StoredMemento | null>,
    asked: { readonly changes: number; readonly at: number },
  ): Promise<StoredMemento | null> {
    const stored = await proceed();
    if (stored === null) return null;
    this.#counts.misses += 1;
    const { header, body } = stored;
    if (body === null || (this.#trustMs === 0 && this.#store.glance === undefined)) return stored;
    // What is damaged may be mended under the same header: it must not stay here.
    if ((await this.#isWhole?.({ header, body })) === false) return stored;
    const { version, isSealed } = this.#cache.add({ header, body });
    this.#place(id, version, stored, asked);
    const name = isSealed && this.#shared !== null ? await this.#sharedName(version) : null;
    if (name !== null) this.#shared?.put(name, { header, body });
    return stored;
  }

  #place(
    id: string,
    version: string,
    { slot, removed }: Pick<StoredMemento, "slot" | "removed">,
    asked: { readonly changes: number; readonly at: number },
  ): void {
    if (this.#trustMs === 0 || this.#changing > 0 || this.#changes !== asked.changes) return;
    this.#cache.place(id, version, { slot, removed, trustedUntil: asked.at + this.#trustMs });
  }

  async #sharedName(version: string): Promise<string | null> {
    const id = (this.#storeId ??= (await this.#store.meta())?.id ?? null);
    return id === null ? null : `${id}:${version}`;
  }

  /** Forgets the pack of a memento, here and beside, until it was read from the store again: it may be mended there. */
  async distrust(id: string): Promise<void> {
    this.#cache.dropPacks([id]);
    await this.#store.distrust?.(id);
    const glance = (await this.#store.glance?.(id)) ?? null;
    const version = glance === null ? null : glanceVersion(glance);
    if (version === null) return;
    this.#cache.drop(version);
    this.#distrusted.add(version);
  }

  /** Puts a new pack where others find it: what lies there by its name may be damaged, and was mended by this. */
  async share({ header, body }: PackReplacement): Promise<void> {
    if (this.#shared === null || body === null) return;
    const { version, isSealed } = nameOf({ header, body });
    const name = isSealed ? await this.#sharedName(version) : null;
    if (name !== null) this.#shared.put(name, { header, body });
  }

  begin(call: StoreCall): void {
    this.#changing += 1;
    this.#forget(call);
  }

  end(call: StoreCall): void {
    this.#changing -= 1;
    this.#forget(call);
  }

  #forget({ method, args: [first] }: StoreCall): void {
    this.#changes += 1;
    if (method === "remove") this.#cache.forget(first as readonly string[]);
    else if (method === "reclaim") this.#cache.dropPacks(first as readonly string[]);
    else if (method === "replacePack") this.#cache.replaced(first as PackReplacement);
    else if (method === "retireKey" || method === "dropKey") this.#cache.dropKey(String(first));
    else this.#cache.clear();
  }
}
