import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

import { within } from "./deadline.ts";

export interface ChildOptions {
  /** What messages call it. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Takes stderr, and stdout too unless lines or messages are read from the process; its end is quoted when the process fails. */
  readonly logFile: string;
  /** `lines`: stdout is read by `lineFrom`; `messages`: an IPC channel for `ask` and `messageFrom`. Default: neither. */
  readonly talks?: "lines" | "messages";
  /** The signal that ends it at once and leaves nothing behind. Default SIGKILL. */
  readonly endAtOnce?: NodeJS.Signals;
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly process: ChildProcess;
  /** Resolves when the process is gone, whatever the reason. */
  readonly gone: Promise<void>;
  /** The last lines of its log, for error messages. */
  readonly lastWords: () => string;
}

const living = new Map<ChildProcess, { readonly signal: NodeJS.Signals; readonly gone: Promise<void> }>();
process.on("exit", () => {
  for (const [child, { signal }] of living) child.kill(signal);
});

/** Ends every process that still runs, at once, and waits until all are gone: for a bench that is itself told to stop. */
export async function endAllChildren(): Promise<void> {
  const ends = [...living].map(([child, { signal, gone }]) => {
    child.kill(signal);
    return gone;
  });
  await within(Promise.all(ends), 5_000, "ending all processes");
}

/** Starts a process that is ended with the bench, however the bench ends short of its own SIGKILL. */
export async function startChild({
  name,
  command,
  args,
  env,
  logFile,
  talks,
  endAtOnce = "SIGKILL",
}: ChildOptions): Promise<Child> {
  const log = openSync(logFile, "a");
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: talks === "messages" ? ["ignore", log, log, "ipc"] : ["ignore", talks === "lines" ? "pipe" : log, log],
  });
  closeSync(log);
  const gone = new Promise<void>((resolve) => {
    const end = () => {
      living.delete(child);
      resolve();
    };
    child.once("exit", end);
    child.once("error", end);
  });
  living.set(child, { signal: endAtOnce, gone });
  const started = await new Promise<Error | undefined>((resolve) => {
    child.once("spawn", () => resolve(undefined));
    child.once("error", resolve);
  });
  if (started !== undefined || child.pid === undefined)
    throw new Error(`${name} could not be started: ${started?.message ?? "no process id"}`);
  const lastWords = () => readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-8).join("\n");
  return { name, pid: child.pid, process: child, gone, lastWords };
}

/** Sends the signal to this one process and waits until it is gone; after `limitMs` it is killed. */
export async function stopChild(child: Child, signal: NodeJS.Signals = "SIGTERM", limitMs = 10_000): Promise<void> {
  child.process.kill(signal);
  try {
    await within(child.gone, limitMs, `stopping ${child.name}`);
  } catch (error) {
    child.process.kill("SIGKILL");
    await within(child.gone, limitMs, `killing ${child.name}`);
    throw error;
  }
}

/** Waits for the process to end by itself, by SIGKILL if it so decided. */
export async function goneBy(child: Child, limitMs: number): Promise<NodeJS.Signals | number | null> {
  await within(child.gone, limitMs, `${child.name}, until its end,`);
  return child.process.signalCode ?? child.process.exitCode;
}

/** The first line on the process's stdout. An error when it ends without one. */
export async function lineFrom(child: Child, limitMs: number): Promise<string> {
  const { stdout } = child.process;
  if (stdout === null) throw new Error(`${child.name} was started without lines`);
  const lines = createInterface({ input: stdout });
  const first = new Promise<string>((resolve, reject) => {
    lines.once("line", resolve);
    lines.once("close", () => reject(new Error(`${child.name} ended without a word: ${child.lastWords()}`)));
  });
  return within(first, limitMs, child.name);
}

/** The next message on the process's channel. An error when it ends without one. */
export async function messageFrom(child: Child, limitMs: number): Promise<unknown> {
  const { process: from } = child;
  let ended = (_code: number | null): void => undefined;
  const next = new Promise<unknown>((resolve, reject) => {
    ended = (code) => reject(new Error(`${child.name} ended with ${code}: ${child.lastWords()}`));
    from.once("message", resolve);
    from.once("exit", ended);
  });
  try {
    return await within(next, limitMs, child.name);
  } finally {
    from.off("exit", ended);
  }
}

/** Sends one message and waits for the one that answers it. */
export async function ask(child: Child, message: Readonly<Record<string, unknown>>, limitMs: number): Promise<unknown> {
  const answer = messageFrom(child, limitMs);
  child.process.send(message);
  return answer;
}

/** Ports on 127.0.0.1 that are free right now, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            if (typeof address === "object" && address !== null) resolve(address.port);
            else reject(new Error("no port was given"));
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
