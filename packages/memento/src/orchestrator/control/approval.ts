import { MementoError } from "../../core/errors.ts";
import { LeaseKeeper, type LeaseOptions } from "../../vault/lease-keeper.ts";
import type { Vault } from "../../vault/vault.ts";
import { PIECE } from "../run/run-state.ts";
import type { ApprovalDecision, ApprovalRecord } from "./approval-record.ts";
import { timelineOfRun } from "./pause.ts";

/** What is decided, by whom and why. */
export interface ApproveOptions extends LeaseOptions {
  /** The key of the run's timeline; by default the one on which it was seen last. */
  readonly timeline?: string;
  /** Which stage, where several wait. */
  readonly stage?: string;
  /** True: it is refused, and the run fails with APPROVAL_REJECTED when it goes on. Default false. */
  readonly reject?: boolean;
  readonly by?: string;
  readonly note?: string;
}

/** A decision that was kept. */
export interface ApproveResult {
  readonly run: string;
  readonly timeline: string;
  readonly stage: string;
  /** What the stage had asked. */
  readonly message: string;
  readonly decision: ApprovalDecision;
  /** The memento that keeps the decision; the next run goes on from it. */
  readonly head: string;
}

/**
 * Decides what a run waits for; nothing is run by it. A stage that was rejected may be approved after all.
 * NOT_FOUND when there is no such run, NOTHING_TO_RESUME when it waits for no approval, INVALID_ARGUMENT where several stages
 * wait and none is named, LOCKED while a worker is at the run.
 */
export async function approveRun(vault: Vault, run: string, options: ApproveOptions = {}): Promise<ApproveResult> {
  const timeline = options.timeline ?? (await timelineOfRun(vault, run));
  await using lease = await LeaseKeeper.acquire(vault, timeline, options);
  const { head: at } = lease.state;
  const head = at === null ? null : await vault.load(at.id);
  const { status } = head?.entry ?? {};
  const ended = status === "completed" || status === "cancelled" || status === "reverting";
  const asked = head === null || head.entry.run !== run || ended ? new Map() : await head.values(PIECE.approval);
  const record = chosen(run, [...asked.values()] as ApprovalRecord[], options.stage);
  const decision: ApprovalDecision = {
    approved: options.reject !== true,
    by: options.by ?? "",
    note: options.note ?? "",
    at: new Date(vault.clock.now()).toISOString(),
  };
  const { generation, version, stageIndex, resumeCount } = head?.entry ?? { generation: 0 };
  const writer = await vault.writer(lease.state);
  const { entry } = await writer.append({
    reason: "approval",
    status: "interrupted",
    generation,
    run,
    stage: record.stage,
    ...(version === undefined ? {} : { version }),
    ...(stageIndex === undefined || head?.entry.stage !== record.stage ? {} : { stageIndex }),
    ...(resumeCount === undefined ? {} : { resumeCount }),
    pieces: new Map([[PIECE.approval + record.stage, { ...record, decision }]]),
    fields: { approval: { stage: record.stage, message: record.message, ...decision } },
  });
  return { run, timeline, stage: record.stage, message: record.message, decision, head: entry.id };
}

function chosen(run: string, all: readonly ApprovalRecord[], stage: string | undefined): ApprovalRecord {
  const open = all.filter(({ decision }) => decision?.approved !== true);
  const fitting = stage === undefined ? open : open.filter((record) => record.stage === stage);
  const [only] = fitting;
  if (only !== undefined && fitting.length === 1) return only;
  if (only === undefined) {
    const what = stage === undefined ? "no approval" : `no approval of ${stage}`;
    throw new MementoError("NOTHING_TO_RESUME", `Run ${run} waits for ${what}`);
  }
  const names = fitting.map((record) => record.stage).join(", ");
  throw new MementoError("INVALID_ARGUMENT", `Run ${run} waits for the approval of ${names}`, {
    hint: "Name the stage that is meant.",
  });
}
