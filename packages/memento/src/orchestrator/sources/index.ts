export { csvFile } from "./csv/csv-file.ts";
export type { CsvFileOptions, CsvRow } from "./csv/csv-file.ts";
export type { Compression } from "./file/compression.ts";
export type { TextEncoding } from "./file/text-encoding.ts";
export type { GoneFiles } from "./files/files-source.ts";
export { folderFiles } from "./files/folder-files.ts";
export type { FolderFilesOptions } from "./files/folder-files.ts";
export { fromIterable, iterableSource } from "./iterable/iterable-source.ts";
export type { IterableSourceOptions, PlacedRecord } from "./iterable/iterable-source.ts";
export { jsonFile } from "./json/json-file.ts";
export type { JsonFileOptions } from "./json/json-file.ts";
export { jsonlFile } from "./json/jsonl-file.ts";
export type { JsonlFileOptions } from "./json/jsonl-file.ts";
export type { LastLine } from "./file/last-line.ts";
export {
  type KafkaBytesRow,
  type KafkaConnection,
  type KafkaRow,
  type KafkaSasl,
  type KafkaSourceOptions,
  kafkaSource,
  type KafkaValues,
} from "./kafka/index.ts";
export { mongodbCollection } from "./mongodb/collection-source.ts";
export type { MongodbCollectionSourceOptions } from "./mongodb/collection-source.ts";
export { objectFiles } from "./objects/object-files.ts";
export type { ObjectFilesOptions } from "./objects/object-files.ts";
export { parquetFile } from "./parquet/parquet-file.ts";
export type { ParquetFileOptions, ParquetRow } from "./parquet/parquet-file.ts";
export { recordsFile } from "./records-file.ts";
export { sqlRows } from "./sql/sql-rows.ts";
export type { SqlRowsOptions } from "./sql/sql-rows.ts";
export type * from "./source.ts";
