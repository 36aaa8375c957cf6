import { isDeepStrictEqual } from "node:util";

import type { Source, SourceOffsets } from "../../sources/source.ts";
import type { Participant } from "./participant.ts";

/** A source in a restore: it holds no data of the pipeline's, and only its offsets go back. */
export function sourceParticipant(name: string, source: Source): Participant {
  return {
    kind: "source",
    name,
    key: `source:${name}`,
    remembered: false,
    inspect: async ({ now, wanted }) => {
      const [from, to] = [now.offsets.get(name) ?? {}, wanted.offsets.get(name) ?? {}];
      const { available, problem, recordsBetween } = await source.inspect(to, from);
      const isForward = available && recordsBetween === null && (await isAhead(source, from, to));
      const recordsAgain = isForward ? 0 : recordsBetween === null ? null : Math.max(0, recordsBetween);
      const schema = {
        head: now.schema[name] ?? null,
        target: wanted.schema[name] ?? null,
        code: source.schemaVersion,
      };
      return {
        sources: [{ name, from, to, recordsAgain, available, problem, schema }],
        refused: !available,
      };
    },
    fence: async () => undefined,
    revert: async ({ now, wanted }) => {
      const same = isDeepStrictEqual(now.offsets.get(name) ?? {}, wanted.offsets.get(name) ?? {});
      return { evidence: { kind: "source", name, verdict: same ? "unchanged" : "reverted" } };
    },
    verify: async () => undefined,
  };
}

/** True where nothing is read again, as when a rollback is undone: sources count backwards alone. */
async function isAhead(source: Source, from: SourceOffsets, to: SourceOffsets): Promise<boolean> {
  const { available, recordsBetween } = await source.inspect(from, to);
  return available && recordsBetween !== null;
}
