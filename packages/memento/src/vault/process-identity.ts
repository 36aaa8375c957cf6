import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

import type { LeaseHolder } from "../core/timeline.ts";

/** What a machine tells about processes; passed in, so that tests can own it. */
export interface ProcessProbe {
  /** This process. */
  self(): LeaseHolder;
  /** True only when the holder certainly ran on this machine, in this boot, and is gone. */
  isKnownDead(holder: LeaseHolder): boolean;
}

/** The probe for Linux, by /proc. Elsewhere nothing is ever known to be dead, and leases end by time alone. */
export const systemProcessProbe: ProcessProbe = {
  self: () => ({
    host: machineName(),
    bootId: bootId(),
    pid: process.pid,
    processStart: processStart(process.pid) ?? "",
  }),
  isKnownDead: (holder) => {
    const sameMachine = holder.host === machineName() && holder.bootId !== "" && holder.bootId === bootId();
    return sameMachine && holder.processStart !== "" && processStart(holder.pid) !== holder.processStart;
  },
};

/** Host and pid namespace: pids of two containers do not mean the same processes. */
function machineName(): string {
  try {
    return `${hostname()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

/** Start time in clock ticks since boot; null when there is no such process, or it is a zombie that can no longer write. */
function processStart(pid: number): string | null {
  const stat = readText(`/proc/${pid}/stat`);
  // The command's name stands in brackets and may hold anything: fields count from after the last bracket.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields === undefined || fields[0] === "Z" || fields[0] === "X") return null;
  return fields[19] ?? null;
}

/** null where there is no such file: no /proc on this system, or no such process. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
