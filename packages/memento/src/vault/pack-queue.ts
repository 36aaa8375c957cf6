import { isMementoError, MementoError } from "../core/errors.ts";
import { systemRandom, type Clock, type Random } from "../core/ports.ts";
import type { UncheckedRecord } from "../store/apart.ts";
import type { AppendRecord, AppendResult, MementoStore } from "../store/store.ts";
import { BusyWait } from "./busy-wait.ts";
import type { RowChecks } from "./checks.ts";
import { CommitGroups, GROUP_MIN } from "./commit-groups.ts";
import { compressAhead, DEFAULT_COMPRESSION, type CompressedSection, type Compression } from "./compression.ts";
import type { DataKeys, SealingKey } from "./data-keys.ts";
import type { PackParts } from "./pack-maker.ts";
import { buildLaidPack, buildPack, layOutPack, type BuiltPack, type LaidPack, type PackItem } from "./pack.ts";
import { prepareSeal, type DataKey } from "./seal.ts";
import { nextTurn } from "./turns.ts";

/** A memento on its way to the store, with the conditions under which it may become the head. */
export interface QueuedSave extends PackItem {
  readonly conditions: Omit<UncheckedRecord, "entry">;
}

/** What the store said of one save. */
export interface SaveOutcome {
  readonly result: AppendResult;
  readonly digest: string;
}

interface Waiting {
  readonly save: QueuedSave;
  readonly bytes: number;
  readonly resolve: (outcome: SaveOutcome) => void;
  readonly reject: (reason: unknown) => void;
}

/** What goes to the store as one pack. */
interface Pack {
  readonly items: readonly Waiting[];
  /** Made while the pack before it was under way; null: made when its turn comes. */
  readonly ahead: Promise<Ready> | null;
  /** Where the store's other thread takes it, it is on its way there already, behind the one before it. */
  readonly committing: Promise<void> | null;
}

/** A pack on its way to the store, and what it is sealed by. */
interface Ready {
  /** Sealed, or laid out for the store's other thread, which seals it. */
  readonly pack: BuiltPack | LaidPack;
  readonly sealing: SealingKey | null;
}

/** What came of an append, slot by slot. */
interface Appended {
  readonly results: readonly AppendResult[];
  readonly digests: readonly string[];
}

const PACK_ITEMS_MAX = 256;
/** Data keys that may be retired one after the other under one save. */
const FRESH_KEYS_MAX = 10;
const PACK_BYTES_TARGET = 1_048_576;
const ALONE_MAX = 16;
/** The module that makes what was laid out a pack, wherever it is appended. */
const PACK_MAKER = "vault/pack-maker";

/**
 * Group commit: saves that are asked for in one turn of the event loop, or while a commit is under way, go to the store
 * as one pack for each caretaker, or two where many more have come than went before. A lone save is a pack of one.
 */
export class PackQueue {
  readonly #store: MementoStore;
  readonly #keys: DataKeys | null;
  readonly #checks: RowChecks;
  readonly #random: Random;
  readonly #groups: CommitGroups;
  readonly #compressions = new Map<string, Compression>();
  readonly #waiting: Waiting[] = [];
  /** The packs that go next, being made while the store is at work. */
  #ahead: readonly Pack[] = [];
  /** How many packs in a row have held one save only. */
  #alone = 0;
  readonly #busyWait = new BusyWait();
  #flushing: Promise<void> | null = null;
  #isPreparing = false;
  #isCompressing = false;

  constructor(
    store: MementoStore,
    { keys, checks }: { readonly keys: DataKeys | null; readonly checks: RowChecks },
    random: Random,
    clock: Pick<Clock, "monotonic">,
  ) {
    this.#store = store;
    this.#keys = keys;
    this.#checks = checks;
    this.#random = random;
    this.#groups = new CommitGroups(clock);
  }

  /** How a caretaker's packs are compressed from now on. */
  compress(caretaker: string, compression: Compression): void {
    this.#compressions.set(caretaker, compression);
  }

