import { inputDigest, type RunSession } from "./run-session.ts";
import { PIECE } from "./run-state.ts";
import type { StageDefinition } from "./stage.ts";

/** The outputs of done stages: those of this process from memory, earlier ones from their mementos, when they are asked for. */
export class StageOutputs {
  readonly #session: RunSession;
  readonly #known = new Map<string, unknown>();
  /** Only what a later stage asks for is held: a thousand large outputs would not fit. */
  readonly #wanted: ReadonlySet<string>;

  constructor(session: RunSession) {
    this.#session = session;
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
    const value = await this.#session.pieceValue(PIECE.output + stage);
    this.#known.set(stage, value);
    return value;
  }
}
