import { isMementoError } from "../../core/errors.ts";
import type { StoreDamage } from "../store.ts";
import { findAll } from "./changes.ts";
import { compareIndex } from "./compare.ts";
import { bytesOf, sizeOf, type Contents } from "./contents.ts";
import { FACTS, type LogDocument } from "./documents.ts";
import { readEvidence, type Evidence } from "./evidence.ts";
import type { StoreAccess, Tail } from "./tail.ts";

const COMMITS_AT_ONCE = 100;

/** Everything that is structurally wrong with a store, as far as it shows without a key. */
export async function* findDamage(access: StoreAccess, tail: Tail, contents: Contents): AsyncIterable<StoreDamage> {
  const end = await tail.settle();
  try {
    const evidence = await readEvidence(access, contents, end, () => true);
    for (const number of evidence.missing) yield damage(`Commit ${number} is missing from the log`);
    for (const { problem, mementos } of evidence.problems) yield damage(problem, mementos);
    yield* findLostEnd(access, tail, end);
    yield* findLostBytes(access, contents, evidence);
    for await (const { problem, mementos, timeline } of compareIndex(access, evidence, null))
      yield damage(problem, mementos, timeline);
  } catch (error) {
    // A document that cannot be what was written ends the search, and is itself what was found.
    if (!isMementoError(error, "DAMAGED")) throw error;
    yield damage(error.message);
  }
}

function damage(problem: string, mementos: readonly string[] = [], timeline: string | null = null): StoreDamage {
  return { problem, mementos, timeline };
}

/** Documents that were changed by commits which are not there. */
async function* findLostEnd(access: StoreAccess, tail: Tail, end: number): AsyncIterable<StoreDamage> {
  const { documents, maxTimeMS } = access;
  const options = { sort: { at: -1 as const }, projection: { at: 1 }, maxTimeMS };
  const last = await documents.findOne({ at: { $gt: end } }, options);
  // Those that came while this was looked for are none.
  if (last !== null && Number(last.at) > (await tail.settle()))
    yield damage(`Commits up to ${Number(last.at)} are missing from the end of the log`);
  const facts = await documents.findOne({ _id: FACTS }, { maxTimeMS });
  if (Number(facts?.["lastNotice"]) > (await tail.settle()))
    yield damage("A notice is missing from the end of the log");
}

/** Bodies are there in the size that their commits say, wherever something of them lives. */
async function* findLostBytes(access: StoreAccess, contents: Contents, evidence: Evidence): AsyncIterable<StoreDamage> {
  const live = new Map<number, string[]>();
  for (const { commit, entry, removedBy } of evidence.claims.values()) {
    const ids = live.get(commit) ?? [];
    if (removedBy === 0) ids.push(entry.id);
    live.set(commit, ids);
  }
  const numbers = [...live.keys()];
  for (let start = 0; start < numbers.length; start += COMMITS_AT_ONCE) {
    const page = await findAll(access, numbers.slice(start, start + COMMITS_AT_ONCE), { header: 0, effects: 0 });
    for (const log of page.values() as Iterable<LogDocument>) {
      const ids = live.get(log._id) ?? [];
      // What others replaced or reclaimed meanwhile is judged by the next look.
      if (log.at > evidence.end) continue;
      const { body, bodyBytes } = log;
      if (body === null) {
        if (ids.length > 0) yield damage(`The body of commit ${log._id} is gone, and mementos in it live`, ids);
      } else if (sizeOf(body) !== bodyBytes || (await measured(contents, log)) !== bodyBytes)
        yield damage(`The body of commit ${log._id} has not the ${bodyBytes} bytes that it should have`, ids);
    }
  }
}

async function measured(contents: Contents, { body }: LogDocument): Promise<number> {
  if (body === null) return 0;
  return "bytes" in body ? bytesOf(body.bytes).byteLength : await contents.measure(body);
}