  /**
   * Begins to compress a piece that a save of this caretaker will hold whole; null where that is not worth while: beside others it
   * would only keep the threads from them, on which all of the process's files wait.
   */
  compressAhead(caretaker: string, bytes: Uint8Array): Promise<CompressedSection> | null {
    if (this.#flushing !== null || this.#isCompressing) return null;
    const begun = compressAhead(bytes, this.#compressionOf(caretaker));
    if (begun === null) return null;
    this.#isCompressing = true;
    const end = (): void => {
      this.#isCompressing = false;
    };
    begun.then(end, end);
    return begun;
  }

  /** Resolves once the store has answered for this save; rejects when the commit failed as a whole. */
  async save(save: QueuedSave): Promise<SaveOutcome> {
    const bytes = save.held.reduce((sum, piece) => sum + piece.bytes.length, 0);
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ save, bytes, resolve, reject });
      if (this.#flushing === null) this.#flushing = this.#flush();
      else this.#sealAhead();
    });
  }

  /** Waits until nothing is under way. */
  async idle(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing;
  }

  async #flush(): Promise<void> {
    // One turn's delay lets every run that is ready in this turn join the pack. A save that has been alone for a while
    // goes at once: the turn would be a twentieth of what it costs. Now and then it waits all the same, to see who else
    // is there, and so that timers and signals have their turn.
    if (this.#alone % ALONE_MAX === 0) await nextTurn();
    else await Promise.resolve();
    this.#groups.restart();
    while (this.#ahead.length > 0 || this.#waiting.length > 0) {
      const packs = this.#ahead.length > 0 ? this.#ahead : this.#takePacks();
      this.#ahead = [];
      const saves = packs.reduce((sum, { items }) => sum + items.length, 0);
      this.#alone = saves === 1 ? this.#alone + 1 : 0;
      this.#groups.begin(saves);
      for (const pack of packs) await (pack.committing ?? this.#commit(pack));
      this.#groups.end();
    }
    this.#flushing = null;
  }

  #takePacks(): Pack[] {
    const waiting = this.#waiting.splice(0, this.#groups.next(this.#waiting.length));
    return groupIntoPacks(waiting).map((items) => ({ items, ahead: null, committing: null }));
  }

  /**
   * Makes the next packs while the store is at work, once as many wait as it is at work on. Its other thread gets them at once: it goes
   * on without waiting until this one has a turn for the answer.
   */
  #sealAhead(): void {
    const { underWay } = this.#groups;
    if (underWay < GROUP_MIN || this.#waiting.length < underWay || this.#ahead.length > 0) return;
    this.#ahead = this.#takePacks().map((pack) => {
      const { items } = pack;
      if (this.#goesApart(items)) return { ...pack, committing: this.#commit(pack) };
      const ahead = this.#make(items);
      // It is looked at when its turn comes.
      ahead.catch(() => undefined);
      return { ...pack, ahead };
    });
  }

  async #commit(pack: Pack): Promise<void> {
    try {
      const { results, digests } = await this.#append(pack);
      for (const [slot, { resolve, reject }] of pack.items.entries()) {
        const result = results[slot];
        if (result === undefined) reject(new MementoError("IO_FAILED", "The store gave no answer for a save"));
        else resolve({ result, digest: digests[slot] ?? "" });
      }
    } catch (error) {
      for (const { reject } of pack.items) reject(error);
    }
  }

  /** Seals and appends; again under a fresh data key when a secure deletion has retired the one that was used. */
  async #append({ items, ahead }: Pack): Promise<Appended> {
    for (let attempt = 1; ; attempt++) {
      const ready = await (attempt === 1 && ahead !== null ? ahead : this.#make(items));
      const { sealing } = ready;
      try {
        const { results, digests } = await this.#give(ready, items);
        const isNewKey = sealing !== null && sealing.record !== null;
        if (isNewKey && results.some(({ outcome }) => outcome === "appended")) await this.#keys?.stored(sealing.key.id);
        return { results: attempt === 1 ? results : await this.#recognised(items, results), digests };
      } catch (error) {
        if (!isMementoError(error, "KEY_RETIRED") || sealing === null || attempt >= FRESH_KEYS_MAX) throw error;
        this.#keys?.retire(sealing.key.id);
      }
    }
  }

  /** Gives a pack to the store. */
  async #give({ pack, sealing }: Ready, items: readonly Waiting[]): Promise<Appended> {
    const dataKey = sealing?.record ?? null;
    const records = items.map(({ save: { entry, conditions } }) => {
      const { expectedSequence, replaceName } = conditions;
      return { entry, expectedSequence, replaceName };
    });
    if ("inline" in pack) {
      const parts: PackParts = { ...pack, checkKey: this.#checks.key() };
      const appending = this.#store.apart?.append({ records, dataKey, maker: PACK_MAKER, parts });
      this.#prepare(null);
      const appended = (await appending) ?? null;
      if (appended !== null) return { results: appended.results, digests: appended.answer as readonly string[] };
    }
    const { header, body, digests } = "inline" in pack ? await buildLaidPack(pack, this.#random) : pack;
    const appending = this.#store.append({ header, body, records: records.map((one) => this.#checked(one)), dataKey });
    this.#prepare(sealing?.key ?? null);
    return { results: await (items.length === 1 ? this.#busyWait.for(appending) : appending), digests };
  }

  #checked(record: UncheckedRecord): AppendRecord {
    const { entry, expectedSequence, replaceName } = record;
    const headCheck = this.#checks.head(entry.timeline, entry.id, entry.sequence);
    return { entry, expectedSequence, replaceName, headCheck };
  }

  /** Makes a pack; for the store's other thread only as far as it is laid out. */
  async #make(items: readonly Waiting[]): Promise<Ready> {
    const caretaker = items[0]?.save.entry.caretaker ?? "";
    const sealing = (await this.#keys?.forSealing(caretaker)) ?? null;
    const saves = items.map(({ save }) => save);
    const key = sealing?.key ?? null;
    const compression = this.#compressionOf(caretaker);
    const laid = this.#goesApart(items) ? layOutPack(saves, key, compression) : null;
    if (laid !== null) return { pack: laid, sealing };
    const building = buildPack(saves, key, this.#random, compression);
    return { pack: building instanceof Promise ? await building : building, sealing };
  }

  /** Another thread has the machine's randomness, and no other. */
  #goesApart(items: readonly Waiting[]): boolean {
    return items.length >= GROUP_MIN && this.#random === systemRandom && (this.#store.apart?.isOpen ?? false);
  }

  #compressionOf(caretaker: string): Compression {
    return this.#compressions.get(caretaker) ?? DEFAULT_COMPRESSION;
  }

  /** While the store is at work, the next pack's cipher is made ready, and the next pack if those who go next wait already. */
  #prepare(key: DataKey | null): void {
    if (this.#isPreparing) return;
    this.#isPreparing = true;
    setImmediate(() => {
      this.#isPreparing = false;
      this.#groups.turn();
      if (key !== null) prepareSeal(key, this.#random);
      this.#sealAhead();
    });
  }

  /** Some timelines of a pack may have moved before its key was found to be retired: their records are in their own way then. */
  async #recognised(items: readonly Waiting[], results: readonly AppendResult[]): Promise<readonly AppendResult[]> {
    const recognised: AppendResult[] = [];
    for (const [slot, result] of results.entries()) {
      const id = items[slot]?.save.entry.id ?? "";
      const isThere = result.outcome === "conflict" && (await this.#store.read(id)) !== null;
      recognised.push(isThere ? { outcome: "appended" } : result);
    }
    return recognised;
  }
}

/** Packs hold saves of one caretaker, and a large save travels alone: opening a small one must not cost reading it. */
function groupIntoPacks(waiting: readonly Waiting[]): Waiting[][] {
  const packs: Waiting[][] = [];
  const open = new Map<string, { items: Waiting[]; bytes: number }>();
  for (const item of waiting) {
    const caretaker = item.save.entry.caretaker;
    const current = open.get(caretaker);
    if (
      current === undefined ||
      current.items.length >= PACK_ITEMS_MAX ||
      current.bytes + item.bytes > PACK_BYTES_TARGET
    ) {
      const items = [item];
      packs.push(items);
      open.set(caretaker, { items, bytes: item.bytes });
    } else {
      current.items.push(item);
      current.bytes += item.bytes;
    }
  }
  return packs;
}
