import type { StoreKitOptions } from "@mementojs/memento/testing";

/** A test that the kit has declared. */
export interface KitTest {
  /** `append() > refuses a stale parent with CONFLICT`. */
  readonly name: string;
  readonly run: () => Promise<void>;
  readonly timeoutMs: number;
}

/** What became of a test. */
export interface KitResult {
  readonly name: string;
  readonly passed: boolean;
  readonly ms: number;
  /** Why it failed; null where it passed. */
  readonly error: string | null;
}

const TIMEOUT_MS = 30_000;
const LINES_MAX = 12;

/** The functions by which the kit declares its tests, and the tests that it has declared. */
export function collectTests(): Pick<StoreKitOptions, "test" | "describe"> & { readonly tests: readonly KitTest[] } {
  const tests: KitTest[] = [];
  const groups: string[] = [];
  return {
    tests,
    test: (name, run, timeoutMs = TIMEOUT_MS) => {
      tests.push({ name: [...groups, name].join(" > "), run, timeoutMs });
    },
    describe: (name, declare) => {
      groups.push(name);
      declare();
      groups.pop();
    },
  };
}

/** Runs one test; a test that does not end in its time has failed, and is left to itself. */
export async function runTest({ name, run, timeoutMs }: KitTest, now: () => number): Promise<KitResult> {
  const began = now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It did not end in ${timeoutMs / 1_000} s`)), timeoutMs);
  });
  try {
    await Promise.race([run(), late]);
    return { name, passed: true, ms: Math.round(now() - began), error: null };
  } catch (error) {
    return { name, passed: false, ms: Math.round(now() - began), error: textOf(error) };
  } finally {
    clearTimeout(timer);
  }
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? ` (${String(error.code)})` : "";
  const lines = error.message.trimEnd().split("\n");
  // Bytes that differ are told one by one, and nobody reads them all.
  const shown = lines.length > LINES_MAX ? [...lines.slice(0, LINES_MAX), "…"] : lines;
  return `${shown.join("\n")}${code}`;
}
