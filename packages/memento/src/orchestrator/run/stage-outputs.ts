import { sha256, sha256OfJson } from "../../core/digest.ts";
import { encodeValue } from "../../vault/codec.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import { readAs, schemasOf } from "../schemas/pipeline-schemas.ts";
import type { ValueSchema } from "../schemas/value-schema.ts";
import type { RunSession } from "./run-session.ts";
import { PIECE, type RunRecord } from "./run-state.ts";

/** The outputs of done stages: those of this process from memory, earlier ones from their mementos, when they are asked for. */
export class StageOutputs {
  readonly #session: RunSession;
  readonly #schemas: ReadonlyMap<string, ValueSchema>;
  readonly #known = new Map<string, unknown>();
  /** Only what a later stage asks for is held: a thousand large outputs would not fit. */
  readonly #wanted: ReadonlySet<string>;

  constructor(session: RunSession) {
    this.#session = session;
    this.#schemas = schemasOf(session.pipeline);
    this.#wanted = new Set(session.pipeline.stages.flatMap(({ after }) => after));
  }

  set(stage: string, value: unknown): void {
    if (this.#wanted.has(stage)) this.#known.set(stage, value);
  }

  /** What the stage is given. */
  async inputOf(stage: StageDefinition): Promise<Readonly<Record<string, unknown>>> {
    const input: Record<string, unknown> = {};
    for (const [name, from] of Object.entries(stage.inputs)) input[name] = await this.#output(from);
    return input;
  }

  digestOf(stage: StageDefinition): string {
    return inputDigest(
      this.#session.run,
      stage.after.map((name) => [name, this.#session.outputDigest(name) ?? ""] as const),
    );
  }

  async #output(stage: string): Promise<unknown> {
    if (this.#known.has(stage)) return this.#known.get(stage);
    const kept = await this.#session.pieceValue(PIECE.output + stage);
    const value = readAs(this.#schemas, this.#session.stamps.stamps, PIECE.output + stage, kept);
    this.#known.set(stage, value);
    return value;
  }
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
