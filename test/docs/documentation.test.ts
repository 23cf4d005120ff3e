import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { project } from '../rig/project.ts';

/** Files and folders. */
const paths = ['src', 'test', 'test-servers', 'bench', 'scripts', 'examples', 'bin'].flatMap((folder) => [
  folder,
  ...globSync(`${folder}/**/*`, { cwd: project.root, exclude: ['**/node_modules'] }),
]);
const pages = ['README.md', ...globSync('docs/*.md', { cwd: project.root })].map((page) => ({
  page,
  text: readFileSync(path.join(project.root, page), 'utf8'),
}));

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading!);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} -]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Whether a name is the end of the path of some file or folder. A star stands for any part of a name. */
function exists(name: string): boolean {
  const parts = name.split('*').map((part) => RegExp.escape(part));
  const pattern = new RegExp(`(?:^|/)${parts.join('[^/]*')}$`);
  return paths.some((file) => pattern.test(file));
}

test('every link of the documentation leads to a file, and to a heading of it', () => {
  const broken = pages.flatMap(({ page, text }) =>
    [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => {
        const [name = '', anchor] = link.split('#');
        const target = name === '' ? page : path.join(path.dirname(page), name);
        const full = path.join(project.root, target);
        if (!existsSync(full)) return true;
        return anchor !== undefined && !anchorsOf(readFileSync(full, 'utf8')).has(anchor);
      })
      .map((link) => `${page}: ${link}`),
  );
  assert.deepEqual(broken, []);
});

test('every source file and folder that the documentation names exists', () => {
  const missing = pages.flatMap(({ page, text }) => {
    const named = [...text.matchAll(/(?<![\w./*-])[\w./*-]+\.(?:ts|proto|sh)(?![\w])/g)].map(
      ([name]) => name,
    );
    const folders = [...text.matchAll(/`([a-z][a-z0-9-]*(?:\/[a-z0-9-]+)*\/)`/g)].map(([, name]) => name!);
    return [
      ...named.filter((name) => !exists(name)),
      ...folders.filter((name) => !exists(name.slice(0, -1))),
    ].map((name) => `${page}: ${name}`);
  });
  assert.deepEqual(missing, []);
});
