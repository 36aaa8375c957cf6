import { systemProcessProbe, type Memento } from "@mementojs/memento";
import type { Clock } from "@mementojs/memento/core";

import type { Invocation } from "../invocation.ts";
import { pendingRuns, timelineWords } from "../pipelines/runs.ts";
import { timelineName } from "../pipelines/timelines.ts";
import { ownCommand } from "../terminal/own-command.ts";
import { counted } from "../terminal/words.ts";
import { advise, bad, good, type Finding } from "./finding.ts";

/** Who holds a timeline, and whether anybody still does. */
export async function checkLeases(memento: Memento, clock: Clock): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for await (const { record, lease } of memento.timelines()) {
    if (lease.owner === null) continue;
    const { holder } = lease;
    const who = holder === null ? "a worker" : `process ${holder.pid} on ${holder.host.split(" ")[0] ?? ""}`;
    const dead = holder !== null && systemProcessProbe.isKnownDead(holder);
    const over = lease.expiresAt <= clock.now();
    const where = timelineName(record);
    if (dead || over) {
      const how = dead ? "is gone" : "has let its lease run out";
      findings.push(
        advise("lease", `${where}: ${who} ${how}`, "Nothing to mend: the next command on this timeline takes it over."),
      );
      continue;
    }
    findings.push(
      good("lease", `${where}: held by ${who} until ${new Date(lease.expiresAt).toISOString()} unless renewed`),
    );
  }
  return findings.length === 0 ? [good("leases", "none is held")] : findings;
}

/** Runs that stand unfinished, and rollbacks that a crash cut in two. */
export async function checkRuns(memento: Memento, invocation: Invocation): Promise<readonly Finding[]> {
  const { clock } = invocation.io;
  const pending = await pendingRuns(memento);
  const words = await Promise.all(
    pending.map(async ({ run, timeline }) => await timelineWords(memento, run, timeline.record.key)),
  );
  const findings = pending.map(({ run, name, status, timeline: { lease } }, index) => {
    const goOn = ownCommand(invocation, "resume", run, ...(words[index] ?? []));
    const live =
      lease.owner !== null &&
      lease.expiresAt > clock.now() &&
      !(lease.holder !== null && systemProcessProbe.isKnownDead(lease.holder));
    if (status === "reverting") {
      return live
        ? good("rollback", `${name}: under way`)
        : bad(
            "rollback",
            `${name}: stands unfinished; data and state are between two mementos`,
            `${goOn}   (finishes it)`,
          );
    }
    if (live && status === "running") return good("run", `${run} of ${name} is under way`);
    const stands = status === "running" ? "interrupted" : status;
    return advise("run", `${run} of ${name} stands ${stands}`, goOn);
  });
  return findings.length === 0 ? [good("runs", "none stands unfinished")] : findings;
}

/** How much the store holds. */
export async function checkContent(memento: Memento): Promise<Finding> {
  let [timelines, mementos] = [0, 0];
  for await (const { head } of memento.timelines())
    [timelines, mementos] = [timelines + 1, mementos + (head?.sequence ?? 0)];
  return good("content", `${counted(timelines, "timeline")}, ${counted(mementos, "memento")} ever taken`);
}
