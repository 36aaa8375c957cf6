import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { Clock } from "../../../core/ports.ts";
import { decodeHeader } from "../../header.ts";
import { mementoQuery } from "../../query.ts";
import { copyKeys, keysBefore } from "./copy-keys.ts";
import { lookAt } from "./look-at.ts";
import { NoticeBalance } from "./notice-balance.ts";
import { readProgress, type Progress, type ReplicaState } from "./replica-state.ts";
import { ReplicaWriter, takenOver, type ReplicaPair } from "./replica-writer.ts";

/** How far a replica is behind its primary. */
export interface ReplicaLag {
  /** The replica's URL. */
  readonly replica: string;
  /** `following`; `failing`: the last attempt met a problem, and will be repeated; `taken-over`: somebody else writes to it. */
  readonly state: "following" | "failing" | "taken-over";
  /** Commits of the primary that the replica does not have; counted up to 10,000. */
  readonly commits: number;
  /** The age of the oldest of them, by the clocks of those who wrote it and of this machine; 0 when there is none. */
  readonly ms: number;
  readonly problem: string | null;
}

/** What a comparison of both sides came to. */
export interface ReplicaComparison {
  readonly mementos: number;
  /** Packs whose bytes were copied anew. */
  readonly copied: number;
  /** Mementos that the replica does not have, or has in another state, after all was followed: it must be looked into. */
  readonly differing: readonly string[];
}

const COUNTED_MAX = 10_000;
const SAVED_EVERY = 64;

/** Keeps one replica behind one primary. Everything is done in turns, one after the other. */
export class Follower {
  readonly pair: ReplicaPair;
  readonly #clock: Clock;
  readonly #kept: ReplicaState;
  readonly #writer: ReplicaWriter;
  #storeId: string | null = null;
  #cursor: string | null = null;
  /** The last memento that was brought. */
  #memento: string | null = null;
  #notices: NoticeBalance | null = null;
  readonly #owed = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();
  #nextDrain: Promise<void> | null = null;
  #problem: MementoError | null = null;
  #wasTried = false;

  constructor(pair: ReplicaPair, kept: ReplicaState, clock: Clock) {
    this.pair = pair;
    this.#kept = kept;
    this.#clock = clock;
    this.#writer = new ReplicaWriter(pair);
  }

  /** What the last attempt met; null when it went well. FENCED stays. */
  get problem(): MementoError | null {
    return this.#problem;
  }

  /** False until something was attempted: until then nobody knows of a problem. */
  get wasTried(): boolean {
    return this.#wasTried;
  }

