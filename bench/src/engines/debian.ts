import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A program of the system that a peer is, and the Debian package that brings it. */
export interface SystemProgram {
  readonly command: string;
  readonly versionArgument: string;
  readonly package: string;
}

/** The first line that the program says of its version; `undefined` when it is not installed. */
export async function programVersion({ command, versionArgument }: SystemProgram): Promise<string | undefined> {
  try {
    const { stdout } = await run(command, [versionArgument]);
    return stdout.split("\n")[0]?.trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Installs the program's package where that can be done, which is as root on Debian and its like; else returns why not. */
export async function installProgram(program: SystemProgram): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return `apt-get install ${program.package}, which only root can`;
  const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, timeout: 300_000 };
  try {
    await run("apt-get", ["update", "-qq"], options);
    await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", program.package], options);
    return undefined;
  } catch (error) {
    return `apt-get install ${program.package} failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}
