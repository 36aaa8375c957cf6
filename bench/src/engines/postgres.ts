// PostgreSQL 15 from the system's packages, private to this run: own data folder, free port, 127.0.0.1 only.
// Durability is the default one, nothing is set: fsync=on, synchronous_commit=on, full_page_writes=on. (initdb's
// --no-sync spares the syncing of the new, still empty cluster, and has no effect on the server.)
import { execFile } from "node:child_process";
import { chownSync, existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { BenchError } from "../bench-error.ts";
import { freePorts, startChild, stopChild, type Child } from "../children.ts";
import { until } from "../deadline.ts";
import type { Scratch } from "../scratch.ts";

const BINARIES = "/usr/lib/postgresql/15/bin";
const PACKAGE_MISSING = "PostgreSQL 15 is not installed. On Debian or Ubuntu: apt-get install postgresql-15";
const run = promisify(execFile);

export interface Postgres extends AsyncDisposable {
  /** The connection string of a database on this server, whether or not it exists yet. */
  url(database: string): string;
}

/** "15.18", from the binary itself. */
export async function postgresVersion(): Promise<string> {
  const { stdout } = await run(binary("postgres"), ["--version"]);
  return stdout.trim().split(" ")[2] ?? stdout.trim();
}

/** Starts a server of its own and returns once it takes connections. Disposing of it stops the server by its pid. */
export async function startPostgres(scratch: Scratch): Promise<Postgres> {
  const home = scratch.folder("postgres");
  const data = join(home, "data");
  const [port] = await freePorts(1);
  const asOwner = await handOver(home);
  const initdb = asOwner("initdb", [
    "-D",
    data,
    "-U",
    "postgres",
    "-A",
    "trust",
    "--no-sync",
    "--no-locale",
    "-E",
    "UTF8",
  ]);
  await run(initdb.command, initdb.args, { cwd: home, timeout: 60_000 });
  const settings = ["listen_addresses=127.0.0.1", `unix_socket_directories=${home}`].flatMap((set) => ["-c", set]);
  const child = await startChild({
    name: "PostgreSQL",
    ...asOwner("postgres", ["-D", data, "-p", String(port), ...settings]),
    logFile: join(scratch.path, "postgres.log"),
    endAtOnce: "SIGQUIT",
  });
  try {
    await untilReady(child, port);
  } catch (error) {
    await stopChild(child, "SIGQUIT");
    throw error;
  }
  return {
    url: (database) => `postgresql://postgres@127.0.0.1:${port}/${database}`,
    // SIGINT is PostgreSQL's fast shutdown: connections are closed, the data folder is left clean.
    [Symbol.asyncDispose]: () => stopChild(child, "SIGINT"),
  };
}

async function untilReady(child: Child, port: number | undefined): Promise<void> {
  await until(
    async () => {
      if (child.process.exitCode !== null)
        throw new Error(`PostgreSQL ended with ${child.process.exitCode}: ${child.lastWords()}`);
      return run(binary("pg_isready"), ["-q", "-h", "127.0.0.1", "-p", String(port)]).then(
        () => true,
        () => undefined, // Not yet: pg_isready ends with 1 or 2 until the server answers.
      );
    },
    { limitMs: 30_000, pauseMs: 50, what: "the start of PostgreSQL" },
  );
}

type AsOwner = (program: string, args: readonly string[]) => { command: string; args: readonly string[] };

/** PostgreSQL refuses to run as root, so root gives the folder to the package's own user and runs its programs as that one. */
async function handOver(home: string): Promise<AsOwner> {
  if (process.getuid?.() !== 0) return (program, args) => ({ command: binary(program), args });
  const ids = await Promise.all([run("id", ["-u", "postgres"]), run("id", ["-g", "postgres"])]).catch(
    (cause: unknown) => {
      throw new BenchError(`${PACKAGE_MISSING} (the user "postgres" that it brings is missing)`, 1, { cause });
    },
  );
  const [uid, gid] = ids.map(({ stdout }) => Number(stdout));
  if (uid === undefined || gid === undefined) throw new BenchError(PACKAGE_MISSING);
  chownSync(home, uid, gid);
  const prefix = ["--reuid=postgres", "--regid=postgres", "--clear-groups"];
  return (program, args) => ({ command: "setpriv", args: [...prefix, binary(program), ...args] });
}

function binary(name: string): string {
  const path = join(BINARIES, name);
  if (!existsSync(path)) throw new BenchError(`${PACKAGE_MISSING} (looked for ${path})`);
  return path;
}
