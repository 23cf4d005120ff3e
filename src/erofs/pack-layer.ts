import { lstatSync, readdirSync } from 'node:fs';
import { type ByteString, toByteString, toSystemPath } from '../base/text/byte-string.ts';
import { pathIn } from '../tree/tree.ts';
import { ErofsTreeMaker } from './erofs-tree-maker.ts';

export interface PackLayerInput {
  /** The directory of a layer, or of a whole tree. Nobody changes it meanwhile. */
  readonly directory: string;
  /** Where the image will be; nothing is there yet. */
  readonly image: string;
}

/** Makes an image of a directory: the same layer, with its marks. What fails leaves a part of the image. */
export function packLayer({ directory, image }: PackLayerInput): void {
  using maker = new ErofsTreeMaker(image);
  const root = toByteString(directory);
  const firstNames = new Map<string, ByteString>();
  const sourceOf = (path: ByteString) => {
    const source = path === '' ? root : `${root}/${path}`;
    return { path: source, stats: lstatSync(toSystemPath(source), { bigint: true }) };
  };
  const top = sourceOf('');
  maker.copyRootFromLayer(top);
  const waiting: ByteString[] = [''];
  for (let directoryPath = waiting.pop(); directoryPath !== undefined; directoryPath = waiting.pop()) {
    const names = readdirSync(toSystemPath(directoryPath === '' ? root : `${root}/${directoryPath}`), {
      encoding: 'latin1',
    });
    for (const name of names) {
      const path = pathIn(directoryPath, name);
      const source = sourceOf(path);
      maker.copyFromLayer(path, source, firstNames);
      if (source.stats.isDirectory()) waiting.push(path);
    }
  }
  maker.finish();
}
