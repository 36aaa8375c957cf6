import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { TimelineState } from "../../core/timeline.ts";
import { decodePackHeader } from "../../store/header.ts";
import { isPart, mementoQuery } from "../../store/query.ts";
import { openWhole } from "../open-whole.ts";
import { FIELDS_PIECE, type MementoManifest } from "../record.ts";
import { removedMeanwhile } from "../removed-meanwhile.ts";
import type { Vault } from "../vault.ts";

/** How a memento travels: whole; as much of it as others need; or nothing but its entry. */
export type Passage = "whole" | "needed" | "spent";

interface RecordFacts {
  readonly base: string | null;
  /** Every key that its list of pieces speaks of, with who holds the piece; null for a dropped one. */
  readonly holders: ReadonlyMap<string, string | null>;
  /** Bases of the deltas that it holds. */
  readonly deltas: ReadonlyMap<string, string>;
  readonly hasFields: boolean;
}

/** A timeline that is exported, up to one of its mementos. */
export interface ExportedLine {
  readonly state: TimelineState;
  /** The last sequence number that travels. */
  upTo: number;
}

/**
 * What an export brings: the wanted timelines, and of other ones (those that they were forked from, those that hold parts
 * of streams) everything up to the last memento of which something is needed, so that each is whole in itself. Memory grows
 * with the number of mementos, not with their size.
 */
export class ExportPlan {
  readonly lines = new Map<string, ExportedLine>();
  /** Mementos that travel whole. */
  wholeMementos = 0;
  readonly #vault: Vault;
  readonly #facts = new Map<string, RecordFacts | null>();
  /** Pieces that others need of a record: true where somebody reads the content, false where only deltas are built on it. */
  readonly #wanted = new Map<string, Map<string, boolean>>();
  /** The live mementos of each timeline that was read, by sequence number. */
  readonly #live = new Map<string, Map<number, string>>();
  readonly #roots = new Set<string>();
  readonly #onlyChosen: boolean;

  /** `onlyChosen`: of the timelines that come along nothing is wanted for itself, and only what `addMemento` names travels whole. */
  constructor(vault: Vault, { onlyChosen = false }: { readonly onlyChosen?: boolean } = {}) {
    this.#vault = vault;
    this.#onlyChosen = onlyChosen;
  }

  /** Adds a timeline with all that it needs. DAMAGED when something of that is missing. */
  async add(state: TimelineState): Promise<void> {
    await this.#include(state, state.head?.sequence ?? 0);
  }

