import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { unmount } from '../linux/mount.ts';
import { treeMakerSuite } from '../tree/tree-maker-suite.ts';
import { ErofsTreeMaker } from './erofs-tree-maker.ts';
import { mountImage } from './mount-image.ts';
import { probeImageMounts } from './probe-image-mounts.ts';

const by = probeImageMounts();

treeMakerSuite('a tree in an image', (directory) => {
  const image = path.join(directory, 'image');
  const place = path.join(directory, 'mounted');
  mkdirSync(place);
  let isMounted = false;
  return {
    maker: new ErofsTreeMaker(image),
    finished: () => {
      if (!isMounted) mountImage(image, place, { by });
      isMounted = true;
      return place;
    },
    space: () => statSync(image).blocks * 512,
    close: () => unmount(place),
  };
});
