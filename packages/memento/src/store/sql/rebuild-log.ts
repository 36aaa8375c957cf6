import { idOf } from "./log.ts";
import { rowOf, type Claim, type NameRow, type RebuildPlan } from "./rebuild-evidence.ts";

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
  const last = Math.max(evidence.noticesCounted, ...evidence.notices.keys());
  for (let number = 1; number <= last; number++) {
    if (evidence.notices.has(number)) continue;
    const commit = freeCommit(plan, number, new Set([...evidence.commits, ...lost.values(), ...held]));
    if (commit === null)
      problem(`Notice ${number} is lost, and there is no place left for what would say so`, [], null);
    else lost.set(number, commit);
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

/** Where a lost notice stood: the commit that mementos name as the one that removed them, or any free place between its neighbours. */
function freeCommit({ evidence }: RebuildPlan, number: number, taken: ReadonlySet<number>): number | null {
  const before = Math.max(0, ...[...evidence.notices].filter(([its]) => its < number).map(([, commit]) => commit));
  const after = Math.min(
    Infinity,
    ...[...evidence.notices].filter(([its]) => its > number).map(([, commit]) => commit),
  );
  for (const { removedBy } of evidence.places.values())
    if (removedBy > before && removedBy < after && !taken.has(removedBy)) return removedBy;
  const end = Math.min(after, Math.max(before, ...evidence.commits) + 2);
  for (let commit = before + 1; commit < end; commit++) if (!taken.has(commit)) return commit;
  return null;
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
