import { MementoError } from "../../core/errors.ts";
import { firstError } from "../../core/first-error.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { mementoQuery } from "../../store/query.ts";
import type { CaretakerRecord, IndexRow } from "../../store/store.ts";
import { entryAt, LinesAppender } from "../archive/append-lines.ts";
import { ImportLeases } from "../archive/import-leases.ts";
import { isFilledSpent } from "../archive/spent-records.ts";
import type { LeaseKeeper } from "../lease-keeper.ts";
import { beginMaintenance } from "../maintenance.ts";
import { evenIfRemoved } from "../removed-meanwhile.ts";
import { Turns } from "../turns.ts";
import type { Vault } from "../vault.ts";
import { Bandwidth } from "./bandwidth.ts";
import type { CopyReport } from "./copy-report.ts";
import { readSettingsOf, writeSettings } from "./copy-settings.ts";
import { LiveSet } from "./live-set.ts";
import { PendingRemovals } from "./pending-removals.ts";
import { copyScope, type CopyScope, type CopySelection } from "./scope.ts";
import { readSourcePacks, type TravellingRun } from "./source-packs.ts";
import { copyStanding, type CopyStanding } from "./standing.ts";
import { TargetGaps } from "./target-gaps.ts";
import { verifyCopy } from "./verify-copy.ts";

/** How to copy. */
export interface CopyOptions {
  /** What to copy; all of the store by default. */
  readonly selection?: CopySelection;
  /** Reads no more than so many bytes a second from the source, on the average. Default: as fast as it goes. */
  readonly bytesPerSecond?: number;
  /** True: what the source has removed is removed in the target too. Default false: what was live when it was copied stays. */
  readonly delete?: boolean;
  /** True: caretakers that have other policies or pins in the target get those of the source. Default false. */
  readonly followSettings?: boolean;
  /**
   * What is read again at the end: `all` (the default) that was to be copied, in both stores, and compared by its digest;
   * `new`: only what came now; `none`: nothing.
   */
  readonly verify?: "all" | "new" | "none";
  /** Stops between two packs; the same call later goes on. */
  readonly signal?: AbortSignal;
  /** Told how far it is: mementos that were passed, removed ones included, of how many; and bytes that were read. */
  readonly onProgress?: (done: { readonly mementos: number; readonly total: number; readonly bytes: number }) => void;
}

/**
 * Copies a store into another one, whatever engines and keys they have: caretakers with policies and pins, timelines with
 * their addresses and epochs, every memento with its id, place, name, labels and digest, in the order of the log. Each body
 * is opened and checked on the way and sealed anew under the target's keys. Stopped or killed at any moment, the same call
 * goes on where it was; when all is there it changes nothing. Runs of the source may go on meanwhile; what they save after
 * the copy began is left to the next one.
 *
 * EXISTS when an address or a name is taken in the target by something else, CONFLICT when a timeline has gone another way
 * there, LOCKED while others do maintenance or hold a timeline there, DAMAGED for what cannot be read, CANCELLED.
 */
export async function copyStore(from: Vault, to: Vault, options: CopyOptions = {}): Promise<CopyReport> {
  return await firstError(async () => await copyLines(from, to, options, null));
}

/** As `copyStore`, of these timelines alone, which need nothing that the target has not. */
export async function copyLines(
  from: Vault,
  to: Vault,
  options: CopyOptions,
  only: ReadonlySet<string> | null,
): Promise<CopyReport> {
  if (from.meta.id === to.meta.id)
    throw new MementoError("INVALID_ARGUMENT", `${from.store.url} and ${to.store.url} are the same store`);
  // What was removed comes before what needs it: nobody may collect it in between.
  await using alone = await beginMaintenance(to);
  const came: Came = { copied: 0, removedCopied: 0, bytes: 0, live: new LiveSet(), timelines: new Set() };
  return await evenIfRemoved(async () => {
    const settings = await readSettingsOf(from);
    const scope = await copyScope(from, options.selection, only);
    const standing = await copyStanding(from, to, scope);
    const { caretaker, withSettings } = scope;
    const wanted = settings.filter(({ name }) => withSettings && (caretaker === null || name === caretaker));
    const copy = new StoreCopy({ from, to, scope, standing, settings: wanted, alone, options, came });
    return await copy.run();
  });
}

/** What a copy has brought, all of its rounds together. */
interface Came {
  copied: number;
  removedCopied: number;
  bytes: number;
  /** What was live then. */
  readonly live: LiveSet;
  /** Timelines that were not there before. */
  readonly timelines: Set<string>;
}

interface CopyPorts {
  readonly from: Vault;
  readonly to: Vault;
  readonly scope: CopyScope;
  readonly standing: CopyStanding;
  readonly settings: readonly CaretakerRecord[];
  readonly alone: LeaseKeeper;
  readonly options: CopyOptions;
  readonly came: Came;
}

