import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { promisify } from "node:util";

import { Admin } from "@platformatic/kafka";

import type { Probe } from "../engines.ts";
import { enginesFolder, freePort, programIsThere, type Server, type ServerPlace, startServer } from "./server.ts";

const JAVA = "/usr/bin/java";
const JARS = path.join(enginesFolder, "kafka-4.3.1");
const CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg";

/** The account of a broker's listener that asks for one. */
export const KAFKA_ACCOUNT = { username: "test", password: "test-secret" };

/** A private Kafka: broker and controller in one process. */
export interface KafkaServer extends Server {
  /** `host:port` of the listener that lets everybody in. */
  readonly broker: string;
  /** `host:port` of the listener that asks for SASL PLAIN or SCRAM-SHA-256, in the clear. */
  readonly saslBroker: string;
}

/** For `requireEngine("Kafka", kafkaIsThere)`. */
export const kafkaIsThere: Probe = () => {
  const java = programIsThere(JAVA);
  return java === true ? programIsThere(path.join(JARS, "kafka_2.13-4.3.1.jar")) : java;
};

/** Starts a private broker, of which nothing is left afterwards; it forgets nothing over a kill and a restart. */
export async function startKafka(settings: Readonly<Record<string, string>> = {}): Promise<KafkaServer> {
  const ports = { sasl: await lowPort(), controller: await lowPort(), plain: await lowPort() };
  const server = await startServer({
    name: "kafka",
    prepare: async (place) => await format(place, ports, settings),
    command: ({ folder }) => [
      JAVA,
      ...jvm(),
      "-cp",
      `${JARS}/*`,
      "kafka.Kafka",
      path.join(folder, "server.properties"),
    ],
    // A connection says only that the socket listens; the broker serves once it has elected itself.
    isReady: async () => await answers(ports.plain),
  });
  return Object.assign(server, {
    broker: `127.0.0.1:${ports.plain}`,
    saslBroker: `127.0.0.1:${ports.sasl}`,
  });
}

interface Ports {
  readonly plain: number;
  readonly sasl: number;
  readonly controller: number;
}

const jvm = (): string[] => [
  "-Xmx256m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-XX:-UsePerfData",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

async function format(
  { folder }: ServerPlace,
  ports: Ports,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const file = path.join(folder, "server.properties");
  const all = { ...properties(folder, ports), ...settings };
  writeFileSync(
    file,
    Object.entries(all)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  );
  const { username, password } = KAFKA_ACCOUNT;
  const scram = `SCRAM-SHA-256=[name=${username},password=${password}]`;
  const args = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", file, "--add-scram", scram];
  await promisify(execFile)(JAVA, [...jvm(), "-cp", `${JARS}/*`, ...args]);
}

function properties(folder: string, { plain, sasl, controller }: Ports): Record<string, string> {
  const listeners = `PLAINTEXT://127.0.0.1:${plain},SASL_PLAINTEXT://127.0.0.1:${sasl}`;
  const { username, password } = KAFKA_ACCOUNT;
  const security = "org.apache.kafka.common.security";
  const one = { replication: "1", partitions: "1" };
  return {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": `1@127.0.0.1:${controller}`,
    "controller.listener.names": "CONTROLLER",
    listeners: `${listeners},CONTROLLER://127.0.0.1:${controller}`,
    "advertised.listeners": listeners,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "log.dirs": path.join(folder, "data"),
    "offsets.topic.replication.factor": one.replication,
    "offsets.topic.num.partitions": one.partitions,
    "transaction.state.log.replication.factor": one.replication,
    "transaction.state.log.min.isr": one.replication,
    "transaction.state.log.num.partitions": one.partitions,
    "share.coordinator.state.topic.replication.factor": one.replication,
    "group.initial.rebalance.delay.ms": "0",
    // After a kill the controller waits for the dead broker's session to end: 9 s by default. On a busy machine a live one is
    // silent for a second or two.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "200",
    "auto.create.topics.enable": "false",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "1",
    "num.io.threads": "4",
    "background.threads": "2",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": `${security}.plain.PlainLoginModule required user_${username}="${password}";`,
    "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": `${security}.scram.ScramLoginModule required;`,
  };
}

/**
 * A port below those that the system hands out for outgoing connections: a client that retries to a dead broker's port among those
 * could connect to itself, and keep the broker from coming back.
 */
async function lowPort(): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (await isFree(port)) return port;
  }
  return await freePort();
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

async function answers(port: number): Promise<boolean> {
  const admin = new Admin({ clientId: "ready", bootstrapBrokers: [`127.0.0.1:${port}`], retries: 0 });
  try {
    const { brokers } = await admin.metadata({ topics: [] });
    return brokers.size > 0;
  } finally {
    await admin.close();
  }
}
