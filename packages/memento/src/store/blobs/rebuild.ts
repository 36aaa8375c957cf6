import { posix as nodePath } from "node:path";

import type { IndexAuthority, IndexRebuild, StoreDamage } from "../store.ts";
import { caretakerMeaning, type CaretakerEntry, type CaretakerStanding } from "./caretaker-log.ts";
import type { Catalogue, StoreParts, TimelineFacts } from "./catalogue.ts";
import { problemOr } from "./check-log.ts";
import { frameJson } from "./frame.ts";
import type { Leases } from "./leases.ts";
import type { LogRecord } from "./log-reader.ts";
import type { Tail } from "./log.ts";
import { mendLog, type LostEntry } from "./mend-log.ts";
import { mendNames } from "./mend-names.ts";
import type { Names } from "./names.ts";
import { PackSearch } from "./pack-search.ts";
import type { Packs } from "./packs.ts";
import { addressText, isInline } from "./paths.ts";
import { SequenceSet } from "./sequence-set.ts";
import { headSequence, type TimelineEntry, type TimelineStanding } from "./timeline-log.ts";

/** What making the index anew works with. */
export interface RebuildParts extends StoreParts {
  readonly catalogue: Catalogue;
  readonly packs: Packs;
  readonly names: Names;
  readonly leases: Leases;
}

/**
 * The index of this driver is its logs, and what stands beside them. A lost entry is taken from the chapter that repeats
 * it; else an append is found by its pack, a timeline by its own file, a removal by the caretaker's written state; else a
 * lost lease gives way to a higher epoch, so that nobody who had it can go on.
 */
export async function rebuildIndex(
  parts: RebuildParts,
  authority: IndexAuthority,
  dryRun: boolean,
): Promise<IndexRebuild> {
  const rebuild = new Rebuild(parts, authority, dryRun);
  await rebuild.run();
  return { changes: rebuild.changes, problems: rebuild.problems };
}

class Rebuild {
  readonly changes: StoreDamage[] = [];
  readonly problems: StoreDamage[] = [];
  readonly #parts: RebuildParts;
  readonly #authority: IndexAuthority;
  readonly #dryRun: boolean;
  readonly #search: PackSearch;

  constructor(parts: RebuildParts, authority: IndexAuthority, dryRun: boolean) {
    this.#parts = parts;
    this.#authority = authority;
    this.#dryRun = dryRun;
    this.#search = new PackSearch(parts);
  }

