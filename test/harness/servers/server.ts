import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** How to start a server; `port` and `folder` stay the same over its restarts. */
export interface ServerRecipe {
  /** For error messages, and in the name of its folder. */
  readonly name: string;
  /** Program and arguments. */
  readonly command: (place: ServerPlace) => readonly [file: string, ...args: readonly string[]];
  readonly env?: (place: ServerPlace) => NodeJS.ProcessEnv;
  /** Called once, before the first start: makes what the server needs in its folder. */
  readonly prepare?: (place: ServerPlace) => Promise<void>;
  /** Resolves to true once the server answers; an error counts as not yet. A port that takes connections by default. */
  readonly isReady?: (place: ServerPlace) => Promise<boolean>;
  /** The system's user that it runs as where root starts it. */
  readonly user?: string;
}

/** What a server is lent. */
export interface ServerPlace {
  readonly port: number;
  /** A temporary folder of its own; belongs to `user`. */
  readonly folder: string;
}

/** A private server on a free port of 127.0.0.1, with its files in a temporary folder. Disposing of it ends both. */
export interface Server extends ServerPlace, AsyncDisposable {
  /** Sends a signal to the server's process: SIGSTOP and SIGCONT hold it up. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it by SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
  /** Ends it by SIGTERM (by SIGKILL after a minute); resolves once it is gone. */
  stop(): Promise<void>;
  /** Starts it again with the same port and folder; resolves once it answers. */
  start(): Promise<void>;
}

const START_MS_MAX = 120_000;
const STOP_MS_MAX = 60_000;
const LOOK_AGAIN_MS = 20;

/** Where `.ci/install-engines` keeps what has no package of the system's. */
export const enginesFolder =
  process.env["MEMENTO_ENGINES"] ??
  path.join(process.env["XDG_CACHE_HOME"] ?? path.join(homedir(), ".cache"), "memento-engines");

/** True when a program is there, or the reason why not: for `requireEngine`. */
export function programIsThere(file: string): true | string {
  return existsSync(file) || `${file} is not there; .ci/install-engines brings it`;
}

/** Starts a server and waits until it answers, two minutes at most. */
export async function startServer(recipe: ServerRecipe): Promise<Server> {
  const folder = mkdtempSync(path.join(tmpdir(), `memento-${recipe.name}-`));
  chmodSync(folder, 0o755);
  const place = { port: await freePort(), folder };
  const server = new PrivateServer(recipe, place);
  try {
    await giveTo(recipe.user, folder);
    await recipe.prepare?.(place);
    await server.start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** Program and arguments that run a command as another user of the system where root starts it. */
export function asUser(
  user: string | undefined,
  command: readonly [string, ...(readonly string[])],
): readonly [string, ...(readonly string[])] {
  if (user === undefined || process.getuid?.() !== 0) return command;
  return ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", ...command];
}

/** Ports that the system does not give out by itself: nobody gets one of them between the look and a server's start. */
const [FIRST_PORT, LAST_PORT] = [10_000, 32_000];
let lastPort = randomInt(FIRST_PORT, LAST_PORT);

/** A port of 127.0.0.1 that nobody listens on; another one each time. */
export async function freePort(): Promise<number> {
  for (let tries = FIRST_PORT; tries < LAST_PORT; tries++) {
    lastPort = lastPort === LAST_PORT ? FIRST_PORT : lastPort + 1;
    if (await isFree(lastPort)) return lastPort;
  }
  throw new Error(`no port from ${FIRST_PORT} to ${LAST_PORT} is free`);
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

class PrivateServer implements Server {
  readonly port: number;
  readonly folder: string;
  readonly #recipe: ServerRecipe;
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  #said = "";

  constructor(recipe: ServerRecipe, { port, folder }: ServerPlace) {
    this.port = port;
    this.folder = folder;
    this.#recipe = recipe;
  }

  async start(): Promise<void> {
    const [file, ...args] = asUser(this.#recipe.user, this.#recipe.command(this));
    const env = { ...process.env, ...this.#recipe.env?.(this) };
    const child = spawn(file, args, { cwd: this.folder, env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    this.#said = "";
    const hear = (data: Buffer): void => {
      this.#said = (this.#said + data.toString()).slice(-4_000);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    this.#ended = new Promise((resolve) => {
      child.once("error", (error) => {
        this.#said += String(error);
        resolve();
      });
      child.once("close", () => resolve());
    });
    await this.#untilReady(child);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#ended;
  }

  async stop(): Promise<void> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_MS_MAX);
    await this.#ended;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    const isReady = this.#recipe.isReady ?? listens;
    for (const deadline = performance.now() + START_MS_MAX; performance.now() < deadline; await sleep(LOOK_AGAIN_MS)) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
        await this.#ended;
        throw new Error(`${this.#recipe.name} ended before it answered:\n${this.#said}`);
      }
      if (await isReady(this).catch(() => false)) return;
    }
    throw new Error(`${this.#recipe.name} did not answer in ${START_MS_MAX} ms:\n${this.#said}`);
  }
}

async function listens({ port }: ServerPlace): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.destroy());
  });
}

async function giveTo(user: string | undefined, folder: string): Promise<void> {
  if (user === undefined || process.getuid?.() !== 0) return;
  await promisify(execFile)("chown", [`${user}:`, folder]);
  if (!statSync(folder).isDirectory()) throw new Error(`${folder} is no folder`);
}
