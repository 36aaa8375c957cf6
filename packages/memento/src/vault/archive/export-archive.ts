import { isMementoError, MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import type { TimelineState } from "../../core/timeline.ts";
import type { CaretakerRecord } from "../../store/store.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import { isMaintenance } from "../maintenance.ts";
import type { OpenedMemento } from "../opened-memento.ts";
import type { Vault } from "../vault.ts";
import { newContentKey } from "./archive-key.ts";
import { ArchiveWriter, type ByteSink } from "./archive-writer.ts";
import { exportLines } from "./export-lines.ts";
import { exportMemento } from "./export-memento.ts";
import { ExportPlan } from "./export-plan.ts";
import type { ArchiveContent, ArchiveHeader } from "./layout.ts";
import { signerFingerprint, signerOf } from "./signing.ts";

/** What is to be exported: one memento by its id, a timeline by its key, a caretaker by its name, or the whole store. */
export type ExportSubject =
  | { readonly memento: string }
  | { readonly timeline: string }
  | { readonly caretaker: string }
  | { readonly store: true };

/** How to export. */
export interface ExportOptions {
  /** The keys that seal the file. Default: those of the store; `null` leaves it open for everybody to read. */
  readonly keys?: KeyRing | null;
  /** The text of a key file, to be brought along in the backup of a whole store. Only where `keys` are others than it names. */
  readonly keyText?: string;
  readonly signal?: AbortSignal;
  /** Told how many mementos were written, of how many. */
  readonly onProgress?: (done: { readonly mementos: number; readonly total: number }) => void;
}

/** What an export has written. */
export interface ExportReport {
  readonly content: ArchiveContent;
  /** The file's own id. */
  readonly id: string;
  readonly mementos: number;
  /** Timelines that it brings, those included that others need something of. */
  readonly timelines: number;
  /** Bytes of the file. */
  readonly bytes: number;
  /** Bytes of the state that the memento, or each timeline's head, has when it is read whole. */
  readonly stateBytes: number;
  readonly sealed: boolean;
  /** The fingerprint of the key that signed it. */
  readonly signer: string;
}

interface Content {
  readonly facts: Pick<ArchiveHeader, "content" | "caretaker" | "timeline" | "memento" | "mementos" | "stateBytes">;
  readonly timelines: number;
  /** Gives the number of items. */
  readonly write: (writer: ArchiveWriter) => Promise<number>;
}

/**
 * Writes a portable file: self-contained, compressed, sealed unless `keys` is null, and signed. Every piece is read and
 * verified on the way, and memory stays flat. NOT_FOUND, DAMAGED, CONFLICT for a memento in the middle of a rollback.
 */
export async function exportArchive(
  vault: Vault,
  out: ByteSink,
  subject: ExportSubject,
  options: ExportOptions = {},
): Promise<ExportReport> {
  return await writeArchive(vault, out, subject, options, vault.meta.id);
}

/** As `exportArchive`; `store` is the id of the store where the content comes from, which may be another one. */
export async function writeArchive(
  vault: Vault,
  out: ByteSink,
  subject: ExportSubject,
  options: ExportOptions,
  store: string,
): Promise<ExportReport> {
  const { keys = vault.ring } = options;
  const content = await contentOf(vault, subject, options);
  const id = randomText(vault.random, 16);
  const key = await newContentKey(keys, id, vault.random);
  const signer = signerOf(vault);
  const header: ArchiveHeader = {
    type: "archive",
    id,
    created: new Date(vault.clock.now()).toISOString(),
    store,
    ...content.facts,
    suite: key === null ? "S256" : "A256GCM",
    key: key?.wrapped ?? null,
    signer: Buffer.from(signer.publicKey).toString("base64url"),
  };
  const writer = await ArchiveWriter.begin(out, header, key?.key ?? null, signer);
  const items = await content.write(writer);
  await writer.add({ t: "end", items });
  const bytes = await writer.end();
  const { mementos, stateBytes } = header;
  return {
    content: header.content,
    id,
    mementos,
    timelines: content.timelines,
    bytes,
    stateBytes,
    sealed: key !== null,
    signer: signerFingerprint(signer.publicKey),
  };
}

async function contentOf(vault: Vault, subject: ExportSubject, options: ExportOptions): Promise<Content> {
  if ("memento" in subject) return await mementoContent(vault, await vault.load(subject.memento), options);
  if ("timeline" in subject) {
    const state = await vault.timeline(subject.timeline);
    const { key, originator, partition, fork, kind, caretaker } = state.record;
    if (state.head === null) throw new MementoError("NOT_FOUND", `There is no memento on timeline ${key}`);
    const facts = { timeline: { key, originator, partition, fork, kind }, memento: state.head.id };
    return await linesContent(vault, [state], { content: "timeline", caretaker, ...facts }, [], options);
  }
  const caretaker = "caretaker" in subject ? subject.caretaker : null;
  // Before the mementos are listed: no pin is of one that does not come along.
  const settings = (await vault.store.caretakers()).filter(({ name }) => caretaker === null || name === caretaker);
  const states: TimelineState[] = [];
  for await (const state of vault.store.timelines(caretaker)) states.push(vault.verified(state));
  const wanted = states.filter(({ record }) => !isMaintenance(record));
  const facts = { timeline: null, memento: null };
  if (caretaker === null)
    return await linesContent(vault, wanted, { content: "store", caretaker: "", ...facts }, settings, options);
  if (wanted.length === 0) throw new MementoError("NOT_FOUND", `There is no caretaker ${caretaker}`);
  return await linesContent(vault, wanted, { content: "caretaker", caretaker, ...facts }, settings, options);
}

async function mementoContent(vault: Vault, memento: OpenedMemento, options: ExportOptions): Promise<Content> {
  const { entry, removed } = memento;
  if (removed) throw new MementoError("NOT_FOUND", `Memento ${entry.id} was removed`, { details: { id: entry.id } });
  if (entry.status === "reverting") {
    throw new MementoError("CONFLICT", `Memento ${entry.id} stands in the middle of a rollback`, {
      hint: "Finish the rollback first by running the pipeline again, or export its timeline.",
    });
  }
  const { key, originator, partition, fork, kind } = (await vault.timeline(entry.timeline)).record;
  return {
    facts: {
      content: "memento",
      caretaker: entry.caretaker,
      timeline: { key, originator, partition, fork, kind },
      memento: entry.id,
      mementos: 1,
      stateBytes: entry.sizes.logicalBytes,
    },
    timelines: 1,
    write: async (writer) => {
      const items = await exportMemento(writer, vault, memento, options.signal);
      options.onProgress?.({ mementos: 1, total: 1 });
      return items;
    },
  };
}

/** The size of a head's state; 0 for a head that was given up, which the plan has left out. */
async function stateBytesOf({ reader }: Vault, id: string): Promise<number> {
  try {
    return (await reader.open(id)).entry.sizes.logicalBytes;
  } catch (error) {
    if (isMementoError(error, "NOT_FOUND") || isMementoError(error, "DAMAGED")) return 0;
    throw error;
  }
}

async function linesContent(
  vault: Vault,
  states: readonly TimelineState[],
  facts: Pick<ArchiveHeader, "content" | "caretaker" | "timeline" | "memento">,
  settings: readonly CaretakerRecord[],
  { signal, onProgress, keyText }: ExportOptions,
): Promise<Content> {
  const { content } = facts;
  const caretaker = content === "store" ? null : facts.caretaker;
  const plan = new ExportPlan(vault);
  let stateBytes = 0;
  for (const state of states) {
    signal?.throwIfAborted();
    await plan.add(state);
    if (state.head !== null) stateBytes += await stateBytesOf(vault, state.head.id);
  }
  const total = plan.wholeMementos;
  let mementos = 0;
  const onMementos = (count: number): void => {
    mementos += count;
    onProgress?.({ mementos, total });
  };
  return {
    facts: { ...facts, mementos: total, stateBytes },
    timelines: plan.lines.size,
    write: async (writer) => {
      for (const { name, policy } of settings) await writer.add({ t: "caretaker", name, policy });
      const keys = content === "store" && keyText !== undefined ? [Buffer.from(keyText, "utf8")] : [];
      for (const bytes of keys) await writer.add({ t: "keys" }, bytes);
      const items = await exportLines(writer, { vault, plan, caretaker, signal, onMementos });
      return items + settings.length + keys.length;
    },
  };
}