  async run(): Promise<void> {
    const { files, paths, catalogue } = this.#parts;
    catalogue.forget();
    const known = new Set<string>();
    for await (const folder of files.list(paths.caretakers)) {
      const path = nodePath.join(paths.caretakers, folder);
      const name = await problemOr(() => catalogue.nameOf(path));
      if (name.problem !== null) this.#problem(name.problem, null);
      if (name.value === null) continue;
      for (const facts of await this.#caretaker(name.value)) {
        known.add(nodePath.basename(paths.timeline(facts.record.key)));
        await this.#timeline(facts);
      }
    }
    await this.#unlisted(known);
    catalogue.forget();
    // Who has a name is asked of the logs, once they are whole.
    if (this.problems.length > 0 || (this.#dryRun && this.changes.length > 0)) return;
    for (const change of await mendNames(this.#parts, this.#dryRun)) this.changes.push(change);
  }

  /** Mends a caretaker's log; gives the timelines that it lists. */
  async #caretaker(name: string): Promise<readonly TimelineFacts[]> {
    const { paths, files, random, catalogue } = this.#parts;
    const log = catalogue.caretaker(name);
    const mended = await mendLog<CaretakerEntry, CaretakerStanding>({
      place: { kind: "caretaker", id: name, folder: paths.caretaker(name) },
      files,
      random,
      writtenState: () => log.writtenState(),
      substitute: (lost, state, sound) => this.#caretakerEntry(name, lost, state, sound),
      dryRun: this.#dryRun,
    });
    this.#told(mended, null);
    catalogue.forget();
    if (!this.#dryRun && mended.stateIsStale && mended.problems.length === 0)
      await catalogue.caretaker(name).rewriteState();
    return mended.records.flatMap((record) =>
      record?.entry.kind === "timeline" ? [{ record: record.entry.record, lease: record.entry.lease }] : [],
    );
  }

  /** What a lost entry did is what the written state knows and the other entries do not say. */
  async #caretakerEntry(
    name: string,
    { position }: LostEntry<CaretakerEntry>,
    state: Tail<CaretakerStanding> | null,
    sound: readonly (LogRecord<CaretakerEntry> | null)[],
  ): Promise<CaretakerEntry | null> {
    const others = caretakerMeaning.initial();
    const until = state?.position ?? sound.length;
    for (const record of sound.slice(0, until)) if (record !== null) caretakerMeaning.fold(others, record);
    const timeline = await this.#lostTimeline(name, state, others);
    if (timeline !== null) return { kind: "timeline", ...timeline };
    if (state === null || state.position < position) return null;
    const removed: Record<string, readonly (readonly [number, number])[]> = {};
    for (const [key, set] of state.state.removed) {
      const missing = new SequenceSet();
      for (const [from, to] of set.ranges)
        for (let number = from; number <= to; number++)
          if (others.removed.get(key)?.has(number) !== true) missing.add(number);
      if (missing.size > 0) removed[key] = missing.ranges;
    }
    const isOther = JSON.stringify(state.state.record) !== JSON.stringify(others.record);
    const header = Buffer.from(this.#authority.lostCommit(`${name} ${position}`, [])).toString("base64");
    return { kind: "notice", header, removed, ...(isOther ? { caretaker: state.state.record } : {}) };
  }

  /** A timeline of this caretaker that has a file of its own, and that no other entry lists. */
  async #lostTimeline(
    name: string,
    state: Tail<CaretakerStanding> | null,
    others: CaretakerStanding,
  ): Promise<TimelineFacts | null> {
    const { files, paths, catalogue } = this.#parts;
    for await (const key of files.list(paths.timelines)) {
      const { value } = await problemOr(() => catalogue.writtenFacts(key));
      if (value === null || value.record.caretaker !== name || others.timelines.has(value.record.key)) continue;
      // A crash may have left the file of a timeline whose making another one won.
      if (others.addresses.has(addressText(value.record))) continue;
      if (state === null || state.state.timelines.has(value.record.key)) return value;
    }
    return null;
  }

  async #timeline(facts: TimelineFacts): Promise<void> {
    const { paths, files, random, catalogue, leases } = this.#parts;
    const { key } = facts.record;
    const own = await problemOr(() => catalogue.writtenFacts(key));
    if (JSON.stringify(own.value) !== JSON.stringify({ record: facts.record, lease: facts.lease })) {
      this.#change(`The file ${paths.timelineFacts(key)} is written again from its caretaker's log`, [], key);
      if (!this.#dryRun) {
        await files.ensureFolder(paths.timeline(key));
        await files.replace(paths.timelineFacts(key), await frameJson("timeline", facts));
      }
    }
    for await (const name of files.list(paths.timeline(key))) {
      const epoch = /^lease-([0-9]{1,15})\.json$/.exec(name)?.[1];
      if (epoch === undefined || (await problemOr(() => leases.read(key, Number(epoch)))).problem === null) continue;
      this.#change(`The renewal ${name} is damaged and goes away; the lease ends sooner`, [], key);
      if (!this.#dryRun) await files.remove(paths.lease(key, Number(epoch)));
    }
    await this.#timelineLog(facts, random);
  }

  async #timelineLog({ record: { key }, lease }: TimelineFacts, random: StoreParts["random"]): Promise<void> {
    const { paths, files, catalogue } = this.#parts;
    const opened = this.#dryRun ? null : await catalogue.timeline(key);
    const probe = opened?.log ?? this.#search.logOf(key, lease);
    const mended = await mendLog<TimelineEntry, TimelineStanding>({
      place: { kind: "timeline", id: key, folder: paths.timeline(key) },
      files,
      random,
      writtenState: () => probe.writtenState(),
      substitute: async (lost, state) => await this.#search.entryFor(key, lost, state, this.#authority),
      isAttached: (entry) => entry.kind === "append" && isInline(entry.pack),
      dryRun: this.#dryRun,
    });
    this.#told(mended, key);
    if (mended.problems.length > 0) return;
    const [lastLost, lastLease] = [mended.substituted, leasePositions(mended.records)].map((all) => all.at(-1) ?? 0);
    // A lost entry behind the last lease that is known may have been a takeover.
    const raise = (lastLost ?? 0) > (lastLease ?? 0) && isDoubtful(mended.records, mended.substituted);
    if (raise)
      this.#change(`The lease of timeline ${key} gets a higher epoch: a takeover may be among what was lost`, [], key);
    if (this.#dryRun || (!mended.stateIsStale && !raise)) return;
    catalogue.forget();
    const timeline = await catalogue.timeline(key);
    if (timeline === null) return;
    if (raise)
      await timeline.log.commit<null>(({ state }) => ({
        entry: {
          kind: "release",
          sequence: headSequence(state),
          lease: this.#authority.freeLease(key, state.lease.epoch + mended.substituted.length + 1),
        },
        result: null,
      }));
    await timeline.log.rewriteState();
  }

  /** Timelines whose own file is sound and that no caretaker lists, though they have entries. */
  async #unlisted(known: ReadonlySet<string>): Promise<void> {
    const { files, paths, catalogue } = this.#parts;
    for await (const folder of files.list(paths.timelines)) {
      if (known.has(folder)) continue;
      const { value } = await problemOr(() => catalogue.writtenFacts(folder));
      if (value === null || (await files.read(nodePath.join(paths.timelines, folder, "000000000001.json"))) === null)
        continue;
      this.#change(`No caretaker lists timeline ${value.record.key}; it is listed again`, [], value.record.key);
      if (this.#dryRun) continue;
      await catalogue.make(value);
      await this.#timeline(value);
    }
  }

  #told(
    mended: { readonly changes: readonly string[]; readonly problems: readonly string[] },
    key: string | null,
  ): void {
    for (const change of mended.changes) this.#change(change, [], key);
    for (const problem of mended.problems) this.#problem(problem, key);
  }

  #change(problem: string, mementos: readonly string[], timeline: string | null): void {
    this.changes.push({ problem, mementos, timeline });
  }

  #problem(problem: string, timeline: string | null): void {
    this.problems.push({ problem, mementos: [], timeline });
  }
}

function leasePositions(records: readonly (LogRecord<TimelineEntry> | null)[]): number[] {
  return records.flatMap((record) =>
    record?.entry.kind === "lease" || record?.entry.kind === "release" ? [record.position] : [],
  );
}

/** True when something was put in for an entry of which nothing is known. */
function isDoubtful(records: readonly (LogRecord<TimelineEntry> | null)[], substituted: readonly number[]): boolean {
  return substituted.some((position) => records[position - 1]?.entry.kind === "void");
}
