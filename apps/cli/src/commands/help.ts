import type { Command } from "commander";

/** `memento help COMMAND`: shows its help; of a name that no command has, what it may have meant. */
export function registerHelp(program: Command): void {
  program
    .command("help")
    .summary("show a command's help")
    .description("Shows the help of a command, or of all of them.")
    .argument("[command...]", "its name")
    .action(async (names: readonly string[]) => {
      let shown = program;
      for (const name of names) {
        const found = shown.commands.find((command) => command.name() === name);
        // The parser refuses it, and says what is alike.
        if (found === undefined) return void (await shown.parseAsync([name], { from: "user" }));
        shown = found;
      }
      shown.help();
    });
}
