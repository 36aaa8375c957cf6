import { runningSha256, sha256, type RunningDigest } from "../core/digest.ts";
import { isMementoError, MementoError } from "../core/errors.ts";
import { newTimelineKey } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { STREAM_LABEL } from "../store/query.ts";
import { ChunkCutter } from "../vault/chunk-cutter.ts";
import { PartsWriter } from "../vault/chunk-parts.ts";
import type { PieceRef } from "../vault/directory.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { SavedMemento, TimelineWriter } from "../vault/timeline-writer.ts";
import type { Vault } from "../vault/vault.ts";
import { letOthersPass, SAVE_ATTEMPTS_MAX } from "./let-others-pass.ts";
import type { SaveOptions } from "./save-options.ts";
import { bytesOfInput, type StreamInput } from "./stream-input.ts";
import {
  CHUNK,
  DIGEST_BYTES,
  holdsStream,
  LISTED_CHUNKS_MAX,
  listKey,
  STREAM,
  type StreamFacts,
} from "./stream-pieces.ts";
import { readChunk } from "./stream-reader.ts";
import { bytesUntilStopped } from "./stream-stop.ts";

/** How to save a stream: as a state, but for its kind, which is `file` by default, and chunks in place of parts. */
export interface StreamOptions extends SaveOptions {
  /** Stops the save with CANCELLED as long as its input has not come to an end, and lets go of the input; what was written is given up. */
  readonly signal?: AbortSignal;
  /** Told the bytes so far, after each that came in. */
  readonly onProgress?: (done: { readonly bytes: number; readonly newBytes: number }) => void;
}

/** What a stream's saving needs of its caretaker. */
export interface StreamPorts {
  readonly vault: Vault;
  readonly caretaker: string;
  /** A writer of its own on the originator's present head. */
  writer(): Promise<TimelineWriter>;
  /** Does the work when no other save of the originator is under way in this process: two in one commit would refuse each other. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
  /** What every save adds to its draft. */
  readonly draft: {
    readonly labels: Readonly<Record<string, string>>;
    readonly metadata: JsonObject;
    readonly fields: Readonly<Record<string, unknown>>;
  };
}

/** Chunks up to this many bytes travel in one part; memory for a save is a few times as much, however long the stream is. */
const PART_BYTES_TARGET = 2_097_152;

/**
 * Saves a stream of bytes. Chunks that the memento before it has are not written again. New ones are written while the
 * stream comes in, as parts beside the timeline, which nobody sees; only when all bytes are there is the memento appended
 * that names them, and with it the stream becomes visible, whole. A short stream is one commit.
 */
export async function saveStream(
  ports: StreamPorts,
  input: StreamInput,
  options: StreamOptions,
): Promise<OpenedMemento> {
  const saver = new StreamSaver(ports, options, await ports.writer());
  return await saver.save(input);
}

class StreamSaver {
  readonly #ports: StreamPorts;
  readonly #options: StreamOptions;
  readonly #stream: string;
  readonly #parts = new AsyncDisposableStack();
  readonly #whole: RunningDigest = runningSha256();
  readonly #lists: Uint8Array[][] = [];
  /** Where the chunks are that other records hold: those of the head that are used again, and those of the parts. */
  readonly #refs = new Map<string, PieceRef>();
  /** Chunks that were not written yet. */
  #unwritten = new Map<string, Uint8Array>();
  #unwrittenBytes = 0;
  #partsBytes = 0;
  #writer: TimelineWriter;
  #known: (key: string) => PieceRef | undefined = () => undefined;
  #partsWriter: PartsWriter | null = null;
  #chunks = 0;
  #bytes = 0;
  #newBytes = 0;

  constructor(ports: StreamPorts, options: StreamOptions, writer: TimelineWriter) {
    this.#ports = ports;
    this.#options = options;
    this.#stream = newTimelineKey(ports.vault.random);
    this.#writer = writer;
  }

