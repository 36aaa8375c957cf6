import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../../core/errors.ts";
import { decodeValue, encodeValue } from "../../vault/codec.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import type { SourceOffsets } from "../sources/source.ts";
import type { ProgressRecord, SinkRecord } from "./run-state.ts";

/** A value of the state that differs from what the run had; `undefined` as a key's value is a value, too. */
export interface StateChange {
  readonly key: string;
  readonly gone: boolean;
  readonly value: unknown;
}

/**
 * What one stage (or flow, or item) has done since the run last settled it: nobody else's memento holds any of it. Sources,
 * sinks and state that are not named here are as the run has them.
 */
export class StageWork {
  /** The stage's name; of an item `stage[3]`. */
  readonly owner: string;
  readonly stage: StageDefinition;
  /** The stage whose code is at work; inside a flow, the one that has the batch. */
  active: StageDefinition;
  /** The state as this work sees it: the run's own, or a draft where stages run at once. */
  state: Record<string, unknown>;
  progress: ProgressRecord | null;
  readonly offsets = new Map<string, SourceOffsets>();
  readonly sinks = new Map<string, SinkRecord>();
  /** Pieces of its own that go with its next memento. */
  readonly pieces = new Map<string, unknown>();
  readonly drops = new Set<string>();
  /** What the state was when the draft was made; null where this work is on the run's own state. */
  #ground: Map<string, unknown> | null = null;

  constructor(owner: string, stage: StageDefinition, state: Record<string, unknown>, progress: ProgressRecord | null) {
    this.owner = owner;
    this.stage = stage;
    this.active = stage;
    this.state = state;
    this.progress = progress;
  }

  /** Puts a draft of the run's state in the place of the one it had. */
  draftOf(state: Readonly<Record<string, unknown>>): void {
    this.#ground = new Map(Object.entries(state));
    this.state = Object.fromEntries(Object.entries(state).map(([key, value]) => [key, copyOf(value, key)]));
  }

  /** What the draft changed. */
  stateChanges(): StateChange[] {
    const ground = this.#ground;
    if (ground === null) return [];
    const changes: StateChange[] = [];
    for (const [key, value] of Object.entries(this.state)) {
      if (!ground.has(key) || !isDeepStrictEqual(value, ground.get(key)))
        changes.push({ key, gone: false, value: copyOf(value, key) });
    }
    for (const key of ground.keys()) if (!(key in this.state)) changes.push({ key, gone: true, value: undefined });
    return changes;
  }

  /** Throws STATE_CONFLICT when somebody else has changed one of these keys to another value since the draft was made. */
  demandOwn(changes: readonly StateChange[], state: Readonly<Record<string, unknown>>): void {
    for (const { key, gone, value } of changes) {
      const moved = this.#ground?.has(key) === true ? state[key] !== this.#ground.get(key) : key in state;
      const same = gone ? !(key in state) : key in state && isDeepStrictEqual(state[key], value);
      if (!moved || same) continue;
      throw new MementoError(
        "STATE_CONFLICT",
        `Stage ${this.stage.name} and another one that ran at the same time changed state.${key} differently`,
        { details: { stage: this.stage.name, key } },
      );
    }
  }

  /** From now on these changes are the run's. */
  settleState(changes: readonly StateChange[]): void {
    for (const { key, gone, value } of changes) {
      if (gone) this.#ground?.delete(key);
      else this.#ground?.set(key, value);
    }
  }

  /** Forgets everything since the last memento. */
  clear(): void {
    for (const map of [this.offsets, this.sinks, this.pieces]) map.clear();
    this.drops.clear();
  }
}

/** As the codec keeps it: what another way of copying would make of a Buffer, for example, is another value. */
const copyOf = (value: unknown, key: string): unknown => decodeValue(encodeValue(value, `state.${key}`));
