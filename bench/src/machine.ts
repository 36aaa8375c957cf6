import { execFileSync } from "node:child_process";
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { join } from "node:path";

import type { EngineName } from "./arguments.ts";
import { peerFailed } from "./bench-error.ts";
import { programVersion } from "./engines/debian.ts";
import { postgresVersion } from "./engines/postgres.ts";
import { median } from "./measure.ts";
import { sqliteVersion } from "./peers/bare-sqlite.ts";
import { BORG, RESTIC } from "./peers/snapshot-programs.ts";

/** What a reader must know to judge the figures: the machine, the disk below `folder`, and every engine's version. */
export async function machineFacts(folder: string, engines: ReadonlySet<EngineName>): Promise<string> {
  const facts = [
    `machine   ${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? "unknown"}), ${load()}`,
    `disk      ${folder}: ${fileSystem(folder)}, write of 4 KiB + fdatasync ${syncUs(folder).toFixed(0)} us`,
    `runtime   Node ${process.versions.node}, SQLite ${sqliteVersion()}, @mementojs/memento ${packageVersion("@mementojs/memento")}`,
  ];
  if (engines.has("dbos")) {
    facts.push(
      `dbos      @dbos-inc/dbos-sdk ${packageVersion("@dbos-inc/dbos-sdk")} on PostgreSQL ${await postgresFor("dbos")}`,
    );
  }
  if (engines.has("restate")) {
    facts.push(
      `restate   @restatedev/restate-server ${packageVersion("@restatedev/restate-server")}, @restatedev/restate-sdk ${packageVersion("@restatedev/restate-sdk")}`,
    );
  }
  if (engines.has("langgraph-sqlite")) {
    const saver = packageVersion("@langchain/langgraph-checkpoint-sqlite");
    facts.push(`langgraph checkpoint-sqlite ${saver} on better-sqlite3 ${packageVersion("better-sqlite3")}`);
  }
  if (engines.has("langgraph-postgres")) {
    const saver = packageVersion("@langchain/langgraph-checkpoint-postgres");
    facts.push(`langgraph checkpoint-postgres ${saver} on PostgreSQL ${await postgresFor("langgraph-postgres")}`);
  }
  for (const [name, program] of [
    ["restic", RESTIC],
    ["borg", BORG],
  ] as const) {
    if (engines.has(name)) facts.push(`${name.padEnd(9)} ${(await programVersion(program)) ?? "not installed yet"}`);
  }
  return facts.join("\n");
}

async function postgresFor(peer: EngineName): Promise<string> {
  return await postgresVersion().catch((cause: unknown) => {
    throw peerFailed(peer, "start", cause);
  });
}

/** How busy the machine is before anything is measured: interleaving evens out a drift, not a storm. */
function load(): string {
  const [lastMinute = 0] = loadavg();
  const busy = lastMinute > availableParallelism() / 2;
  return `load ${lastMinute.toFixed(2)}${busy ? " (BUSY with other work: look at min - max before believing a median)" : ""}`;
}

function packageVersion(name: string): string {
  const { version } = JSON.parse(
    readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8"),
  ) as { version: string };
  return version;
}

function fileSystem(folder: string): string {
  if (process.platform !== "linux") return "unknown file system";
  const type = execFileSync("stat", ["-f", "-c", "%T", folder], { encoding: "utf8" }).trim();
  return type === "tmpfs" ? "tmpfs (MEMORY: nothing here is durable, choose another folder with --dir)" : type;
}

/** The median time of one durable write, which every engine here pays at least once a stage. */
function syncUs(folder: string): number {
  const path = join(folder, "sync-probe");
  const file = openSync(path, "w");
  const block = Buffer.alloc(4096, 1);
  const times = Array.from({ length: 200 }, () => {
    const start = performance.now();
    writeSync(file, block);
    fdatasyncSync(file);
    return (performance.now() - start) * 1000;
  });
  closeSync(file);
  rmSync(path);
  return median(times);
}
