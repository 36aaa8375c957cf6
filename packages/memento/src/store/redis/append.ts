import type { Random } from "../../core/ports.ts";
import type { TimelineHead } from "../../core/timeline.ts";
import { admit, keyRetired, type Admission, type StandingView } from "../admit.ts";
import type { PackHeader } from "../header.ts";
import type { AppendBatch, AppendResult } from "../store.ts";
import { clearedAway, discardBody, packArguments, placeBody, type PlacedBody } from "./bodies.ts";
import type { StoreCalls } from "./calls.ts";
import { nameText } from "./keys.ts";
import type { Argument } from "./link.ts";
import { APPEND, STANDING } from "./lua/commits.ts";
import { numberOf, packRow } from "./rows.ts";

/**
 * Appends a batch. What nearly always holds is taken for granted first: that every timeline stands where the records
 * expect it, and that the names are free. The script compares, and commits or changes nothing; then it is looked how things
 * stand, admitted by that, and tried again. So a save is one round trip, and the rules are in one place.
 */
export async function appendBatch(
  calls: StoreCalls,
  batch: AppendBatch,
  header: PackHeader,
  random: Random,
): Promise<readonly AppendResult[]> {
  let admission = admit(batch, expectedView(batch));
  if (admission.accepted.length < batch.records.length) admission = admit(batch, await readView(calls, batch));
  if (admission.accepted.length === 0) return admission.results;
  const body = await placeBody(calls, batch.body, random);
  for (;;) {
    const outcome = await commit(calls, batch, header, admission, body);
    if (outcome === "ok") return admission.results;
    if (outcome === "lost") throw clearedAway();
    if (outcome === "retired") {
      await discardBody(calls, body);
      throw keyRetired(header.dataKey ?? "");
    }
    admission = admit(batch, await readView(calls, batch));
    if (admission.accepted.length === 0) {
      await discardBody(calls, body);
      return admission.results;
    }
  }
}

async function commit(
  calls: StoreCalls,
  batch: AppendBatch,
  header: PackHeader,
  admission: Admission,
  body: PlacedBody,
): Promise<string> {
  const { keys } = calls;
  const isWhole = admission.accepted.length === batch.records.length;
  const row = packRow(batch.header, {
    token: body.token,
    bodyBytes: batch.body.byteLength,
    parts: body.parts,
    slots: batch.records.length,
    accepted: isWhole ? null : admission.accepted,
  });
  const timelineKeys: string[] = [];
  const placeKeys: string[] = [];
  const timelines: string[] = [];
  const records: string[] = [];
  const checks = new Map<string, boolean>();
  const standing = new Set<string>();
  for (const slot of admission.accepted) {
    const record = batch.records[slot];
    if (record === undefined) continue;
    const { id, timeline, sequence, epoch, caretaker, name } = record.entry;
    const head = admission.heads.get(timeline);
    if (head !== undefined && !standing.has(timeline)) {
      standing.add(timeline);
      timelineKeys.push(keys.timeline(timeline));
      timelines.push(String(epoch), String(record.expectedSequence), String(head.sequence), head.id, head.check);
    }
    const named = name === undefined ? "" : nameText(caretaker, name);
    placeKeys.push(keys.places(timeline, sequence));
    records.push(String(sequence), id.slice(id.lastIndexOf("-") + 1), String(slot), named);
    // The first of a batch finds the name free in the store, or takes it anyway; the others were judged by the first.
    if (named !== "" && !checks.has(named)) checks.set(named, !record.replaceName);
  }
  const free = [...checks].filter(([, mustBeFree]) => mustBeFree).map(([named]) => named);
  const moves = admission.names.flatMap(({ caretaker, name, id }) => [nameText(caretaker, name), id]);
  const pack = packArguments(calls, body, header.dataKey, batch.dataKey);
  const counts = [timelineKeys.length, placeKeys.length, free.length, admission.names.length].map(String);
  const args: Argument[] = [row, ...counts, ...timelines, ...records, ...free, ...moves, ...pack.args];
  return (await calls.log(APPEND, [...pack.keys, keys.names, ...timelineKeys, ...placeKeys], args)).outcome;
}

/** Things as the batch expects them: its first record of each timeline follows the head, under the lease's epoch. */
function expectedView({ records }: AppendBatch): StandingView {
  const firsts = new Map<string, { readonly head: TimelineHead | null; readonly epoch: number }>();
  for (const { entry, expectedSequence } of records) {
    if (firsts.has(entry.timeline)) continue;
    const head = expectedSequence === 0 ? null : { id: "", sequence: expectedSequence, check: "" };
    firsts.set(entry.timeline, { head, epoch: entry.epoch });
  }
  return { timeline: (key) => firsts.get(key) ?? null, holder: () => null };
}

/** Things as they stand. */
async function readView(calls: StoreCalls, { records }: AppendBatch): Promise<StandingView> {
  const timelines = [...new Set(records.map(({ entry }) => entry.timeline))];
  const names = [
    ...new Set(
      records.flatMap(({ entry: { caretaker, name } }) => (name === undefined ? [] : [nameText(caretaker, name)])),
    ),
  ];
  const { keys } = calls;
  const { rest } = await calls.read(STANDING, [keys.names, ...timelines.map((key) => keys.timeline(key))], names);
  const [found, holders] = rest as [(Buffer | null)[][], (Buffer | null)[]];
  const view = new Map(timelines.map((key, at) => [key, standingOf(found[at] ?? [])]));
  const held = new Map(names.map((name, at) => [name, holders[at]?.toString() ?? null]));
  return {
    timeline: (key) => view.get(key) ?? null,
    holder: (caretaker, name) => held.get(nameText(caretaker, name)) ?? null,
  };
}

function standingOf([epoch, sequence, head, check]: readonly (Buffer | null | undefined)[]): ReturnType<
  StandingView["timeline"]
> {
  if (epoch === null || epoch === undefined) return null;
  const at = numberOf(String(sequence ?? "0"), "A head's sequence");
  const isEmpty = at === 0 || head === null || head === undefined;
  return {
    epoch: numberOf(String(epoch), "A lease's epoch"),
    head: isEmpty ? null : { id: String(head), sequence: at, check: String(check ?? "") },
  };
}
