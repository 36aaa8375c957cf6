import type { IndexAuthority, IndexRebuild, StoreDamage } from "../store.ts";
import type { StoreCalls } from "./calls.ts";
import { addressText } from "./keys.ts";
import { MEND } from "./lua/mending.ts";
import { FIELD } from "./lua/reads.ts";
import {
  placeText,
  readEvidence,
  readIndex,
  type Claim,
  type IndexEvidence,
  type LogEvidence,
  type PlaceRow,
} from "./rebuild-evidence.ts";
import { leaseFields, noticeRow, placeRow } from "./rows.ts";

/**
 * Compares every row of the index with what the log says, and writes those anew that differ, unless it is a dry run. A row
 * whose commit cannot be read is left as it is: nothing says better. Each row is written by itself, so that a crash leaves
 * some of them to the next run.
 */
export async function rebuildIndex(
  calls: StoreCalls,
  authority: IndexAuthority,
  dryRun: boolean,
): Promise<IndexRebuild> {
  const index = await readIndex(calls);
  const reached = [...index.places.values()].reduce(
    (most, { commit, removedBy }) => Math.max(most, commit, removedBy),
    0,
  );
  const rebuild = new Rebuild(calls, authority, index, await readEvidence(calls, authority, reached));
  await rebuild.compare();
  if (!dryRun) await rebuild.write();
  return { changes: rebuild.changes, problems: rebuild.problems };
}

class Rebuild {
  readonly changes: StoreDamage[] = [];
  readonly problems: StoreDamage[] = [];
  readonly #writes: { readonly key: string; readonly command: readonly (string | Uint8Array)[] }[] = [];
  readonly #calls: StoreCalls;
  readonly #authority: IndexAuthority;
  readonly #index: IndexEvidence;
  readonly #log: LogEvidence;
  /** The places as they should be. */
  readonly #places: Map<string, PlaceRow>;

  constructor(calls: StoreCalls, authority: IndexAuthority, index: IndexEvidence, log: LogEvidence) {
    this.#calls = calls;
    this.#authority = authority;
    this.#index = index;
    this.#log = log;
    this.#places = new Map(index.places);
  }

  async compare(): Promise<void> {
    this.#comparePlaces();
    this.#compareRemovals();
    this.#compareMissing();
    this.#compareHeads();
    await this.#compareAddresses();
    this.#compareNames();
  }

  async write(): Promise<void> {
    for (const { key, command } of this.#writes) await this.#calls.write(MEND, [key], command);
  }

  /** True for a commit that says nothing, and so contradicts nothing. */
  #isSilent(commit: number): boolean {
    return this.#log.unreadable.has(commit) || this.#log.missing.includes(commit);
  }

  #comparePlaces(): void {
    for (const [place, row] of this.#index.places) {
      if (this.#isSilent(row.commit)) continue;
      const claims = this.#log.claims.get(place) ?? [];
      const { commit, slot, nonce, name } = row;
      const isRight = claims.some(
        (claim) => claim.commit === commit && claim.slot === slot && claim.nonce === nonce && claim.name === name,
      );
      if (isRight) continue;
      const [right, ...others] = claims.length === 1 ? claims : claims.filter((claim) => claim.nonce === nonce);
      const id = `${place}-${nonce}`;
      if (right === undefined || others.length > 0)
        this.#problem(`The place of memento ${id} fits no commit of the log`, [id], row.timeline);
      else this.#put(right, row.removedBy, `The place of memento ${right.id} is another one than the log says`);
    }
    for (const [place, claims] of this.#log.claims) {
      if (this.#index.places.has(place)) continue;
      const [right, ...others] = claims;
      if (right === undefined) continue;
      const ids = claims.map(({ id }) => id);
      const why = this.#index.unreadablePlaces.has(place) ? "is not readable" : "is missing";
      if (others.length === 0) this.#put(right, 0, `The place of memento ${right.id} ${why}`);
      else this.#problem(`Which of ${ids.join(", ")} has its place cannot be told`, ids, right.timeline);
    }
  }

  #put({ timeline, sequence, id, nonce, name, commit, slot }: Claim, removedBy: number, problem: string): void {
    this.#places.set(placeText(timeline, sequence), { timeline, sequence, nonce, name, commit, slot, removedBy });
    this.#change(problem, [id], timeline);
    this.#writePlace(timeline, sequence);
  }

