import type { MementoEntry } from "../../core/memento.ts";
import { entryText } from "../entry-text.ts";
import type { StoreDamage } from "../store.ts";
import { isRemoved } from "./caretaker-log.ts";
import type { OpenTimeline, TimelineFacts } from "./catalogue.ts";
import { problemOr, walkLog } from "./check-log.ts";
import type { CheckedCaretaker, CheckedParts } from "./check.ts";
import type { LogRecord } from "./log-reader.ts";
import { appendIn, type AppendedRecord, type AppendEntry, type TimelineEntry } from "./timeline-log.ts";
import { inOrder } from "./turns.ts";

/** What was gone through before a timeline. */
export interface KnownGood {
  readonly standing: CheckedCaretaker["standing"];
  /** Keys that can be read. Grows when others are added meanwhile. */
  readonly keyIds: Set<string>;
}

/** Sequence numbers of which nothing can be read any more. */
interface Gap {
  readonly problems: readonly string[];
  readonly from: number;
  /** Infinity where the log ends in damage. */
  readonly to: number;
  /** Positions of the entries that are lost. */
  readonly positions: readonly number[];
}

/** Goes through a timeline: its facts, its log, the packs that the log speaks of, the names and the renewals. */
export async function* checkTimeline(
  parts: CheckedParts,
  facts: TimelineFacts,
  known: KnownGood,
): AsyncIterable<StoreDamage> {
  const { key } = facts.record;
  const of = (problem: string, mementos: readonly string[] = []): StoreDamage => ({ problem, mementos, timeline: key });
  const written = await problemOr(() => parts.catalogue.writtenFacts(key));
  if (written.problem !== null) yield of(written.problem);
  else if (JSON.stringify(written.value) !== JSON.stringify({ record: facts.record, lease: facts.lease })) {
    yield of(`The file ${parts.paths.timelineFacts(key)} is missing, or differs from what its caretaker's log says`);
  }
  const opened = await problemOr(() => parts.catalogue.timeline(key));
  if (opened.value === null) {
    yield of(opened.problem ?? `The timeline ${key} cannot be opened`);
    return;
  }
  const gaps: Gap[] = [];
  const timeline = opened.value;
  const steps = inOrder(walkTimeline(parts, timeline, gaps), parts.tuning.requestsAtOnce, async (step) => {
    const append = step.record && appendIn(step.record);
    return { ...step, problems: append ? await packProblems(parts, timeline, append, known) : [] };
  });
  for await (const { damage, problems } of steps) {
    if (damage !== null) yield of(damage);
    for (const [problem, ids] of problems) yield of(problem, ids);
  }
  for (const gap of gaps) {
    const lost = await mementosIn(parts, key, gap);
    for (const problem of gap.problems) yield of(problem, lost);
  }
  yield* checkLeases(parts, key);
}

/** The sound entries; fills in where sequence numbers are lost between them. */
async function* walkTimeline(
  { files }: CheckedParts,
  { log }: OpenTimeline,
  gaps: Gap[],
): AsyncIterable<{ readonly record: LogRecord<TimelineEntry> | null; readonly damage: string | null }> {
  let head = 0;
  let problems: string[] = [];
  let positions: number[] = [];
  const walked = { reader: log.reader, writtenState: () => log.writtenState() };
  for await (const step of walkLog(walked, files)) {
    const { record } = step;
    if (record === null) {
      problems.push(step.problem);
      if (step.position !== undefined) positions.push(step.position);
      continue;
    }
    const first = appendIn(record)?.records[0]?.entry.sequence ?? record.entry.sequence + 1;
    if (problems.length > 0) gaps.push({ problems, positions, from: head + 1, to: first - 1 });
    else if (first !== head + 1)
      yield {
        record: null,
        damage: `Entry ${record.position} of timeline ${log.reader.place.id} skips sequence numbers`,
      };
    [problems, positions] = [[], []];
    head = record.entry.sequence;
    yield { record, damage: null };
  }
  if (problems.length > 0) gaps.push({ problems, positions, from: head + 1, to: Infinity });
}

