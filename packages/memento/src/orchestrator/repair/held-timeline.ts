import { MementoError } from "../../core/errors.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import { LeaseKeeper, type LeaseOptions } from "../../vault/lease-keeper.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import type { SealedCredential } from "../credentials/sealed-credential.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { openResources, type Resources } from "../run/resources.ts";
import type { RunListener } from "../run/run-event.ts";
import { readSnapshot } from "../run/run-state.ts";
import { pipelineAddress, type RunOptions } from "../run/runner.ts";
import { finishRestore, type RestorePorts } from "./restore.ts";

/** Which timeline of a pipeline is meant, and how. */
export type TimelinePlace = Pick<RunOptions, "caretaker" | "partition" | "fork" | "signal">;

/** A timeline that this process holds, with nothing unfinished on it. */
export interface HeldTimeline extends AsyncDisposable {
  readonly ports: RestorePorts;
  readonly state: TimelineState;
  readonly head: OpenedMemento;
  /** The memento that began a restore which stood there unfinished, and was finished now; null when none did. */
  readonly finished: OpenedMemento | null;
}

/** Takes the lease of a pipeline's timeline and finishes a restore that stands there. NOT_FOUND, LOCKED, and what restores raise. */
export async function holdTimeline(
  vault: Vault,
  pipeline: Pipeline,
  options: TimelinePlace & LeaseOptions & { readonly onEvent?: RunListener; readonly force?: readonly string[] },
): Promise<HeldTimeline> {
  const { record } = await timelineOf(vault, pipeline, options);
  const lease = await LeaseKeeper.acquire(vault, record.key, options);
  try {
    const ports = {
      vault,
      pipeline,
      lease,
      listener: options.onEvent ?? (() => undefined),
      force: options.force ?? [],
    };
    const unfinished = await headOf(vault, lease.state);
    const head = (await finishRestore(ports, unfinished)) ?? unfinished;
    const state = await vault.timeline(record.key);
    const finished = head === unfinished ? null : unfinished;
    return { ports, state, head, finished, [Symbol.asyncDispose]: async () => await lease.release() };
  } catch (error) {
    await lease.release();
    throw error;
  }
}

/** The timeline of a pipeline; NOT_FOUND where it has never run. */
export async function timelineOf(vault: Vault, pipeline: Pipeline, place: TimelinePlace): Promise<TimelineState> {
  const address = pipelineAddress(pipeline, place);
  const state = await vault.findTimeline(address);
  if (state === null) throw new MementoError("NOT_FOUND", `Pipeline ${describeAddress(address)} has never run here`);
  return state;
}

/** The newest memento of a timeline; NOT_FOUND where it has none. */
export async function headOf(vault: Vault, state: TimelineState): Promise<OpenedMemento> {
  if (state.head === null) throw new MementoError("NOT_FOUND", `${describeAddress(state.record)} has no memento`);
  return await vault.load(state.head.id);
}

/** The head that a plan looks at; CONFLICT while a restore stands unfinished there. */
export async function settledHead(vault: Vault, state: TimelineState): Promise<OpenedMemento> {
  return demandSettled(state, await headOf(vault, state));
}

/** The head itself; CONFLICT where it has begun a restore. */
export function demandSettled(state: TimelineState, head: OpenedMemento): OpenedMemento {
  if (head.entry.status !== "reverting") return head;
  throw new MementoError("CONFLICT", `A rollback of ${describeAddress(state.record)} stands unfinished`, {
    hint: "Repeat it by the same command and plan, or run or resume the pipeline: each finishes it first.",
  });
}

/** Opens sources, sinks and participants as the run at the head has them; after a reset, as the run at the target had them. */
export async function openAsOf(
  vault: Vault,
  pipeline: Pipeline,
  mementos: readonly (OpenedMemento | null)[],
  signal: AbortSignal = new AbortController().signal,
): Promise<Resources> {
  let params: unknown;
  let timeline = "";
  let sealed: ReadonlyMap<string, SealedCredential> | undefined;
  for (const memento of mementos) {
    const snapshot = await readSnapshot(memento);
    params ??= snapshot.run?.params;
    sealed ??= memento === null ? undefined : snapshot.sealed;
    timeline ||= memento?.entry.timeline ?? "";
  }
  return await openResources({
    pipeline,
    params: params ?? {},
    timeline,
    vault,
    signal,
    ...(sealed === undefined ? {} : { sealed }),
  });
}
