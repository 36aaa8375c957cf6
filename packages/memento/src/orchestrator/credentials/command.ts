import { execFile } from "node:child_process";

import { isMementoError } from "../../core/errors.ts";
import type { Credential, CredentialOptions, CredentialProvider } from "./provider.ts";
import { unavailable } from "./unavailable.ts";

/** How a program that prints a credential is run. */
export interface CommandOptions extends CredentialOptions {
  /** Makes value and expiry (milliseconds since 1970, or null) out of what the program printed. Default: the text without its last line end, which does not expire. */
  readonly parse?: (output: string) => Omit<Credential, "scope">;
  /** Default: this process's environment. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Default 30 seconds. */
  readonly timeoutMs?: number;
}

const OUTPUT_BYTES_MAX = 1_000_000;

/**
 * A credential that a program prints, for example a password manager's or a cloud's command line; run without a shell, each time
 * it is acquired. CREDENTIAL_UNAVAILABLE when it cannot be started, ends with another code than 0, takes too long or prints
 * nothing. What it printed is never told.
 */
export function fromCommand(
  command: string,
  args: readonly string[] = [],
  options: CommandOptions = {},
): CredentialProvider {
  const { scope = command, seal = false, parse = plainText } = options;
  return {
    kind: "command",
    scope,
    seal,
    acquire: async ({ name, signal }) => {
      const output = await run(name, command, args, options, signal);
      const { value, expiresAt } = parsed(name, command, parse, output);
      if (value === "") throw unavailable(name, `is printed by ${command}, which printed nothing`);
      return { value, scope, expiresAt };
    },
  };
}

const plainText = (output: string): Omit<Credential, "scope"> => ({
  value: output.replace(/\r?\n$/, ""),
  expiresAt: null,
});

function parsed(
  name: string,
  command: string,
  parse: (output: string) => Omit<Credential, "scope">,
  output: string,
): Omit<Credential, "scope"> {
  try {
    return parse(output);
  } catch (error) {
    if (isMementoError(error)) throw error;
    throw unavailable(name, `is printed by ${command}, whose output could not be understood`);
  }
}

async function run(
  name: string,
  command: string,
  args: readonly string[],
  { environment = process.env, cwd, timeoutMs = 30_000 }: CommandOptions,
  signal: AbortSignal,
): Promise<string> {
  return await new Promise((resolve, reject) => {
    const limits = { timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: OUTPUT_BYTES_MAX, signal } as const;
    execFile(command, [...args], { ...limits, env: { ...environment }, cwd, encoding: "utf8" }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(unavailable(name, `is printed by ${command}, which ${complaint(error, timeoutMs)}`));
    });
  });
}

/** Why it failed; never the error's own text, which has the arguments. */
function complaint(error: { code?: unknown; killed?: boolean | undefined; name: string }, timeoutMs: number): string {
  if (typeof error.code === "number") return `ended with code ${error.code}`;
  if (error.name === "AbortError") return "was stopped";
  if (error.killed === true) return `did not end within ${timeoutMs} ms`;
  return `could not be run (${typeof error.code === "string" ? error.code : error.name})`;
}
