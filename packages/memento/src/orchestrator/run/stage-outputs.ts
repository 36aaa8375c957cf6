import { sha256, sha256OfJson } from "../../core/digest.ts";
import { encodeValue } from "../../vault/codec.ts";
import { copyValue } from "../../vault/copy-value.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import { readAs, schemasOf } from "../schemas/pipeline-schemas.ts";
import type { ValueSchema } from "../schemas/value-schema.ts";
import type { RunSession } from "./run-session.ts";
import { PIECE, type RunRecord } from "./run-state.ts";

/** What a stage is given: the outputs of those before it, by the names that it has for them. */
export type StageInput = Readonly<Record<string, unknown>>;

/**
 * The outputs of done stages: those of this process from memory, earlier ones from their mementos, when they are asked for. Nobody is
 * given an object that somebody else has had: what one stage takes is its own the first time, and comes out of the memento
 * again for a further attempt; of what several take, each has a copy.
 */
export class StageOutputs {
  readonly #session: RunSession;
  readonly #schemas: ReadonlyMap<string, ValueSchema>;
  /** Only what is still to be taken is held: a thousand large outputs would not fit. */
  readonly #held = new Map<string, unknown>();
  /** How many stages take an output. */
  readonly #takers = new Map<string, number>();

  constructor(session: RunSession) {
    this.#session = session;
    this.#schemas = schemasOf(session.pipeline);
    for (const stage of session.pipeline.stages)
      for (const name of new Set(takenBy(stage))) this.#takers.set(name, (this.#takers.get(name) ?? 0) + 1);
  }

  set(stage: string, value: unknown): void {
    if (this.#takers.has(stage)) this.#held.set(stage, this.#mayBeOfState() ? copyValue(value) : value);
  }

  /** What one attempt at the stage is given. */
  async inputOf(stage: StageDefinition): Promise<StageInput> {
    const input: Record<string, unknown> = {};
    for (const [name, from] of Object.entries(stage.inputs)) {
      if (this.#takers.get(from) === 1) input[name] = this.#held.has(from) ? this.#take(from) : await this.#saved(from);
      else await this.#share(from, input, name);
    }
    return input;
  }

  digestOf(stage: StageDefinition): string {
    return inputDigest(
      this.#session.run,
      stage.after.map((name) => [name, this.#session.outputDigest(name) ?? ""] as const),
    );
  }

  /** True: what a stage gives may be an object of the state, too, which the stages after it change freely. */
  #mayBeOfState(): boolean {
    const { parallel, state } = this.#session;
    return !parallel && Object.values(state).some((value) => typeof value === "object" && value !== null);
  }

  #take(stage: string): unknown {
    const value = this.#held.get(stage);
    this.#held.delete(stage);
    return value;
  }

  /** Many only come after a stage and never look at what it gave: it is copied where one does. */
  async #share(stage: string, input: Record<string, unknown>, name: string): Promise<void> {
    if (!this.#held.has(stage)) this.#held.set(stage, await this.#saved(stage));
    const held = this.#held.get(stage);
    const member = { enumerable: true, configurable: true };
    const get = (): unknown => {
      const value = copyValue(held);
      Object.defineProperty(input, name, { ...member, value, writable: true });
      return value;
    };
    Object.defineProperty(input, name, { ...member, get });
  }

  async #saved(stage: string): Promise<unknown> {
    const kept = await this.#session.pieceValue(PIECE.output + stage);
    return readAs(this.#schemas, this.#session.stamps.stamps, PIECE.output + stage, kept);
  }
}

/** The stages whose outputs a stage asks for: one that only waits for them, or hands on records, looks at none. */
function takenBy({ type, when, inputs }: StageDefinition): readonly string[] {
  return type === "task" || type === "each" || when !== null ? Object.values(inputs) : [];
}

/** Where a task's input came from: the digest of the output it was given, of all of them, or of the parameters where it was given none. */
function inputDigest(run: RunRecord, outputs: readonly (readonly [string, string])[]): string {
  const [first] = outputs;
  if (first === undefined) return paramsDigest(run);
  return outputs.length === 1 ? first[1] : sha256OfJson(outputs);
}

const paramsDigests = new WeakMap<RunRecord, string>();

function paramsDigest(run: RunRecord): string {
  const digest = paramsDigests.get(run) ?? sha256(encodeValue(run.params, "params").bytes);
  paramsDigests.set(run, digest);
  return digest;
}
