import type * as Prometheus from "prom-client";

import { loadPeer } from "../../store/optional-peer.ts";
import type { RunEvent, RunListener } from "../run/run-event.ts";
import { exporter } from "./exporter.ts";
import { ownerOf } from "./owner.ts";

/** Where metrics go. */
export interface RunMetricsOptions {
  /** Default: prom-client's own registry. */
  readonly register?: Prometheus.Registry;
  /** Before the names of all metrics; default `memento_`. */
  readonly prefix?: string;
}

/** From a tenth of a millisecond to ten seconds. */
const SAVE_SECONDS = [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/**
 * Counts what pipelines do, for Prometheus. Made once for a process; `listener()` is for one run. Labels are the names of pipelines and
 * stages, reasons and outcomes: no run ids, which would grow without end.
 */
export class RunMetrics {
  readonly #runs: Prometheus.Counter;
  readonly #resumed: Prometheus.Counter;
  readonly #stages: Prometheus.Counter;
  readonly #records: Prometheus.Counter;
  readonly #retries: Prometheus.Counter;
  readonly #saves: Prometheus.Counter;
  readonly #failedSaves: Prometheus.Counter;
  readonly #saveSeconds: Prometheus.Histogram;
  readonly #heldBytes: Prometheus.Counter;
  readonly #rowsTakenBack: Prometheus.Counter;
  readonly #restores: Prometheus.Counter;
  readonly #active: Prometheus.Gauge;

  private constructor({ Counter, Gauge, Histogram, register }: typeof Prometheus, options: RunMetricsOptions) {
    const { prefix = "memento_" } = options;
    const registers = [options.register ?? register];
    const counter = (name: string, help: string, ...labelNames: string[]): Prometheus.Counter =>
      new Counter({ name: prefix + name, help, labelNames: ["pipeline", ...labelNames], registers });
    this.#runs = counter("runs_total", "Runs that ended, by how they ended.", "status");
    this.#resumed = counter("runs_resumed_total", "Runs that were taken up again.");
    this.#stages = counter("stages_total", "Stages that ended, by how.", "stage", "outcome");
    this.#records = counter("records_total", "Records that stages have taken.", "stage");
    this.#retries = counter("stage_retries_total", "Attempts that failed and were followed by another one.", "stage");
    this.#saves = counter("saves_total", "Mementos that were acknowledged.", "reason");
    this.#failedSaves = counter("failed_saves_total", "Saves that were not acknowledged, by the error's code.", "code");
    this.#heldBytes = counter(
      "saved_bytes_total",
      "Bytes that acknowledged mementos hold themselves, before compression.",
    );
    this.#rowsTakenBack = counter(
      "sink_rows_taken_back_total",
      "Rows that no memento covered, and that were taken back.",
      "sink",
    );
    this.#restores = counter("restores_total", "Rollbacks that stood unfinished and were finished.");
    this.#active = new Gauge({
      name: `${prefix}runs_active`,
      help: "Runs under way in this process.",
      labelNames: ["pipeline"],
      registers,
    });
    this.#saveSeconds = new Histogram({
      name: `${prefix}save_seconds`,
      help: "From the wish for a memento to its acknowledgement.",
      labelNames: ["pipeline"],
      buckets: SAVE_SECONDS,
      registers,
    });
  }

  /** Makes the metrics in a registry. PEER_MISSING without prom-client. */
  static async open(options: RunMetricsOptions = {}): Promise<RunMetrics> {
    return new RunMetrics(await loadPeer<typeof Prometheus>("prom-client", "^15.0.0", "Metrics of runs"), options);
  }

  /** The listener for one run of a pipeline. What goes wrong in counting ends no run: a warning says so. */
  listener(pipeline: string): RunListener {
    const stages = new Map<string, number>();
    return exporter("Metrics", (event) => this.#hear(event, pipeline, stages));
  }

  #hear(event: RunEvent, pipeline: string, stages: Map<string, number>): void {
    switch (event.type) {
      case "run-started":
        this.#active.inc({ pipeline });
        break;
      case "run-resumed":
        this.#active.inc({ pipeline });
        this.#resumed.inc({ pipeline });
        break;
      case "run-ended":
        this.#active.dec({ pipeline });
        this.#runs.inc({ pipeline, status: event.status });
        break;
      case "stage-started":
        stages.set(event.stage, 0);
        break;
      case "progress":
        this.#count(pipeline, event.stage, event.records, stages);
        break;
      case "stage-completed":
        this.#count(pipeline, event.stage, event.records, stages);
        this.#stages.inc({ pipeline, stage: event.stage, outcome: "completed" });
        break;
      case "stage-skipped":
        this.#stages.inc({ pipeline, stage: event.stage, outcome: "skipped" });
        break;
      case "stage-retry":
        this.#retries.inc({ pipeline, stage: ownerOf(event.stage, stages).stage });
        break;
      case "saved":
        this.#saves.inc({ pipeline, reason: event.entry.reason });
        this.#heldBytes.inc({ pipeline }, event.entry.sizes.heldBytes);
        this.#saveSeconds.observe({ pipeline }, event.ms / 1_000);
        break;
      case "save-failed":
        this.#failedSaves.inc({ pipeline, code: event.error });
        break;
      case "sink-reverted":
        this.#rowsTakenBack.inc({ pipeline, sink: event.sink }, event.rows);
        break;
      case "restore-finished":
        this.#restores.inc({ pipeline });
        break;
      default:
        break;
    }
  }

  /** Progress tells the whole; counters want what is new. A resumed stage begins where it was, which counts once more. */
  #count(pipeline: string, stage: string, records: number, stages: Map<string, number>): void {
    const before = stages.get(stage) ?? 0;
    if (records > before) this.#records.inc({ pipeline, stage }, records - before);
    stages.set(stage, Math.max(before, records));
  }
}
