import { isMementoError, MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { Effect, LogDocument, StoreDocument } from "./documents.ts";
import type { Sessions } from "./sessions.ts";
import type { StoreAccess, Tail } from "./tail.ts";
import type { CommitWay } from "./ways.ts";

/** What a change wants to have in the log, but for its number. */
export type Draft = Pick<
  LogDocument,
  "kind" | "header" | "headerBytes" | "digest" | "body" | "bodyBytes" | "accepted" | "removed"
> & { readonly effects: readonly Effect[] };

/** A change of the store: judged by the store as it stands behind the last commit, then committed behind that one. */
export interface Change<T> {
  /** True: it asks for documents by their ids only, so that it may be committed together with others. */
  readonly groups: boolean;
  /** May be called several times, when others commit meanwhile. No draft: nothing is to be done. */
  readonly prepare: (view: StoreView, number: number) => Promise<{ readonly draft: Draft | null; readonly answer: T }>;
}

/** The store as it stands behind one commit. */
export interface StoreView {
  /** Documents of timelines, names, keys and caretakers, each null where there is none. */
  documents(ids: readonly string[]): Promise<ReadonlyMap<string, StoreDocument | null>>;
}

interface Waiting {
  readonly change: Change<unknown>;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Prepared {
  readonly waiting: Waiting;
  readonly document: LogDocument | null;
  readonly outcome: { readonly answer: unknown } | { readonly error: MementoError };
}

const GROUP_MAX = 64;
const GROUP_BYTES_MAX = 4_194_304;
/** So many commits, or bytes, may wait for their effects to be written together. */
const OWED_MAX = 64;
const OWED_BYTES_MAX = 1_048_576;
const IDLE_MS = 30;
const REMEMBERED_MAX = 20_000;
/** How long a writer tries before it says that others are in the way. */
const PATIENCE_MS = 30_000;
/** How long another's open transaction may be in the way before its session is ended. */
const BLOCKED_MS = 1_500;
const FIRST_PAUSE_MS = 2;
const PAUSE_MS_MAX = 250;

/**
 * Commits the changes of this process, one group after the other. A change is prepared against the store as it stands
 * behind commit n and written as commit n + 1; where another process was first it is prepared anew. So what a change was
 * judged by is always what it stands behind, and the log is one line.
 */
export class Committer {
  readonly #access: StoreAccess;
  readonly #tail: Tail;
  readonly #way: CommitWay;
  readonly #sessions: Sessions | null;
  readonly #random: Random;
  readonly #queue: Waiting[] = [];
  /** What is done between two groups. */
  readonly #between: (() => Promise<void>)[] = [];
  /** Documents as they stand behind `#rememberedAt`. */
  readonly #remembered = new Map<string, StoreDocument | null>();
  #rememberedChanges = -1;
  #running: Promise<void> | null = null;
  #isWaiting = false;
  #finished = false;

  constructor(access: StoreAccess, tail: Tail, way: CommitWay, sessions: Sessions | null, random: Random) {
    this.#access = access;
    this.#tail = tail;
    this.#way = way;
    this.#sessions = sessions;
    this.#random = random;
  }

  /** Commits a change. LOCKED when others are in the way for half a minute. */
  async commit<T>(change: Change<T>): Promise<T> {
    const done = new Promise<unknown>((resolve, reject) => {
      this.#queue.push({ change, resolve, reject });
    });
    this.#running ??= this.#run();
    return (await done) as T;
  }

  /**
   * Does something to documents outside the log while no group is being committed: beside the transaction of a group that
   * changes the same documents, the two would be in each other's way for ever.
   */
  async between<T>(work: () => Promise<T>): Promise<T> {
    const done = new Promise<T>((resolve, reject) => {
      this.#between.push(async () => await work().then(resolve, reject));
    });
    this.#running ??= this.#run();
    return await done;
  }

  /** Resolves once nothing is under way any more, and nothing is owed. */
  async finish(): Promise<void> {
    this.#finished = true;
    await this.#running;
    await this.#tail.pay();
  }

  async #run(): Promise<void> {
    while (this.#queue.length + this.#between.length > 0) {
      await Promise.all(this.#between.splice(0).map(async (work) => await work()));
      const group = this.#nextGroup();
      try {
        await this.#commitGroup(group);
        if (this.#tail.owed.length >= OWED_MAX || owedBytes(this.#tail.owed) > OWED_BYTES_MAX) await this.#tail.pay();
      } catch (error) {
        this.#tail.forget();
        for (const { reject } of group) reject(error);
      }
    }
    this.#running = null;
    if (this.#tail.owed.length === 0 || this.#isWaiting) return;
    this.#isWaiting = true;
    void this.#payWhenIdle();
  }

  /** Writes what is owed once this process has stopped committing, so that readers need not. */
  async #payWhenIdle(): Promise<void> {
    for (let end = -1; end !== this.#tail.end;) {
      end = this.#tail.end ?? -1;
      await this.#access.clock.sleep(IDLE_MS);
      await this.#running;
    }
    this.#isWaiting = false;
    if (this.#finished) return;
    try {
      await this.#tail.pay();
    } catch {
      // Nothing is lost: whoever reads or writes next finds the commits, completes them, and is told if it cannot.
      this.#tail.forget();
    }
  }

  #nextGroup(): Waiting[] {
    const ungrouped = this.#queue.findIndex(({ change }) => !change.groups);
    const count = ungrouped === -1 ? this.#queue.length : Math.max(1, ungrouped);
    return this.#queue.splice(0, Math.min(count, GROUP_MAX));
  }

  /** Commits a group; where others were first, in several goes. */
  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const patience = new Patience(this.#access, this.#sessions, this.#random);
    for (let left = group; left.length > 0;) {
      // What does not say which documents it reads must find all effects in place.
      const settling = left[0]?.change.groups === false && this.#tail.owed.length > 0;
      const before = (settling ? null : this.#tail.end) ?? (await this.#tail.settle());
      this.#forgetStale();
      const prepared = await this.#prepare(left, before);
      const documents = prepared.flatMap(({ document }) => document ?? []);
      let settled = prepared;
      if (documents.length > 0) {
        const { committed, blocked } = await this.#way.commit(documents);
        if (committed > 0) this.#tail.moveOver(documents.slice(0, committed), this.#way.atomic);
        if (committed < documents.length) {
          settled = prepared.slice(0, countSettled(prepared, committed));
          this.#remembered.clear();
          await this.#tail.settle();
          await patience.pause(committed > 0, blocked);
        }
      } else if ((await this.#tail.settle()) !== before || this.#rememberedChanges !== this.#tail.changes) {
        // A refusal holds only if nobody has moved the store since what it was judged by was read.
        continue;
      }
      for (const { waiting, outcome } of settled) {
        if ("error" in outcome) waiting.reject(outcome.error);
        else waiting.resolve(outcome.answer);
      }
      left = left.slice(settled.length);
    }
  }

  #forgetStale(): void {
    if (this.#rememberedChanges === this.#tail.changes && this.#remembered.size <= REMEMBERED_MAX) return;
    this.#remembered.clear();
    this.#rememberedChanges = this.#tail.changes;
  }

  /** Prepares as many as fit into one group of commits. */
  async #prepare(group: readonly Waiting[], before: number): Promise<Prepared[]> {
    const view: StoreView = { documents: async (ids) => await this.#documents(ids) };
    const prepared: Prepared[] = [];
    let number = before;
    let bytes = 0;
    for (const waiting of group) {
      if (bytes > GROUP_BYTES_MAX) break;
      try {
        const { draft, answer } = await waiting.change.prepare(view, number + 1);
        if (draft === null) {
          prepared.push({ waiting, document: null, outcome: { answer } });
          continue;
        }
        number += 1;
        bytes += draft.headerBytes + (draft.bodyBytes ?? 0);
        for (const effect of draft.effects) this.#foresee(effect, number);
        prepared.push({ waiting, document: this.#document(draft, number), outcome: { answer } });
      } catch (error) {
        // A refusal by an error, judged as any other answer is.
        if (!isMementoError(error) || error.retryable) throw error;
        prepared.push({ waiting, document: null, outcome: { error } });
      }
    }
    return prepared;
  }

  #document(draft: Draft, number: number): LogDocument {
    const { atomic } = this.#way;
    const base = this.#tail.position ?? 0;
    const by = this.#access.writer + randomText(this.#random, 12);
    return { _id: number, at: number, by, base, atomic, applied: false, ...draft };
  }

  #owes(ids: readonly string[]): boolean {
    const wanted = new Set<string | number>(ids);
    return this.#tail.owed.some(({ effects }) => effects?.some(({ id }) => wanted.has(id)) === true);
  }

  /** What is remembered of a document as it will be behind the commit. */
  #foresee(effect: Effect, number: number): void {
    if (typeof effect.id !== "string") return;
    const known = this.#remembered.get(effect.id);
    if (known === undefined) return;
    if (known === null && effect.act === "change") {
      // It was made outside the log meanwhile, as keys are.
      this.#remembered.delete(effect.id);
      return;
    }
    if (effect.act !== "change") this.#remembered.set(effect.id, known ?? { _id: effect.id, ...effect.fields });
    else this.#remembered.set(effect.id, { ...known, _id: effect.id, ...effect.fields, at: number });
  }

  async #documents(ids: readonly string[]): Promise<ReadonlyMap<string, StoreDocument | null>> {
    const missing = ids.filter((id) => !this.#remembered.has(id));
    if (missing.length > 0) {
      if (this.#owes(missing)) await this.#tail.pay();
      const { documents, maxTimeMS } = this.#access;
      const found = await documents.find({ _id: { $in: missing } }, { maxTimeMS }).toArray();
      for (const id of missing) this.#remembered.set(id, null);
      for (const document of found) this.#remembered.set(String(document._id), document);
    }
    return new Map(ids.map((id) => [id, this.#remembered.get(id) ?? null]));
  }
}

const owedBytes = (owed: readonly LogDocument[]): number => owed.reduce((sum, { headerBytes }) => sum + headerBytes, 0);

/** How many of a group have a certain outcome when so many of its commits stand: all up to the last one of those. */
function countSettled(prepared: readonly Prepared[], committed: number): number {
  let count = 0;
  let end = 0;
  for (const [index, { document }] of prepared.entries()) {
    if (document === null) continue;
    if (count === committed) break;
    count += 1;
    end = index + 1;
  }
  return end;
}

/** How a writer behaves towards others that commit at the same time. */
class Patience {
  readonly #access: StoreAccess;
  readonly #sessions: Sessions | null;
  readonly #random: Random;
  readonly #since: number;
  #blockedSince: number | null = null;
  #lost = 0;

  constructor(access: StoreAccess, sessions: Sessions | null, random: Random) {
    this.#access = access;
    this.#sessions = sessions;
    this.#random = random;
    this.#since = access.clock.monotonic();
  }

  /** Waits a while before the next try, the longer the more were lost, and not twice as long as another one. */
  async pause(progressed: boolean, blocked: boolean): Promise<void> {
    const { clock, where } = this.#access;
    const now = clock.monotonic();
    if (now - this.#since > PATIENCE_MS) {
      throw new MementoError("LOCKED", `${where}: other writers were always first, for ${PATIENCE_MS} ms`);
    }
    this.#lost = progressed ? 0 : this.#lost + 1;
    this.#blockedSince = blocked ? (this.#blockedSince ?? now) : null;
    if (this.#blockedSince !== null && now - this.#blockedSince > BLOCKED_MS) {
      await this.#sessions?.endOthers();
      this.#blockedSince = null;
    }
    if (this.#lost <= 1 && !blocked) return;
    const most = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(this.#lost, 10), PAUSE_MS_MAX);
    const [byte = 0] = this.#random.bytes(1);
    await clock.sleep(1 + (most * byte) / 256);
  }
}
