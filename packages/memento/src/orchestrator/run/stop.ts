import type { LostCredential } from "../credentials/keeper.ts";

/** Why a run stops early without having failed. */
export type StopKind = "interrupt" | "pause";

/** Thrown to unwind a stage after its stop was saved; never reaches the caller of a run. */
export class StopRun extends Error {
  override readonly name = "StopRun";
  readonly kind: StopKind;
  /** The stage that waits for an approval; null for any other stop. */
  readonly waitingFor: string | null;
  /** The credential that could not be had; null for any other stop. */
  readonly credential: LostCredential | null;

  constructor(kind: StopKind, waitingFor: string | null = null, credential: LostCredential | null = null) {
    super(`The run stops: ${kind}`);
    this.kind = kind;
    this.waitingFor = waitingFor;
    this.credential = credential;
  }
}

/** The wish to stop, from outside (a signal) or from the store (a request that the lease saw). */
export interface StopWish {
  /** What is wanted now; null to go on. */
  current(): StopKind | null;
  /** Aborts as soon as anything is wanted, or the lease is lost. */
  readonly signal: AbortSignal;
}
