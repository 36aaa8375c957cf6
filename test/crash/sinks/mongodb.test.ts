import { afterAll, beforeAll, describe } from "vitest";

import { requireEngine } from "../../harness/engines.ts";
import { mongodbIsThere, startMongodb } from "../../harness/servers/mongodb.ts";
import { type KitCollection, mongodbCollectionPlace } from "../../workers/mongodb-collection.ts";
import { testCampaign } from "./campaign.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const collections: readonly KitCollection[] = [
  { mode: "append", commit: "transaction" },
  { mode: "upsert", commit: "transaction", key: "id" },
  { mode: "append", commit: "staged" },
  { mode: "upsert", commit: "staged", key: "id" },
];

for (const collection of collections) {
  describe.skipIf(!isThere)("mongodbCollection()", () => {
    // A server each: the transactions that killed clients leave open slow the engine down for a minute.
    let server: Awaited<ReturnType<typeof startMongodb>> | null = null;
    beforeAll(async () => void (server = await startMongodb()));
    afterAll(async () => await server?.[Symbol.asyncDispose]());

    testCampaign({
      name: `${collection.mode}, ${collection.commit}`,
      mode: collection.mode,
      place: mongodbCollectionPlace((database) => server?.url(database) ?? "", collection),
      workerModule: new URL("../../workers/mongodb-collection.ts", import.meta.url),
    });
  });
}
