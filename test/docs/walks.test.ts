import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { rooms } from '../../scripts/rooms.ts';
import { project } from '../rig/project.ts';

const page = readFileSync(path.join(project.root, 'docs/architecture.md'), 'utf8');
const [, section = ''] = /^## Three walks\n(.*?)^## /ms.exec(page) ?? [];

/** The stages of the walks by their titles, each as the files of its list. */
const stages = section
  .split(/^(?=\*\*)/m)
  .slice(1)
  .map((text) => ({
    title: /^\*\*(.*?)\*\*/.exec(text)?.[1] ?? '',
    files: [...text.matchAll(/^\d+\. `([^`]+)`/gm)].map(([, file]) => file!),
  }));

/** Whether `room` may import `other`, or something that may. */
function leadsTo(room: string, other: string): boolean {
  return room === other || (rooms[room] ?? []).some((next) => leadsTo(next, other));
}

test('the three walks have stages', () => {
  assert.equal([...section.matchAll(/^### /gm)].length, 3);
  assert.ok(stages.length >= 3);
});

describe('no stage of a walk has a step back up:', () => {
  for (const { title, files } of stages)
    test(title, () => {
      assert.ok(files.length >= 3, `${files.length} files`);
      for (const file of files) assert.ok(existsSync(path.join(project.root, 'src', file)), file);
      files.slice(1).forEach((file, index) => {
        const [room, other] = [files[index]!, file].map((name) => name.split('/')[0]!) as [string, string];
        assert.ok(leadsTo(room, other), `${files[index]} to ${file}`);
      });
    });
});
