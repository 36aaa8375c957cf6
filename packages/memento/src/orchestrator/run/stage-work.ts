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

/** What of a work no memento has yet. */
export interface Unsettled {
  readonly offsets: readonly (readonly [source: string, offsets: SourceOffsets])[];
  readonly sinks: readonly (readonly [sink: string, record: SinkRecord])[];
  readonly drops: readonly string[];
}

const NONE: readonly never[] = [];

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
  // null: nothing was set, as by most.
  #offsets: Map<string, SourceOffsets> | null = null;
  #sinks: Map<string, SinkRecord> | null = null;
  #drops: Set<string> | null = null;
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

  /** Where it has brought a source; undefined where it has not. */
  offsetsOf(source: string): SourceOffsets | undefined {
    return this.#offsets?.get(source);
  }

  setOffsets(source: string, offsets: SourceOffsets): void {
    (this.#offsets ??= new Map()).set(source, offsets);
  }

  /** What it has made of a sink's record; undefined where it has written nothing. */
  sinkRecord(sink: string): SinkRecord | undefined {
    return this.#sinks?.get(sink);
  }

  setSink(sink: string, record: SinkRecord): void {
    (this.#sinks ??= new Map()).set(sink, record);
  }

  /** Its next memento has no use for this piece. */
  drop(key: string): void {
    (this.#drops ??= new Set()).add(key);
  }

  /** What its next memento has of it. */
  unsettled(): Unsettled {
    return {
      offsets: this.#offsets === null ? NONE : [...this.#offsets],
      sinks: this.#sinks === null ? NONE : [...this.#sinks],
      drops: this.#drops === null ? NONE : [...this.#drops],
    };
  }

  /** From now on this is the run's; what was set since then stays its own. */
  settle({ offsets, sinks, drops }: Unsettled): void {
    for (const [source, value] of offsets) if (this.#offsets?.get(source) === value) this.#offsets.delete(source);
    for (const [sink, value] of sinks) if (this.#sinks?.get(sink) === value) this.#sinks.delete(sink);
    for (const key of drops) this.#drops?.delete(key);
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
    this.#offsets = this.#sinks = this.#drops = null;
  }
}

/** As the codec keeps it: what another way of copying would make of a Buffer, for example, is another value. */
const copyOf = (value: unknown, key: string): unknown => decodeValue(encodeValue(value, `state.${key}`));
