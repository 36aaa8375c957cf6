import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { expect } from "vitest";

import { type ProcessResult, runProcess, shellEnvironment } from "../harness/process.ts";
import { findSecret } from "../harness/secret-search.ts";
import { startProxy, type TcpProxy } from "../harness/servers/tcp-proxy.ts";

/** What a command must say when a store is refused. */
export interface Refusal {
  readonly code: string;
  readonly exit: number;
  /** Must stand in the message: the thing that is wrong. */
  readonly names: string | RegExp;
  /** Must stand in the way out. */
  readonly hint?: string | RegExp;
  readonly environment?: NodeJS.ProcessEnv;
  /** The command's own file, where it is not this workspace's. */
  readonly bin?: string;
}

/** The secret of every URL and account of these tests: it must be said nowhere. */
export const SECRET = "p4ss-w0rd/of:nobody";
/** The same as a URL spells it. */
export const SECRET_IN_URL = encodeURIComponent(SECRET);

const OWN_BIN = path.resolve(import.meta.dirname, "../../apps/cli/bin/memento.js");
const KEY = Buffer.alloc(32, 7).toString("base64url");
/** An unreachable server is one that does not answer in this time. */
const TIMEOUT_MS = 60_000;

/**
 * Would make a store at this URL, for people and with --json, and must be refused: one clear error both times, the same one, with
 * a way out, without a stack and without the secret.
 */
export async function expectRefused(url: string, refusal: Refusal): Promise<void> {
  const { code, exit, names, hint, environment = {}, bin = OWN_BIN } = refusal;
  const run = async (...more: readonly string[]): Promise<ProcessResult> => {
    const env = { ...shellEnvironment(), MEMENTO_KEY: KEY, ...environment };
    const options = { cwd: tmpdir(), env, timeoutMs: TIMEOUT_MS };
    return await runProcess(process.execPath, [bin, "init", "--store", url, ...more], options);
  };
  const [people, machine] = await Promise.all([run(), run("--json")]);
  expect(people.stderr).toMatch(names);
  expect(people.stderr).toContain(`code: ${code}`);
  expect(people.stderr).toMatch(/hint: \S/u);
  expect(people.stderr.match(/^error:/gmu)).toHaveLength(1);
  expect(people.stderr).not.toMatch(/^\s+at .*:\d+:\d+/mu);
  expect(people.exitCode).toBe(exit);
  const { error } = JSON.parse(machine.stdout) as { error: { code: string; message: string; hint: string } };
  expect(error.code).toBe(code);
  expect(error.message).toMatch(names);
  expect(error.hint.length).toBeGreaterThan(10);
  if (hint !== undefined) expect(error.hint).toMatch(hint);
  expect(machine.exitCode).toBe(exit);
  for (const said of [people.stdout, people.stderr, machine.stdout, machine.stderr])
    expect(findSecret(Buffer.from(said), SECRET), said).toBeNull();
}

/** A proxy behind which a server looks like another one: in its answers each text is replaced by one of the same length. */
export async function startDisguise(
  serverPort: number,
  replacements: readonly (readonly [from: string | Buffer, to: string | Buffer])[],
): Promise<TcpProxy> {
  const pairs = replacements.map(([from, to]) => [Buffer.from(from), Buffer.from(to)] as const);
  for (const [from, to] of pairs) expect(from.length).toBe(to.length);
  const proxy = await startProxy(serverPort);
  proxy.passage = {
    toClient: (bytes) => {
      for (const [from, to] of pairs)
        for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + to.length)) to.copy(bytes, at);
      return true;
    },
  };
  return proxy;
}