/** What is wrong with the pack of an entry, and which mementos that is about. */
async function packProblems(
  parts: CheckedParts,
  timeline: OpenTimeline,
  { pack, records }: AppendEntry,
  { standing, keyIds }: KnownGood,
): Promise<readonly (readonly [problem: string, ids: readonly string[]])[]> {
  const ids = records.map(({ entry }) => entry.id);
  const { value, problem } = await problemOr(() => parts.packs.demand(pack, ids));
  if (value === null) return [[problem ?? `The pack ${pack} is missing`, ids]];
  const { entries } = value.understood;
  // Nothing is sealed any more in an emptied pack, so its key may have been destroyed.
  const dataKey = value.body === null ? null : value.understood.dataKey;
  const found: (readonly [string, readonly string[]])[] = [];
  const others = records.filter(({ slot, entry }) => !sameEntry(entries[slot], entry)).map(({ entry }) => entry.id);
  if (others.length > 0)
    found.push([`The pack ${pack} does not hold what the log says of ${others.join(", ")}`, others]);
  if (value.body === null && standing !== null) {
    const live = await stillLive(timeline, records, standing);
    if (live.length > 0) found.push([`The pack ${pack} was emptied while ${live.join(", ")} is live`, live]);
  }
  if (dataKey !== null && !keyIds.has(dataKey)) {
    // It may have been added since the keys were gone through.
    const added = await problemOr(() => parts.keys.has(dataKey));
    if (added.value === true) keyIds.add(dataKey);
  }
  if (dataKey !== null && !keyIds.has(dataKey)) {
    found.push([`The data key ${dataKey} is missing, which opens ${ids.join(", ")}`, ids]);
  }
  for (const { entry } of records) {
    if (entry.name === undefined || (await parts.names.isClaimed(entry.caretaker, entry.name))) continue;
    found.push([`The claim by which memento ${entry.id} has its name is missing`, [entry.id]]);
  }
  return found;
}

function sameEntry(one: MementoEntry | undefined, other: MementoEntry): boolean {
  return one !== undefined && entryText(one) === entryText(other);
}

/** The ids that were not removed, also not since the caretaker's log was gone through. */
async function stillLive(
  { record: { key }, caretaker }: OpenTimeline,
  records: readonly AppendedRecord[],
  standing: NonNullable<CheckedCaretaker["standing"]>,
): Promise<readonly string[]> {
  const live = records.filter(({ entry }) => !isRemoved(standing, key, entry.sequence));
  if (live.length === 0) return [];
  const { state } = await caretaker.refresh();
  return live.filter(({ entry }) => !isRemoved(state, key, entry.sequence)).map(({ entry }) => entry.id);
}

/** The ids that packs have for sequence numbers that the log has lost. Some may be of saves that were refused. */
async function mementosIn(
  { files, paths, packs, tuning }: CheckedParts,
  key: string,
  { from, to, positions }: Gap,
): Promise<readonly string[]> {
  if (from > to) return [];
  const ids = new Set<string>();
  const candidates = async function* (): AsyncIterable<string> {
    yield* positions.map((position) => paths.inlinePack(key, position));
    yield* files.list(paths.packs);
  };
  const looks = inOrder(candidates(), tuning.requestsAtOnce, (id) => problemOr(() => packs.demand(id, [])));
  for await (const { value } of looks) {
    for (const { id: memento, timeline, sequence } of value?.understood.entries ?? []) {
      if (timeline === key && sequence >= from && sequence <= to) ids.add(memento);
    }
  }
  return [...ids].toSorted();
}

async function* checkLeases({ files, paths, leases }: CheckedParts, key: string): AsyncIterable<StoreDamage> {
  for await (const name of files.list(paths.timeline(key))) {
    const epoch = /^lease-([0-9]{1,15})\.json$/.exec(name)?.[1];
    if (epoch === undefined) continue;
    const { problem } = await problemOr(() => leases.read(key, Number(epoch)));
    if (problem !== null) yield { problem, mementos: [], timeline: key };
  }
}
