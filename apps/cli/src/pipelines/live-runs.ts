import {
  PIECE,
  readSnapshot,
  systemProcessProbe,
  type ApprovalRecord,
  type Memento,
  type MementoStatus,
} from "@mementojs/memento";

import type { FoundRun } from "./runs.ts";
import { livingTimelines, timelineName, type LivingTimeline } from "./timelines.ts";

/** A run that goes on or waits, as it stands. */
export interface LiveRun {
  readonly pipeline: string;
  readonly run: string;
  /** What its last memento says; `interrupted` also where it says `running`, and nobody is at it. */
  readonly status: MementoStatus;
  /** The stages under way, or the one of the last memento. */
  readonly stages: readonly string[];
  /** Records (or items) as of the last memento. */
  readonly records: number | null;
  readonly total: number | null;
  /** ISO 8601: when the last memento was taken. */
  readonly since: string;
  /** The worker that holds the timeline; null where nobody does. */
  readonly holder: { readonly pid: number; readonly host: string } | null;
  /** Stages whose approval it waits for. */
  readonly waitingFor: readonly string[];
  /** ISO 8601: it sleeps, or waits for its next attempt, until then; null where it does not. */
  readonly until: string | null;
  readonly head: string;
}

const ENDED: ReadonlySet<MementoStatus> = new Set(["completed", "cancelled", "saved"]);

/** Every run that goes on or waits, in the order in which their timelines were made; only `only` where one is named. */
export async function liveRuns(memento: Memento, only: FoundRun | null, now: number): Promise<readonly LiveRun[]> {
  const found: LiveRun[] = [];
  for (const timeline of await livingTimelines(memento)) {
    if (timeline.record.kind !== "pipeline") continue;
    if (only !== null && only.timeline.record.key !== timeline.record.key) continue;
    const live = await liveRun(memento, timeline, now);
    if (live !== null && (only === null || live.run === only.run)) found.push(live);
  }
  return found;
}

async function liveRun(memento: Memento, timeline: LivingTimeline, now: number): Promise<LiveRun | null> {
  const head = await memento.vault.load(timeline.head.id);
  const { run, status, stage, created, id } = head.entry;
  if (run === undefined || ENDED.has(status)) return null;
  const { lease, record } = timeline;
  const isHeld =
    lease.owner !== null &&
    lease.expiresAt > now &&
    !(lease.holder !== null && systemProcessProbe.isKnownDead(lease.holder));
  const { underWay } = await readSnapshot(head);
  const progress = [...underWay.values()];
  const approvals = [...(await head.values(PIECE.approval)).values()] as ApprovalRecord[];
  const stages = progress.map((each) => each.stage);
  return {
    pipeline: timelineName(record),
    run,
    status: status === "running" && !isHeld ? "interrupted" : status,
    stages: stages.length > 0 ? stages : stage === undefined ? [] : [stage],
    records: progress.length === 0 ? null : progress.reduce((sum, { records }) => sum + records, 0),
    total: progress.length === 1 ? (progress[0]?.total ?? null) : null,
    since: created,
    holder: isHeld && lease.holder !== null ? { pid: lease.holder.pid, host: hostName(lease.holder.host) } : null,
    waitingFor: approvals.filter(({ decision }) => decision === null).map((each) => each.stage),
    until: await waitingUntil(head, now),
    head: id,
  };
}

async function waitingUntil(
  head: { values(prefix: string): Promise<Map<string, unknown>> },
  now: number,
): Promise<string | null> {
  const sleeps = [...(await head.values(PIECE.sleep)).values()] as { readonly until: string }[];
  const attempts = [...(await head.values(PIECE.attempts)).values()] as { readonly notBefore: string }[];
  const moments = [...sleeps.map(({ until }) => until), ...attempts.map(({ notBefore }) => notBefore)];
  return moments.filter((moment) => Date.parse(moment) > now).toSorted()[0] ?? null;
}

const hostName = (host: string): string => host.split(" ")[0] ?? "";
