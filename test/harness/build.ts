import { runProcess } from "./process.ts";

/**
 * Builds both packages before tests that go through `dist`: the command line as users start it, and whatever imports
 * `@mementojs/memento` by its name. Takes a fraction of a second when nothing changed.
 */
export async function setup(): Promise<void> {
  const build = await runProcess("npm", ["run", "--silent", "build"], { timeoutMs: 300_000 });
  if (build.exitCode !== 0) throw new Error(`The build failed.\n${build.stdout}${build.stderr}`);
}
