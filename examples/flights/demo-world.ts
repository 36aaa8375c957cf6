import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

import { tableDigest, type TableDigest } from "./table-digest.ts";

const COMMAND = path.resolve(import.meta.dirname, "../../apps/cli/bin/memento.js");

/** A folder with a store and a warehouse in it, and the command that works on them. */
export interface World {
  readonly folder: string;
  /** The store's URL. */
  readonly store: string;
  /** The SQLite file that flights are loaded into. */
  readonly warehouse: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** A world in `folder`; `password` reaches the processes by their environment, and is shown nowhere. */
export function worldIn(folder: string, password: string): World {
  return {
    folder,
    store: `sqlite:${path.join(folder, "store.db")}`,
    warehouse: path.join(folder, "warehouse.db"),
    environment: { ...process.env, DEMO_WAREHOUSE_PASSWORD: password, NO_COLOR: "1" },
  };
}

/** How a command ended. */
export interface Ended {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command under way. */
export interface Started {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** False once the process is gone. */
  readonly running: boolean;
  kill(): void;
}

/** Starts `memento` in a process of its own. */
export function startMemento(world: World, args: readonly string[]): Started {
  const child = spawn(process.execPath, [COMMAND, ...args, "--store", world.store], {
    cwd: world.folder,
    env: world.environment,
  });
  const [out, err]: [string[], string[]] = [[], []];
  child.stdout.setEncoding("utf8").on("data", (text: string) => out.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => err.push(text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode, signal) => resolve({ exitCode, signal, stdout: out.join(""), stderr: err.join("") }));
  });
  return {
    pid: child.pid ?? 0,
    ended,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    kill: () => void child.kill("SIGKILL"),
  };
}

/** Runs `memento` to its end; throws with all that it said unless it ends with 0. */
export async function memento(world: World, args: readonly string[]): Promise<Ended> {
  const ended = await startMemento(world, args).ended;
  const { exitCode, signal, stdout, stderr } = ended;
  if (exitCode === 0) return ended;
  throw new Error(`memento ${args.join(" ")} ended with ${exitCode ?? signal}\n${stderr}${stdout}`);
}

/** What `memento ... --json` printed. */
export async function mementoJson<Document>(world: World, args: readonly string[]): Promise<Document> {
  return JSON.parse((await memento(world, [...args, "--json"])).stdout) as Document;
}

const LOOK_AGAIN_MS = 2;

/** Waits until the table `flights` holds `rows` rows, or the process has ended. */
export async function untilLoaded(world: World, started: Started, rows: number): Promise<void> {
  while (started.running && loadedRows(world) < rows) await sleep(LOOK_AGAIN_MS);
}

/** The highest row of the table `flights`, which counts from 1 without gaps; 0 while there is none. */
export function loadedRows(world: World): number {
  if (!existsSync(world.warehouse)) return 0;
  return look(world, (database) => {
    const known = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'flights'").get() !== undefined;
    return known ? Number(database.prepare("SELECT max(id) AS rows FROM flights").get()?.["rows"] ?? 0) : 0;
  });
}

/** What both tables hold. */
export function contentOf(world: World): { readonly flights: TableDigest; readonly quarantined: number } {
  return look(world, (database) => ({
    flights: tableDigest(database, "flights", "id"),
    quarantined: Number(database.prepare("SELECT count(*) AS rows FROM flights_quarantine").get()?.["rows"]),
  }));
}

/** The check that a careful owner of the data runs: no flight goes nowhere, or backwards. */
export function impossibleFlights(world: World): number {
  return look(world, (database) =>
    Number(database.prepare("SELECT count(*) AS rows FROM flights WHERE distance_km <= 0").get()?.["rows"]),
  );
}

function look<T>(world: World, question: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(world.warehouse, { readOnly: true, timeout: 5_000 });
  try {
    return question(database);
  } finally {
    database.close();
  }
}
