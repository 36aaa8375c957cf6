import { MementoError, type Memento, type MementoStatus } from "@mementojs/memento";
import type { TimelineRecord } from "@mementojs/memento/core";
import { mementoQuery } from "@mementojs/memento/store";

import { chooseTimeline, livingTimelines, timelineName, type LivingTimeline } from "./timelines.ts";

/** A run, and the timeline that it is on. */
export interface FoundRun {
  readonly run: string;
  readonly timeline: LivingTimeline;
}

/** A run that stands at its timeline's head and is not done. */
export interface PendingRun extends FoundRun {
  readonly name: string;
  readonly status: MementoStatus;
  readonly head: string;
}

const UNDONE: ReadonlySet<MementoStatus> = new Set(["running", "interrupted", "failed", "paused", "reverting"]);

/** The id of a run that was given no key of its own. */
const DRAWN_ID = /^r[0-9a-hjkmnp-tv-z]{12}$/u;
/** A shorter beginning is a slip of the finger. */
const BEGINNING_MIN = 4;

/**
 * The run with this id, or the only one at a head whose drawn id begins so: a key is written out, for `day-1` is not `day-10`.
 * A fork of an unfinished run has its id too: then `named`, a timeline, tells them apart. NOT_FOUND, INVALID_ARGUMENT.
 */
export async function findRun(memento: Memento, text: string, named?: string): Promise<FoundRun> {
  if (text === "") throw new MementoError("INVALID_ARGUMENT", "An empty text names no run");
  const begins = (run: string): boolean => text.length >= BEGINNING_MIN && DRAWN_ID.test(run) && run.startsWith(text);
  const timelines = await timelinesNamed(memento, named);
  const heads: FoundRun[] = [];
  for (const timeline of timelines) {
    const { run } = (await memento.vault.load(timeline.head.id)).entry;
    if (run !== undefined) heads.push({ run, timeline });
  }
  const exact = heads.filter(({ run }) => run === text);
  const found =
    exact.length > 0 ? exact : ((await earlierRun(memento, text, timelines)) ?? heads.filter(({ run }) => begins(run)));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  if (only === undefined)
    throw new MementoError("NOT_FOUND", `There is no run ${text}`, { hint: "See the runs with `memento ls`." });
  const list = found.map(({ run, timeline }) => `${run} on ${timelineName(timeline.record)}`).join(", ");
  const isOneId = found.every(({ run }) => run === only.run);
  throw new MementoError("INVALID_ARGUMENT", `${found.length} runs fit ${text}: ${list}`, {
    hint: isOneId
      ? "Say which timeline by --timeline NAME."
      : "Write the id out, or say which timeline by --timeline NAME.",
  });
}

/**
 * What a command is to be told besides a run's id: its timeline, where another one stands at the same run, as a fork does, and
 * `findRun` would ask which is meant; nothing elsewhere.
 */
export async function timelineWords(memento: Memento, run: string, key: string): Promise<readonly string[]> {
  const timelines = await livingTimelines(memento);
  const own = timelines.find(({ record }) => record.key === key);
  if (own === undefined) return [];
  for (const { record, head } of timelines) {
    if (record.key === key || !(isFamily(record, own.record) || !DRAWN_ID.test(run))) continue;
    if ((await memento.vault.load(head.id)).entry.run === run) return ["--timeline", timelineName(own.record)];
  }
  return [];
}

/** True for a timeline and its forks: a run with a drawn id is on no others. */
function isFamily(one: TimelineRecord, other: TimelineRecord): boolean {
  return one.caretaker === other.caretaker && one.originator === other.originator && one.partition === other.partition;
}

/** All timelines, or the one with this name. */
async function timelinesNamed(memento: Memento, named: string | undefined): Promise<readonly LivingTimeline[]> {
  return named === undefined ? await livingTimelines(memento) : [await chooseTimeline(memento, { named })];
}

/** A run that others have followed; its mementos may be removed by now. */
async function earlierRun(
  memento: Memento,
  run: string,
  timelines: readonly LivingTimeline[],
): Promise<FoundRun[] | null> {
  for await (const { entry } of memento.vault.store.query(mementoQuery({ run, limit: 1, removed: true }))) {
    const timeline = timelines.find(({ record }) => record.key === entry.timeline);
    if (timeline !== undefined) return [{ run, timeline }];
  }
  return null;
}

/** Every run that stands unfinished at the head of its timeline: of all timelines, or of the named one. */
export async function pendingRuns(memento: Memento, named?: string): Promise<readonly PendingRun[]> {
  const pending: PendingRun[] = [];
  for (const timeline of await timelinesNamed(memento, named)) {
    if (timeline.record.kind !== "pipeline") continue;
    const { run, status } = (await memento.vault.load(timeline.head.id)).entry;
    if (run !== undefined && UNDONE.has(status))
      pending.push({ run, timeline, status, name: timelineName(timeline.record), head: timeline.head.id });
  }
  return pending;
}