  /** Resolves once the replica has every commit that the primary had when this was called. */
  async drained(): Promise<void> {
    // Whoever comes before a drain has begun shares it.
    this.#nextDrain ??= this.#inTurn(async () => {
      this.#nextDrain = null;
      await this.#drain();
    });
    await this.#nextDrain;
  }

  /** Makes a timeline that was just made on the primary. */
  async timeline(key: string): Promise<void> {
    await this.#inTurn(async () => {
      const state = await this.pair.primary.timeline(key);
      if (state !== null && (await this.#ready())) await this.#writer.timeline(state.record);
    });
  }

  /** Brings a lease's new epoch, behind all that was saved under those before. */
  async epoch(timeline: string): Promise<void> {
    await this.#inTurn(async () => {
      const epoch = (await this.pair.primary.timeline(timeline))?.lease.epoch;
      await this.#drain();
      if (epoch !== undefined) await this.#writer.raise(timeline, epoch);
    });
  }

  /** Remembers packs that were replaced or reclaimed: the next time that the log is followed they are brought too. */
  owe(ids: readonly string[]): void {
    for (const id of ids) this.#owed.add(id);
  }

  /** Brings everything that no commit tells of: timelines, epochs, keys. */
  async survey(): Promise<void> {
    await this.#inTurn(async () => await this.#survey());
  }

  /** Compares every memento of the two, and copies what was replaced or reclaimed without this process. */
  async compare(): Promise<ReplicaComparison> {
    return await this.#inTurn(async () => {
      await this.#survey();
      return await this.#compare();
    });
  }

  /** Looks whether somebody else writes to the replica, and copies nothing. FENCED. */
  async check(): Promise<void> {
    await this.#inTurn(async () => {
      if ((await this.pair.replica.meta()) !== null) await this.#demandBehind();
    });
  }

  async lag(): Promise<ReplicaLag> {
    const { primary, replica } = this.pair;
    const problem = this.#problem;
    const state = problem === null ? "following" : problem.code === "FENCED" ? "taken-over" : "failing";
    let commits = 0;
    let oldest: number | null = null;
    const meta = await primary.meta();
    if (meta !== null) {
      const cursor =
        this.#storeId === null ? readProgress(await this.#kept.load(), this.#place(meta.id)).primary : this.#cursor;
      for await (const { header } of primary.commits(cursor)) {
        oldest ??= writtenAt(header);
        commits += 1;
        if (commits === COUNTED_MAX) break;
      }
    }
    const ms = oldest === null ? 0 : Math.max(0, this.#clock.now() - oldest);
    return { replica: replica.url, state, commits, ms, problem: problem?.message ?? null };
  }

  /** Waits for what is under way. */
  async idle(): Promise<void> {
    await this.#turn;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    const turn = (async () => {
      await before;
      this.#wasTried = true;
      if (this.#problem?.code === "FENCED") throw this.#problem;
      try {
        const result = await work();
        this.#problem = null;
        return result;
      } catch (error) {
        this.#problem = isMementoError(error)
          ? error
          : new MementoError("IO_FAILED", `The replica ${this.pair.replica.url} failed: ${String(error)}`, {
              cause: error,
            });
        throw this.#problem;
      }
    })();
    // The next one begins when this one has ended, however it ended; its own caller is told of the error.
    this.#turn = turn.then(
      () => undefined,
      () => undefined,
    );
    return await turn;
  }

  /** False while the primary is no store yet. */
  async #ready(): Promise<boolean> {
    if (this.#storeId !== null) return true;
    const meta = await this.#writer.create();
    if (meta === null) return false;
    const progress = await this.#progress(meta.id);
    this.#cursor = progress.primary;
    this.#memento = progress.memento;
    this.#notices = new NoticeBalance(this.pair.replica, progress.replica, progress.notices);
    for (const id of progress.owed) this.#owed.add(id);
    this.#storeId = meta.id;
    return true;
  }

  /** Whose progress is kept here. */
  #place(store: string): Pick<Progress, "store" | "between"> {
    return { store, between: [this.pair.primary.url, this.pair.replica.url] };
  }

  /** What was kept; from the start where the replica lacks the memento that it ends with: it was emptied since, or put back to an earlier state. */
  async #progress(store: string): Promise<Progress> {
    const place = this.#place(store);
    const kept = readProgress(await this.#kept.load(), place);
    return kept.memento !== null && (await this.#has(kept.memento)) ? kept : readProgress(null, place);
  }

  async #has(id: string): Promise<boolean> {
    try {
      return (await lookAt(this.pair.replica, id)) !== null;
    } catch (error) {
      // It is there: what is wrong with it is another matter.
      if (isMementoError(error, "DAMAGED")) return true;
      throw error;
    }
  }

  async #drain(): Promise<void> {
    if (!(await this.#ready()) || this.#notices === null) return;
    let unsaved = 0;
    for await (const commit of this.pair.primary.commits(this.#cursor)) {
      this.#memento = (await this.#writer.commit(commit, this.#notices)) ?? this.#memento;
      this.#cursor = commit.cursor;
      unsaved += 1;
      if (unsaved % SAVED_EVERY === 0) await this.#save();
    }
    const owed = this.#owed.size;
    for (const id of this.#owed) {
      // It may be owed again while it is brought.
      this.#owed.delete(id);
      try {
        await this.#writer.bytes(id);
      } catch (error) {
        this.#owed.add(id);
        throw error;
      }
    }
    if (unsaved + owed > 0) await this.#save();
  }

  async #survey(): Promise<void> {
    if (!(await this.#ready())) return;
    const before = await keysBefore(this.pair);
    const epochs = await this.#writer.timelines();
    await this.#drain();
    for (const [timeline, epoch] of epochs) await this.#writer.raise(timeline, epoch);
    await copyKeys(this.pair, before, async () => await this.#compare());
  }

  async #compare(): Promise<ReplicaComparison> {
    const { primary, replica } = this.pair;
    let [mementos, copied] = [0, 0];
    const differing: string[] = [];
    for await (const { entry, removed } of primary.query(mementoQuery({ order: "ascending", removed: true }))) {
      mementos += 1;
      const there = await lookAt(replica, entry.id);
      if (there === null || there.removed !== removed) differing.push(entry.id);
      else if (await this.#writer.bytes(entry.id)) copied += 1;
    }
    await this.#demandBehind();
    return { mementos, copied, differing };
  }

  async #demandBehind(): Promise<void> {
    const { primary, replica } = this.pair;
    for await (const { record, head, lease } of replica.timelines(null)) {
      const here = await primary.timeline(record.key);
      if (here === null) throw takenOver(this.pair, `it has a timeline ${record.key} of its own`);
      if ((head?.sequence ?? 0) > (here.head?.sequence ?? 0) || lease.epoch > here.lease.epoch)
        throw takenOver(this.pair, `timeline ${record.key} is further on there`);
    }
  }

  async #save(): Promise<void> {
    const progress: Progress = {
      ...this.#place(this.#storeId ?? ""),
      primary: this.#cursor,
      memento: this.#memento,
      replica: this.#notices?.cursor ?? null,
      notices: this.#notices?.counts ?? [],
      owed: [...this.#owed],
    };
    await this.#kept.save(JSON.stringify(progress));
  }
}

function writtenAt(header: Uint8Array): number {
  const understood = decodeHeader(header, "a commit");
  return Date.parse(understood.type === "notice" ? understood.notice.at : (understood.entries[0]?.created ?? ""));
}
