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
  progress: ProgressRecord | null;
  readonly offsets = new Map<string, SourceOffsets>();
  readonly sinks = new Map<string, SinkRecord>();
  /** Pieces of its own that go with its next memento. */
  readonly pieces = new Map<string, unknown>();
  readonly drops = new Set<string>();
  readonly #runState: Record<string, unknown>;
  /** Where stages run at once, a draft of the state, and what that was when the draft was made; null where this work is on the run's own. */
  #draft: { readonly state: Record<string, unknown>; readonly ground: Map<string, unknown> } | null = null;

  constructor(owner: string, stage: StageDefinition, state: Record<string, unknown>, progress: ProgressRecord | null) {
    this.owner = owner;
    this.stage = stage;
    this.active = stage;
    this.#runState = state;
    this.progress = progress;
  }

  /** The state that its code sees. That of a pipeline inside another one is kept under one key of the whole. */
  get state(): Record<string, unknown> {
    if (this.#draft !== null) return this.#draft.state;
    const prefix = this.stage.scope?.prefix;
    return prefix === undefined ? this.#runState : ((this.#runState[prefix] ??= {}) as Record<string, unknown>);
  }

  /** From now on it works on a draft of what is its own of the run's state. */
  makeDraft(): void {
    const entries = Object.entries(this.#ownOf(this.#runState));
    this.#draft = {
      ground: new Map(entries),
      state: Object.fromEntries(entries.map(([key, value]) => [key, copyOf(value, key)])),
    };
  }

  #ownOf(state: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const prefix = this.stage.scope?.prefix;
    if (prefix === undefined) return state;
    return Object.hasOwn(state, prefix) ? (state[prefix] as Readonly<Record<string, unknown>>) : {};
  }

  /** What the draft changed. */
  stateChanges(): StateChange[] {
    if (this.#draft === null) return [];
    const { ground, state } = this.#draft;
    const changes: StateChange[] = [];
    for (const [key, value] of Object.entries(state)) {
      if (!ground.has(key) || !isDeepStrictEqual(value, ground.get(key)))
        changes.push({ key, gone: false, value: copyOf(value, key) });
    }
    for (const key of ground.keys())
      if (!Object.hasOwn(state, key)) changes.push({ key, gone: true, value: undefined });
    return changes;
  }

  /** Throws STATE_CONFLICT when somebody else has changed one of these keys to another value since the draft was made. */
  demandOwn(changes: readonly StateChange[], state: Readonly<Record<string, unknown>>): void {
    const own = this.#ownOf(state);
    for (const { key, gone, value } of changes) {
      const ground = this.#draft?.ground;
      const there = Object.hasOwn(own, key);
      const moved = ground?.has(key) === true ? !there || own[key] !== ground.get(key) : there;
      const same = gone ? !there : there && isDeepStrictEqual(own[key], value);
      if (!moved || same) continue;
      const name = (this.stage.scope?.prefix ?? "") + key;
      throw new MementoError(
        "STATE_CONFLICT",
        `Stage ${this.stage.name} and another one that ran at the same time changed state.${name} differently`,
        { details: { stage: this.stage.name, key: name } },
      );
    }
  }

  /** The changes as those of the run's state, with what others have settled of the same key since. */
  changesOf(changes: readonly StateChange[], state: Readonly<Record<string, unknown>>): readonly StateChange[] {
    const prefix = this.stage.scope?.prefix;
    if (prefix === undefined || changes.length === 0) return changes;
    const own = new Map(Object.entries(this.#ownOf(state)));
    for (const { key, gone, value } of changes) {
      if (gone) own.delete(key);
      else own.set(key, value);
    }
    return [{ key: prefix, gone: false, value: Object.fromEntries(own) }];
  }

  /** From now on these changes are the run's. */
  settleState(changes: readonly StateChange[], state: Record<string, unknown>): void {
    for (const { key, gone, value } of this.changesOf(changes, state)) {
      if (gone) delete state[key];
      else state[key] = value;
    }
    for (const { key, gone, value } of changes) {
      if (gone) this.#draft?.ground.delete(key);
      else this.#draft?.ground.set(key, value);
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
