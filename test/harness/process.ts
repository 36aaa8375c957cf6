import { execFile } from "node:child_process";
import process from "node:process";

/** How a process ended, with all that it wrote. `exitCode` is null when a signal ended it. */
export interface ProcessResult {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where and how long a process may run. The environment defaults to this process's own. */
export interface ProcessOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
}

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Runs a program to its end, without a shell. A non-zero exit is a result, not an error; rejects when the program
 * cannot be started, runs past its time (it is killed then) or writes more than 64 MiB.
 */
export async function runProcess(
  file: string,
  args: readonly string[],
  options: ProcessOptions,
): Promise<ProcessResult> {
  return new Promise((resolve, reject) => {
    const limits = { maxBuffer: OUTPUT_BYTES_MAX, timeout: options.timeoutMs, killSignal: "SIGKILL" } as const;
    const place = { cwd: options.cwd, env: options.env ?? process.env };
    const child = execFile(file, args, { ...limits, ...place }, (error, stdout, stderr) => {
      if (error === null || typeof error.code === "number" || (child.pid !== undefined && !child.killed)) {
        resolve({ exitCode: child.exitCode, signal: child.signalCode, stdout, stderr });
      } else {
        const why = child.killed ? `was killed after ${options.timeoutMs} ms or too much output` : error.message;
        reject(new Error(`${file} ${args.join(" ")} ${why}\n${stdout}${stderr}`, { cause: error }));
      }
    });
  });
}

/**
 * Variables that npm and the test runner set for their children, and that would change what a child does. Whom a machine trusts is
 * said by the machine; a cache of compiled code changes nothing but the time.
 */
const INHERITED =
  /^(?:npm_(?:lifecycle|package)_.*|npm_(?:command|execpath|node_execpath|config_local_prefix)|INIT_CWD|NODE_(?!EXTRA_CA_CERTS$|USE_SYSTEM_CA$|COMPILE_CACHE$).*|VITEST.*|MEMENTO_.*|TEST|DEV|PROD|MODE|SSR|BASE_URL)$/u;

/** This process's environment as a user's shell would have it: without what npm, the test runner and we have added. */
export function shellEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !INHERITED.test(name)));
}
