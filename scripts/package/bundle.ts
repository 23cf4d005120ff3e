import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Plugin, rolldown } from 'rolldown';
import { entries } from './entries.ts';

/** What is not part of the bundles: native code, which the package depends on instead. */
const external = ['koffi'];

/** Names a module that is bundled on its own, since a thread is started with it. */
const threadModule = /new URL\('(\.{1,2}\/[^']+\.(?:task|worker)\.ts)', import\.meta\.url\)/g;

/** Bundles the entries, and what threads run, for Node 22 into a directory. Returns the packages of which they have parts. */
export async function bundle(root: string, directory: string): Promise<readonly string[]> {
  const olderNode = path.join(import.meta.dirname, 'older-node.ts');
  const bundles = await rolldown({
    cwd: root,
    input: { ...entries },
    platform: 'node',
    external,
    transform: {
      target: 'node22',
      inject: Object.fromEntries(
        ['AsyncDisposableStack', 'DisposableStack', 'SuppressedError'].map((name) => [
          name,
          [olderNode, name] as [string, string],
        ]),
      ),
    },
    plugins: [threads()],
    onLog(level, log) {
      // What is imported in both ways stays where it is needed at once.
      if (log.code === 'INEFFECTIVE_DYNAMIC_IMPORT') return;
      throw new Error(`${level}: ${log.message}`);
    },
  });
  const { output } = await bundles.write({
    dir: directory,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunk-[hash].js',
    comments: { jsdoc: false },
  });
  const chunks = output.filter((each) => each.type === 'chunk');
  for (const { code, fileName } of chunks) {
    const left = /['"`][^'"`\n]*\.(?:task|worker)\.ts['"`]/.exec(code)?.[0];
    if (left) throw new Error(`${fileName} names ${left}, which is not in the package`);
  }
  const modules = chunks.flatMap(({ moduleIds }) => moduleIds);
  return [...new Set(modules.flatMap((id) => packageOf(id) ?? []))].sort();
}

/** Bundles what threads run beside the entries, and names the bundles in its place. All files are in one directory. */
function threads(): Plugin {
  return {
    name: 'threads',
    transform(code, id) {
      const changed = code.replaceAll(threadModule, (_, relative: string) => {
        const file = path.resolve(path.dirname(id), relative);
        const fileName = path.basename(file).replace(/\.ts$/, '.js');
        this.emitFile({ type: 'chunk', id: file, fileName });
        const beside = JSON.stringify(`./${fileName}`);
        return `new URL(${beside}, import.meta.url)`;
      });
      return changed === code ? null : { code: changed };
    },
  };
}

/** The directory of the package that a module belongs to; undefined for Kiln's own. */
function packageOf(id: string): string | undefined {
  return /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1];
}

/** What the licenses of bundled packages ask for: their names, and their texts where they have any. */
export function notices(packages: readonly string[]): string {
  const texts = packages.map((directory) => {
    const { name, version, license } = JSON.parse(
      readFileSync(path.join(directory, 'package.json'), 'utf8'),
    ) as { readonly name: string; readonly version: string; readonly license: string };
    return `- ${name} ${version}: ${license}`;
  });
  return `The bundles of this package have parts of these packages:\n\n${texts.join('\n')}\n`;
}
