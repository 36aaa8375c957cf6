import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

/** For `requireEngine`: true where small file systems can be mounted, or why not. */
export function mayMount(): true | string {
  if (process.getuid?.() !== 0) return "only root may mount";
  const probe = mkdtempSync(path.join(tmpdir(), "memento-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", probe], { stdio: "ignore" });
    execFileSync("umount", ["-l", probe]);
    return true;
  } catch (error) {
    return `mount refused: ${String(error)}`;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
