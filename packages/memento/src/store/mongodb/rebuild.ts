import type { IndexAuthority, IndexRebuild, StoreDamage } from "../store.ts";
import { noticeDraft } from "./changes.ts";
import { compareIndex } from "./compare.ts";
import type { Contents } from "./contents.ts";
import { FACTS, leaseFields, timelineKey, timelineOf, type Fields, type LogDocument } from "./documents.ts";
import { readEvidence, type Evidence } from "./evidence.ts";
import type { StoreAccess, Tail } from "./tail.ts";

interface Mend {
  readonly damage: StoreDamage;
  readonly write: () => Promise<void>;
}

/**
 * Compares every document of the index with what the log says, and writes those anew that differ, unless it is a dry
 * run. A document whose commit cannot be read is left as it is: nothing says better.
 */
export async function rebuildIndex(
  access: StoreAccess,
  tail: Tail,
  contents: Contents,
  authority: IndexAuthority,
  dryRun: boolean,
): Promise<IndexRebuild> {
  const end = await tail.settle();
  const evidence = await readEvidence(access, contents, end, (header) => authority.isGenuine(header));
  const mends: Mend[] = [];
  const problems: StoreDamage[] = [];
  const found = await mendLog(access, evidence, authority, mends, problems);
  for (const { problem, mementos } of evidence.problems) {
    if (!found.has(problem)) problems.push({ problem, mementos, timeline: null });
  }
  for await (const { problem, mementos, timeline, mend } of compareIndex(access, evidence, authority)) {
    const damage = { problem, mementos, timeline };
    if (mend === null) problems.push(damage);
    else mends.push({ damage, write: async () => await put(access, mend.id, mend.fields) });
  }
  await mendChecks(access, authority, mends);
  if (!dryRun) for (const { write } of mends) await write();
  return { changes: mends.map(({ damage }) => damage), problems };
}

/**
 * Notices that are lost, or not genuine: one takes their place that says so. Packs that mementos lie in are not among
 * them. Gives the problems that are solved by it.
 */
async function mendLog(
  access: StoreAccess,
  evidence: Evidence,
  authority: IndexAuthority,
  mends: Mend[],
  problems: StoreDamage[],
): Promise<ReadonlySet<string>> {
  const { documents, maxTimeMS } = access;
  const facts = await documents.findOne({ _id: FACTS }, { maxTimeMS });
  const claimed = Number(facts?.["lastNotice"]);
  const lost = [...evidence.missing];
  const solved = new Set<string>();
  for (const commit of evidence.unreadable) {
    const log = (await documents.findOne({ _id: commit }, { maxTimeMS })) as LogDocument | null;
    if (log?.kind === "notice") lost.push(commit);
  }
  for (let commit = evidence.end + 1; commit <= claimed; commit++) lost.push(commit);
  for (const commit of lost.toSorted((a, b) => a - b)) {
    const held = { order: { $gte: commit * 2 ** 20, $lt: (commit + 1) * 2 ** 20 } };
    if ((await documents.findOne(held, { maxTimeMS })) !== null) {
      problems.push({ problem: `Commit ${commit} is lost, and mementos lie in it`, mementos: [], timeline: null });
      continue;
    }
    const marked = await documents.find({ removedBy: commit }, { projection: { memento: 1 }, maxTimeMS }).toArray();
    const removed = marked.map(({ memento }) => String(memento));
    const problem = `Commit ${commit} is lost or cannot be read; a notice that says so takes its place`;
    const header = authority.lostCommit(String(commit), removed);
    for (const id of removed) {
      const claim = [...evidence.claims.values()].find(({ entry }) => entry.id === id);
      if (claim !== undefined && claim.removedBy === 0) claim.removedBy = commit;
    }
    for (const { problem: other } of evidence.problems)
      if (other.includes(`commit ${commit} `) || other.endsWith(`commit ${commit}`)) solved.add(other);
    mends.push({
      damage: { problem, mementos: removed, timeline: null },
      write: async () => await putNotice(access, commit, header, removed),
    });
  }
  return solved;
}

async function putNotice(
  { documents, maxTimeMS, writer }: StoreAccess,
  commit: number,
  header: Uint8Array,
  removed: readonly string[],
): Promise<void> {
  const draft = noticeDraft(header, { bytes: Buffer.from(header) }, commit, [], removed.length === 0 ? null : removed);
  const document = {
    ...draft,
    at: commit,
    by: writer,
    base: commit - 1,
    atomic: true,
    applied: true,
    effects: null,
  };
  await documents.replaceOne({ _id: commit }, document, { upsert: true, maxTimeMS });
}

/** Checks that do not fit are made anew only where whoever holds the key agrees. */
async function mendChecks(access: StoreAccess, authority: IndexAuthority, mends: Mend[]): Promise<void> {
  const { documents, maxTimeMS } = access;
  for await (const document of documents.find({ made: { $gt: 0 } }, { maxTimeMS })) {
    const mended = authority.mendedTimeline(timelineOf(document));
    if (mended === null) continue;
    const { record, head, lease } = mended;
    const fields = { record: JSON.stringify(record), headCheck: head?.check ?? null, ...leaseFields(lease) };
    const problem = `The checks of timeline ${record.key} are made anew`;
    mends.push({
      damage: { problem, mementos: [], timeline: record.key },
      write: async () => await put(access, timelineKey(record.key), fields),
    });
  }
}

/** A memento's document is written whole, all others keep the fields that are not named. */
async function put({ documents, maxTimeMS }: StoreAccess, id: string, fields: Fields): Promise<void> {
  if ("order" in fields) await documents.replaceOne({ _id: id }, fields, { upsert: true, maxTimeMS });
  else await documents.updateOne({ _id: id }, { $set: fields }, { upsert: true, maxTimeMS });
}