class StoreCopy {
  readonly #ports: CopyPorts;
  /** Live mementos of the scope, and those of them that come now. */
  readonly #live = new LiveSet();
  readonly #new = new LiveSet();
  readonly #bandwidth: Bandwidth;
  readonly #total: number;
  /** The last memento that each timeline has in the target by now. */
  readonly #lastIds = new Map<string, string>();
  /** What a copy of before, which was killed, may have appended and not removed again. */
  readonly #left: MementoEntry[] = [];
  /** Live in the target, and kept there, though the source has removed them. */
  readonly #kept = new Set<string>();
  /** How many the rounds before have brought. */
  readonly #before: number;
  #isBehindPending = false;
  #passed = 0;

  constructor(ports: CopyPorts) {
    this.#ports = ports;
    this.#before = ports.came.copied;
    for (const [key, state] of ports.standing.states) if (state === null) ports.came.timelines.add(key);
    this.#bandwidth = new Bandwidth(ports.from.clock, ports.options.bytesPerSecond ?? null);
    this.#total = [...ports.scope.lines.values()].reduce((sum, { upTo }) => sum + upTo, 0);
  }

  async run(): Promise<CopyReport> {
    const { from, to, options, settings, scope, came } = this.#ports;
    const { verify = "all" } = options;
    const pending = await PendingRemovals.open(to, from.meta.id);
    {
      await using leases = new ImportLeases(to, `copy-${from.meta.id}`);
      const lines = new LinesAppender({
        vault: to,
        leases,
        evidence: { copy: { store: from.meta.id } },
        digestBefore: async ({ timeline }) => await this.#lastDigest(timeline),
      });
      {
        // Stopped or failed: what is there already is left as it is to be.
        await using _end = { [Symbol.asyncDispose]: async () => await lines.finish() };
        await this.#append(lines, pending);
      }
      await this.#removeLeft(lines, pending);
      await leases.finish(
        new Map(
          [...scope.lines].map(([key, { state }]) => [key, { state: lines.stateOf(key), epoch: state.lease.epoch }]),
        ),
      );
    }
    const caretakers = await writeSettings(to, settings, {
      source: from.meta.id,
      follow: options.followSettings ?? false,
    });
    const gone = await this.#removeGone(options.delete ?? false);
    const { verified, evidence } = await verifyCopy({
      ...this.#ports,
      // What came in the rounds before is new too.
      live: verify === "new" && this.#before === 0 ? this.#new : this.#live,
      kept: this.#kept,
      how: verify,
      signal: options.signal,
    });
    return {
      from: from.store.url,
      to: to.store.url,
      copied: came.copied,
      present: Math.max(0, this.#live.size - this.#new.size - this.#before),
      removedCopied: came.removedCopied,
      ...gone,
      newTimelines: came.timelines.size,
      timelines: scope.lines.size,
      caretakers,
      evidence,
      bytes: came.bytes,
      verified,
    };
  }

  async #append(lines: LinesAppender, pending: PendingRemovals): Promise<void> {
    const { from, to, scope, standing, alone, options, came } = this.#ports;
    for (const [key, { state }] of scope.lines) {
      const { check: _check, ...record } = state.record;
      const here = standing.states.get(key) ?? null;
      await lines.begin(record, here);
      if (here?.head !== undefined && here.head !== null) this.#lastIds.set(key, here.head.id);
    }
    const growing = [...scope.lines.values()].filter(({ state: { record }, upTo }) => {
      const sequence = lines.sequenceOf(record.key);
      return sequence > 0 && sequence < upTo;
    });
    const gaps = await TargetGaps.open(
      from,
      to,
      growing.map(({ state }) => state.record.key),
    );
    const { since } = pending;
    const packs = readSourcePacks({
      vault: from,
      scope,
      isThere: ({ entry }) => entry.sequence <= (standing.states.get(entry.timeline)?.head?.sequence ?? 0),
      onRow: (row) => this.#take(row, since),
      signal: options.signal,
    });
    for await (const { bytes, runs } of packs) {
      alone.demand();
      for (const run of runs) await this.#appendRun(run, { lines, pending, gaps });
      came.bytes += bytes;
      this.#tell();
      await this.#bandwidth.passed(bytes, options.signal);
    }
    this.#tell();
  }

