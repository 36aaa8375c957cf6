import { existsSync } from "node:fs";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { parse } from "csv-parse/sync";
import { parquetReadObjects } from "hyparquet";

import { isMementoError } from "../../packages/memento/src/core/errors.ts";
import { type DatasetFiles, nodeDatasetFiles } from "../../packages/memento/src/orchestrator/sinks/dataset/files.ts";
import {
  type Columns,
  type Dataset,
  type DatasetFile,
  datasetFolder,
  type DatasetFolderOptions,
  readDataset,
} from "../../packages/memento/src/orchestrator/sinks/dataset/index.ts";
import type { Sink } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import { parquetCodecs } from "../../packages/memento/src/orchestrator/sources/parquet/parquet-codecs.ts";
import { chaosSink } from "../../packages/memento/src/testing/sink/chaos-sink.ts";
import type { KitRow, SinkPlace } from "../../packages/memento/src/testing/sink/kit.ts";

/** How a dataset of the sink kit is kept. */
export interface KitDataset {
  readonly options: Pick<DatasetFolderOptions, "format" | "fileRowsMax" | "mergeFiles" | "graceMs" | "rowGroupRows">;
  /** `file`: a row is named by its file, which holds no other; `number`: by a column of its own. */
  readonly names: "file" | "number";
}

/** `n` tells rows of the same content apart, whichever file they lie in. */
const columns: Columns = { id: "string", amount: "number", note: "string", n: "string" };

/** Calls that change something on disk. */
const CHANGES = [
  "create",
  "link",
  "rename",
  "unlink",
  "makeFolder",
  "syncFolder",
  "linkFolder",
  "removeFolder",
] as const;

/** The machine's file system, with a step before each call that changes something. */
export function steppedFiles(step: () => void): DatasetFiles {
  const files: Record<string, unknown> = { ...nodeDatasetFiles };
  for (const name of CHANGES) {
    const call = nodeDatasetFiles[name] as (...values: unknown[]) => Promise<unknown>;
    files[name] = async (...values: unknown[]) => {
      step();
      return await call(...values);
    };
  }
  const create: DatasetFiles["create"] = async (path) => {
    step();
    const file = await nodeDatasetFiles.create(path);
    return {
      write: async (bytes) => {
        step();
        return await file.write(bytes);
      },
      sync: async () => {
        step();
        await file.sync();
      },
      close: async () => await file.close(),
    };
  };
  return { ...files, create } as unknown as DatasetFiles;
}

/** What a worker process of the sink kit opens. */
export function kitSink(address: string, step: () => void): Sink<KitRow> {
  const { folder, dataset } = JSON.parse(address) as { folder: string; dataset: KitDataset };
  const sink = datasetFolder<KitRow>({ folder, columns, ...dataset.options, files: steppedFiles(step) });
  return {
    ...chaosSink(sink, {}),
    write: async (rows, write) => {
      const numbered = rows.map((row, index) => ({ ...row, n: `${write.token}:${index}` }));
      return await sink.write(numbered, write);
    },
  };
}

/** Makes places of the sink kit: a dataset in a temporary folder of its own. */
export function datasetPlace(dataset: KitDataset): () => Promise<SinkPlace> {
  return async () => {
    const parent = await mkdtemp(join(tmpdir(), "memento-dataset-"));
    const folder = join(parent, "kit");
    const address = JSON.stringify({ folder, dataset });
    const numbers = new Map<string, { readonly n?: string }>();
    return {
      sink: () => kitSink(address, () => undefined),
      read: async () => {
        const { files } = await datasetAt(folder);
        return dataset.names === "file" ? await readByFile(files) : await readByNumber(files);
      },
      meddle: async (item, row) => {
        const { files } = await datasetAt(folder);
        const path = files.find(({ name }) => name === item)?.path ?? join(folder, item);
        if (existsSync(path) && !numbers.has(path)) numbers.set(path, await numberIn(path));
        if (row === null) return await rm(path, { force: true });
        // A row that is put back is the one that was there, to the byte.
        await writeFile(`${path}.new`, `${JSON.stringify({ ...row, ...numbers.get(path) })}\n`);
        await rename(`${path}.new`, path);
      },
      address,
      dispose: async () => await rm(parent, { recursive: true }),
    };
  };
}

/** The number of the row in a file of its own; nothing where it has none. */
async function numberIn(path: string): Promise<{ readonly n?: string }> {
  const { n } = JSON.parse(await readFile(path, "utf8")) as { readonly n?: string };
  return n === undefined ? {} : { n };
}

async function datasetAt(folder: string): Promise<Pick<Dataset, "files">> {
  try {
    return await readDataset(folder);
  } catch (error) {
    if (isMementoError(error, "NOT_FOUND")) return { files: [] };
    throw error;
  }
}

async function readByFile(files: readonly DatasetFile[]): Promise<Map<string, KitRow>> {
  const rows = new Map<string, KitRow>();
  for (const { name, path } of files) {
    if (!existsSync(path)) continue;
    const [row] = await readRows(path);
    if (row !== undefined) rows.set(name, row);
  }
  return rows;
}

async function readByNumber(files: readonly DatasetFile[]): Promise<Map<string, KitRow>> {
  const rows = new Map<string, KitRow>();
  for (const { path } of files) {
    for (const { n, ...row } of (await readRows(path)) as (KitRow & { n: string })[]) {
      if (rows.has(n)) throw new Error(`row ${n} is there twice`);
      rows.set(n, row);
    }
  }
  return rows;
}

/** The rows of a data file, read by other code than what wrote them. */
export async function readRows(path: string): Promise<KitRow[]> {
  const bytes = await readFile(path);
  if (path.endsWith(".parquet")) {
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    return (await parquetReadObjects({ file, compressors: parquetCodecs })) as unknown as KitRow[];
  }
  if (path.endsWith(".jsonl")) {
    const lines = bytes.toString().split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as KitRow);
  }
  const cast = (text: string, { quoting, column }: { quoting: boolean; column: string | number }): unknown => {
    if (text === "" && !quoting) return null;
    return column === "amount" ? Number(text) : text;
  };
  return parse(bytes, { columns: true, cast, record_delimiter: "\r\n" }) as unknown as KitRow[];
}
