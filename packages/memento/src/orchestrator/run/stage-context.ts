import type { Json } from "../../core/json.ts";
import { copyValue } from "../../vault/copy-value.ts";
import type { StageContext, StageDefinition, StageScope } from "../pipeline/stage.ts";
import type { Source } from "../sources/source.ts";
import { takeCheckpoint } from "./manual-checkpoint.ts";
import type { StageRun } from "./stage-run.ts";

/** The context that user code of a stage gets: what the run is, as that stage may see it. */
export function stageContext(run: StageRun, stage: StageDefinition): StageContext {
  const { session, work, attempt } = run;
  const { scope } = stage;
  const { id, key, resumeCount } = session.run;
  const full = (name: string): string => (scope === null ? name : scope.prefix + name);
  const { params } = session.run;
  const hasMembers = typeof params === "object" && params !== null && Object.keys(params).length > 0;
  const { sources, participants } = session.resources;
  const context: StageContext = {
    params: hasMembers || scope !== null ? {} : copyValue(params),
    run: { id, key, resumeCount },
    stage: stage.name,
    offsets: sources.size > 0 ? {} : inScope(scope, session.allOffsets(work)),
    schemaVersions: sources.size === 0 ? {} : inScope(scope, versionsOf(sources)),
    participants: participants.size === 0 ? {} : inScope(scope, Object.fromEntries(participants)),
    credentials: inScope(scope, session.resources.credentials),
    state: scope === null ? work.state : {},
    progress: run.progress,
    signal: attempt.signal,
    heartbeat: () => {
      attempt.demand();
      attempt.beat();
    },
    sleep: async (name, wait) => await run.sleep(name, wait),
    checkpoint: async (options = {}) => await takeCheckpoint(run, options),
    read: (source) => run.read(full(source)),
    write: async (sink, rows) => await run.write(stage, full(sink), rows),
    log: (message, fields: Readonly<Record<string, Json>> = {}) =>
      session.emit({
        type: "log",
        stage: stage.name,
        message: session.redaction.text(message),
        fields: session.redaction.json(fields),
      }),
  };
  // An accessor costs more than a small stage has to spare: only where there is something to copy, to follow, or to make.
  if (hasMembers || scope !== null) {
    const own = once(() => (scope === null ? copyValue(params) : scope.params(copyValue(params))));
    Object.defineProperty(context, "params", { ...MEMBER, get: own });
  }
  if (sources.size > 0)
    Object.defineProperty(context, "offsets", { ...MEMBER, get: () => inScope(scope, session.allOffsets(work)) });
  if (scope !== null) Object.defineProperty(context, "state", { ...MEMBER, get: () => work.state });
  return context;
}

const versionsOf = (sources: ReadonlyMap<string, Source>): Readonly<Record<string, string>> =>
  Object.fromEntries([...sources].map(([name, { schemaVersion }]) => [name, schemaVersion] as const));

/** As in an object's literal. */
const MEMBER = { enumerable: true, configurable: true } as const;

/** Made when it is first asked for. */
function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null;
  return () => (made ??= { value: make() }).value;
}

/** What of these names is of the scope, under the names that it uses. */
function inScope<Value>(
  scope: StageScope | null,
  values: Readonly<Record<string, Value>>,
): Readonly<Record<string, Value>> {
  if (scope === null) return values;
  const own = Object.entries(values).filter(([name]) => name.startsWith(scope.prefix));
  return Object.fromEntries(own.map(([name, value]) => [name.slice(scope.prefix.length), value]));
}
