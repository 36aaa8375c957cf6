import { leaseValues } from "../columns.ts";
import type { IndexAuthority, IndexRebuild, StoreDamage } from "../store.ts";
import { idOf, type Slot } from "./log.ts";
import { placeText, readEvidence, rowOf, type Claim, type Evidence, type RebuildPlan } from "./rebuild-evidence.ts";
import { compareNames, compareNotices } from "./rebuild-log.ts";
import type { SqlSession } from "./session.ts";

/**
 * Compares every row of the index with what the log says, inside the caller's transaction, and writes those anew that
 * differ, unless it is a dry run. A row whose commit cannot be read is left as it is: nothing says better. Index and
 * entries are in memory meanwhile.
 */
export async function rebuildIndex(
  session: SqlSession,
  authority: IndexAuthority,
  dryRun: boolean,
): Promise<IndexRebuild> {
  const changes: StoreDamage[] = [];
  const problems: StoreDamage[] = [];
  const writes: ((session: SqlSession) => Promise<unknown>)[] = [];
  const plan: RebuildPlan = {
    evidence: await readEvidence(session, authority),
    authority,
    change: (problem, mementos, timeline, write) => {
      changes.push({ problem, mementos, timeline });
      writes.push(write);
    },
    problem: (problem, mementos, timeline) => void problems.push({ problem, mementos, timeline }),
  };
  comparePlaces(plan);
  compareAbsent(plan);
  compareRemovals(plan);
  compareNotices(plan);
  compareHeads(plan);
  compareChecks(plan);
  compareNames(plan);
  if (!dryRun && writes.length > 0) {
    for (const write of writes) await write(session);
    const { numberOnward } = session.statements;
    if (numberOnward !== "") await session.all(numberOnward);
  }
  return { changes, problems };
}

/** True where nothing can be said of what a commit holds. */
const isSilent = ({ commits, unreadable }: Evidence, commit: number): boolean =>
  !commits.has(commit) || unreadable.has(commit);

function comparePlaces(plan: RebuildPlan): void {
  const { evidence } = plan;
  for (const [place, row] of evidence.places) {
    if (isSilent(evidence, row.commit)) continue;
    const claims = evidence.claims.get(place) ?? [];
    if (claims.some(({ commit, slot, id }) => commit === row.commit && slot === row.slot && id === idOf(row))) continue;
    const right = acceptedClaim(evidence, claims, idOf(row));
    if (right === null)
      plan.problem(`The row of memento ${idOf(row)} fits no commit of the log`, [idOf(row)], row.timeline);
    else put(plan, right, row.removedBy, `The row of memento ${right.id} points elsewhere than the log`);
  }
}

function compareAbsent(plan: RebuildPlan): void {
  const { evidence } = plan;
  const tops = topSequences(plan);
  const absent = [...evidence.claims].filter(([place]) => !evidence.places.has(place));
  for (const [, claims] of absent) {
    const [first] = claims;
    // Above the highest place that anything speaks of, it was refused.
    if (first === undefined || first.sequence > (tops.get(first.timeline) ?? 0)) continue;
    const right = acceptedClaim(evidence, claims, null);
    if (right === null) {
      const ids = claims.map(({ id }) => id);
      plan.problem(`Which of ${ids.join(", ")} has place ${first.sequence} cannot be told`, ids, first.timeline);
    } else put(plan, right, 0, `The row of memento ${right.id} is missing`);
  }
}

/** The claim that was accepted: the only one, the one of this id, or the one that the next memento follows. */
function acceptedClaim(
  { claims: all, places, timelines }: Evidence,
  claims: readonly Claim[],
  id: string | null,
): Claim | null {
  const [only] = claims;
  if (only === undefined || claims.length === 1) return only ?? null;
  const nextPlace = placeText(only.timeline, only.sequence + 1);
  const row = places.get(nextPlace);
  const followed = (all.get(nextPlace) ?? []).filter((claim) => row === undefined || idOf(row) === claim.id);
  const parents = new Set(followed.map(({ parent }) => parent));
  const head = timelines.get(only.timeline)?.head;
  const named = claims.filter((claim) => claim.id === id || parents.has(claim.id) || head?.id === claim.id);
  const [right] = named;
  return right !== undefined && named.every((claim) => claim.id === right.id) ? right : null;
}

