import { leaseValues, nullable, textOf } from "../columns.ts";
import { isLeap } from "../log-gap.ts";
import type { IndexAuthority, IndexRebuild, StoreDamage } from "../store.ts";
import {
  isSilent,
  placeText,
  readDoubles,
  readLog,
  readPlaces,
  type Claim,
  type LogEvidence,
  type PlaceRow,
} from "./rebuild-evidence.ts";
import { headOf, lacksHead, numberOf, timelineOf } from "./rows.ts";
import type { Statements } from "./statements.ts";

/**
 * Compares every row of the index with what the log says, inside the caller's transaction, and writes those anew that
 * differ, unless it is a dry run. A row whose commit cannot be read is left as it is: nothing says better. What is written is a row of
 * the sorted table: the others are to be sorted in before.
 */
export function rebuildIndex(statements: Statements, authority: IndexAuthority, dryRun: boolean): IndexRebuild {
  const rebuild = new Rebuild(statements, authority);
  rebuild.compare();
  if (!dryRun) rebuild.write();
  return { changes: rebuild.changes, problems: rebuild.problems };
}

class Rebuild {
  readonly changes: StoreDamage[] = [];
  readonly problems: StoreDamage[] = [];
  readonly #writes: (() => void)[] = [];
  readonly #statements: Statements;
  readonly #authority: IndexAuthority;
  readonly #log: LogEvidence;
  /** The rows as they should be. */
  readonly #places: Map<string, PlaceRow>;

  constructor(statements: Statements, authority: IndexAuthority) {
    this.#statements = statements;
    this.#authority = authority;
    this.#log = readLog(statements, authority);
    this.#places = readPlaces(statements);
  }

  compare(): void {
    this.#comparePlaces();
    this.#compareDoubles();
    this.#compareRemovals();
    this.#compareMissing();
    this.#compareHeads();
    this.#compareChecks();
    this.#compareNames();
  }

