import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { Credential } from "../../credentials/provider.ts";
import type { TaskStage, UndoContext } from "../../pipeline/stage.ts";
import { Redaction } from "../../run/redaction.ts";
import type { RunRecord } from "../../run/run-state.ts";
import type { Participant } from "./participant.ts";

/** A stage of a run that is done, and would not be after the restore. */
export interface DoneStage {
  readonly stage: TaskStage;
  readonly run: RunRecord;
  /** False: it is the other way round, and what was undone cannot be done by a restore. */
  readonly undone: boolean;
  /** Reads what the stage gave. */
  readonly output: () => Promise<unknown>;
}

/** What undoing is given. */
export interface UndoPorts {
  readonly credentials: Readonly<Record<string, Credential>>;
  readonly signal: AbortSignal;
}

/** A done stage in a restore that goes to before its end: its `undo` is called, at least once. */
export function undoParticipant({ stage, run, undone, output }: DoneStage, ports: UndoPorts): Participant {
  const { name } = stage;
  return {
    kind: "stage",
    name,
    key: `stage:${name}@${run.id}`,
    remembered: true,
    inspect: async () => ({
      undo: [{ name, run: run.id, verdict: undone ? "compensate" : "not-revertible" }],
      refused: !undone,
    }),
    fence: async () => undefined,
    revert: async (_goal, _write, { force }) => {
      const done = undone && (await undo(stage, run, { ...ports, force }, output));
      const verdict = done ? "compensated" : "not revertible";
      return { evidence: { kind: "stage", name, verdict, run: run.id } };
    },
    verify: async () => undefined,
  };
}

/** False where it fails and is forced by name. */
async function undo(
  stage: TaskStage,
  run: RunRecord,
  ports: UndoPorts & { readonly force: boolean },
  output: () => Promise<unknown>,
): Promise<boolean> {
  try {
    await stage.undo?.(contextOf(stage, run, ports), await output());
    return true;
  } catch (error) {
    if (ports.force && !ports.signal.aborted) return false;
    if (isMementoError(error)) throw error;
    // What user code throws may hold a credential.
    const redaction = new Redaction(ports.credentials);
    const text = redaction.text(error instanceof Error ? error.message : String(error));
    throw new MementoError("STAGE_FAILED", `Undoing stage ${stage.name} of run ${run.id} failed: ${text}`, {
      cause: redaction.error(error),
      hint: "Mend the cause and roll back, run or resume again: each goes on with the restore after what is undone. `--force` with the stage's name goes on without.",
      details: { stage: stage.name, run: run.id },
    });
  }
}

function contextOf({ name, scope }: TaskStage, { id, key, params }: RunRecord, ports: UndoPorts): UndoContext<never> {
  const prefix = scope?.prefix ?? "";
  const credentials = Object.fromEntries(
    Object.entries(ports.credentials)
      .filter(([credential]) => credential.startsWith(prefix))
      .map(([credential, value]) => [credential.slice(prefix.length), value]),
  );
  const own = scope === null ? params : scope.params(params);
  return { params: own as never, run: { id, key }, stage: name, credentials, signal: ports.signal };
}
