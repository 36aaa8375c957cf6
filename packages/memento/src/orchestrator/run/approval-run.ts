import { MementoError } from "../../core/errors.ts";
import type { ApprovalRecord } from "../control/approval-record.ts";
import type { ApprovalStage } from "../pipeline/stage.ts";
import type { StagePorts } from "./attempts.ts";
import { PIECE } from "./run-state.ts";
import { askWhen, complete, SKIPPED } from "./stage-end.ts";
import { StopRun } from "./stop.ts";

/**
 * Goes on where somebody has approved; asks, and stops the run, where nobody has decided. APPROVAL_REJECTED where somebody said no.
 */
export async function runApproval(ports: StagePorts, stage: ApprovalStage): Promise<void> {
  const { session, outputs } = ports;
  const key = PIECE.approval + stage.name;
  const known = (await session.pieceValue(key)) as ApprovalRecord | undefined;
  const { run, value: wanted } = await askWhen(ports, stage, known !== undefined);
  const decision = known?.decision ?? null;
  if (!wanted || decision?.approved === true) {
    const value = wanted ? decision : SKIPPED;
    const drop = known === undefined ? [] : [key];
    await complete(ports, { run, stage, value, records: 0, provenance: { input: outputs.digestOf(stage) }, drop });
    return;
  }
  if (known !== undefined && decision !== null) {
    const note = decision.note === "" ? "" : `: ${decision.note}`;
    throw new MementoError("APPROVAL_REJECTED", `${decision.by} rejected ${stage.name}${note}`, {
      details: { stage: stage.name, by: decision.by, at: decision.at },
    });
  }
  const asked = new Date(session.clock.now()).toISOString();
  const record: ApprovalRecord = known ?? { stage: stage.name, message: stage.message, asked, decision: null };
  await session.save({ reason: "approval", status: "paused", stage, extra: new Map([[key, record]]) });
  session.emit({ type: "approval-wanted", stage: stage.name, message: stage.message });
  throw new StopRun("pause", stage.name);
}
