import { afterAll, describe } from "vitest";

import { requireEngine } from "../../harness/engines.ts";
import { mongodbIsThere, startMongodb } from "../../harness/servers/mongodb.ts";
import { type KitCollection, mongodbCollectionPlace } from "../../workers/mongodb-collection.ts";
import { testCampaign } from "./campaign.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const server = isThere ? await startMongodb() : null;

afterAll(async () => await server?.[Symbol.asyncDispose]());

const collections: readonly KitCollection[] = [
  { mode: "append", commit: "transaction" },
  { mode: "upsert", commit: "transaction", key: "id" },
  { mode: "append", commit: "staged" },
  { mode: "upsert", commit: "staged", key: "id" },
];

describe.skipIf(!isThere)("mongodbCollection()", () => {
  for (const collection of collections) {
    const place = mongodbCollectionPlace((database) => server?.url(database) ?? "", collection);
    testCampaign({
      name: `${collection.mode}, ${collection.commit}`,
      mode: collection.mode,
      place,
      workerModule: new URL("../../workers/mongodb-collection.ts", import.meta.url),
    });
  }
});
