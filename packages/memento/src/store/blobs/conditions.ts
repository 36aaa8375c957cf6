import { MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { BlobPlace, BlobPort } from "./blob-port.ts";

const RACERS = 4;

/**
 * Proves that a place refuses to create what is there: by a second blob of the same key, and by a race of four. Some servers
 * take every condition and keep none; with such a one two writers would both be told that they have won. Ten requests in four
 * rounds, and nothing stays behind.
 *
 * ENGINE_UNSUITABLE, with the server and the condition that it ignores.
 */
export async function proveConditions({ blobs, root, url, createCondition }: BlobPlace, random: Random): Promise<void> {
  const folder = root === "" ? "proof" : `${root}/proof`;
  const [one, two] = [`${folder}/${randomText(random, 20)}`, `${folder}/${randomText(random, 20)}`];
  const problems = await Promise.all([refusesSecond(blobs, one), hasOneWinner(blobs, two)]);
  await Promise.all([blobs.remove(one), blobs.remove(two)]);
  const problem = problems.find((found) => found !== null);
  if (problem === undefined || problem === null) return;
  throw new MementoError("ENGINE_UNSUITABLE", `The server of ${url} does not keep ${createCondition}: ${problem}`, {
    details: { condition: createCondition },
    hint: "Use a server that keeps conditional writes; docs/stores.md names some that were tried.",
  });
}

async function refusesSecond(blobs: BlobPort, key: string): Promise<string | null> {
  const first = await blobs.createIfAbsent(key, [textOf("first")]);
  const second = await blobs.createIfAbsent(key, [textOf("second")]);
  const kept = await keptText(blobs, key);
  if (!first) return "it refused to create what was not there";
  if (second) return "it wrote over what was there, and called that a creation";
  return kept === "first" ? null : "it refused a second creation, and did not keep the first";
}

async function hasOneWinner(blobs: BlobPort, key: string): Promise<string | null> {
  const racers = Array.from({ length: RACERS }, (_, index) => `racer ${index}`);
  const outcomes = await Promise.all(racers.map((racer) => blobs.createIfAbsent(key, [textOf(racer)])));
  const winners = racers.filter((_, index) => outcomes[index]);
  const kept = await keptText(blobs, key);
  if (winners.length !== 1)
    return `of ${RACERS} who created the same at once ${winners.length} were told that they had`;
  return kept === winners[0] ? null : "it kept another one's bytes than the winner's";
}

const textOf = (text: string): Uint8Array => Buffer.from(text, "utf8");

async function keptText(blobs: BlobPort, key: string): Promise<string | null> {
  const bytes = await blobs.read(key);
  return bytes === null ? null : Buffer.from(bytes).toString("utf8");
}
