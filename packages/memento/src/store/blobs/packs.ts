import { isMementoError, MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import { decodePackHeader, type PackHeader } from "../header.ts";
import type { SalvagedPack } from "../store.ts";
import type { StoreParts } from "./catalogue.ts";
import { damagedFile, frame, missingFile, openFrame } from "./frame.ts";

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

  /** A pack's bytes; null when its file is missing. DAMAGED, naming the file, when it is not what was written. */
  async read(id: string): Promise<PackBytes | null> {
    return await this.#read(id, 0);
  }

  async #read(id: string, number: number): Promise<PackBytes | null> {
    const { files, paths } = this.#parts;
    const file = paths.pack(id, number);
    const bytes = await files.read(file);
    if (bytes === null) return null;
    const { kind, payload } = await openFrame(bytes, ["pack", "pack-reclaimed", "pack-replaced"], file);
    if (kind === "pack-replaced") {
      const next = await this.#read(id, number + 1);
      if (next === null) throw missingFile(paths.pack(id, number + 1));
      return next;
    }
    if (payload.byteLength < LENGTH_BYTES) throw damagedFile(file, "it is cut");
    const headerBytes = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    const header = payload.subarray(LENGTH_BYTES, LENGTH_BYTES + headerBytes);
    if (header.byteLength !== headerBytes) throw damagedFile(file, "it is cut");
    return { header, body: kind === "pack" ? payload.subarray(LENGTH_BYTES + headerBytes) : null };
  }

  /** A pack that must be there, its header understood. */
  async demand(id: string, mementos: readonly string[]): Promise<PackBytes & { readonly understood: PackHeader }> {
    const file = this.#parts.paths.pack(id);
    try {
      const pack = await this.read(id);
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
    const { files, paths } = this.#parts;
    await files.replace(
      paths.pack(id, await this.#lastOf(id)),
      await frame("pack-reclaimed", [lengthOf(header), header]),
    );
  }

  /**
   * Puts a pack, or only its header, behind the last one of this id that `accepts` has agreed to; it is given null for one
   * that cannot be read. False when it does not agree.
   */
  async succeed(id: string, { header, body }: PackBytes, accepts: (last: PackBytes | null) => boolean): Promise<boolean> {
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
    const { files, paths } = this.#parts;
    const bytes = (await files.read(paths.pack(id, await this.#lastOf(id)))) ?? new Uint8Array();
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
    const { files, paths } = this.#parts;
    const word = await frame("pack-replaced", []);
    for (let number = 0; number < last; number++) {
      const bytes = await files.read(paths.pack(id, number));
      if (bytes === null || !Buffer.concat(word).equals(bytes)) await files.replace(paths.pack(id, number), word);
    }
  }

  async #readable(id: string, number: number): Promise<PackBytes | null> {
    try {
      const pack = await this.#read(id, number);
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
