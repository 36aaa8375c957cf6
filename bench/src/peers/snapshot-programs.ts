// restic and borg, each as a whole process for each save: a snapshot of one JSON file, into a sealed repository on the same
// disk. The file is written before the clock starts. restic at its defaults (repository version 2, compression auto);
// borg with repokey-blake2 and zstd,3, which is smaller than its default lz4. Their caches lie beside the repository and are
// not counted. Reading is the process that prints the file, and JSON.parse.
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import type { SystemProgram } from "../engines/debian.ts";
import { bytesIn, type OpenKeeper } from "./state-keeper.ts";

const run = promisify(execFile);
const FILE = "state.json";
const LIMIT_MS = 120_000;
const OUTPUT_BYTES_MAX = 1 << 30;

export const RESTIC: SystemProgram = { command: "restic", versionArgument: "version", package: "restic" };
export const BORG: SystemProgram = { command: "borg", versionArgument: "--version", package: "borgbackup" };

interface Commands {
  readonly environment: (repository: string, caches: string) => Record<string, string>;
  readonly init: readonly string[];
  readonly save: (snapshot: number) => readonly string[];
  /** Prints the file of the last snapshot. */
  readonly print: (snapshot: number) => readonly string[];
}

const restic: Commands = {
  environment: (repository, caches) => ({
    RESTIC_REPOSITORY: repository,
    RESTIC_PASSWORD: "bench",
    RESTIC_CACHE_DIR: caches,
  }),
  init: ["init", "--quiet"],
  save: () => ["backup", "--quiet", FILE],
  print: () => ["dump", "--quiet", "latest", `/${FILE}`],
};

const borg: Commands = {
  environment: (repository, caches) => ({ BORG_REPO: repository, BORG_PASSPHRASE: "bench", BORG_BASE_DIR: caches }),
  init: ["init", "--encryption", "repokey-blake2"],
  save: (snapshot) => ["create", "--compression", "zstd,3", `::${snapshot}`, FILE],
  print: (snapshot) => ["extract", "--stdout", `::${snapshot}`, FILE],
};

function snapshots({ command }: SystemProgram, commands: Commands): OpenKeeper {
  return async (folder) => {
    const [repository, caches, files] = ["repository", "caches", "files"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    mkdirSync(files);
    const env = { ...process.env, ...commands.environment(repository, caches) };
    const call = async (args: readonly string[]) =>
      await run(command, args, { cwd: files, env, timeout: LIMIT_MS, maxBuffer: OUTPUT_BYTES_MAX });
    await call(commands.init);
    let count = 0;
    return {
      prepare: (state) => writeFileSync(join(files, FILE), JSON.stringify(state)),
      save: async () => void (await call(commands.save(++count))),
      finish: () => bytesIn(repository),
      reader: () => ({
        load: async () => JSON.parse((await call(commands.print(count))).stdout) as unknown,
        [Symbol.asyncDispose]: async () => undefined,
      }),
      [Symbol.asyncDispose]: async () => undefined,
    };
  };
}

/** Snapshots by restic. */
export const openRestic = snapshots(RESTIC, restic);

/** Snapshots by borg. */
export const openBorg = snapshots(BORG, borg);
