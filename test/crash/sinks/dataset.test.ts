import { datasetPlace } from "../../workers/dataset-folder.ts";
import { testCampaign } from "./campaign.ts";

for (const format of ["parquet", "jsonl", "csv"] as const) {
  testCampaign({
    name: `a dataset folder of ${format}`,
    mode: "append",
    place: datasetPlace({ options: { format, mergeFiles: 4, graceMs: 0 }, names: "number" }),
    workerModule: new URL("../../workers/dataset-folder.ts", import.meta.url),
  });
}