  /** Looks at every memento of the scope, there or not. */
  #take(row: IndexRow, since: string | null): void {
    const { scope, standing } = this.#ports;
    const { entry } = row;
    this.#passed += 1;
    this.#isBehindPending ||= entry.id === since;
    const isThere = entry.sequence <= (standing.states.get(entry.timeline)?.head?.sequence ?? 0);
    if (scope.passageOf(row) === "whole") {
      this.#live.add(entry);
      if (!isThere) this.#new.add(entry);
    } else if (isThere && this.#isBehindPending) this.#left.push(entry);
    if (isThere && this.#passed % 256 === 0) this.#tell();
  }

  async #appendRun(
    { pack, slots, removed, isSpent }: TravellingRun,
    { lines, pending, gaps }: { lines: LinesAppender; pending: PendingRemovals; gaps: TargetGaps },
  ): Promise<void> {
    const { came } = this.#ports;
    for (const slot of slots) await this.#demandName(entryAt(pack, slot));
    const gone = slots.find((slot) => removed.has(slot));
    // What is still there from before stays: it is further back.
    if (gone !== undefined && pending.since === null) await pending.begin(entryAt(pack, gone).id);
    if (isSpent) await lines.appendSpent(pack, slots);
    else {
      await gaps.fillFor(pack, slots);
      came.copied += await lines.append(pack, slots, removed);
      for (const slot of slots) if (!removed.has(slot)) came.live.add(entryAt(pack, slot));
    }
    came.removedCopied += removed.size;
    for (const slot of slots) {
      const { timeline, id } = entryAt(pack, slot);
      this.#lastIds.set(timeline, id);
    }
  }

  /** What a copy that was killed may have appended, and not removed again; and what the source has removed since it came. */
  async #removeLeft(lines: LinesAppender, pending: PendingRemovals): Promise<void> {
    const { to } = this.#ports;
    const left: MementoEntry[] = [];
    for (const entry of [...this.#left, ...(await this.#removedSince())]) {
      const stored = await to.store.read(entry.id);
      if (stored?.removed !== false) continue;
      const manifest = (await to.reader.manifests(stored))[stored.slot];
      // Of what has pieces the body stays: others may need some of them, and collection knows.
      if (manifest && isFilledSpent(manifest)) lines.removeLater(entry);
      else left.push(entry);
    }
    await lines.remove(left);
    await lines.finish();
    await pending.end();
  }

  /** What the source has removed since it came: what it needs may have been collected there before that came. */
  async #removedSince(): Promise<readonly MementoEntry[]> {
    const { from, came, options } = this.#ports;
    const turns = new Turns(from.clock);
    const gone: MementoEntry[] = [];
    for (const timeline of came.live.timelines()) {
      for await (const { entry, removed } of from.store.query(mementoQuery({ timeline, removed: true }))) {
        await turns.take(options.signal);
        if (!removed || !came.live.has(entry)) continue;
        gone.push(entry);
        this.#live.delete(entry);
        this.#new.delete(entry);
      }
    }
    return gone;
  }

  /** What the source no longer has, of what the target has had before. */
  async #removeGone(mayDelete: boolean): Promise<{ readonly deleted: number; readonly onlyInTarget: number }> {
    const { from, to, scope, standing, options } = this.#ports;
    const turns = new Turns(to.clock);
    const counts = { deleted: 0, onlyInTarget: 0 };
    // A choice of mementos says nothing of the others.
    if (!scope.withSettings) return counts;
    for (const [timeline, state] of standing.states) {
      const upTo = Math.min(state?.head?.sequence ?? 0, scope.lines.get(timeline)?.upTo ?? 0);
      if (upTo === 0) continue;
      const gone: MementoEntry[] = [];
      for await (const { entry } of to.store.query(mementoQuery({ timeline }))) {
        await turns.take(options.signal);
        if (entry.sequence <= upTo && !this.#live.has(entry)) gone.push(entry);
      }
      if (gone.length === 0) continue;
      const mementos = gone.map(({ id }) => id);
      if (!mayDelete) {
        counts.onlyInTarget += gone.length;
        for (const id of mementos) this.#kept.add(id);
      } else {
        const about = { caretaker: gone[0]?.caretaker ?? "", timeline, mementos };
        const notice = to.notice("removed", about, { copy: { store: from.meta.id } });
        counts.deleted += (await to.store.remove(mementos, notice)).length;
      }
    }
    return counts;
  }

  /** A name that belongs to a memento of another timeline, one that the copy does not bring, is not taken from it. */
  async #demandName({ caretaker, name }: MementoEntry): Promise<void> {
    const { to, scope, standing } = this.#ports;
    if (name === undefined || !standing.foreign.has(caretaker)) return;
    const holder = await to.store.findByName(caretaker, name);
    if (holder === null || scope.lines.has(parseMementoId(holder)?.timeline ?? "")) return;
    throw new MementoError(
      "EXISTS",
      `The name ${JSON.stringify(name)} belongs to memento ${holder} in ${to.store.url}`,
      {
        hint: "Remove that memento first, or copy into another store.",
        details: { id: holder },
      },
    );
  }

  async #lastDigest(timeline: string): Promise<string | null> {
    const { to } = this.#ports;
    const id = this.#lastIds.get(timeline);
    const stored = id === undefined ? null : await to.store.read(id);
    if (stored === null || stored.body === null) return null;
    return (await to.reader.manifests(stored))[stored.slot]?.digest ?? null;
  }

  #tell(): void {
    const { options, came } = this.#ports;
    options.onProgress?.({ mementos: this.#passed, total: this.#total, bytes: came.bytes });
  }
}
