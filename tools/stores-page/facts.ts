import type { EngineId } from "../../test/chaos/engines.ts";

/** What the page says of a driver besides what the driver says of itself (`supports`). */
export interface DriverFacts {
  readonly title: string;
  /** How its URL begins. */
  readonly scheme: string;
  /** The class, and the subpath of the library that exports it. */
  readonly driver: string;
  readonly subpath: string;
  /** Forms of its URL, each with what it means. */
  readonly urls: readonly (readonly [form: string, meaning: string])[];
  /** Its optional packages, of which the first is always needed. */
  readonly packages: readonly string[];
  /** What must be there before. */
  readonly needs: readonly string[];
  /** Where credentials come from; null: there are none. */
  readonly credentials: string | null;
  /** What an operator should know. */
  readonly facts: readonly string[];
  /** The engines of the tests, the first of which is asked what the driver supports; none for embedded stores. */
  readonly engines: readonly EngineId[];
  /** The engines of the bench. */
  readonly measured: readonly string[];
  /** What was run in the tests, and what was not. */
  readonly proved: string;
}

const embedded: readonly DriverFacts[] = [
  {
    title: "Memory",
    scheme: "memory",
    driver: "MemoryStore",
    subpath: "@mementojs/memento/stores/memory",
    urls: [["memory:", "a new, empty store, gone with the process"]],
    packages: [],
    needs: [],
    credentials: null,
    facts: ["For tests, and for states that may be lost. Its key is made with it and is never written anywhere."],
    engines: [],
    measured: [],
    proved: "every run of the tests",
  },
  {
    title: "Files",
    scheme: "file",
    driver: "FileStore",
    subpath: "@mementojs/memento/stores/file",
    urls: [
      ["file:FOLDER", "a folder, relative to where the process stands or absolute; it is made with the store"],
      ["file:///FOLDER", "the same as a URL, percent-encoded"],
    ],
    packages: [],
    needs: ["a file system with hard links, on a disk of the machine"],
    credentials: null,
    facts: [
      "Every file is written whole, synced and then named; nothing is ever locked. Network file systems are not tested.",
      "Its key file is `FOLDER.key`, unless the environment names a key.",
    ],
    engines: [],
    measured: ["file"],
    proved: "ext4 on Linux; a simulated disk that loses its power at every call",
  },
  {
    title: "SQLite",
    scheme: "sqlite",
    driver: "SqliteStore",
    subpath: "@mementojs/memento/stores/sqlite",
    urls: [
      ["sqlite:FILE", "a database file, relative to where the process stands or absolute; its folder must be there"],
      ["sqlite:///FILE", "the same as a URL, percent-encoded"],
    ],
    packages: [],
    needs: ["nothing: SQLite comes with Node.js"],
    credentials: null,
    facts: [
      "WAL mode with `synchronous = FULL`. While it is open two more files stand beside it; a closed store is the one file.",
      "While it is open its file must stay where it is: each call looks, and a file that was moved, removed or replaced (a backup put back over it) is refused with `NOT_A_STORE`. Close it first.",
      "Where many save at once in one process, a second thread seals and appends what they save; it is started once that pays.",
      "A store that an earlier release made is brought to this one's tables when it is opened; earlier releases refuse it from then on.",
      "Its key file is `FILE.key`, unless the environment names a key.",
    ],
    engines: [],
    measured: ["sqlite"],
    proved:
      "SQLite 3.53 of Node.js 26, and that of Node.js 24, on ext4; SIGKILL and errors at each system call that writes",
  },
];

const TLS_PARAMETERS =
  "`sslmode=require`, `verify-ca` or `verify-full` asks for TLS, with the files `sslrootcert`, `sslcert`, `sslkey`; `pool=10` is the number of connections";
const IN_URL_OR_HANDED_IN = "user and password in the URL, percent-encoded; or a pool of your own";

