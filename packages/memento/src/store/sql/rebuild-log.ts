import { idOf } from "./log.ts";
import { rowOf, type Claim, type Evidence, type NameRow, type RebuildPlan } from "./rebuild-evidence.ts";

/**
 * Notices that are lost or not genuine: one takes their place that says so. The numbers of commits have gaps by nature,
 * so it is by its own number, and by what it removed, that a lost notice is missed.
 */
export function compareNotices(plan: RebuildPlan): void {
  const { evidence, authority, change, problem } = plan;
  const held = new Set([...evidence.places.values()].map(({ commit }) => commit));
  const lost = new Map<number, number>();
  for (const [commit, hasBody] of evidence.unreadable) {
    if (held.has(commit)) continue;
    const number = [...evidence.notices].find(([, its]) => its === commit)?.[0];
    // A body may still be of use to somebody; nothing is thrown away here.
    if (number === undefined || hasBody)
      problem(`Commit ${commit} cannot be read, and no row says what it holds`, [], null);
    else lost.set(number, commit);
  }
  const last = greatest(evidence.noticesCounted, evidence.notices.keys());
  for (let number = 1; number <= last; number++) {
    const first = number;
    while (number <= last && !evidence.notices.has(number)) number += 1;
    const numbers = Array.from({ length: number - first }, (_, index) => first + index);
    const places = freeCommits(evidence, numbers, held);
    for (const [index, its] of numbers.entries()) {
      const commit = places[index];
      if (commit === undefined) problem(`Notice ${its} is lost, and there is no place for one that says so`, [], null);
      else lost.set(its, commit);
    }
  }
  for (const [number, commit] of [...lost].toSorted(([a], [b]) => a - b)) {
    const removed = [...evidence.places.values()]
      .filter(({ removedBy }) => removedBy === commit)
      .map((row) => idOf(row));
    const header = authority.lostCommit(String(commit), removed);
    const removals = removed.length === 0 ? null : removed.length;
    change(
      `Notice ${number} is lost or cannot be read; another one that says so takes its place`,
      removed,
      null,
      async (session) => {
        await session.run(session.statements.putNotice, commit, header, removals, number);
      },
    );
  }
  if (last === evidence.noticesCounted) return;
  change(`The store's facts count other notices than the log`, [], null, async (session) => {
    await session.run(session.statements.setNotices, last);
  });
}

/**
 * Where notices that follow one another stood before they were lost: the commits that mementos name as those that removed
 * them, and free numbers between their neighbours for the others. Ascending, as notices are.
 */
function freeCommits(evidence: Evidence, numbers: readonly number[], held: ReadonlySet<number>): readonly number[] {
  const [first, last] = [numbers[0] ?? 0, numbers.at(-1) ?? 0];
  if (first === 0) return [];
  const [before, after] = [evidence.notices.get(first - 1) ?? 0, evidence.notices.get(last + 1) ?? Infinity];
  const isFree = (commit: number): boolean =>
    commit > before && commit < after && !evidence.commits.has(commit) && !held.has(commit);
  const found = new Set<number>();
  for (const { removedBy } of evidence.places.values())
    if (isFree(removedBy) && found.size < numbers.length) found.add(removedBy);
  const end = Math.min(after, greatest(greatest(before, evidence.commits), held) + numbers.length + 1);
  for (let commit = before + 1; commit < end && found.size < numbers.length; commit++)
    if (isFree(commit)) found.add(commit);
  return [...found].toSorted((a, b) => a - b);
}

/** The greatest of numbers that may be more than a call takes. */
function greatest(least: number, numbers: Iterable<number>): number {
  let found = least;
  for (const number of numbers) found = Math.max(found, number);
  return found;
}

/** Names belong to the last memento of the log that was given them, as long as it lives. */
export function compareNames(plan: RebuildPlan): void {
  const { evidence, change } = plan;
  const owners = new Map<string, Owner>();
  const claims = [...evidence.claims.values()].flat().toSorted((a, b) => a.commit - b.commit || a.slot - b.slot);
  for (const claim of claims) {
    const row = rowOf(evidence, claim.id);
    if (claim.name === undefined || row === null || row.commit !== claim.commit || row.slot !== claim.slot) continue;
    owners.set(nameText(claim.caretaker, claim.name), { claim, live: row.removedBy === 0 });
  }
  for (const row of evidence.names) compareName(plan, row, owners);
  for (const { claim, live } of owners.values()) {
    if (!live) continue;
    const { caretaker, name = "", id } = claim;
    change(`The name ${JSON.stringify(name)} of memento ${id} is missing`, [id], claim.timeline, async (session) => {
      await session.add(session.statements.addName, caretaker, name, id);
    });
  }
}

interface Owner {
  readonly claim: Claim;
  readonly live: boolean;
}

const nameText = (caretaker: string, name: string): string => JSON.stringify([caretaker, name]);

function compareName(
  { evidence, change }: RebuildPlan,
  { caretaker, name, memento }: NameRow,
  owners: Map<string, Owner>,
): void {
  const key = nameText(caretaker, name);
  const owner = owners.get(key);
  owners.delete(key);
  const id = owner?.live === true ? owner.claim.id : null;
  if (id === memento) return;
  const row = rowOf(evidence, memento);
  // Its own header may have given it the name.
  if (row !== null && row.removedBy === 0 && evidence.unreadable.has(row.commit)) return;
  change(`The name ${key} points to ${memento}, which does not have it`, [memento], null, async (session) => {
    if (id !== null) await session.run(session.statements.moveName, id, caretaker, name);
    else await session.run(session.statements.freeName, caretaker, name, memento);
  });
}
