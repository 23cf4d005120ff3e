import { existsSync } from 'node:fs';
import path from 'node:path';
import { findCircles } from './find-circles.ts';
import { type ImportGraph, readImportGraph } from './import-graph.ts';

export interface ImportRules {
  /** The folders of the repository that are checked. `src` is the one that has rooms. */
  readonly folders: readonly string[];
  /** Rooms of `src/`, and which rooms each may import besides itself. */
  readonly rooms: Readonly<Record<string, readonly string[]>>;
  /** Folders whose files are generated: they may form circles, and they are not counted. */
  readonly generated: readonly string[];
  /** How many TypeScript files a folder may have, without those of its subfolders. */
  readonly filesPerFolder: number;
  /** Names that files in several folders may share, with the reason. */
  readonly sharedNames: Readonly<Record<string, string>>;
  /** What is outside of `folders` and may be imported nevertheless, relative to the root. */
  readonly outside: readonly string[];
}

/** Returns a line for each rule that the files of the repository at `root` break. */
export function importProblems(root: string, rules: ImportRules): readonly string[] {
  const graph = readImportGraph(root, rules.folders);
  return [
    ...directionProblems(graph, rules),
    ...targetProblems(root, graph, rules),
    ...circleProblems(graph, rules),
    ...folderProblems(graph, rules),
    ...nameProblems(graph, rules),
  ];
}

/** Imports that no permission allows, permissions that no import uses, and rooms that form a circle. */
function directionProblems(graph: ImportGraph, { rooms, outside }: ImportRules): readonly string[] {
  const problems = new Set<string>();
  const used = new Map(Object.keys(rooms).map((room) => [room, new Set<string>()]));
  const present = new Set<string>();
  for (const [file, imports] of graph) {
    const room = roomOf(file);
    if (room === undefined) continue;
    present.add(room);
    if (!Object.hasOwn(rooms, room)) {
      problems.add(`src/${room} is not a room: add it to scripts/rooms.ts`);
      continue;
    }
    for (const { specifier, target } of imports) {
      if (outside.includes(target)) continue;
      const other = roomOf(target);
      if (other === undefined) problems.add(`${file} imports ${specifier}, which is outside of src/`);
      else if (other !== room) {
        used.get(room)!.add(other);
        if (!rooms[room]!.includes(other))
          problems.add(
            `${file} (${room}) imports ${specifier} (${other}), which scripts/rooms.ts does not allow`,
          );
      }
    }
  }
  for (const [room, permissions] of Object.entries(rooms)) {
    if (!present.has(room))
      problems.add(`scripts/rooms.ts has the room ${room}, but src/${room} has no files`);
    for (const other of permissions) {
      if (!used.get(room)!.has(other))
        problems.add(
          `scripts/rooms.ts lets ${room} import ${other}, but no file does: remove that permission`,
        );
    }
  }
  for (const { shortest } of findCircles(new Map(Object.entries(rooms))))
    problems.add(`rooms form a circle: ${around(shortest)}`);
  return [...problems];
}

function targetProblems(
  root: string,
  graph: ImportGraph,
  { folders, outside }: ImportRules,
): readonly string[] {
  const known = (target: string) =>
    graph.has(target) || outside.includes(target) || folders.includes(target.split(path.sep)[0]!);
  return [...graph].flatMap(([file, imports]) =>
    imports.flatMap(({ specifier, target }) => {
      if (!known(target)) return [`${file} imports ${specifier}, which is outside of ${folders.join(', ')}`];
      if (graph.has(target) || existsSync(path.join(root, target))) return [];
      return [`${file} imports ${specifier}, which does not exist`];
    }),
  );
}

function circleProblems(graph: ImportGraph, { generated }: ImportRules): readonly string[] {
  const written = [...graph].filter(([file]) => !generated.includes(path.dirname(file)));
  const circles = findCircles(
    new Map(written.map(([file, imports]) => [file, imports.map(({ target }) => target)])),
  );
  return circles.map(({ members, shortest }) => {
    const others = members.filter((member) => !shortest.includes(member));
    const more = others.length > 0 ? `; in circles with them: ${others.join(', ')}` : '';
    return `files import each other in a circle: ${around(shortest)}${more}`;
  });
}

function folderProblems(graph: ImportGraph, { filesPerFolder, generated }: ImportRules): readonly string[] {
  return [...Map.groupBy(graph.keys(), (file) => path.dirname(file))]
    .filter(([folder, files]) => files.length > filesPerFolder && !generated.includes(folder))
    .map(
      ([folder, { length }]) =>
        `${folder} has ${length} files, more than ${filesPerFolder}: give some of them a folder by idea`,
    );
}

function nameProblems(graph: ImportGraph, { sharedNames }: ImportRules): readonly string[] {
  const shared = [...Map.groupBy(graph.keys(), (file) => path.basename(file))].filter(
    ([, files]) => files.length > 1,
  );
  const names = new Set(shared.map(([name]) => name));
  return [
    ...shared
      .filter(([name]) => !Object.hasOwn(sharedNames, name))
      .map(([, files]) => `files of one name in different folders: ${files.join(', ')}`),
    ...Object.keys(sharedNames)
      .filter((name) => !names.has(name))
      .map((name) => `only one file, or none, is named ${name}: it needs no exception`),
  ];
}

function roomOf(file: string): string | undefined {
  const [folder, room] = file.split(path.sep);
  return folder === 'src' ? room : undefined;
}

function around(circle: readonly string[]): string {
  return [...circle, circle[0]].join(' -> ');
}