  write(): void {
    for (const write of this.#writes) write();
  }

  #comparePlaces(): void {
    for (const [place, row] of this.#places) {
      if (isSilent(this.#log, row.commit)) continue;
      const claims = this.#log.claims.get(place) ?? [];
      const id = `${place}-${row.nonce}`;
      if (claims.some(({ commit, slot, id: its }) => commit === row.commit && slot === row.slot && its === id))
        continue;
      const right = this.#accepted(claims, id);
      if (right === null) this.#problem(`The row of memento ${id} fits no commit of the log`, [id], row.timeline);
      else this.#put(right, row.removedBy, `The row of memento ${right.id} points elsewhere than the log`);
    }
    const tops = this.#topSequences();
    const absent = [...this.#log.claims].filter(([place]) => !this.#places.has(place));
    for (const [, claims] of absent) {
      const [first] = claims;
      // Above the highest place that anything speaks of, it was refused.
      if (first === undefined || first.sequence > (tops.get(first.timeline) ?? 0)) continue;
      const right = this.#accepted(claims, null);
      if (right === null) {
        const ids = claims.map(({ id }) => id);
        this.#problem(`Which of ${ids.join(", ")} has place ${first.sequence} cannot be told`, ids, first.timeline);
      } else this.#put(right, 0, `The row of memento ${right.id} is missing`);
    }
  }

  /** Rows that could not be sorted in, for another one has their place. */
  #compareDoubles(): void {
    for (const double of readDoubles(this.#statements)) {
      const { timeline, sequence, nonce, commit, slot } = double;
      const place = placeText(timeline, sequence);
      const [id, row] = [`${place}-${nonce}`, this.#places.get(place)];
      const isHere = row?.commit === commit && row.slot === slot && row.nonce === nonce;
      const claims = this.#log.claims.get(place) ?? [];
      const isSaid = claims.some((claim) => claim.commit === commit && claim.slot === slot && claim.id === id);
      if (!isHere && (isSaid || isSilent(this.#log, commit))) {
        const ids = [`${place}-${row?.nonce}`, id];
        this.#problem(`Mementos ${ids.join(" and ")} have one place`, ids, timeline);
      } else {
        this.#change(`The row of memento ${id} is doubled, or fits no commit of the log`, [id], timeline, () =>
          this.#statements.dropRecent.run(timeline, sequence, nonce),
        );
      }
    }
  }

  /** The claim that was accepted: the only one, the one of this id, or the one that the next memento follows. */
  #accepted(claims: readonly Claim[], id: string | null): Claim | null {
    const [only] = claims;
    if (only === undefined || claims.length === 1) return only ?? null;
    const next = this.#log.claims.get(placeText(only.timeline, only.sequence + 1)) ?? [];
    const row = this.#places.get(placeText(only.timeline, only.sequence + 1));
    const followed = next.filter(
      (claim) => row === undefined || `${placeText(claim.timeline, claim.sequence)}-${row.nonce}` === claim.id,
    );
    const parents = new Set(followed.map(({ parent }) => parent));
    const line = this.#statements.timeline.get(only.timeline);
    const head = line === undefined || lacksHead(line) ? null : headOf(line);
    const named = claims.filter((claim) => claim.id === id || parents.has(claim.id) || head?.id === claim.id);
    const [right] = named;
    return right !== undefined && named.every((claim) => claim.id === right.id) ? right : null;
  }

  /** How far each timeline's rows and genuine head go. */
  #topSequences(): Map<string, number> {
    const tops = new Map<string, number>();
    for (const { timeline, sequence } of this.#places.values())
      tops.set(timeline, Math.max(sequence, tops.get(timeline) ?? 0));
    for (const row of this.#statements.spans.all()) {
      const key = nullable(row, "key", textOf);
      const head = key === null || lacksHead(row) ? null : headOf(row);
      if (key === null || head === null || head.check !== this.#authority.headCheck(key, head.id, head.sequence))
        continue;
      tops.set(key, Math.max(head.sequence, tops.get(key) ?? 0));
    }
    return tops;
  }

  #put({ timeline, sequence, id, commit, slot }: Claim, removedBy: number, problem: string): void {
    const nonce = id.slice(id.lastIndexOf("-") + 1);
    this.#places.set(placeText(timeline, sequence), { timeline, sequence, nonce, commit, slot, removedBy });
    this.#change(problem, [id], timeline, () =>
      this.#statements.putMemento.run(timeline, sequence, nonce, commit, slot, removedBy),
    );
  }

  /** A removal counts when a genuine notice announces it, and as many are marked as it says. */
  #compareRemovals(): void {
    const marked = new Map<number, Set<string>>();
    for (const [place, { removedBy, nonce }] of this.#places) {
      if (removedBy === 0) continue;
      const ids = marked.get(removedBy) ?? new Set();
      marked.set(removedBy, ids.add(`${place}-${nonce}`));
    }
    const settled = new Set<string>();
    for (const { commit, count, mementos } of this.#log.removals) {
      const open = mementos.filter((id) => !settled.has(id) && this.#rowOf(id) !== null);
      const already = marked.get(commit) ?? new Set();
      const right = open.length === count ? open : open.filter((id) => already.has(id));
      if (right.length !== count)
        this.#problem(`Notice ${commit} removed ${count} mementos, and which ones cannot be told`, open, null);
      for (const id of right) {
        settled.add(id);
        if (!already.has(id))
          this.#mark(id, commit, `Memento ${id} was removed by commit ${commit} and is not marked so`);
      }
    }
    for (const [commit, ids] of marked) {
      // Who cannot read the notice cannot say that it did not remove them.
      if (isSilent(this.#log, commit)) continue;
      for (const id of ids) {
        if (settled.has(id)) continue;
        this.#mark(id, 0, `Memento ${id} is marked as removed by commit ${commit}, which does not say so`);
      }
    }
  }

  #mark(id: string, commit: number, problem: string): void {
    const row = this.#rowOf(id);
    if (row === null || row.removedBy === commit) return;
    this.#places.set(placeText(row.timeline, row.sequence), { ...row, removedBy: commit });
    this.#change(problem, [id], row.timeline, () =>
      this.#statements.markRemoved.run(commit, row.timeline, row.sequence),
    );
  }

  #rowOf(id: string): PlaceRow | null {
    const row = this.#places.get(id.slice(0, id.lastIndexOf("-")));
    return row !== undefined && id.endsWith(`-${row.nonce}`) ? row : null;
  }

  /** Commits that are lost, or notices that are not genuine: a notice takes their place that says so. Packs that rows point to are not among them. */
  #compareMissing(): void {
    const held = new Set([...this.#places.values()].map(({ commit }) => commit));
    const facts = this.#statements.facts.get() ?? {};
    const [claimed, known] = [numberOf(facts, "last_notice"), this.#log.lastNotice];
    const lost = this.#log.missing.filter((commit) => !held.has(commit));
    for (const commit of this.#log.unreadable) {
      if (held.has(commit)) continue;
      const row = this.#statements.commitById.get(commit) ?? {};
      // A body may still be of use to somebody; nothing is thrown away here.
      if (nullable(row, "body_bytes", numberOf) === null) lost.push(commit);
      else this.#problem(`Commit ${commit} cannot be read, and no row says what it holds`, [], null);
    }
    const last = nullable(this.#statements.lastCommit.get() ?? {}, "id", numberOf) ?? 0;
    for (const { from, to } of this.#log.leaps)
      this.#problem(`The number of commit ${to} was changed: the one before it is ${from}`, [], null);
    if (!isLeap(last, claimed))
      for (let commit = last + 1; commit <= claimed; commit++) if (!held.has(commit)) lost.push(commit);
    let notice = known;
    for (const commit of lost.toSorted((a, b) => a - b)) {
      const removed = [...this.#places.values()]
        .filter(({ removedBy }) => removedBy === commit)
        .map(({ timeline, sequence, nonce }) => `${timeline}-${sequence}-${nonce}`);
      const header = this.#authority.lostCommit(String(commit), removed);
      notice = Math.max(notice, commit);
      this.#change(
        `Commit ${commit} is lost or cannot be read; a notice that says so takes its place`,
        removed,
        null,
        () => this.#statements.putNotice.run(commit, header, removed.length === 0 ? null : removed.length),
      );
    }
    if (claimed === notice) return;
    this.#change(`The store's facts name another last notice than the log`, [], null, () =>
      this.#statements.noticeLogged.run(notice),
    );
  }

  #compareHeads(): void {
    const lasts = new Map<string, PlaceRow>();
    for (const row of this.#places.values())
      if (row.sequence > (lasts.get(row.timeline)?.sequence ?? 0)) lasts.set(row.timeline, row);
    const known = new Set<string>();
    for (const row of this.#statements.spans.all()) {
      const key = nullable(row, "key", textOf);
      if (key === null) continue;
      known.add(key);
      const last = lasts.get(key);
      if (last === undefined) {
        if (lacksHead(row))
          this.#change(`The head of timeline ${key} is missing`, [], key, () =>
            this.#statements.moveHead.run(0, null, null, key),
          );
        continue;
      }
      const id = `${placeText(key, last.sequence)}-${last.nonce}`;
      if (nullable(row, "head_id", textOf) === id && numberOf(row, "head_sequence") === last.sequence) continue;
      this.#change(`The head of timeline ${key} is not its last memento`, [id], key, () =>
        this.#statements.moveHead.run(last.sequence, id, this.#authority.headCheck(key, id, last.sequence), key),
      );
    }
    for (const [key, last] of lasts) {
      if (known.has(key)) continue;
      const id = `${placeText(key, last.sequence)}-${last.nonce}`;
      this.#problem(`Mementos belong to timeline ${key}, which is missing`, [id], key);
    }
  }

  /** Rows whose keyed checks do not fit are changed only where whoever holds the key agrees. */
  #compareChecks(): void {
    for (let ordinal = 0; ;) {
      const page = this.#statements.timelinesAfter.all(ordinal);
      for (const row of page) {
        ordinal = numberOf(row, "ordinal");
        const mended = this.#authority.mendedTimeline(timelineOf(lacksHead(row) ? { ...row, head_sequence: 0 } : row));
        if (mended === null) continue;
        const { key, check } = mended.record;
        this.#change(`The checks of timeline ${key} are made anew`, [], key, () => {
          this.#statements.mendTimeline.run(check, ...leaseValues(mended.lease), key);
          if (mended.head !== null) this.#statements.mendHead.run(mended.head.check, key);
        });
      }
      if (page.length === 0) return;
    }
  }

