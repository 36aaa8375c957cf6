// Our worker of the recovery work: a plain Node process with the library, built ahead.
//   start FOLDER PARTITION N     runs the stages and kills itself with SIGKILL inside stage N/2, when N/2 are recorded
//   recover FOLDER PARTITION N   the same program again, which resumes by itself; prints "done RESULT STAGES_RUN"
import { openOurs } from "./memento.ts";

const [mode, folder, partition, count] = process.argv.slice(2);
if (folder === undefined || partition === undefined) throw new Error("usage: recovery-worker MODE FOLDER PARTITION N");
const stages = Number(count);

let stagesRun = 0;
await using ours = await openOurs(`sqlite:${folder}`);
const sequence = ours.sequence(stages, {
  onStage: (stage) => {
    if (mode === "start" && stage === stages / 2) process.kill(process.pid, "SIGKILL");
    stagesRun++;
  },
});
process.stdout.write(`done ${await sequence.run(partition)} ${stagesRun}\n`);
