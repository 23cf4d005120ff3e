import { chompTabs, documentBytes, parseHeredocMark } from './heredoc.ts';
import { type Parts, wordsOrArray } from './instruction-parts.ts';
import type { CopiedDocument, CopyPaths, Heredoc } from './instruction-tree.ts';

/** What a `COPY` or `ADD` copies, and where to. */
export function copyPaths(parts: Parts): CopyPaths {
  const { line, fail } = parts;
  const words = wordsOrArray(parts);
  if (words.length < 2) {
    throw fail(
      `${line.name} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  }
  const dest = words.at(-1)!;
  if (parseHeredocMark(dest)) throw fail(`${line.name} cannot accept a heredoc as a destination`);
  const heredocs = new Map(parts.heredocs.map((heredoc) => [heredoc.name, heredoc]));
  const sources: string[] = [];
  const documents: CopiedDocument[] = [];
  for (const word of words.slice(0, -1)) {
    const mark = parseHeredocMark(word);
    if (mark)
      documents.push(copiedDocument(parts, { content: '', line: 0, ...heredocs.get(mark.name), ...mark }));
    else sources.push(word);
  }
  return { sources, dest, documents };
}

function copiedDocument({ head }: Parts, heredoc: Heredoc): CopiedDocument {
  const { name, content, bytes, chomp, line } = heredoc;
  const text = chomp ? chompTabs(content) : content;
  if (!heredoc.expand) return { name, expand: false, data: bytes ? documentBytes(bytes, chomp) : text };
  head.places.addText(text, { line, written: content });
  return { name, expand: true, data: text };
}
