/**
 * Two rules that the linter cannot hold by itself: no file waives a check, because a waiver can also waive the rule
 * against waivers; and no file has a name under which anything could be put.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";

const root = path.dirname(import.meta.dirname);
const self = path.relative(root, import.meta.filename);
const waiver = /(?:oxlint|eslint)-disable|(?:oxfmt|prettier)-ignore|@ts-(?:ignore|nocheck)|(?:v8|c8|istanbul) ignore/u;
const drawer = /(?:^|\/)(?:utils?|helpers?|common|lib|types|manager|misc)(?:\/|\.[^/]*$)/u;

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root })
  .toString()
  .split("\n")
  .filter((file) => /\.(?:ts|mjs|js)$/u.test(file) && file !== self && existsSync(path.join(root, file)));

const broken = files.flatMap((file) => {
  const lines = readFileSync(path.join(root, file), "utf8").split("\n");
  const waivers = lines.flatMap((line, index) =>
    waiver.test(line) ? [`${file}:${index + 1}: mend the code instead of waiving the check`] : [],
  );
  return drawer.test(file) ? [...waivers, `${file}: name the file for what it exports`] : waivers;
});

for (const line of broken) process.stderr.write(`${line}\n`);
process.exitCode = broken.length === 0 ? 0 : 1;