  /** Names belong to the last memento of the log that was given them, as long as it lives. */
  #compareNames(): void {
    const owners = new Map<string, { readonly claim: Claim; readonly live: boolean }>();
    const claims = [...this.#log.claims.values()].flat().toSorted((a, b) => a.commit - b.commit || a.slot - b.slot);
    for (const claim of claims) {
      const row = this.#rowOf(claim.id);
      if (claim.name === undefined || row === null || row.commit !== claim.commit || row.slot !== claim.slot) continue;
      owners.set(JSON.stringify([claim.caretaker, claim.name]), { claim, live: row.removedBy === 0 });
    }
    for (let place = { caretaker: "", name: "" }; ;) {
      const page = this.#statements.namesAfter.all(place.caretaker, place.name);
      for (const row of page) {
        place = { caretaker: textOf(row, "caretaker"), name: textOf(row, "name") };
        this.#compareName(place, textOf(row, "memento"), owners);
      }
      if (page.length === 0) break;
    }
    for (const { claim, live } of owners.values()) {
      if (!live) continue;
      const { caretaker, name, id } = claim;
      this.#change(`The name ${JSON.stringify(name)} of memento ${id} is missing`, [id], claim.timeline, () =>
        this.#statements.moveName.run(caretaker, name ?? "", id),
      );
    }
  }

  #compareName(
    { caretaker, name }: { readonly caretaker: string; readonly name: string },
    memento: string,
    owners: Map<string, { readonly claim: Claim; readonly live: boolean }>,
  ): void {
    const key = JSON.stringify([caretaker, name]);
    const owner = owners.get(key);
    owners.delete(key);
    if (owner?.live === true && owner.claim.id === memento) return;
    const row = this.#rowOf(memento);
    // Its own header may have given it the name.
    if (row !== null && row.removedBy === 0 && this.#log.unreadable.has(row.commit)) return;
    this.#change(`The name ${key} points to ${memento}, which does not have it`, [memento], null, () => {
      if (owner?.live === true) this.#statements.moveName.run(caretaker, name, owner.claim.id);
      else this.#statements.freeName.run(caretaker, name, memento);
    });
  }

  #change(problem: string, mementos: readonly string[], timeline: string | null, write: () => unknown): void {
    this.changes.push({ problem, mementos, timeline });
    this.#writes.push(() => void write());
  }

  #problem(problem: string, mementos: readonly string[], timeline: string | null): void {
    this.problems.push({ problem, mementos, timeline });
  }
}