  /** Adds one memento with all that it needs, and its timeline up to it. DAMAGED when something of that is missing. */
  async addMemento(id: string): Promise<void> {
    const { timeline = "", sequence = 0 } = parseMementoId(id) ?? {};
    await this.#include(this.lines.get(timeline)?.state ?? (await this.#vault.timeline(timeline)), sequence);
    if (!this.#roots.has(id)) await this.#addRoot(id);
  }

  /** How a memento travels; null for one that does not. */
  passageOf(id: string): Passage | null {
    const place = parseMementoId(id);
    const line = place === undefined ? undefined : this.lines.get(place.timeline);
    if (place === undefined || line === undefined || place.sequence > line.upTo) return null;
    if (this.#roots.has(id)) return "whole";
    return this.#wanted.has(id) ? "needed" : "spent";
  }

  /** True when this piece of a memento travels. */
  brings(id: string, key: string): boolean {
    return this.#roots.has(id) || this.#wanted.get(id)?.has(key) === true;
  }

  /** True when the content of a piece that travels is read by somebody; bytes of others may have been cleared away where no delta needs them. */
  reads(id: string, key: string): boolean {
    return this.#roots.has(id) || this.#wanted.get(id)?.get(key) === true;
  }

  /** One of the live mementos that travel and were removed since; null for none. What it takes to load them may be gone by now. */
  async removedSince(): Promise<string | null> {
    for (const timeline of this.lines.keys())
      for await (const { entry, removed } of this.#vault.store.query(mementoQuery({ timeline, removed: true })))
        if (removed && this.#roots.has(entry.id)) return entry.id;
    return null;
  }

  async #include(state: TimelineState, upTo: number): Promise<void> {
    const { key } = state.record;
    const line = this.lines.get(key);
    const from = line?.upTo ?? 0;
    if (line === undefined) this.lines.set(key, { state, upTo });
    else line.upTo = Math.max(from, upTo);
    const live = this.#live.get(key) ?? (await this.#read(state));
    if (this.#onlyChosen) return;
    for (const [sequence, id] of live) if (sequence > from && sequence <= upTo) await this.#addRoot(id);
    // Whoever goes on with the timeline stands on its head, whatever became of it; but not on one that was given up.
    const { head } = state;
    if (head?.sequence !== upTo || this.#roots.has(head.id)) return;
    if (live.has(upTo) || (await openWhole(this.#vault, head.id)) !== null) await this.#addRoot(head.id, false);
  }

  async #read(state: TimelineState): Promise<Map<number, string>> {
    const timeline = state.record.key;
    const live = new Map<number, string>();
    this.#live.set(timeline, live);
    let pack: string | null = null;
    for await (const row of this.#vault.store.query(mementoQuery({ timeline, removed: true, order: "ascending" }))) {
      const { id, sequence } = row.entry;
      if (!row.removed && !isPart(row.entry)) live.set(sequence, id);
      if (row.pack !== pack) await this.#readPack(id);
      pack = row.pack;
    }
    return live;
  }

  async #readPack(id: string): Promise<void> {
    const stored = await this.#vault.store.read(id);
    if (stored === null) throw new MementoError("NOT_FOUND", `There is no memento ${id} any more`, { details: { id } });
    const manifests = stored.body === null ? [] : await this.#vault.reader.manifests(stored);
    for (const [slot, entry] of decodePackHeader(stored.header, `memento ${id}`).entries.entries()) {
      const manifest = manifests[slot];
      this.#facts.set(entry.id, manifest === undefined || manifest === null ? null : factsOf(entry.id, manifest));
    }
  }

  /** Marks all that it takes to load a memento; `whole` says that it also travels as a live one. */
  async #addRoot(root: string, whole = true): Promise<void> {
    if (whole) {
      this.#roots.add(root);
      this.wholeMementos += 1;
    }
    const said = new Set<string>();
    for (let id: string | null = root; id !== null;) {
      const facts = await this.#need(id, root);
      for (const [key, holder] of facts.holders) {
        if (said.has(key)) continue;
        said.add(key);
        if (holder !== null) await this.#addPiece(holder, key, root);
      }
      id = facts.base;
    }
    if ((await this.#need(root, root)).hasFields) this.#wanted.get(root)?.set(FIELDS_PIECE, true);
  }

  async #addPiece(holder: string, key: string, root: string): Promise<void> {
    for (let id: string | undefined = holder; id !== undefined;) {
      const facts: RecordFacts = await this.#need(id, root);
      const keys = this.#wanted.get(id);
      const known = keys?.get(key);
      const isRead = id === holder;
      if (isRead || known === undefined) keys?.set(key, isRead);
      if (known !== undefined) return;
      id = facts.deltas.get(key);
    }
  }

  async #need(id: string, root: string): Promise<RecordFacts> {
    const place = parseMementoId(id);
    const line = place === undefined ? undefined : this.lines.get(place.timeline);
    if (place !== undefined && (line === undefined || line.upTo < place.sequence)) {
      await this.#include(line?.state ?? (await this.#vault.timeline(place.timeline)), place.sequence);
    }
    const facts = this.#facts.get(id) ?? null;
    if (facts === null) {
      const gone = await this.removedSince();
      if (gone !== null) throw removedMeanwhile(gone, "exported", "Export again.");
      const why = id === root ? "its record is not there" : `it needs ${id}, whose record is not there`;
      throw new MementoError("DAMAGED", `Memento ${root} cannot be exported: ${why}`, {
        details: { id: root, needs: id },
      });
    }
    if (!this.#wanted.has(id)) this.#wanted.set(id, new Map());
    return facts;
  }
}

function factsOf(id: string, { base, layer, held }: MementoManifest): RecordFacts {
  const holders = new Map([...layer.changes].map(([key, ref]) => [key, ref?.holder ?? null]));
  const deltas = new Map<string, string>();
  for (const [key, place] of held) {
    if (key !== FIELDS_PIECE && !holders.has(key)) holders.set(key, id);
    if (place.base !== null) deltas.set(key, place.base.holder);
  }
  return { base, holders, deltas, hasFields: held.has(FIELDS_PIECE) };
}
