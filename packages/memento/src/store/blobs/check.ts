import { posix as nodePath } from "node:path";

import type { StoreDamage } from "../store.ts";
import { caretakerMeaning, type CaretakerStanding } from "./caretaker-log.ts";
import type { Catalogue, StoreParts, TimelineFacts } from "./catalogue.ts";
import { problemOr, walkLog } from "./check-log.ts";
import { checkTimeline } from "./check-timeline.ts";
import type { Facts } from "./facts.ts";
import type { Keys } from "./keys.ts";
import type { Leases } from "./leases.ts";
import { LogReader } from "./log-reader.ts";
import type { Names } from "./names.ts";
import type { Packs } from "./packs.ts";
import { logPosition } from "./paths.ts";

/** What `check` looks into. */
export interface CheckedParts extends StoreParts {
  readonly facts: Facts;
  readonly keys: Keys;
  readonly packs: Packs;
  readonly names: Names;
  readonly leases: Leases;
  readonly catalogue: Catalogue;
}

/** A caretaker whose log was gone through. */
export interface CheckedCaretaker {
  readonly timelines: readonly TimelineFacts[];
  /** What its sound entries add up to; null when some are not sound, so that nothing is concluded from it. */
  readonly standing: CaretakerStanding | null;
}

/**
 * Reads every file of the store and tells what is wrong: damaged and missing files, logs with holes, packs that do not hold
 * what the logs say, timelines that no caretaker lists. Gives the ids of the mementos that a problem is about, where they
 * can be told. Others may write meanwhile.
 */
export async function* checkStore(parts: CheckedParts): AsyncIterable<StoreDamage> {
  const facts = await problemOr(() => parts.facts.reread());
  if (facts.problem !== null) yield storeWide(facts.problem);
  else if (facts.value === null) return;
  const keyIds = yield* checkKeys(parts);
  const listed = new Set<string>();
  for await (const folder of parts.files.list(parts.paths.caretakers)) {
    const name = await problemOr(() => parts.catalogue.nameOf(nodePath.join(parts.paths.caretakers, folder)));
    if (name.problem !== null) yield storeWide(name.problem);
    if (name.value === null) continue;
    const caretaker = yield* checkCaretaker(parts, name.value);
    for (const timeline of caretaker.timelines) {
      listed.add(nodePath.basename(parts.paths.timeline(timeline.record.key)));
      yield* checkTimeline(parts, timeline, { ...caretaker, keyIds });
    }
  }
  yield* checkUnlisted(parts, listed);
  yield* checkNames(parts);
}

/** A problem that is not of one timeline. */
function storeWide(problem: string): StoreDamage {
  return { problem, mementos: [], timeline: null };
}

/** Gives the ids of the keys that can be read. */
async function* checkKeys({ keys, facts }: CheckedParts): AsyncGenerator<StoreDamage, Set<string>> {
  const ids = new Set<string>();
  const dropped: string[] = [];
  for await (const file of keys.files()) {
    const { value, problem } = await problemOr(() => keys.read(file));
    if (problem !== null) yield storeWide(problem);
    if (value?.key) ids.add(value.id);
    if (value?.dropped === true) dropped.push(value.id);
  }
  for (const id of dropped) ids.delete(id);
  const { problem } = await problemOr(() => facts.keys());
  if (problem !== null) yield storeWide(problem);
  return ids;
}

async function* checkCaretaker(parts: CheckedParts, name: string): AsyncGenerator<StoreDamage, CheckedCaretaker> {
  const log = parts.catalogue.caretaker(name);
  const timelines: TimelineFacts[] = [];
  let standing = caretakerMeaning.initial();
  let sound = true;
  const walked = { reader: log.reader, writtenState: () => log.writtenState() };
  for await (const { record, problem } of walkLog(walked, parts.files)) {
    if (record === null) {
      sound = false;
      yield storeWide(problem);
      continue;
    }
    if (record.entry.kind === "timeline") timelines.push(record.entry);
    standing = caretakerMeaning.fold(standing, record);
  }
  return { timelines, standing: sound ? standing : null };
}

/** Timelines that have entries and that no caretaker's log lists: their making was lost. */
async function* checkUnlisted(
  { files, paths, catalogue }: CheckedParts,
  listed: ReadonlySet<string>,
): AsyncIterable<StoreDamage> {
  for await (const name of files.list(paths.timelines)) {
    if (listed.has(name)) continue;
    const folder = nodePath.join(paths.timelines, name);
    const last = await new LogReader({ kind: "timeline", id: name, folder }, files).lastListed();
    if (last === 0) continue;
    // It may have been made since the caretakers' logs were gone through.
    const { value } = await problemOr(() => catalogue.timeline(name));
    if (value !== null) continue;
    yield { problem: `No caretaker lists the timeline in ${folder}`, mementos: [], timeline: name };
  }
}

async function* checkNames({ files, paths, names }: CheckedParts): AsyncIterable<StoreDamage> {
  for await (const name of files.list(paths.names)) {
    const folder = nodePath.join(paths.names, name);
    for await (const file of files.list(folder)) {
      const generation = logPosition(file);
      if (generation === null) continue;
      const { problem } = await problemOr(() => names.read(folder, generation));
      if (problem !== null) yield storeWide(problem);
    }
  }
}
