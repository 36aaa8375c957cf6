import type { Lease, TimelineAddress, TimelineRecord, TimelineRequest, TimelineState } from "../../core/timeline.ts";
import type { MementoQuery } from "../query.ts";
import type {
  AppendBatch,
  AppendResult,
  CaretakerRecord,
  EngineFacts,
  IndexAuthority,
  IndexRebuild,
  IndexRow,
  KeyRecord,
  LeaseChange,
  MementoStore,
  PackGlance,
  PackReplacement,
  SalvagedPack,
  StoreDamage,
  StoredCommit,
  StoredMemento,
  StoreMeta,
  StoreSupports,
  SeenCaretaker,
} from "../store.ts";

/** The name of a method of the store. */
export type StoreMethod = Exclude<keyof MementoStore, "url" | "supports" | "apart" | typeof Symbol.asyncDispose>;

/** One call of a store, as a wrapper sees it. */
export interface StoreCall {
  readonly method: StoreMethod;
  /** As the caller gave them; they may hold wrapped keys and bodies, so use `describeCall` for people. */
  readonly args: readonly unknown[];
  /** Of an iterable each `next()` is a call of its own: this is its number, from 0. null for all other methods. */
  readonly step: number | null;
}

/**
 * Stands around every call. What it returns is what the caller gets, and what it throws is what the caller meets.
 * `proceed` does the call; it may be left out, and called again: an iterable then goes on behind its last item.
 */
export type AroundCall = <T>(call: StoreCall, proceed: () => Promise<T>) => Promise<T>;

/** A store whose every call passes through `around`. Disposing it counts as `close`. */
export function interceptStore(store: MementoStore, around: AroundCall): MementoStore {
  return new InterceptedStore(store, () => store, around);
}

/** What is asked of a store without a call. */
export type StoreFacts = Pick<MementoStore, "url" | "supports" | "glance" | "distrust" | "engine">;

/** Like `interceptStore`, of a store that is asked for each time that a call proceeds. */
export function interceptLateStore(facts: StoreFacts, store: () => MementoStore, around: AroundCall): MementoStore {
  return new InterceptedStore(facts, store, around);
}

/** A call in a few words: its method, and which memento, timeline or caretaker it is about. Holds no secrets. */
export function describeCall({ method, args, step }: StoreCall): string {
  const [first] = args;
  const about = typeof first === "string" ? first : aboutOf(first);
  return `${method}(${about})${step === null ? "" : `[${step}]`}`;
}

function aboutOf(argument: unknown): string {
  if (Array.isArray(argument)) return argument.join(", ");
  if (typeof argument !== "object" || argument === null) return "";
  if ("ids" in argument) return (argument as PackReplacement).ids.join(", ");
  if ("records" in argument) return (argument as AppendBatch).records.map(({ entry }) => entry.id).join(", ");
  for (const member of ["timeline", "key", "id", "name", "originator"]) {
    const value = (argument as Readonly<Record<string, unknown>>)[member];
    if (typeof value === "string") return value;
  }
  return "";
}

class InterceptedStore implements MementoStore {
  readonly #facts: StoreFacts;
  readonly #store: () => MementoStore;
  readonly #around: AroundCall;
  // There only where the store below has them: whoever asks for them must see what it really can.
  readonly glance?: (id: string) => Promise<PackGlance | null>;
  readonly distrust?: (id: string) => Promise<void>;
  readonly engine?: () => Promise<EngineFacts>;

  constructor(facts: StoreFacts, store: () => MementoStore, around: AroundCall) {
    this.#facts = facts;
    this.#store = store;
    this.#around = around;
    const glance = facts.glance?.bind(facts);
    if (glance !== undefined)
      this.glance = async (id) => await this.#call("glance", [id], async () => await glance(id));
    const distrust = facts.distrust?.bind(facts);
    if (distrust !== undefined)
      this.distrust = async (id) => await this.#call("distrust", [id], async () => await distrust(id));
    const engine = facts.engine?.bind(facts);
    if (engine !== undefined) this.engine = async () => await this.#call("engine", [], engine);
  }

  get url(): string {
    return this.#facts.url;
  }

  get supports(): StoreSupports {
    return this.#facts.supports;
  }

  async meta(): Promise<StoreMeta | null> {
    return await this.#call("meta", [], () => this.#store().meta());
  }

  async create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta> {
    return await this.#call("create", [meta, integrityKey], () => this.#store().create(meta, integrityKey));
  }

  async keys(): Promise<readonly KeyRecord[]> {
    return await this.#call("keys", [], () => this.#store().keys());
  }

  async rewrapKey(key: KeyRecord, expectedRing: string): Promise<boolean> {
    return await this.#call("rewrapKey", [key, expectedRing], () => this.#store().rewrapKey(key, expectedRing));
  }

  async retireKey(id: string): Promise<boolean> {
    return await this.#call("retireKey", [id], () => this.#store().retireKey(id));
  }

  async dropKey(id: string): Promise<boolean> {
    return await this.#call("dropKey", [id], () => this.#store().dropKey(id));
  }

  async createTimeline(record: TimelineRecord, lease: Lease): Promise<TimelineState> {
    return await this.#call("createTimeline", [record, lease], () => this.#store().createTimeline(record, lease));
  }

  async timeline(key: string): Promise<TimelineState | null> {
    return await this.#call("timeline", [key], () => this.#store().timeline(key));
  }

  async findTimeline(address: TimelineAddress): Promise<TimelineState | null> {
    return await this.#call("findTimeline", [address], () => this.#store().findTimeline(address));
  }

