import type { Collection } from "mongodb";

import { MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { StoreDocument } from "./documents.ts";
import { failureOf, isDuplicate } from "./failure.ts";

/** What the proof does to a collection; a few of its methods, so that a test can stand in for a bad server. */
export type ProvedCollection = Pick<
  Collection<StoreDocument>,
  "insertOne" | "updateOne" | "findOneAndUpdate" | "findOne" | "deleteOne"
>;

/** As an expression: the type of a store's document knows nothing of numbers in it. */
const ADD_ONE = [{ $set: { sum: { $add: ["$sum", 1] } } }];
const RACERS = 8;

/**
 * Races eight writers for one document: of those who make it one may win, of those who change it if
 * nobody else has one, and what all of them add must be there. Some servers that speak the protocol let all of them win;
 * ENGINE_UNSUITABLE then, with what failed. Leaves nothing behind.
 */
export async function proveExclusion(
  documents: ProvedCollection,
  where: string,
  random: Random,
  maxTimeMS: number,
): Promise<void> {
  const _id = `proof/${randomText(random, 12)}`;
  try {
    const made = await race(async (racer) => {
      await documents.insertOne({ _id, at: 0, racer, sum: 0 }, { maxTimeMS });
      return true;
    });
    if (made !== 1) throw unsuitable(where, "create-if-absent", `${made} of ${RACERS} made one document`);
    const won = await race(async (racer) => {
      const update = { $set: { at: 1, racer } };
      return (await documents.findOneAndUpdate({ _id, at: 0 }, update, { maxTimeMS })) !== null;
    });
    if (won !== 1) throw unsuitable(where, "compare-and-swap", `${won} of ${RACERS} won the same change`);
    const added = await race(async () => {
      return (await documents.updateOne({ _id }, ADD_ONE, { maxTimeMS })).matchedCount === 1;
    });
    const sum = Number((await documents.findOne({ _id }, { maxTimeMS }))?.["sum"]);
    if (sum !== added) throw unsuitable(where, "atomic update", `of ${added} additions ${sum} are there`);
  } catch (error) {
    throw failureOf(error, where);
  } finally {
    await documents.deleteOne({ _id }, { maxTimeMS });
  }
}

/** How many of the racers won. One that is told that another was first has lost. */
async function race(run: (racer: number) => Promise<boolean>): Promise<number> {
  const racers = Array.from({ length: RACERS }, async (_, racer) => {
    try {
      return await run(racer);
    } catch (error) {
      if (isDuplicate(error)) return false;
      throw error;
    }
  });
  return (await Promise.all(racers)).filter(Boolean).length;
}

function unsuitable(where: string, what: string, how: string): MementoError {
  return new MementoError("ENGINE_UNSUITABLE", `${where}: the server does not keep ${what}: ${how}`, {
    details: { url: where, fails: what },
    hint: "Use a server that keeps it, as MongoDB does; on this one saves would be lost.",
  });
}
