import { runningSha256, sha256 } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import type { Random } from "../../../core/ports.ts";
import type { NewFile } from "../../../store/file/file-port.ts";
import { ioError } from "../../../store/file/io-errors.ts";
import type { Chain } from "./chain.ts";
import type { DatasetFiles } from "./files.ts";
import type { Columns } from "./format/columns.ts";
import type { DataFormat } from "./format/data-format.ts";
import { filePath, keptPath, LAYOUT, newFileName } from "./layout.ts";
import type { FileEntry, Listed } from "./manifest.ts";

/** Files that are written at the same time. */
const FILES_AT_ONCE = 8;

/** How data files are written. */
export interface DataFilesOptions {
  readonly chain: Chain;
  readonly files: DatasetFiles;
  readonly random: Random;
  readonly format: DataFormat;
  readonly fileRowsMax: number;
}

/** What a new file is to say of itself. */
type Facts = Pick<FileEntry, "rows" | "schema" | "version" | "level" | "of">;

/**
 * Writes data files under names that nobody else has. No version lists them yet: what a crash leaves is swept by a later
 * `trim`. All are durable, names included, when a call returns; after an error what it wrote is taken away again.
 */
export class DataFiles {
  readonly #options: DataFilesOptions;

  constructor(options: DataFilesOptions) {
    this.#options = options;
  }

  /** Files that hold the rows, cut at `fileRowsMax`; none for no rows. */
  async write(
    rows: readonly unknown[],
    columns: Columns | null,
    facts: Pick<Facts, "schema" | "version">,
  ): Promise<readonly Listed[]> {
    const { fileRowsMax, format, random } = this.#options;
    const parts = Array.from({ length: Math.ceil(rows.length / fileRowsMax) }, (_none, part) => ({
      name: newFileName(facts.version, part, random, format.ending),
      from: part * fileRowsMax,
      to: Math.min(rows.length, (part + 1) * fileRowsMax),
    }));
    const written: Listed[] = [];
    try {
      for (let start = 0; start < parts.length; start += FILES_AT_ONCE) {
        const some = parts.slice(start, start + FILES_AT_ONCE);
        const results = await Promise.allSettled(
          some.map(async ({ name, from, to }) => {
            const content = format.encode({ rows, from, to }, columns);
            return await this.#create(name, content, { ...facts, rows: to - from, level: 0 });
          }),
        );
        for (const result of results) if (result.status === "fulfilled") written.push(result.value);
        for (const result of results) if (result.status === "rejected") throw result.reason;
      }
      if (parts.length > 0) await this.#settle();
    } catch (error) {
      await this.#discardAfter(
        error,
        written.map(([, { path }]) => path),
      );
      throw error;
    }
    return written;
  }

  /** One file in place of several, which must be what they were; null, and nothing is left, where one is not. */
  async merge(inputs: readonly Listed[], columns: Columns | null, version: number): Promise<Listed | null> {
    const { format, random } = this.#options;
    const [first] = inputs;
    if (first === undefined) return null;
    const contents: Uint8Array[] = [];
    for (const [, { path, digest }] of inputs) {
      const content = await this.#options.chain.durable.read(this.#options.chain.path(path));
      if (content === null || sha256(content) !== digest) return null;
      contents.push(content);
    }
    const facts = {
      rows: inputs.reduce((sum, [, { rows }]) => sum + rows, 0),
      schema: first[1].schema,
      version,
      level: first[1].level + 1,
      of: inputs.map(([name]) => name),
    };
    // Its name sorts where the first of them did: rows stay in the order in which they came.
    const [from = "0", part = "0"] = first[0].split("-");
    const name = newFileName(Number(from), Number(part), random, format.ending);
    const merged = await this.#create(name, format.merge(contents, columns), facts);
    await this.#settle();
    return merged;
  }

  /** Copies a file to where nobody will change it; gives its path. */
  async keep(name: string, { path, digest }: FileEntry): Promise<string> {
    const { chain } = this.#options;
    const kept = keptPath(name, digest);
    const content = await chain.durable.read(chain.path(path));
    if (content === null) throw new MementoError("NOT_REVERTIBLE", `${path} was taken away while it was kept`);
    await chain.durable.createIfAbsent(chain.path(kept), [content]);
    return kept;
  }

  /** Takes away files that no version lists. */
  async discard(listed: readonly Listed[]): Promise<void> {
    const { chain } = this.#options;
    for (const [, { path }] of listed) await chain.durable.remove(chain.path(path));
  }

  async #settle(): Promise<void> {
    const { chain } = this.#options;
    await chain.durable.settle(chain.path(LAYOUT.files));
  }

  async #create(name: string, content: AsyncIterable<Uint8Array>, facts: Facts): Promise<Listed> {
    const { chain, files } = this.#options;
    const path = filePath(name);
    const digest = runningSha256();
    let bytes = 0;
    const file = await attempt("create", path, () => files.create(chain.path(path)));
    try {
      try {
        for await (const chunk of content) {
          digest.update(chunk);
          bytes += chunk.byteLength;
          await attempt("write", path, () => writeAll(file, chunk, path));
        }
        await attempt("write", path, () => file.sync());
      } finally {
        await file.close();
      }
    } catch (error) {
      await this.#discardAfter(error, [path]);
      throw error;
    }
    return [name, { path, bytes, digest: digest.current(), ...facts }];
  }

  /** Takes away what was written before an error. That error is the one to hear of: a second one only travels along. */
  async #discardAfter(error: unknown, paths: readonly string[]): Promise<void> {
    const { chain } = this.#options;
    for (const path of paths) {
      try {
        await chain.durable.remove(chain.path(path));
      } catch (second) {
        if (error instanceof Error && error.cause === undefined) error.cause = second;
      }
    }
  }
}

async function attempt<T>(doing: string, path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw ioError(error, doing, path);
  }
}

async function writeAll(file: NewFile, bytes: Uint8Array, path: string): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength;) {
    const written = await file.write(bytes.subarray(offset));
    if (written === 0) throw new MementoError("IO_FAILED", `Could not write ${path}: no byte more was taken`);
    offset += written;
  }
}