  timelines(caretaker: string | null): AsyncIterable<TimelineState> {
    return this.#stream("timelines", [caretaker], (last) => {
      const all = this.#store().timelines(caretaker);
      return last === null ? all : behind(all, (state) => state.record.key === last.record.key);
    });
  }

  async acquireLease(change: LeaseChange): Promise<boolean> {
    return await this.#call("acquireLease", [change], () => this.#store().acquireLease(change));
  }

  async renewLease(change: LeaseChange): Promise<TimelineState | null> {
    return await this.#call("renewLease", [change], () => this.#store().renewLease(change));
  }

  async releaseLease(change: LeaseChange, owner: string): Promise<boolean> {
    return await this.#call("releaseLease", [change, owner], () => this.#store().releaseLease(change, owner));
  }

  async requestOf(timeline: string, request: TimelineRequest | null): Promise<void> {
    await this.#call("requestOf", [timeline, request], () => this.#store().requestOf(timeline, request));
  }

  async append(batch: AppendBatch): Promise<readonly AppendResult[]> {
    return await this.#call("append", [batch], () => this.#store().append(batch));
  }

  async read(id: string): Promise<StoredMemento | null> {
    return await this.#call("read", [id], () => this.#store().read(id));
  }

  async findByName(caretaker: string, name: string): Promise<string | null> {
    return await this.#call("findByName", [caretaker, name], () => this.#store().findByName(caretaker, name));
  }

  query(query: MementoQuery): AsyncIterable<IndexRow> {
    return this.#stream("query", [query], (last, given) => {
      const limit = query.limit === null ? null : query.limit - given;
      return this.#store().query(last === null ? query : { ...query, limit, after: last.cursor });
    });
  }

  async remove(ids: readonly string[], notice: Uint8Array, seen?: SeenCaretaker): Promise<readonly string[]> {
    return await this.#call("remove", [ids, notice, seen], () => this.#store().remove(ids, notice, seen));
  }

  async note(notice: Uint8Array): Promise<void> {
    await this.#call("note", [notice], () => this.#store().note(notice));
  }

  async reclaim(ids: readonly string[]): Promise<{ readonly packs: number; readonly bytes: number }> {
    return await this.#call("reclaim", [ids], () => this.#store().reclaim(ids));
  }

  async compact(): Promise<number> {
    return await this.#call("compact", [], () => this.#store().compact());
  }

  async replacePack(replacement: PackReplacement): Promise<boolean> {
    return await this.#call("replacePack", [replacement], () => this.#store().replacePack(replacement));
  }

  commits(after: string | null): AsyncIterable<StoredCommit> {
    return this.#stream("commits", [after], (last) => this.#store().commits(last?.cursor ?? after));
  }

  async caretaker(name: string): Promise<CaretakerRecord | null> {
    return await this.#call("caretaker", [name], () => this.#store().caretaker(name));
  }

  async caretakers(): Promise<readonly CaretakerRecord[]> {
    return await this.#call("caretakers", [], () => this.#store().caretakers());
  }

  async saveCaretaker(record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
    return await this.#call("saveCaretaker", [record, notice], () => this.#store().saveCaretaker(record, notice));
  }

  async removeCaretaker(name: string, notice: Uint8Array): Promise<boolean> {
    return await this.#call("removeCaretaker", [name, notice], () => this.#store().removeCaretaker(name, notice));
  }

  async rebuildIndex(authority: IndexAuthority, dryRun: boolean): Promise<IndexRebuild> {
    return await this.#call("rebuildIndex", [authority, dryRun], () => this.#store().rebuildIndex(authority, dryRun));
  }

  async salvage(id: string): Promise<SalvagedPack | null> {
    return await this.#call("salvage", [id], () => this.#store().salvage(id));
  }

  check(): AsyncIterable<StoreDamage> {
    return this.#stream("check", [], (_, given) => {
      let seen = 0;
      const all = this.#store().check();
      return given === 0 ? all : behind(all, () => ++seen === given);
    });
  }

  async close(): Promise<void> {
    await this.#call("close", [], () => this.#store().close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #call<T>(method: StoreMethod, args: readonly unknown[], proceed: () => Promise<T>): Promise<T> {
    return await this.#around({ method, args, step: null }, proceed);
  }

  /** `open` begins the iterable, or begins it anew behind the last of the `given` items. */
  async *#stream<T>(
    method: StoreMethod,
    args: readonly unknown[],
    open: (last: T | null, given: number) => AsyncIterable<T>,
  ): AsyncIterable<T> {
    let items: AsyncIterator<T> | null = null;
    let last: T | null = null;
    let given = 0;
    const proceed = async (): Promise<IteratorResult<T>> => {
      items ??= open(last, given)[Symbol.asyncIterator]();
      try {
        return await items.next();
      } catch (error) {
        // An iterator that threw is at its end: asked again, it would seem to have given all.
        items = null;
        throw error;
      }
    };
    try {
      for (;;) {
        const result: IteratorResult<T> = await this.#around({ method, args, step: given }, proceed);
        if (result.done === true) return;
        last = result.value;
        given += 1;
        yield result.value;
      }
    } finally {
      await (items as AsyncIterator<T> | null)?.return?.();
    }
  }
}

/** What comes after the item that `isLast` holds for; nothing when it never does. */
async function* behind<T>(items: AsyncIterable<T>, isLast: (item: T) => boolean): AsyncIterable<T> {
  let found = false;
  for await (const item of items) {
    if (found) yield item;
    else found = isLast(item);
  }
}
