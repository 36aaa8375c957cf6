import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { isMementoError } from "../../packages/memento/src/core/errors.ts";
import {
  datasetFolder,
  type DatasetFolderOptions,
  readDataset,
} from "../../packages/memento/src/orchestrator/sinks/dataset/index.ts";
import type { Sink } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import { ManualClock } from "../../packages/memento/src/testing/manual-clock.ts";
import { readRows } from "../workers/dataset-folder.ts";

/** A row of these tests. */
export type Row = Readonly<Record<string, unknown>>;
type Options = Partial<DatasetFolderOptions> & Pick<DatasetFolderOptions, "format">;

/** What a test is lent. */
export interface DatasetLoan {
  readonly folder: string;
  readonly clock: ManualClock;
  /** Opens a sink of the timeline. */
  open(options: Options, timeline?: string): Promise<Sink<Row>>;
}

/** Lends a folder that is not there yet, and takes it away afterwards. */
export async function withFolder(run: (loan: DatasetLoan) => Promise<void>): Promise<void> {
  const parent = await mkdtemp(path.join(tmpdir(), "memento-dataset-"));
  const folder = path.join(parent, "out");
  const clock = new ManualClock();
  const open: DatasetLoan["open"] = async (options, timeline = "one") => {
    const sink = datasetFolder<Row>({ folder, ...options });
    await sink.open({ timeline, name: "out", clock, signal: new AbortController().signal });
    return sink;
  };
  try {
    await run({ folder, clock, open });
  } finally {
    await rm(parent, { recursive: true });
  }
}

let tokens = 0;
/** A right to write, with a token of its own. */
export const by = (epoch = 1): { epoch: number; token: string } => ({ epoch, token: `t${tokens++}` });
/** Leaves alone what others have changed. */
export const keep = { force: false };

/** The code and message of what a call throws. */
export async function codeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    return isMementoError(error) ? `${error.code} ${error.message}` : String(error);
  }
  return "nothing was thrown";
}

/** The rows of a version. */
export async function rowsOf(folder: string, version?: number): Promise<unknown[]> {
  const { files } = await readDataset(folder, version === undefined ? {} : { version });
  const rows: unknown[] = [];
  for (const file of files) rows.push(...(await readRows(file.path)));
  return rows;
}
