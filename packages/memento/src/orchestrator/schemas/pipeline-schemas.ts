import type { PieceValues } from "../../vault/opened-memento.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { PIECE } from "../run/run-state.ts";
import {
  castValue,
  castWay,
  demandFirst,
  stampOf,
  type CastWay,
  type SchemaStamp,
  type ValueSchema,
} from "./value-schema.ts";

/** The stamps of a memento, by what they are of: `state`, `offsets/ids`, `output/load`. */
export type SchemaStamps = Readonly<Record<string, SchemaStamp>>;

/** What the stamp of the whole state is kept under. */
export const STATE_ITEM = "state";

type SchemaHolder = Pick<Pipeline, "schema" | "offsetSchemas" | "innerSchemas" | "stages">;

/** The schemas that a pipeline declares, by what they are of. */
export function schemasOf({
  schema,
  offsetSchemas,
  innerSchemas,
  stages,
}: SchemaHolder): ReadonlyMap<string, ValueSchema> {
  const schemas = new Map<string, ValueSchema>();
  if (schema !== null) schemas.set(STATE_ITEM, schema);
  for (const [key, each] of Object.entries(innerSchemas)) schemas.set(PIECE.state + key, each);
  for (const [source, each] of Object.entries(offsetSchemas)) schemas.set(PIECE.offsets + source, each);
  for (const stage of stages)
    if (stage.type === "task" && stage.schema !== null) schemas.set(PIECE.output + stage.name, stage.schema);
  return schemas;
}

/** What a run starts from, with a schema or without: the state, that of each pipeline inside, and the offsets of each source. */
export function startItems({ sources, stages }: Pick<Pipeline, "sources" | "stages">): readonly string[] {
  const inner = [...innerKeys(stages)].map((key) => PIECE.state + key);
  return [STATE_ITEM, ...inner, ...Object.keys(sources).map((source) => PIECE.offsets + source)];
}

/** What of a state is a pipeline's own, and cast by its schema: that of pipelines inside is theirs. */
export function ownState(
  { stages }: Pick<Pipeline, "stages">,
  state: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const inner = innerKeys(stages);
  return Object.fromEntries(Object.entries(state).filter(([key]) => !inner.has(key)));
}

/** The keys under which a state has those of pipelines inside. */
const innerKeys = (stages: Pipeline["stages"]): ReadonlySet<string> =>
  new Set(stages.flatMap(({ scope }) => (scope === null ? [] : [scope.prefix])));

/** How an item for people is called: `the output of stage load`. */
export function itemText(item: string): string {
  if (item === STATE_ITEM) return "the state";
  if (item.startsWith(PIECE.state)) return `the state of pipeline ${item.slice(PIECE.state.length).replace(/\.$/, "")}`;
  if (item.startsWith(PIECE.offsets)) return `the offsets of source ${item.slice(PIECE.offsets.length)}`;
  return `the output of stage ${item.slice(PIECE.output.length)}`;
}

/** A value of a memento as the code's version has it. SCHEMA_UNREADABLE. */
export function readAs(
  schemas: ReadonlyMap<string, ValueSchema>,
  stamps: SchemaStamps,
  item: string,
  value: unknown,
): unknown {
  const schema = schemas.get(item);
  const isRecord = !item.startsWith(PIECE.output);
  if (schema !== undefined) return castValue(schema, stamps[item], value, itemText(item), isRecord);
  demandFirst(stamps[item], itemText(item));
  return value;
}

/** Where the output of a stage is: under its own name, or the one that it had when it was done. */
export interface OutputPlace {
  readonly stage: string;
  readonly kept: string;
}

/** An output of a memento as the code's version has it. SCHEMA_UNREADABLE. */
export async function readOutput(
  schemas: ReadonlyMap<string, ValueSchema>,
  stamps: SchemaStamps,
  { stage, kept }: OutputPlace,
  pieces: PieceValues,
): Promise<unknown> {
  const stamp = stamps[PIECE.output + kept];
  const item = PIECE.output + stage;
  return readAs(schemas, stamp === undefined ? {} : { [item]: stamp }, item, await pieces.value(PIECE.output + kept));
}

/** How an output gets to the code's version; casts nothing. SCHEMA_UNREADABLE where there is no way. */
export function outputWay(
  schemas: ReadonlyMap<string, ValueSchema>,
  stamps: SchemaStamps,
  { stage, kept }: OutputPlace,
): CastWay {
  const item = PIECE.output + stage;
  const [schema, stamp] = [schemas.get(item), stamps[PIECE.output + kept]];
  if (schema !== undefined) return castWay(schema, stamp, itemText(item));
  demandFirst(stamp, itemText(item));
  return "same";
}

/** The stamps that a run's mementos carry; tells when they have changed. */
export class RunStamps {
  readonly #schemas: ReadonlyMap<string, ValueSchema>;
  readonly #byItem: Map<string, SchemaStamp>;
  /** The same as an object; null: to be made. */
  #stamps: SchemaStamps | null = null;
  #unsaved = false;

  constructor(pipeline: Pipeline, stamps: SchemaStamps) {
    this.#schemas = schemasOf(pipeline);
    this.#byItem = new Map(Object.entries(stamps));
    // State and offsets are the code's own from the first save on: what was older was made so before.
    for (const item of this.#schemas.keys()) if (!item.startsWith(PIECE.output)) this.#set(item);
  }

  get stamps(): SchemaStamps {
    return (this.#stamps ??= Object.fromEntries(this.#byItem));
  }

  /** A stage's output was made by this code. */
  done(stage: string): void {
    if (this.#schemas.size > 0 || this.#byItem.size > 0) this.#set(PIECE.output + stage);
  }

  /** A new run has none of the outputs of the last one. */
  restart(): void {
    for (const item of this.#byItem.keys()) if (item.startsWith(PIECE.output)) this.#drop(item);
  }

  /** All stamps, where the last memento does not have them as they are; null where it does. The same come again until they are saved. */
  unsaved(): SchemaStamps | null {
    return this.#unsaved ? this.stamps : null;
  }

  /** To be called once a memento has what `unsaved` gave. */
  saved(stamps: SchemaStamps | null): void {
    if (stamps !== null && stamps === this.#stamps) this.#unsaved = false;
  }

  #set(item: string): void {
    const schema = this.#schemas.get(item);
    if (schema === undefined) {
      this.#drop(item);
      return;
    }
    const known = this.#byItem.get(item);
    if (known?.id === schema.id && known.version === schema.version) return;
    this.#byItem.set(item, stampOf(schema));
    this.#changed();
  }

  #drop(item: string): void {
    if (this.#byItem.delete(item)) this.#changed();
  }

  #changed(): void {
    this.#stamps = null;
    this.#unsaved = true;
  }
}
