import path from 'node:path';
import { type Plugin, rolldown } from 'rolldown';
import { entries } from './entries.ts';

/** What is not part of the bundles: native code, which the package depends on instead. */
const external = ['koffi'];

/** Names a module that is bundled on its own, since a thread or a process is started with it. */
const threadModule = /new URL\('(\.{1,2}\/[^']+\.(?:task|worker|process)\.ts)', import\.meta\.url\)/g;

/** Bundles the entries, and what threads and processes run, for Node 22 into a directory. Returns the files of packages that are part of them. */
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
    const left = /['"`][^'"`\n]*\.(?:task|worker|process)\.ts['"`]/.exec(code)?.[0];
    if (left) throw new Error(`${fileName} names ${left}, which is not in the package`);
  }
  const modules = chunks.flatMap(({ moduleIds }) => moduleIds);
  return [...new Set(modules.filter((id) => id.includes('/node_modules/')))].sort();
}

/** Bundles what threads and processes run beside the entries, and names the bundles in its place. All files are in one directory. */
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