const databases: readonly DriverFacts[] = [
  {
    title: "PostgreSQL",
    scheme: "postgres",
    driver: "PostgresStore",
    subpath: "@mementojs/memento/stores/postgres",
    urls: [
      ["postgres://USER:PASSWORD@HOST:PORT/DATABASE", "the schema `memento` of a database; `postgresql:` is the same"],
      ["postgres://HOST/DATABASE?schema=NAME", "another schema: several stores may share a database"],
      ["postgres://HOST/DATABASE?sslmode=verify-full&sslrootcert=FILE&pool=20", TLS_PARAMETERS],
    ],
    packages: ["pg"],
    needs: ["PostgreSQL 13 or newer, a database in UTF8, and an account that may make a schema there, or owns it"],
    credentials: IN_URL_OR_HANDED_IN,
    facts: [
      "An append is one round trip. `synchronous_commit` is switched on for the store where it is off; on a server with `fsync = off` the store says that it is not durable.",
      "Waits are bounded: 10 s for a connection, 60 s for a statement, 10 s for another's lock. A connection that broke is made anew by the next call.",
      "The schema and its tables are made by `memento init` or the first save, by many processes at once if need be.",
    ],
    engines: ["postgres"],
    measured: ["postgres"],
    proved: "PostgreSQL 15",
  },
  {
    title: "MariaDB and MySQL",
    scheme: "mysql",
    driver: "MysqlStore",
    subpath: "@mementojs/memento/stores/mysql",
    urls: [
      ["mysql://USER:PASSWORD@HOST:PORT/DATABASE", "tables whose names begin with `memento_`; `mariadb:` is the same"],
      ["mariadb://HOST/DATABASE?prefix=NAME_", "another prefix: several stores may share a database"],
      ["mysql://HOST/DATABASE?sslmode=verify-full&sslrootcert=FILE&pool=20", TLS_PARAMETERS],
    ],
    packages: ["mysql2"],
    needs: [
      "MariaDB 10.6 or MySQL 8.0.17, or newer; a database, and an account that may make tables there. With the right to make procedures an append is one round trip",
    ],
    credentials: IN_URL_OR_HANDED_IN,
    facts: [
      "The store is durable where the server is: `innodb_flush_log_at_trx_commit = 1`, and `sync_binlog = 1` where it keeps a binary log. Otherwise it says that it is not.",
      "Galera clusters, groups that take writes on several nodes, and `binlog_format = STATEMENT` are refused.",
      "Waits are bounded: 10 s for a connection, 60 s for a statement, 10 s for another's lock.",
    ],
    engines: ["mariadb"],
    measured: ["mariadb"],
    proved: "MariaDB 10.11. No MySQL was run",
  },
  {
    title: "MongoDB",
    scheme: "mongodb",
    driver: "MongodbStore",
    subpath: "@mementojs/memento/stores/mongodb",
    urls: [
      ["mongodb://USER:PASSWORD@HOST:PORT/DATABASE", "two collections of a database; `mongodb+srv:` is taken too"],
      ["mongodb://HOST/DATABASE?prefix=NAME_", "another prefix than `memento_`: several stores may share a database"],
      [
        "mongodb://HOST/DATABASE?commit=single-document",
        "commits of one document where the server has transactions too",
      ],
    ],
    packages: ["mongodb"],
    needs: [
      "a server with majority writes and the journal; a replica set or a cluster for transactions, which are not a must",
    ],
    credentials:
      "in the URL, with all other parameters that the driver takes (`authSource`, `tls`, `authMechanism`); or a client of your own",
    facts: [
      'Written with `w: "majority", j: true` and read from the primary. Each commit is one transaction, or one document that whoever comes next completes.',
      "A server that lets two writers win one compare-and-swap is refused with `ENGINE_UNSUITABLE`: some servers that speak the protocol do.",
      "Waits are bounded: 5 s to find a server, 60 s for a silent connection, 30 s for a command, unless the URL says otherwise.",
    ],
    engines: ["mongodb"],
    measured: ["mongodb"],
    proved:
      "the MongoDB protocol, by SecantusDB 0.7.0b3. No MongoDB was run: elections, rollback of writes, secondaries and sharding are not tested",
  },
  {
    title: "Redis",
    scheme: "redis",
    driver: "RedisStore",
    subpath: "@mementojs/memento/stores/redis",
    urls: [
      ["redis://USER:PASSWORD@HOST:PORT/DATABASE", "keys that begin with `{memento}`; `rediss:` is TLS"],
      ["redis+cluster://HOST:PORT,HOST:PORT", "one slot of a cluster; `rediss+cluster:` is TLS"],
      ["redis://HOST?prefix=NAME", "another prefix: several stores may share a server"],
      ["redis://HOST?waitReplicas=1", "a change is acknowledged once so many replicas have it"],
      ["redis://HOST?durability=relaxed", "also a server that may lose what it acknowledged; the store says so"],
    ],
    packages: ["ioredis"],
    needs: ["Redis 7 or newer with `appendonly yes`, `appendfsync always`, and no eviction; memory for all bodies"],
    credentials: "in the URL; or a client of your own",
    facts: [
      "Every change is one script, and so one round trip. No key of the store is ever given a time to live: what is too old is garbage for `memento gc`, by the caretaker's policy.",
      "A failover to a replica loses what had not reached it; `waitReplicas` narrows that, and Redis does not rule it out.",
      "Waits are bounded: 10 s for a connection, 30 s for an answer.",
    ],
    engines: ["redis"],
    measured: ["redis"],
    proved: "Redis 7.0",
  },
];

