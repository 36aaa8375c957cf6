import { MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineAddress, type TimelineState } from "../../core/timeline.ts";
import { mementoQuery } from "../../store/query.ts";
import { checkForkName, PartsWriter } from "../chunk-parts.ts";
import { decodeValue } from "../codec.ts";
import type { PieceRef } from "../directory.ts";
import { LeaseKeeper } from "../lease-keeper.ts";
import type { Vault } from "../vault.ts";
import type { LineFacts } from "./archive-facts.ts";
import { readItems, type PiecesItem } from "./items.ts";
import { damaged, type ArchiveHeader } from "./layout.ts";
import type { ArchivedMemento } from "./memento-item.ts";

/** The label by which an imported memento is found again: the id of its store, a slash, and the id that it has there. */
export const ORIGIN_LABEL = "memento.origin";

/** What an import of one memento works with. */
export interface MementoImportPorts {
  readonly vault: Vault;
  readonly header: ArchiveHeader;
  readonly line: LineFacts["item"];
  readonly memento: ArchivedMemento;
  readonly where: string;
  /** The name of the fork that it becomes where its address is taken; null takes one from the file's id. */
  readonly fork: string | null;
  /** True for pieces that stay behind when it becomes a fork. */
  readonly staysBehind: (key: string) => boolean;
}

/** Where a memento is to go. */
export interface MementoPlace {
  readonly address: TimelineAddress;
  /** True: the address of its own timeline was free, so that it goes on there under its own key. */
  readonly isOwn: boolean;
}

/** Chunks of bytes up to here are kept in the memento's own record; more of them are written while they come in. */
const OWN_BYTES_MAX = 8_388_608;

/** The live memento that an earlier import of the same one has made, or the very same one; null for none. */
export async function findImported(
  vault: Vault,
  header: ArchiveHeader,
  { entry: { id }, digest }: ArchivedMemento,
): Promise<MementoEntry | null> {
  const labels = { [ORIGIN_LABEL]: originOf(header) };
  for await (const { entry } of vault.store.query(mementoQuery({ caretaker: header.caretaker, labels, limit: 1 })))
    return entry;
  const stored = await vault.store.read(id);
  if (stored === null || stored.removed) return null;
  const record = await vault.reader.openStored(id, stored);
  return record.manifest.digest === digest ? record.entry : null;
}

/** Decides where the memento goes: to its own timeline where that is free, else to a fork. EXISTS when the fork's name is taken. */
export async function placeOf(
  vault: Vault,
  { header, line, fork }: Pick<MementoImportPorts, "header" | "line" | "fork">,
): Promise<MementoPlace> {
  const { caretaker, originator, partition } = line;
  const own = await vault.findTimeline(line);
  const byKey = await vault.store.timeline(line.key);
  const isFree = (own === null || (own.head === null && own.record.key === line.key)) && (byKey?.head ?? null) === null;
  if (fork === null && isFree) return { address: line, isOwn: true };
  const name = fork === null ? `import-${header.id.slice(0, 8)}` : checkForkName(fork);
  const address = { caretaker, originator, partition, fork: name };
  const state = await vault.findTimeline(address);
  if (state === null || state.head === null) return { address, isOwn: false };
  throw new MementoError("EXISTS", `There is a timeline ${describeAddress(address)} already`, {
    hint: "Choose another name by `--fork NAME`.",
    details: { timeline: state.record.key },
  });
}

/**
 * Makes a memento of the file's one, with an id of its own and a label that says where it comes from. On its own timeline
 * it goes on as if nothing had happened: same key, so that sinks know their rows again, and a higher epoch, so that the
 * worker of before is refused. As a fork it has no data in the sinks yet. EXISTS, LOCKED, DAMAGED.
 */
export async function importMemento(
  content: AsyncIterable<Uint8Array>,
  place: MementoPlace,
  ports: MementoImportPorts,
): Promise<MementoEntry> {
  const { vault } = ports;
  const { record } = await timelineAt(place, ports);
  await using lease = await LeaseKeeper.acquire(vault, record.key);
  if (lease.state.head !== null)
    throw new MementoError("EXISTS", `There is a memento on ${describeAddress(record)} by now`, {
      hint: "Import again.",
    });
  await using pieces = new PiecesImport(ports, place);
  for await (const { item, blobs } of readItems(content, ports.where))
    if (item.t === "pieces") await pieces.add(item, blobs);
  const writer = await vault.writer(lease.state);
  return await append(writer, place, ports, pieces);
}