  async save(input: StreamInput): Promise<OpenedMemento> {
    await using _parts = this.#parts;
    const { vault } = this.#ports;
    const named = await this.#named();
    if (this.#options.full !== true && this.#writer.headId !== null) {
      const { directory } = await vault.load(this.#writer.headId);
      this.#known = (key) => directory.get(key);
    }
    await this.#takeIn(input);
    const facts: StreamFacts = { bytes: this.#bytes, sha256: this.#whole.current(), chunks: this.#chunks };
    if (named !== null) return await demandSame(named, facts, this.#options.id ?? "");
    try {
      const { entry } = await this.#ports.inTurn(async () => await this.#append(facts));
      await this.#confirm(entry.id);
      return await vault.load(entry.id);
    } catch (error) {
      const raced = isMementoError(error, "EXISTS") ? await this.#named() : null;
      if (raced !== null) return await demandSame(raced, facts, this.#options.id ?? "");
      throw error;
    }
  }

  /** The stream that has the name already; null when nobody has it, or it is to move. EXISTS when a state has it. */
  async #named(): Promise<OpenedMemento | null> {
    const { id, replace = false } = this.#options;
    const { vault, caretaker } = this.#ports;
    const found = id === undefined || replace ? null : await vault.store.findByName(caretaker, id);
    if (found === null) return null;
    const memento = await vault.load(found);
    if (holdsStream(memento)) return memento;
    throw taken(id ?? "", found);
  }

  async #takeIn(input: StreamInput): Promise<void> {
    const { signal, onProgress } = this.#options;
    const cutter = new ChunkCutter();
    for await (const bytes of signal === undefined ? bytesOfInput(input) : bytesUntilStopped(input, signal)) {
      this.#whole.update(bytes);
      this.#bytes += bytes.length;
      for (const chunk of cutter.push(bytes)) await this.#add(chunk);
      onProgress?.({ bytes: this.#bytes, newBytes: this.#newBytes });
    }
    for (const chunk of cutter.finish()) await this.#add(chunk);
  }

  async #add(chunk: Uint8Array): Promise<void> {
    const digest = sha256(chunk);
    const key = CHUNK + digest;
    if (this.#chunks % LISTED_CHUNKS_MAX === 0) this.#lists.push([]);
    this.#lists.at(-1)?.push(Buffer.from(digest, "base64url"));
    this.#chunks += 1;
    if (this.#refs.has(key) || this.#unwritten.has(key)) return;
    const known = this.#known(key);
    if (known === undefined) await this.#addNew(key, chunk);
    else this.#refs.set(key, known);
  }

  async #addNew(key: string, chunk: Uint8Array): Promise<void> {
    this.#newBytes += chunk.length;
    this.#unwritten.set(key, chunk);
    this.#unwrittenBytes += chunk.length;
    if (this.#unwrittenBytes < PART_BYTES_TARGET) return;
    const { vault, caretaker } = this.#ports;
    const { originator = "default", kind = "file" } = this.#options;
    this.#partsWriter ??= this.#parts.use(await PartsWriter.open(vault, { caretaker, originator }, kind, this.#stream));
    for (const [held, ref] of await this.#partsWriter.write(this.#unwritten)) this.#refs.set(held, ref);
    this.#partsBytes += this.#unwrittenBytes;
    this.#unwritten = new Map();
    this.#unwrittenBytes = 0;
  }

  /** The commit by which the stream becomes visible. */
  async #append(facts: StreamFacts): Promise<SavedMemento> {
    const { id, replace = false, full = false } = this.#options;
    const { draft } = this.#ports;
    for (let attempt = 1; ; attempt++) {
      const pieces = new Map<string, unknown>([[STREAM, facts], ...this.#unwritten]);
      for (const [index, digests] of this.#lists.entries()) pieces.set(listKey(index), listOf(digests));
      await this.#partsWriter?.hold();
      try {
        return await this.#writer.append({
          reason: "save",
          status: "saved",
          generation: 0,
          ...draft,
          labels: { ...draft.labels, [STREAM_LABEL]: this.#stream },
          pieces,
          refs: this.#refs,
          partsBytes: this.#partsBytes,
          drop: this.#writer.pieceKeys().filter((key) => !pieces.has(key) && !this.#refs.has(key)),
          full,
          ...(id === undefined ? {} : { name: id, replaceName: replace }),
        });
      } catch (error) {
        if (!isMementoError(error, "CONFLICT") || attempt >= SAVE_ATTEMPTS_MAX) throw error;
        await letOthersPass(this.#ports.vault, attempt);
        await this.#moveOn();
      }
    }
  }

  /**
   * Another save moved the head in between. What is shared with the old head is needed by nobody for certain any more, so
   * chunks that the new one does not share are copied; CONFLICT when one of them is gone already.
   */
  async #moveOn(): Promise<void> {
    const { vault } = this.#ports;
    this.#writer = await this.#ports.writer();
    const own = this.#partsWriter?.ids ?? new Set();
    const shared = [...this.#refs].filter(
      ([key, { holder, digest }]) => !own.has(holder) && this.#writer.pieceDigest(key) !== digest,
    );
    for (const [key, ref] of shared) {
      this.#refs.delete(key);
      await this.#addNew(key, await rescued(vault, ref, key));
    }
  }

  /** Looks once more, when the lease was lost on the last step, whether all parts are there; takes the memento back when not. */
  async #confirm(id: string): Promise<void> {
    const parts = this.#partsWriter;
    if (parts === null || (await parts.isHeld())) return;
    const { vault, caretaker } = this.#ports;
    for (const part of parts.ids) {
      if (((await vault.store.read(part))?.body ?? null) !== null) continue;
      const about = { caretaker, timeline: this.#writer.timeline.key, mementos: [id] };
      await vault.store.remove([id], vault.notice("removed", about));
      throw new MementoError("FENCED", `The stream was saved too late: its part ${part} had been given up for lost`);
    }
  }
}

async function rescued(vault: Vault, ref: PieceRef, key: string): Promise<Uint8Array> {
  try {
    return await readChunk(vault, ref, key, ref.holder);
  } catch (cause) {
    if (!isMementoError(cause, "DAMAGED")) throw cause;
    throw new MementoError(
      "CONFLICT",
      "Other saves went on while the stream came in, and what it shares with an earlier one is gone",
      { cause },
    );
  }
}

const listOf = (digests: readonly Uint8Array[]): Uint8Array => {
  const list = new Uint8Array(digests.length * DIGEST_BYTES);
  for (const [index, digest] of digests.entries()) list.set(digest, index * DIGEST_BYTES);
  return list;
};

async function demandSame(memento: OpenedMemento, facts: StreamFacts, name: string): Promise<OpenedMemento> {
  const known = (await memento.value(STREAM)) as StreamFacts;
  if (known.sha256 === facts.sha256 && known.bytes === facts.bytes) return memento;
  throw taken(name, memento.entry.id);
}

function taken(name: string, id: string): MementoError {
  return new MementoError("EXISTS", `The name ${JSON.stringify(name)} belongs to a memento with other content`, {
    details: { id },
  });
}
