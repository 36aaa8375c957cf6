import { isMementoError, MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import { decodePackHeader, type PackHeader } from "../header.ts";
import type { SalvagedPack } from "../store.ts";
import type { StoreParts } from "./catalogue.ts";
import { damagedFile, frame, missingFile, openFrame } from "./frame.ts";
import { splitEntry } from "./log-reader.ts";
import { isInline } from "./paths.ts";

/** A pack as it lies in its file. */
export interface PackBytes {
  readonly header: Uint8Array;
  /** null once reclaimed. */
  readonly body: Uint8Array | null;
}

const LENGTH_BYTES = 4;

/**
 * Packs are files of their own, written before the log entries that speak of them: 4 bytes for the header's length, big
 * endian, the header, the body. A reclaimed pack keeps its header, under another kind, so that it is not taken for a
 * missing one. A pack that no entry speaks of was left by a crash or a refusal, and is nobody's.
 *
 * Where each request counts, a small pack of one timeline lies in the file of its log entry, as a second frame behind the
 * entry's own: so one creation makes both, and what follows here holds for that frame as for a file. The entry's digest
 * does not cover it; whoever replaces it writes the entry's own frame again, which never changes.
 *
 * A pack is replaced by its successor, a file that is created if absent: so each pack has one, whoever else tries. Then
 * what was before it becomes a word to look at the next one. Nothing is ever put back by somebody late, and as long as a
 * crash keeps the word from being written, readers have the old pack, which says the same.
 */
export class Packs {
  readonly #parts: StoreParts;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** Writes a pack under a new id, and gives the id. */
  async write(header: Uint8Array, body: Uint8Array): Promise<string> {
    const { files, paths, random } = this.#parts;
    const id = `p${randomText(random, 20)}`;
    const created = await files.createIfAbsent(paths.pack(id), await frame("pack", [lengthOf(header), header, body]));
    if (!created)
      throw new MementoError("IO_FAILED", `The pack ${id} exists already: the source of randomness repeats itself`);
    return id;
  }

  /** The frame of a pack that is to lie in its log entry. */
  async frameOf(header: Uint8Array, body: Uint8Array): Promise<readonly Uint8Array[]> {
    return await frame("pack", [lengthOf(header), header, body]);
  }

  /** A pack's bytes; null when its file is missing. DAMAGED, naming the file, when it is not what was written. */
  async read(id: string): Promise<PackBytes | null> {
    return await this.#understand(id, 0, await this.#bytes(id, 0));
  }

  async #understand(id: string, number: number, bytes: Uint8Array | null): Promise<PackBytes | null> {
    if (bytes === null) return null;
    const { paths } = this.#parts;
    const file = paths.pack(id, number);
    const { kind, payload } = await openFrame(bytes, ["pack", "pack-reclaimed", "pack-replaced"], file);
    if (kind === "pack-replaced") {
      const next = await this.#understand(id, number + 1, await this.#bytes(id, number + 1));
      if (next === null) throw missingFile(paths.pack(id, number + 1));
      return next;
    }
    if (payload.byteLength < LENGTH_BYTES) throw damagedFile(file, "it is cut");
    const headerBytes = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    const header = payload.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes);
    if (header.byteLength !== headerBytes) throw damagedFile(file, "it is cut");
    return { header, body: kind === "pack" ? payload.subarray(LENGTH_BYTES + headerBytes) : null };
  }

  /** The frame of a pack as it lies there; null when there is none. */
  async #bytes(id: string, number: number): Promise<Uint8Array | null> {
    const { files, paths } = this.#parts;
    const bytes = await files.read(paths.pack(id, number));
    if (bytes === null || number > 0 || !isInline(id)) return bytes;
    const { behind } = splitEntry(bytes);
    return behind.byteLength === 0 ? null : behind;
  }

  /** Writes a frame in place of the one that lies there. */
  async #replace(id: string, number: number, content: readonly Uint8Array[]): Promise<void> {
    const { files, paths } = this.#parts;
    const file = paths.pack(id, number);
    if (number > 0 || !isInline(id)) return await files.replace(file, content);
    const entry = await files.read(file);
    if (entry === null) throw missingFile(file);
    await files.replace(file, [splitEntry(entry).own, ...content]);
  }

  /** A pack that must be there, its header understood. `behind`: what was just read behind its log entry. */
  async demand(
    id: string,
    mementos: readonly string[],
    behind: Uint8Array | null = null,
  ): Promise<PackBytes & { readonly understood: PackHeader }> {
    const file = this.#parts.paths.pack(id);
    try {
      const isGiven = behind !== null && behind.byteLength > 0 && isInline(id);
      const pack = await this.#understand(id, 0, isGiven ? behind : await this.#bytes(id, 0));
      if (pack === null) throw new MementoError("DAMAGED", `The file ${file} is missing`, { details: { file } });
      return { ...pack, understood: decodePackHeader(pack.header, `the pack ${file}`) };
    } catch (error) {
      if (!(error instanceof MementoError) || error.code !== "DAMAGED") throw error;
      const message = `${error.message}; it holds ${mementos.join(", ")}`;
      throw new MementoError("DAMAGED", message, { cause: error, details: { ...error.details, file, mementos } });
    }
  }

  /** Empties a pack down to its header. Whoever does it a second time writes the same bytes. */
  async reclaim(id: string, header: Uint8Array): Promise<void> {
    await this.#replace(id, await this.#lastOf(id), await frame("pack-reclaimed", [lengthOf(header), header]));
  }

  /**
   * Puts a pack, or only its header, behind the last one of this id that `accepts` has agreed to; it is given null for one
   * that cannot be read. False when it does not agree.
   */
  async succeed(
    id: string,
    { header, body }: PackBytes,
    accepts: (last: PackBytes | null) => boolean,
  ): Promise<boolean> {
    const { files, paths } = this.#parts;
    const content =
      body === null
        ? await frame("pack-reclaimed", [lengthOf(header), header])
        : await frame("pack", [lengthOf(header), header, body]);
    await files.ensureFolder(paths.successors);
    for (;;) {
      const last = await this.#lastOf(id);
      await this.#pointOn(id, last);
      if (!accepts(await this.#readable(id, last))) return false;
      if (!(await files.createIfAbsent(paths.pack(id, last + 1), content))) continue;
      await this.#pointOn(id, last + 1);
      return true;
    }
  }

  /** What is left of the last pack of this id, unchecked. */
  async salvage(id: string): Promise<Pick<SalvagedPack, "bytes" | "header" | "body">> {
    const bytes = (await this.#bytes(id, await this.#lastOf(id))) ?? new Uint8Array();
    const payload = bytes.subarray(bytes.indexOf(10) + 1);
    const headerBytes =
      payload.byteLength < LENGTH_BYTES ? 0 : new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    const end = LENGTH_BYTES + headerBytes;
    if (headerBytes === 0 || end > payload.byteLength) return { bytes, header: null, body: null };
    const body = payload.subarray(end);
    return { bytes, header: payload.subarray(LENGTH_BYTES, end), body: body.byteLength === 0 ? null : body };
  }

  /** How many packs have followed the first one of this id. */
  async #lastOf(id: string): Promise<number> {
    const { files, paths } = this.#parts;
    for (let number = 0; ; number++) if ((await files.read(paths.pack(id, number + 1))) === null) return number;
  }

  /** Turns all before the last pack of this id into words to look at the next one. */
  async #pointOn(id: string, last: number): Promise<void> {
    const word = await frame("pack-replaced", []);
    for (let number = 0; number < last; number++) {
      const bytes = await this.#bytes(id, number);
      if (bytes === null || !Buffer.concat(word).equals(bytes)) await this.#replace(id, number, word);
    }
  }

  async #readable(id: string, number: number): Promise<PackBytes | null> {
    try {
      const pack = await this.#understand(id, number, await this.#bytes(id, number));
      if (pack !== null) decodePackHeader(pack.header, `the pack ${id}`);
      return pack;
    } catch (error) {
      if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return null;
      throw error;
    }
  }

  /** Takes back a pack that no entry speaks of. */
  async discard(id: string): Promise<void> {
    await this.#parts.files.remove(this.#parts.paths.pack(id));
  }
}

function lengthOf(header: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(LENGTH_BYTES);
  bytes.writeUInt32BE(header.byteLength);
  return bytes;
}
