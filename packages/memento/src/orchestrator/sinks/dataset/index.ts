export type { Columns, DatasetColumnType } from "./format/columns.ts";
export { datasetFolder } from "./dataset-sink.ts";
export type { DatasetFolderOptions, DatasetFormat } from "./options.ts";
export { type Dataset, type DatasetFile, readDataset, type ReadDatasetOptions } from "./read-dataset.ts";
