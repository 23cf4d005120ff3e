import { openOverlaySnapshotter } from './overlay-snapshotter.ts';
import { snapshotterSuite } from './snapshotter-suite.ts';

snapshotterSuite('the overlay snapshotter', openOverlaySnapshotter);
