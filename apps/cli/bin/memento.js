#!/usr/bin/env node
// Syntax that any Node can parse, so that an old one reads as far as the sentence below
// and says it, instead of stopping at a keyword or a module that it does not know.
var major = Number(process.versions.node.split(".")[0]);

if (major >= 24) {
  import("../dist/main.js");
} else {
  process.stderr.write("memento needs Node.js 24 or newer, and this is Node.js " + process.versions.node + ".\n");
  process.exitCode = 1;
}
