import { posix as nodePath } from "node:path";

import { MementoError } from "../../core/errors.ts";
import type { StoreParts } from "./catalogue.ts";
import { damagedFile, frameJson, openJson } from "./frame.ts";
import type { Mementos } from "./mementos.ts";
import { claimFile, logPosition } from "./paths.ts";
import { concurrently } from "./turns.ts";

/** A memento's wish for a name, as its file has it. */
export interface WrittenClaim {
  readonly caretaker: string;
  readonly name: string;
  readonly generation: number;
  readonly id: string;
}

interface Claim {
  readonly generation: number;
  readonly id: string;
}

/** How a name stood when it was looked at. */
export interface NameLook {
  /** Newest first. */
  readonly claims: readonly Claim[];
  /** The live memento that has the name. */
  readonly holder: string | null;
  /** Claims above it, of mementos that were not appended. */
  readonly pending: readonly Claim[];
}

/** A memento that is about to be appended, and the name that it wants. */
export interface NameWish {
  readonly caretaker: string;
  readonly name: string;
  readonly id: string;
  readonly replace: boolean;
}

/** A claim that is the newest of its name. */
export interface TakenName {
  readonly caretaker: string;
  readonly name: string;
  /** The generations that were below it. */
  readonly older: readonly number[];
}

/** What came of a wish for a name. */
export type ClaimOutcome = TakenName | { readonly holder: string };

/** How often a stranger's claim is looked at before its writer is taken for dead; doubles with each round. */
const PATIENCE = 8;
const PATIENCE_MAX = 2_048;
const ROUNDS_MAX = 1_000;

/**
 * Names. Whoever wants one writes a claim, the next generation of the name's folder, created if absent, before its
 * memento is appended. The newest claim whose memento was appended decides: the memento has the name as long as it is
 * live, and nobody has it afterwards. Claims above it are of writers who have not come to their append, or never will.
 *
 * Who may not take a name from anybody first waits a little for such writers, then voids their mementos (see
 * `TimelineEntry`) before it claims: so of two who want a free name, one is appended and the other is told by whom.
 * Who may replace needs no such care: it is as if the other had been first.
 */
export class Names {
  readonly #parts: StoreParts;
  readonly #mementos: Mementos;

  constructor(parts: StoreParts, mementos: Mementos) {
    this.#parts = parts;
    this.#mementos = mementos;
  }

  /** How the name stands now. */
  async look(caretaker: string, name: string): Promise<NameLook> {
    const claims = await this.#claims(caretaker, name);
    return { claims, ...(await this.#standing(claims)) };
  }

  /**
   * Claims a name for a memento that is about to be appended; gives the live one that has it when it may not be replaced.
   * The last look may be an old one: a claim that was written since has the next number.
   */
  async claim({ caretaker, name, id, replace }: NameWish, lastLook: NameLook): Promise<ClaimOutcome> {
    const { files, paths } = this.#parts;
    const folder = paths.name(caretaker, name);
    await files.ensureFolder(folder);
    let patience = PATIENCE;
    let look: NameLook | null = lastLook;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const { claims, holder, pending } = look ?? (await this.look(caretaker, name));
      look = null;
      if (holder !== null && holder !== id && !replace) return { holder };
      const strangers = replace ? [] : pending.filter((claim) => claim.id !== id);
      if (!(await this.#clearAway(strangers, patience))) continue;
      patience = Math.min(patience * 2, PATIENCE_MAX);
      const generation = (claims[0]?.generation ?? 0) + 1;
      const written: WrittenClaim = { caretaker, name, generation, id };
      if (!(await files.createIfAbsent(claimFile(folder, generation), await frameJson("name", written)))) continue;
      // Old claims are taken away, so a late writer may find a low number free; then the newer ones are here to see.
      const [newest, ...older] = await this.#generations(folder);
      if (newest === generation) return { caretaker, name, older };
    }
    throw new MementoError("LOCKED", `Others claim the name ${JSON.stringify(name)} all the time`);
  }

  /** Takes away the claims below one whose memento was appended: nobody looks at them again. */
  async tidy({ caretaker, name, older }: TakenName): Promise<void> {
    const folder = this.#parts.paths.name(caretaker, name);
    await Promise.all(older.map((generation) => this.#parts.files.remove(claimFile(folder, generation))));
  }

  /** True when anybody has ever claimed the name, as far as the store can tell. */
  async isClaimed(caretaker: string, name: string): Promise<boolean> {
    return (await this.#generations(this.#parts.paths.name(caretaker, name))).length > 0;
  }

  /** A claim's file, for `check`. DAMAGED, naming it. */
  async read(folder: string, generation: number): Promise<WrittenClaim | null> {
    const file = claimFile(folder, generation);
    const bytes = await this.#parts.files.read(file);
    if (bytes === null) return null;
    const { value } = await openJson<WrittenClaim>(bytes, "name", file);
    const itsFolder = this.#parts.paths.name(value.caretaker, value.name);
    if (nodePath.basename(itsFolder) !== nodePath.basename(folder) || value.generation !== generation) {
      throw damagedFile(file, "it belongs to another place");
    }
    return value;
  }

  /** Who has the name by these claims, and which claims above that are of mementos that were not appended. */
  async #standing(claims: readonly Claim[]): Promise<Pick<NameLook, "holder" | "pending">> {
    const pending: Claim[] = [];
    for (const claim of claims) {
      const found = await this.#mementos.find(claim.id);
      if (found === null) {
        pending.push(claim);
        continue;
      }
      const removed = await this.#mementos.isRemoved(found);
      // What is decided by this must not outlive it: a removal that is lost would give the name back.
      await this.#mementos.settle(found);
      return { holder: removed ? null : claim.id, pending };
    }
    return { holder: null, pending };
  }

  /** Waits a little for each writer, and voids what it has not appended by then. False as soon as one was appended. */
  async #clearAway(strangers: readonly Claim[], patience: number): Promise<boolean> {
    for (const { id } of strangers) {
      for (let look = 0; look < patience && (await this.#mementos.mayCome(id)); look++);
      if (!(await this.#mementos.void(id))) return false;
    }
    return true;
  }

  /** A name's claims, newest first. */
  async #claims(caretaker: string, name: string): Promise<readonly Claim[]> {
    const folder = this.#parts.paths.name(caretaker, name);
    for (;;) {
      const generations = await this.#generations(folder);
      const { requestsAtOnce } = this.#parts.tuning;
      const written = await concurrently(generations, requestsAtOnce, (generation) => this.read(folder, generation));
      const claims = written.filter((claim) => claim !== null).map(({ generation, id }) => ({ generation, id }));
      // Claims are taken away when a newer one has become good: then that one must be read too.
      if (claims.length === generations.length) return claims;
    }
  }

  /** The numbers of a name's claims, newest first. */
  async #generations(folder: string): Promise<readonly number[]> {
    const generations: number[] = [];
    for await (const file of this.#parts.files.list(folder)) {
      const generation = logPosition(file);
      if (generation !== null) generations.push(generation);
    }
    return generations.toSorted((a, b) => b - a);
  }
}