/** How far each timeline's rows and genuine head go. */
function topSequences({ evidence, authority }: RebuildPlan): Map<string, number> {
  const tops = new Map<string, number>();
  for (const { timeline, sequence } of evidence.places.values())
    tops.set(timeline, Math.max(sequence, tops.get(timeline) ?? 0));
  for (const [key, { head }] of evidence.timelines) {
    if (head === null || head.check !== authority.headCheck(key, head.id, head.sequence)) continue;
    tops.set(key, Math.max(head.sequence, tops.get(key) ?? 0));
  }
  return tops;
}

function put(
  { evidence, change }: RebuildPlan,
  { timeline, sequence, id, commit, slot }: Claim,
  removedBy: number,
  problem: string,
): void {
  const nonce = id.slice(id.lastIndexOf("-") + 1);
  evidence.places.set(placeText(timeline, sequence), { timeline, sequence, nonce, commit, slot, removedBy });
  change(problem, [id], timeline, async (session) => {
    await session.run(session.statements.putMemento, timeline, sequence, nonce, commit, slot, removedBy);
  });
}

/** A removal counts when a genuine notice announces it, and as many are marked as it says. */
function compareRemovals(plan: RebuildPlan): void {
  const { evidence } = plan;
  const marked = new Map<number, Set<string>>();
  for (const row of evidence.places.values()) {
    if (row.removedBy !== 0) marked.set(row.removedBy, (marked.get(row.removedBy) ?? new Set()).add(idOf(row)));
  }
  const settled = new Set<string>();
  for (const { commit, count, mementos } of evidence.removals) {
    const open = mementos.filter((id) => !settled.has(id) && rowOf(evidence, id) !== null);
    const already = marked.get(commit) ?? new Set();
    const right = open.length === count ? open : open.filter((id) => already.has(id));
    if (right.length !== count)
      plan.problem(`Notice ${commit} removed ${count} mementos, and which ones cannot be told`, open, null);
    for (const id of right) {
      settled.add(id);
      if (!already.has(id))
        mark(plan, id, commit, `Memento ${id} was removed by commit ${commit} and is not marked so`);
    }
  }
  for (const [commit, ids] of marked) {
    // Who cannot read the notice cannot say that it did not remove them.
    if (isSilent(evidence, commit)) continue;
    for (const id of ids) {
      if (!settled.has(id))
        mark(plan, id, 0, `Memento ${id} is marked as removed by commit ${commit}, which does not say so`);
    }
  }
}

function mark({ evidence, change }: RebuildPlan, id: string, commit: number, problem: string): void {
  const row = rowOf(evidence, id);
  if (row === null || row.removedBy === commit) return;
  evidence.places.set(placeText(row.timeline, row.sequence), { ...row, removedBy: commit });
  change(problem, [id], row.timeline, async (session) => {
    await session.run(session.statements.markRemoved, commit, [[row.timeline, row.sequence]]);
  });
}

function compareHeads({ evidence, authority, change, problem }: RebuildPlan): void {
  const lasts = new Map<string, Slot>();
  for (const row of evidence.places.values())
    if (row.sequence > (lasts.get(row.timeline)?.sequence ?? 0)) lasts.set(row.timeline, row);
  for (const [key, last] of lasts) {
    const [id, state] = [idOf(last), evidence.timelines.get(key)];
    if (state === undefined) {
      problem(`Mementos belong to timeline ${key}, which is missing`, [id], key);
      continue;
    }
    if (state.head?.id === id && state.head.sequence === last.sequence) continue;
    const check = authority.headCheck(key, id, last.sequence);
    evidence.timelines.set(key, { ...state, head: { id, sequence: last.sequence, check } });
    change(`The head of timeline ${key} is not its last memento`, [id], key, async (session) => {
      await session.run(session.statements.moveHead, last.sequence, id, check, key);
    });
  }
}

/** Rows whose keyed checks do not fit are changed only where whoever holds the key agrees. */
function compareChecks({ evidence, authority, change }: RebuildPlan): void {
  for (const [key, state] of evidence.timelines) {
    const mended = authority.mendedTimeline(state);
    if (mended === null) continue;
    const values = [mended.record.check, mended.head?.check ?? null, ...leaseValues(mended.lease), key];
    change(`The checks of timeline ${key} are made anew`, [], key, async (session) => {
      await session.run(session.statements.mendTimeline, ...values);
    });
  }
}