  /** As the place will stand when all was compared: it may still be marked. */
  #writePlace(timeline: string, sequence: number): void {
    const row = this.#places.get(placeText(timeline, sequence));
    if (row === undefined) return;
    const command = ["HSET", String(sequence), placeRow(row)];
    this.#writes.push({ key: this.#calls.keys.places(timeline, sequence), command });
  }

  /** A removal counts when a genuine notice announces it, and as many are marked as it says. */
  #compareRemovals(): void {
    const marked = new Map<number, Set<string>>();
    for (const [place, { removedBy, nonce }] of this.#places) {
      if (removedBy !== 0) marked.set(removedBy, (marked.get(removedBy) ?? new Set()).add(`${place}-${nonce}`));
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
        if (already.has(id)) continue;
        this.#mark(id, commit, `Memento ${id} was removed by commit ${commit} and is not marked so`);
      }
    }
    for (const [commit, ids] of marked) {
      // Who cannot read the notice cannot say that it did not remove them.
      if (this.#isSilent(commit)) continue;
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
    this.#change(problem, [id], row.timeline);
    this.#writePlace(row.timeline, row.sequence);
  }

  #rowOf(id: string): PlaceRow | null {
    const row = this.#places.get(id.slice(0, id.lastIndexOf("-")));
    return row !== undefined && id.endsWith(`-${row.nonce}`) ? row : null;
  }

  /** Commits that are lost, or notices that are not genuine: a notice takes their place that says so. Packs that places point to are not among them. */
  #compareMissing(): void {
    const held = new Set([...this.#places.values()].map(({ commit }) => commit));
    const { last, highest, missing, unreadable } = this.#log;
    const lost = missing.filter((commit) => !held.has(commit));
    for (const [commit, hasBody] of unreadable) {
      if (held.has(commit)) continue;
      // A body may still be of use to somebody; nothing is thrown away here.
      if (hasBody) this.#problem(`Commit ${commit} cannot be read, and no place says what it holds`, [], null);
      else lost.push(commit);
    }
    for (const commit of lost.toSorted((a, b) => a - b)) {
      const removed = [...this.#places.values()]
        .filter(({ removedBy }) => removedBy === commit)
        .map(({ timeline, sequence, nonce }) => `${timeline}-${sequence}-${nonce}`);
      const row = noticeRow(
        this.#authority.lostCommit(String(commit), removed),
        removed.length === 0 ? null : removed.length,
      );
      this.#change(`Commit ${commit} is lost or cannot be read; a notice that says so takes its place`, removed, null);
      this.#writes.push({ key: this.#calls.keys.log(commit), command: ["HSET", String(commit), row] });
    }
    const end = Math.max(highest, ...missing.slice(-1));
    if (last === end) return;
    this.#change(`The store's facts name another last commit than the log`, [], null);
    this.#writes.push({ key: this.#calls.keys.store, command: ["HSET", "last", String(end)] });
  }

  #compareHeads(): void {
    const lasts = new Map<string, PlaceRow>();
    for (const row of this.#places.values())
      if (row.sequence > (lasts.get(row.timeline)?.sequence ?? 0)) lasts.set(row.timeline, row);
    for (const [key, state] of this.#index.timelines) {
      if (state === null) this.#problem(`Timeline ${key} is missing or cannot be read`, [], key);
      const last = lasts.get(key);
      if (state === null || last === undefined) continue;
      const id = `${placeText(key, last.sequence)}-${last.nonce}`;
      if (state.head?.id === id && state.head.sequence === last.sequence) continue;
      this.#change(`The head of timeline ${key} is not its last memento`, [id], key);
      const check = this.#authority.headCheck(key, id, last.sequence);
      const fields = ["sequence", String(last.sequence), "head", id, "headCheck", check];
      this.#writes.push({ key: this.#calls.keys.timeline(key), command: ["HSET", ...fields] });
    }
    for (const [key, last] of lasts) {
      const id = `${placeText(key, last.sequence)}-${last.nonce}`;
      if (!this.#index.timelines.has(key))
        this.#problem(`Mementos belong to timeline ${key}, which is missing`, [id], key);
    }
  }

  /** Each timeline is found by its address, and in the order; checks are changed only where whoever holds the key agrees. */
  async #compareAddresses(): Promise<void> {
    const { keys } = this.#calls;
    for (const [at, key] of this.#index.unordered.entries()) {
      if (this.#index.timelines.get(key) === null) continue;
      this.#change(`Timeline ${key} is missing in the order of their making`, [], key);
      const score = String(this.#index.timelines.size + at);
      this.#writes.push({ key: keys.order, command: ["ZADD", score, key] });
    }
    for (const [key, state] of this.#index.timelines) {
      if (state === null) continue;
      const address = addressText(state.record);
      const [found] = (await this.#calls.read(FIELD, [keys.addresses], [address])).rest as [Buffer | null];
      if (found?.toString() !== key) {
        this.#change(`The address of timeline ${key} leads elsewhere`, [], key);
        this.#writes.push({ key: keys.addresses, command: ["HSET", address, key] });
      }
      const mended = this.#authority.mendedTimeline(state);
      if (mended === null) continue;
      this.#change(`The checks of timeline ${key} are made anew`, [], key);
      const head = mended.head === null ? [] : ["headCheck", mended.head.check];
      const fields = ["check", mended.record.check, ...head, ...leaseFields(mended.lease)];
      this.#writes.push({ key: keys.timeline(key), command: ["HSET", ...fields] });
    }
  }

  /** Names belong to the last memento of the log that was given them, as long as it lives. */
  #compareNames(): void {
    const owners = new Map<string, { readonly id: string; readonly live: boolean; readonly timeline: string }>();
    const claims = [...this.#log.claims.values()].flat().toSorted((a, b) => a.commit - b.commit || a.slot - b.slot);
    for (const { name, id, timeline } of claims) {
      const row = name === "" ? null : this.#rowOf(id);
      if (row !== null) owners.set(name, { id, timeline, live: row.removedBy === 0 });
    }
    const { names } = this.#calls.keys;
    for (const [name, holder] of this.#index.names) {
      const owner = owners.get(name);
      owners.delete(name);
      if (owner?.live === true && owner.id === holder) continue;
      const row = this.#rowOf(holder);
      // Its own header may have given it the name.
      if (row !== null && row.removedBy === 0 && this.#isSilent(row.commit)) continue;
      this.#change(`The name ${name} points to ${holder}, which does not have it`, [holder], null);
      const command = owner?.live === true ? ["HSET", name, owner.id] : ["HDEL", name];
      this.#writes.push({ key: names, command });
    }
    for (const [name, { id, live, timeline }] of owners) {
      if (!live) continue;
      this.#change(`The name ${name} of memento ${id} is missing`, [id], timeline);
      this.#writes.push({ key: names, command: ["HSET", name, id] });
    }
  }

  #change(problem: string, mementos: readonly string[], timeline: string | null): void {
    this.changes.push({ problem, mementos, timeline });
  }

  #problem(problem: string, mementos: readonly string[], timeline: string | null): void {
    this.problems.push({ problem, mementos, timeline });
  }
}
