import { chompTabs, documentBytes, parseHeredocMark } from './heredoc.ts';
import { commandLine, type Parts } from './instruction-parts.ts';
import type { RunCommand } from './instruction-tree.ts';

/** What a `RUN` runs. */
export function runCommand(parts: Parts): RunCommand {
  const command = commandLine(parts);
  if (command.form === 'exec') return command;
  const [document] = parts.heredocs;
  if (!document || !parseHeredocMark(command.text)) return { ...command, documents: parts.heredocs };
  const { name, content, bytes, chomp } = document;
  return {
    form: 'script',
    name,
    text: chomp ? chompTabs(content) : content,
    ...(bytes && { bytes: documentBytes(bytes, chomp) }),
  };
}
