export {
  type Call,
  type CallOutcome,
  type CallsOptions,
  compensatingCalls,
  type HttpAnswer,
  type HttpCallsOptions,
  httpCalls,
  type MadeCall,
  type MadeHttpCall,
  type RequestOptions,
} from "./compensate/index.ts";
export {
  type Columns,
  type Dataset,
  type DatasetColumnType,
  type DatasetFile,
  type DatasetFolderOptions,
  type DatasetFormat,
  datasetFolder,
  readDataset,
  type ReadDatasetOptions,
} from "./dataset/index.ts";
export { duckdbTable, type DuckdbPlace, type DuckdbTableOptions, type DuckdbTableSettings } from "./duckdb/index.ts";
export {
  type KafkaBytes,
  type KafkaCompensation,
  type KafkaConnection,
  type KafkaRecord,
  type KafkaSasl,
  type KafkaTopicOptions,
  kafkaTopic,
  type SentRecord,
} from "./kafka/index.ts";
export { memorySink, type MemorySink, type MemorySinkOptions } from "./memory-sink.ts";
export { MemoryTable } from "./memory-table.ts";
export { mongodbCollection, type MongodbCollectionOptions } from "./mongodb/index.ts";
export { mysqlTable, type MysqlTableOptions } from "./mysql/index.ts";
export { postgresTable, type PostgresTableOptions } from "./postgres/index.ts";
export type * from "./sink.ts";
export { sqliteTable, type ColumnType, type SqliteTableOptions } from "./sqlite/index.ts";