async function append(
  writer: Awaited<ReturnType<Vault["writer"]>>,
  { isOwn }: MementoPlace,
  { vault, header, memento }: MementoImportPorts,
  pieces: PiecesImport,
): Promise<MementoEntry> {
  const { reason, status, generation, name, run, version, stage, stageIndex, resumeCount, labels, metadata } =
    memento.entry;
  const isTaken = name !== undefined && (await vault.store.findByName(header.caretaker, name)) !== null;
  const standing = status === "completed" || status === "cancelled" || status === "saved" ? status : "interrupted";
  await pieces.hold();
  const { entry } = await writer.append({
    reason: isOwn ? reason : "fork",
    status: isOwn ? status : standing,
    generation: isOwn ? generation : 0,
    ...(name === undefined || isTaken ? {} : { name }),
    ...(run === undefined ? {} : { run }),
    ...(version === undefined ? {} : { version }),
    ...(stage === undefined ? {} : { stage }),
    ...(stageIndex === undefined ? {} : { stageIndex }),
    ...(resumeCount === undefined ? {} : { resumeCount }),
    labels: { ...labels, [ORIGIN_LABEL]: originOf(header) },
    metadata,
    fields: { ...memento.fields, origin: { ...originFacts(header), digest: memento.digest } },
    pieces: pieces.values,
    refs: pieces.refs,
    full: true,
  });
  return entry;
}

async function timelineAt(
  { address, isOwn }: MementoPlace,
  { vault, line }: MementoImportPorts,
): Promise<TimelineState> {
  if (!isOwn) return await vault.ensureTimeline(address, line.kind);
  const found = await vault.findTimeline(address);
  if (found !== null) return found;
  // What it was forked from is not in this store.
  const { t: _t, epoch, head: _head, ...record } = { ...line, forkedFrom: null };
  const lease = vault.leaseOf(record.key, { epoch, owner: null, expiresAt: 0, holder: null });
  return vault.verified(await vault.store.createTimeline({ ...record, check: vault.checks.timeline(record) }, lease));
}

/** Takes pieces in: values for the memento's own record, and long rows of chunks on the way, so that memory stays flat. */
class PiecesImport implements AsyncDisposable {
  readonly values = new Map<string, unknown>();
  readonly refs = new Map<string, PieceRef>();
  readonly #ports: MementoImportPorts;
  readonly #place: MementoPlace;
  #chunks = new Map<string, Uint8Array>();
  #chunkBytes = 0;
  #parts: PartsWriter | null = null;

  constructor(ports: MementoImportPorts, place: MementoPlace) {
    this.#ports = ports;
    this.#place = place;
  }

  async add(item: PiecesItem, blobs: readonly Uint8Array[]): Promise<void> {
    const { where, staysBehind } = this.#ports;
    for (const [index, [key, encoding]] of item.pieces.entries()) {
      const bytes = blobs[index];
      if (bytes === undefined) throw damaged(where, `the piece ${key} is missing`);
      if (!this.#place.isOwn && staysBehind(key)) continue;
      if (encoding === "bytes") await this.#addChunk(key, bytes);
      else this.values.set(key, decodeValue({ encoding, bytes }));
    }
  }

  /** The last of the chunks become values, and the parts are still ours. */
  async hold(): Promise<void> {
    for (const [key, bytes] of this.#chunks) this.values.set(key, Uint8Array.from(bytes));
    await this.#parts?.hold();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts?.[Symbol.asyncDispose]();
  }

  async #addChunk(key: string, bytes: Uint8Array): Promise<void> {
    this.#chunks.set(key, Uint8Array.from(bytes));
    this.#chunkBytes += bytes.length;
    if (this.#chunkBytes < OWN_BYTES_MAX) return;
    const { caretaker, originator } = this.#place.address;
    this.#parts ??= await PartsWriter.open(
      this.#ports.vault,
      { caretaker, originator },
      this.#ports.line.kind,
      this.#ports.header.id,
    );
    for (const [held, ref] of await this.#parts.write(this.#chunks)) this.refs.set(held, ref);
    this.#chunks = new Map();
    this.#chunkBytes = 0;
  }
}

const originOf = ({ store, memento }: ArchiveHeader): string => `${store}/${memento ?? ""}`;

function originFacts({ store, memento, timeline, caretaker, id }: ArchiveHeader): Readonly<Record<string, unknown>> {
  return { store, memento, caretaker, timeline: timeline?.key ?? null, file: id };
}
