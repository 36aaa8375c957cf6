import type { Vault } from "../vault.ts";
import type { CopyVerification } from "./copy-report.ts";
import { Evidence } from "./evidence.ts";
import type { LiveSet } from "./live-set.ts";
import { lineNames, type CopyScope } from "./scope.ts";
import { digestStore } from "./store-digest.ts";

interface VerifyPorts {
  readonly from: Vault;
  readonly to: Vault;
  readonly scope: CopyScope;
  /** What is to be the same in both. */
  readonly live: LiveSet;
  /** Live in the target alone. */
  readonly kept: ReadonlySet<string>;
  readonly how: "all" | "new" | "none";
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads what was copied again, in both stores, and compares it by its digest; in the target every byte is opened. Where all
 * of both logs is read for that, what the source's says of its past is written down in the target's.
 */
export async function verifyCopy({
  from,
  to,
  scope,
  live,
  kept,
  how,
  signal,
}: VerifyPorts): Promise<{ readonly verified: CopyVerification | null; readonly evidence: number }> {
  if (how === "none") return { verified: null, evidence: 0 };
  // A log is read from one end to the other; a few mementos of it are found by the index.
  const byLog = how === "all" && scope.withSettings;
  const evidence = new Evidence(from.meta.id);
  const reading = { live, byLog, signal };
  const wanted = await digestStore(from, {
    ...reading,
    deep: false,
    forget: live,
    onNotice: (header) => evidence.takeSource(header),
  });
  const found = await digestStore(to, { ...reading, deep: true, onNotice: (header) => evidence.takeTarget(header) });
  const differing = [...wanted.byTimeline].flatMap(([key, digest]) => {
    const line = scope.lines.get(key);
    return found.byTimeline.get(key) === digest || line === undefined ? [] : [line];
  });
  const written = byLog
    ? await evidence.write(
        to,
        (id) => live.hasId(id) || kept.has(id),
        ({ caretaker, timeline }) =>
          timeline === null ? scope.caretaker === null || scope.caretaker === caretaker : scope.lines.has(timeline),
      )
    : 0;
  return {
    verified: {
      digest: wanted.digest,
      mementos: wanted.mementos,
      identical: wanted.digest === found.digest,
      missing: wanted.mementos - found.mementos,
      differing: lineNames(differing),
      whole: how === "all",
    },
    evidence: written,
  };
}
