import process from "node:process";

import { expect } from "vitest";

import { type ProcessResult, runProcess, shellEnvironment } from "../harness/process.ts";
import { findSecret } from "../harness/secret-search.ts";

/** What a command must say when it is refused. */
export interface Refusal {
  readonly code: string;
  readonly exit: number;
  /** Must stand in the message: the thing that is wrong. */
  readonly names: string | RegExp;
  /** Must stand in the way out. */
  readonly hint?: string | RegExp;
  /** Must stand nowhere. */
  readonly secrets?: readonly string[];
}

/** A command line of one's own: program and arguments. */
export interface CommandLine {
  readonly bin: string;
  readonly folder: string;
  readonly environment?: NodeJS.ProcessEnv;
}

/** A refused command is not waited for longer than this: an unreachable server is one that does not answer. */
const TIMEOUT_MS = 60_000;

/** Runs a command for people and with --json: both must say the same one clear thing, with a way out, no stack and no secret. */
export async function expectStoreRefusal(
  command: CommandLine,
  args: readonly string[],
  { code, exit, names, hint, secrets = [] }: Refusal,
): Promise<void> {
  const people = await run(command, args);
  expect(people.stderr).toMatch(names);
  expect(people.stderr).toContain(`code: ${code}`);
  expect(people.stderr).toMatch(/hint: \S/u);
  expect(people.stderr.match(/^error:/gmu)).toHaveLength(1);
  expect(people.stderr).not.toMatch(/^\s+at .*:\d+:\d+/mu);
  expect(people.exitCode).toBe(exit);
  const machine = await run(command, [...args, "--json"]);
  const { error } = JSON.parse(machine.stdout) as { error: { code: string; message: string; hint: string } };
  expect(error.code).toBe(code);
  expect(error.message).toMatch(names);
  expect(error.hint.length).toBeGreaterThan(10);
  if (hint !== undefined) expect(error.hint).toMatch(hint);
  expect(machine.exitCode).toBe(exit);
  for (const secret of secrets) {
    for (const said of [people.stdout, people.stderr, machine.stdout, machine.stderr])
      expect(findSecret(Buffer.from(said), secret), said).toBeNull();
  }
}

async function run({ bin, folder, environment }: CommandLine, args: readonly string[]): Promise<ProcessResult> {
  const env = { ...shellEnvironment(), ...environment };
  return await runProcess(process.execPath, [bin, ...args], { cwd: folder, env, timeoutMs: TIMEOUT_MS });
}
