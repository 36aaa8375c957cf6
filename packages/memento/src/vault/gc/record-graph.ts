import { sha256 } from "../../core/digest.ts";
import { isMementoError } from "../../core/errors.ts";
import { decodeHeader, type PackHeader } from "../../store/header.ts";
import type { StoredCommit } from "../../store/store.ts";
import { directNeeds } from "../needs.ts";
import type { MementoManifest } from "../record.ts";
import { Turns } from "../turns.ts";
import type { Vault } from "../vault.ts";

/** What a record says of others and holds itself, as far as garbage collection needs it. */
export interface RecordFacts {
  /** The record that its list of pieces builds on. */
  readonly base: string | null;
  /** Every key that its own list speaks of: what the lists below say of them does not count. */
  readonly keys: readonly string[];
  /** Pieces of its list that other records hold, by key. */
  readonly elsewhere: ReadonlyMap<string, string>;
  /** Bases of the deltas that it holds, by key. */
  readonly deltas: ReadonlyMap<string, string>;
  /** Bytes of each piece that it holds itself. */
  readonly held: ReadonlyMap<string, number>;
}

/** A pack as the log has it. */
export interface PackFacts {
  /** SHA-256 of its header. */
  readonly digest: string;
  readonly dataKey: string | null;
  readonly caretaker: string;
  readonly bodyBytes: number;
  /** The mementos that were accepted from it. */
  readonly ids: string[];
}

/** Every pack of a store that still has a body, and what each of their records needs. About half a kilobyte a memento. */
export class RecordGraph {
  readonly packs = new Map<string, PackFacts>();
  readonly #records = new Map<string, RecordFacts>();
  readonly #texts = new Map<string, string>();

  /** Reads the log, each pack once. What cannot be opened is left out: whoever turns out to need it is told so. */
  static async read(vault: Vault, signal?: AbortSignal): Promise<RecordGraph> {
    const graph = new RecordGraph();
    const turns = new Turns(vault.clock);
    for await (const commit of vault.store.commits(null)) {
      await turns.take(signal);
      const header = decodeHeader(commit.header, `commit ${commit.cursor}`);
      if (header.type !== "pack" || commit.body === null || commit.accepted.length === 0) continue;
      await graph.#add(vault, commit, header);
    }
    return graph;
  }

  record(id: string): RecordFacts | undefined {
    return this.#records.get(id);
  }

  async #add(vault: Vault, commit: StoredCommit, header: PackHeader): Promise<void> {
    const digest = sha256(commit.header);
    const ids = commit.accepted.map((slot) => this.#text(header.entries[slot]?.id ?? ""));
    const known = this.packs.get(digest);
    // A batch across timelines may come as several commits of one pack.
    if (known === undefined) {
      const caretaker = this.#text(header.entries[0]?.caretaker ?? "");
      const bodyBytes = commit.body?.length ?? 0;
      this.packs.set(digest, { digest, dataKey: header.dataKey, caretaker, bodyBytes, ids });
    } else known.ids.push(...ids);
    try {
      const manifests = await vault.reader.manifests(commit);
      for (const slot of commit.accepted) {
        const [entry, manifest] = [header.entries[slot], manifests[slot]];
        if (entry && manifest) this.#records.set(this.#text(entry.id), this.#facts(entry.id, manifest));
      }
    } catch (error) {
      if (!isMementoError(error, "DAMAGED")) throw error;
    }
  }

  #facts(id: string, manifest: MementoManifest): RecordFacts {
    const text = (value: string): string => this.#text(value);
    let base: string | null = null;
    const elsewhere = new Map<string, string>();
    const deltas = new Map<string, string>();
    for (const { holder, key, digest } of directNeeds(id, manifest)) {
      if (key === null) base = text(holder);
      else if (digest === null) deltas.set(text(key), text(holder));
      else elsewhere.set(text(key), text(holder));
    }
    return {
      base,
      keys: [...manifest.layer.changes.keys()].map(text),
      elsewhere,
      deltas,
      held: new Map([...manifest.held].map(([key, { bytes }]) => [text(key), bytes])),
    };
  }

  /** One string for equal texts: ids and keys come again and again. */
  #text(value: string): string {
    const known = this.#texts.get(value);
    if (known !== undefined) return known;
    this.#texts.set(value, value);
    return value;
  }
}
