import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

/** For `requireEngine`: true where small file systems can be mounted, or why not. */
export function mayMount(): true | string {
  if (process.getuid?.() !== 0) return "only root may mount";
  try {
    unmount(mount("size=64k"));
    return true;
  } catch (error) {
    return `mount refused: ${String(error)}`;
  }
}

/** Lends a small file system of its own (options of a tmpfs: "size=300k", "ro"), and a way to mount it anew with others. */
export async function withSmallDisk(
  options: string,
  run: (disk: string, remount: (options: string) => void) => Promise<void>,
): Promise<void> {
  const disk = mount(options);
  try {
    await run(disk, (others) => void execFileSync("mount", ["-o", `remount,${others}`, disk]));
  } finally {
    unmount(disk);
  }
}

function mount(options: string): string {
  const disk = mkdtempSync(path.join(tmpdir(), "memento-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", disk], { stdio: "pipe" });
    return disk;
  } catch (error) {
    rmSync(disk, { recursive: true });
    throw error;
  }
}

function unmount(disk: string): void {
  execFileSync("umount", ["-l", disk]);
  rmSync(disk, { recursive: true });
}
