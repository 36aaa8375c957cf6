import { isMementoError } from "@mementojs/memento";
import { healthOf, openStore, type MementoStore, type StoreHealth } from "@mementojs/memento/store";
import { copyLag, type CopyLag } from "@mementojs/memento/vault";

import { failureOf } from "../failure.ts";
import { namedPlace } from "../place/store-place.ts";
import { bytesText, counted } from "../terminal/words.ts";
import { advise, bad, good, type Finding } from "./finding.ts";

/** A store that was looked at, and how far it is behind the project's own; null for that one itself. */
export interface ExaminedStore extends StoreHealth {
  readonly lag: CopyLag | null;
}

/** Looks at the engine of the project's own store. */
export async function examineEngine(
  store: MementoStore,
): Promise<{ readonly examined: ExaminedStore; readonly findings: readonly Finding[] }> {
  const health = await healthOf(store);
  const { problem } = health;
  const failed = problem === null ? [] : [bad("engine", `${problem.message} (${problem.code})`, problem.hint)];
  return { examined: { ...health, lag: null }, findings: [...engineFindings(health), ...failed] };
}

/** Looks at a store that the project's own is copied to: its engine, and how far it is behind. */
export async function examineReplica(
  own: MementoStore,
  url: string,
  cwd: string,
): Promise<{ readonly examined: ExaminedStore | null; readonly findings: readonly Finding[] }> {
  const place = namedPlace(url, "option", cwd);
  try {
    if (!place.exists)
      return { examined: null, findings: [bad("replica", `There is no store at ${place.path ?? url}`, COPY)] };
    const { store } = await openStore(place.url);
    await using _open = store;
    const health = await healthOf(store);
    const { problem } = health;
    if (problem !== null)
      return {
        examined: { ...health, lag: null },
        findings: [bad("replica", `${problem.message} (${problem.code})`, problem.hint)],
      };
    if (health.store === null)
      return {
        examined: { ...health, lag: null },
        findings: [bad("replica", `There is no store at ${health.url}`, COPY)],
      };
    const lag = await copyLag(own, store);
    return {
      examined: { ...health, lag },
      findings: [lagFinding(health, lag), ...engineFindings(health, "replica's ")],
    };
  } catch (error) {
    if (!isMementoError(error)) throw error;
    const { message, hint, code } = failureOf(error);
    return { examined: null, findings: [bad("replica", `${message} (${code})`, hint)] };
  }
}

const COPY = "Make it by `memento sync --from ... --to ...`.";

function lagFinding({ url }: StoreHealth, { mementos, timelines, ahead }: CopyLag): Finding {
  if (ahead > 0)
    return bad(
      "replica",
      `${url} has mementos of its own on ${counted(ahead, "timeline")}`,
      "Something else saves there: look at both by `memento ls`, and copy what is worth it back.",
    );
  if (mementos === 0) return good("replica", `${url} has all that is here`);
  return advise(
    "replica",
    `${url} is ${counted(mementos, "memento")} behind, on ${counted(timelines, "timeline")}`,
    "Bring it up by `memento sync`, or keep that running with --watch.",
  );
}

function engineFindings({ engine, latencies }: StoreHealth, whose = ""): readonly Finding[] {
  const findings: Finding[] = [];
  if (engine !== null) {
    const { name, version, bytes, freeBytes } = engine;
    const sizes = [
      bytes === null ? [] : [bytesText(bytes)],
      freeBytes === null ? [] : [`${bytesText(freeBytes)} free`],
    ];
    findings.push(good(`${whose}engine`, [`${name} ${version}`, ...sizes.flat()].join(", ")));
  }
  if (latencies !== null) {
    const { meta, timeline, read } = latencies;
    const texts = [`its facts ${ms(meta)}`, `a timeline ${ms(timeline)}`, `a memento ${ms(read)}`];
    findings.push(good(`${whose}latency`, texts.join(", ")));
  }
  return findings;
}

const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
