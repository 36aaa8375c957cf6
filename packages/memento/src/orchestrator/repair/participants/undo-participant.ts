import { isMementoError, MementoError } from "../../../core/errors.ts";
import { thrownText } from "../../../core/thrown-text.ts";
import type { Credential } from "../../credentials/provider.ts";
import type { TaskStage, UndoContext } from "../../pipeline/stage.ts";
import type { Redaction } from "../../run/redaction.ts";
import type { RunRecord } from "../../run/run-state.ts";
import type { Participant } from "./participant.ts";

/** A stage that is done in a run, and would not be after the restore; or the other way round. */
export interface DoneStage {
  readonly stage: TaskStage;
  /** The run's id. */
  readonly run: string;
  /** Why it cannot be what it would have to be; empty where it can be undone. */
  readonly problem: string;
  /** What undoing it is given; null where nobody knows. */
  readonly given: GivenToUndo | null;
}

interface GivenToUndo {
  readonly run: RunRecord;
  /** Reads what the stage gave. */
  readonly output: () => Promise<unknown>;
}

/** What undoing is given. */
export interface UndoPorts {
  readonly redaction: Redaction;
  readonly credentials: Readonly<Record<string, Credential>>;
  readonly signal: AbortSignal;
}

/** A done stage in a restore that goes to before its end: its `undo` is called, at least once. */
export function undoParticipant({ stage, run, problem, given }: DoneStage, ports: UndoPorts): Participant {
  const { name } = stage;
  const isUndone = problem === "" && given !== null;
  return {
    kind: "stage",
    name,
    key: `stage:${name}@${run}`,
    remembered: true,
    inspect: async () => ({
      undo: [{ name, run, verdict: isUndone ? "compensate" : "not-revertible", problem }],
      refused: !isUndone,
    }),
    fence: async () => undefined,
    revert: async (_goal, _write, { force }) => {
      // It could be undone when the restore was planned.
      if (!isUndone && !force)
        throw new MementoError("NOT_REVERTIBLE", `Stage ${name} of run ${run} cannot be undone: ${problem}`, {
          details: { items: [name], run },
        });
      const done = isUndone && (await undo(stage, given, { ...ports, force }));
      const verdict = done ? "compensated" : "not revertible";
      return { evidence: { kind: "stage", name, verdict, run } };
    },
    verify: async () => undefined,
  };
}

/** False where it fails and is forced by name. */
async function undo(
  stage: TaskStage,
  { run, output }: GivenToUndo,
  ports: UndoPorts & { readonly force: boolean },
): Promise<boolean> {
  try {
    await stage.undo?.(contextOf(stage, run, ports), await output());
    return true;
  } catch (error) {
    if (ports.force && !ports.signal.aborted) return false;
    // What user code throws may hold a credential.
    const cause = ports.redaction.error(error);
    if (isMementoError(cause)) throw cause;
    const text = ports.redaction.text(thrownText(cause));
    throw new MementoError("STAGE_FAILED", `Undoing stage ${stage.name} of run ${run.id} failed: ${text}`, {
      cause,
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