const VERSIONS_KEPT =
  "Where the place keeps versions or deleted objects, what was dropped stays in them, wrapped keys too, until a rule of the place removes it.";

const objects: readonly DriverFacts[] = [
  {
    title: "S3",
    scheme: "s3",
    driver: "S3Store",
    subpath: "@mementojs/memento/stores/s3",
    urls: [
      ["s3://BUCKET/PREFIX", "a place in a bucket; the region is the SDK's, or `region=NAME`"],
      [
        "s3://BUCKET/PREFIX?endpoint=https://HOST:PORT",
        "a server that speaks S3; the bucket then stands in the path, unless `pathStyle=false`",
      ],
    ],
    packages: ["@aws-sdk/client-s3"],
    needs: [
      "a bucket, and `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject`, `s3:ListBucket` on it",
      "a server that keeps `If-None-Match: *`",
    ],
    credentials:
      "the SDK's own chain (environment, profile, role of the machine, web identity), or a client of your own; never in the URL",
    facts: [
      "A small save is one PUT, a large one two; bodies past 8 MB are sent in parts. A connection is given up after 5 s, a request after 30 s and a second more for each MB that it sends, an answer after 30 s in which nothing of it came.",
      VERSIONS_KEPT,
    ],
    engines: ["s3-minio", "s3-versitygw"],
    measured: ["s3-minio", "s3-versitygw"],
    proved:
      "MinIO (2026-02-12) and versitygw v1.8.0; refused on s3rver 3.7.1, which ignores conditions. Not on Amazon's own S3",
  },
  {
    title: "Azure Blob Storage",
    scheme: "azure",
    driver: "AzureStore",
    subpath: "@mementojs/memento/stores/azure",
    urls: [
      ["azure://ACCOUNT/CONTAINER/PREFIX", "a place in a container"],
      [
        "azure://ACCOUNT/CONTAINER?endpoint=https://HOST:PORT/ACCOUNT",
        "another address than `https://ACCOUNT.blob.core.windows.net`",
      ],
    ],
    packages: ["@azure/storage-blob", "@azure/identity"],
    needs: ["a container, and the right to read, write, delete and list its blobs"],
    credentials:
      "`AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_KEY` or `AZURE_STORAGE_SAS_TOKEN`, else, by `@azure/identity`, managed identity, workload identity or `az login`; never in the URL",
    facts: [
      "Bodies past 8 MB are sent in blocks. A request is given up after 30 s of silence and repeated three times.",
      VERSIONS_KEPT,
    ],
    engines: ["azure"],
    measured: ["azure"],
    proved: "azurite 3.35.0, which is no durable server: kills of it are not part of its tests. Not on Azure itself",
  },
  {
    title: "Google Cloud Storage",
    scheme: "gs",
    driver: "GcsStore",
    subpath: "@mementojs/memento/stores/gcs",
    urls: [
      ["gs://BUCKET/PREFIX", "a place in a bucket"],
      [
        "gs://BUCKET/PREFIX?endpoint=https://HOST:PORT",
        "another address than Google's; credentials are sent to it by https only",
      ],
    ],
    packages: ["@google-cloud/storage"],
    needs: ["a bucket, and the right to read, create, replace, delete and list its objects"],
    credentials:
      "application default credentials (`GOOGLE_APPLICATION_CREDENTIALS`, `gcloud auth application-default login`, the machine's service account), or a client of your own",
    facts: ["A request is given up after 30 s of silence and repeated three times.", VERSIONS_KEPT],
    engines: ["gcs"],
    measured: ["gcs"],
    proved: "fake-gcs-server v1.56.1. Not on Google's own service",
  },
];

/** Every driver, in the order of the page. */
export const DRIVERS: readonly DriverFacts[] = [...embedded, ...databases, ...objects];
